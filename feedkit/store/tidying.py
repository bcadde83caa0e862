"""Upkeep that can wait: rows that nobody needs any more, and the databases' own housekeeping."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from msgspec import Struct

from feedkit.store.database import Database
from feedkit.store.reading import stream_clock

# An account that was deleted does not come back, and after this time neither do its old posts: no
# relay replays them.
DELETED = timedelta(hours=72)
GAPS = timedelta(days=30)  # no stream goes back further
ROWS = 1000  # in one transaction
_PAGES = 1000  # that SQLite gives back at once, 4 MB


class Tidied(Struct):
    """How much was removed: rows, and pages given back to the disk."""

    accounts: int = 0
    gaps: int = 0
    pages: int = 0


def tidy(db: Database, now: int, stop: Callable[[], bool] = lambda: False) -> Tidied:
    """Forget accounts that were deleted long ago and gaps that cannot be filled any more, and let
    the database look after itself. `now`: our clock, µs since 1970. `stop` is asked between
    transactions."""
    done = Tidied()
    clock = min(now, stream_clock(db))
    while not stop() and _note_deleted(db, clock):
        pass
    while not stop() and _forget_deleted(db, clock - DELETED // timedelta(microseconds=1), done):
        pass
    done.gaps = db.run(
        "DELETE FROM gaps WHERE seen_at < ?", (clock - GAPS // timedelta(microseconds=1),)
    )
    if db.sqlite:
        _give_back(db, stop, done)
        db.rows("PRAGMA analysis_limit = 400")
        db.rows("PRAGMA optimize")
    return done


def _note_deleted(db: Database, clock: int) -> bool:
    """Note since when accounts count as deleted; whether there may be more."""
    found = db.rows("SELECT did FROM accounts WHERE state = 'deleted' AND at = 0 LIMIT ?", (ROWS,))
    if not found or not clock:
        return False
    with db.writing():
        db.many(
            "UPDATE accounts SET at = ? WHERE did = ? AND state = 'deleted' AND at = 0",
            [(clock, did) for (did,) in found],
        )
    return len(found) == ROWS


def _forget_deleted(db: Database, before: int, done: Tidied) -> bool:
    with db.writing():
        removed = db.run(
            "DELETE FROM accounts WHERE did IN (SELECT did FROM accounts "
            "WHERE state = 'deleted' AND at > 0 AND at < ? LIMIT ?)",
            (before, ROWS),
        )
    done.accounts += removed
    return removed == ROWS


def _give_back(db: Database, stop: Callable[[], bool], done: Tidied) -> None:
    """Give pages that were free all the while back to the disk, if they are more than a quarter
    of the file: what is needed again tomorrow may stay."""
    if db.rows("PRAGMA auto_vacuum")[0][0] != 2:
        return  # a file of an older feedkit keeps its size
    pages, free = (db.rows(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count"))
    while free > max(pages // 4, _PAGES) and not stop():
        db.give_back(_PAGES)
        left = db.rows("PRAGMA freelist_count")[0][0]
        if left >= free:
            return
        done.pages += free - left
        pages, free = pages - (free - left), left
