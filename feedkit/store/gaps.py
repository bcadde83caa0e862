"""Stretches of the stream that were missed, and whether they were filled since."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from feedkit.store.database import Database


class MissedStretch(NamedTuple):
    """Times in microseconds since 1970; `from_us` is 0 where the start is not known."""

    id: int
    source: str
    from_us: int
    to_us: int
    reason: str


def open_gaps(db: Database) -> list[MissedStretch]:
    """What was missed and not filled, in order."""
    rows = db.rows(
        "SELECT id, source, from_us, to_us, reason FROM gaps WHERE filled_at = 0 "
        "ORDER BY from_us, id"
    )
    return [MissedStretch(*row) for row in rows]


def shorten(db: Database, gap: int, to_us: int) -> None:
    """Note that a gap was filled from this time on: what was before is missing still."""
    db.run("UPDATE gaps SET to_us = ? WHERE id = ?", (to_us, gap))


def mark_filled(db: Database, ids: Collection[int], now: int) -> None:
    """Note that these gaps were filled."""
    db.many("UPDATE gaps SET filled_at = ? WHERE id = ?", [(now, number) for number in ids])
