"""How often something is worth a line in the log."""

from __future__ import annotations


def worth_saying(count: int) -> bool:
    """The first, the tenth, the hundredth … time: what is broken must not drown the log."""
    return str(count).strip("0") == "1"
