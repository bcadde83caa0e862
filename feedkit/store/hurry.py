"""Notes that are worth no waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from feedkit.store.database import Database

HURRY = 40  # ms that a note waits for another writer


@contextmanager
def hurried(db: Database) -> Iterator[None]:
    """What is written meanwhile is worth no waiting: it fails, as `Unavailable`, where another
    writer is in the way for longer than `HURRY`."""
    if not db.sqlite:
        with db.transaction():
            db.rows(f"SET LOCAL lock_timeout = {HURRY}")
            yield
        return
    (usual,) = db.rows("PRAGMA busy_timeout")[0]
    db.rows(f"PRAGMA busy_timeout = {HURRY}")
    try:
        yield
    finally:
        db.rows(f"PRAGMA busy_timeout = {usual}")
