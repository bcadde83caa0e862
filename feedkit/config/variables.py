"""`${NAME}` and `${NAME:-default}` in a text, from the environment. `$${` is a plain `${`; every
other `$` is itself, as in the regular expression `end$`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from feedkit.config.problems import shorten

_VARIABLE = re.compile(r"\$?\$\{([^{}]*)\}?")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """`text` with its variables replaced; raises ValueError with a plain sentence."""

    def value(match: re.Match[str]) -> str:
        whole = match[0]
        if whole.startswith("$$"):
            return whole[1:]
        parts = _NAME.fullmatch(match[1]) if whole.endswith("}") else None
        if parts is None:
            raise ValueError(
                f"{shorten(whole)} is no variable: write ${{NAME}} or ${{NAME:-default}}; "
                "a plain '${' is written '$${'"
            )
        name, default = parts[1], parts[2]
        found = environ.get(name)
        if default is not None:
            return found or str(default)
        if found is None:
            raise ValueError(
                f"the environment has no variable {name}; set it, or write ${{{name}:-default}}"
            )
        return found

    return _VARIABLE.sub(value, text)
