"""The methods without which a plugin does nothing."""

from __future__ import annotations

import inspect

from feedkit.config.problems import nearest
from feedkit.plugin import Plugin
from feedkit.viewing import KINDS, kind_text

# Of each kind one of these must be written; the first is the one that is usually meant.
_METHODS = {
    "filter": ("match", "decide"),
    "viewer_filter": ("keep",),
    "ranker": ("score", "score_many"),
    "selector": ("select", "pins"),
    "hydrator": ("hydrate",),
}


def lacking(cls: type[Plugin]) -> str:
    """What is wrong with the class of a plugin that has not got the method of its kind, or
    nothing."""
    kind, base = next(((k, base) for k, base in KINDS.items() if issubclass(cls, base)), ("", cls))
    names = _METHODS.get(kind, ())
    if not names or any(_written(cls, base, name) for name in names):
        return ""
    own = [name for name, value in vars(cls).items() if inspect.isfunction(value)]
    close = nearest(names[0], own)
    remedy = f"rename its method {close!r}" if close else "write it"
    takes = ", ".join(inspect.signature(getattr(base, names[0])).parameters)
    return (
        f"the class {cls.__name__} has no {names[0]}({takes}), without which a "
        f"{kind_text(kind)} does nothing; {remedy}"
    )


def _written(cls: type[Plugin], base: type[Plugin], name: str) -> bool:
    found = getattr(cls, name, None)
    return callable(found) and found is not getattr(base, name)
