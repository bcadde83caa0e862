"""Sizes as people write them: 500MB, 2GB, 1.5 GiB."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", re.I | re.ASCII)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_LEAST = 10_000_000  # bytes; the empty tables take a part of it


def parse_size(text: str) -> int:
    """The bytes that `text` names: k, M, G, T count by the thousand, Ki, Mi … by 1024. Raises
    ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"must be a size such as 500MB or 2GB, not {text[:40]!r}")
    unit = (found[2] or "").lower()
    step = 1024 if unit.endswith("i") else 1000
    return round(float(found[1]) * float(step) ** _POWERS[unit[:1]])


def _size(text: str) -> str:
    if parse_size(text) < _LEAST:
        raise ValueError(f"must be 10MB or more, not {text[:40]!r}; does it lack its unit?")
    return text


Size = Annotated[str, AfterValidator(_size)]
