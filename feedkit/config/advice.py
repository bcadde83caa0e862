"""What is said of a project before it goes to a host."""

from __future__ import annotations

from typing import NamedTuple


class Advice(NamedTuple):
    """`serious`: it will not work so; else it may be meant so. `said`, and what to do."""

    serious: bool
    said: str
    remedy: str
