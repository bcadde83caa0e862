"""How large a store is, and which posts must go where it is larger than it may be."""

from __future__ import annotations

import math

from feedkit.store.database import Database

_ROOM = 0.95  # of what it may hold is left, lest the next minute begins the same again


def used(db: Database) -> int:
    """The bytes that are in use. What was deleted does not count, though the file may keep its
    size: its room is used again."""
    if db.sqlite:
        facts = ("page_count", "freelist_count", "page_size")
        pages, free, size = (db.rows(f"PRAGMA {fact}")[0][0] for fact in facts)
        return int((pages - free) * size)
    # Tables and indexes as they are on the disk, by the share of each table that its rows take:
    # their number and their columns' mean widths are what ANALYZE last found.
    return sum(
        round(total * min(1.0, rows * (width + 32) / heap)) if rows >= 0 and heap else total
        for total, heap, rows, width in db.rows(
            "SELECT pg_total_relation_size(c.oid), pg_relation_size(c.oid), "
            "c.reltuples::float, coalesce((SELECT sum(s.avg_width) FROM pg_stats AS s "
            "WHERE s.schemaname = n.nspname AND s.tablename = c.relname), 0)::float "
            "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE n.nspname = current_schema() AND c.relkind = 'r'"
        )
    )


def too_old(db: Database, most: int) -> int:
    """The time before which posts must go so that the store holds no more than `most` bytes, as
    `sort_at`; 0 if it does."""
    if (now := used(db)) <= most:
        return 0
    posts = db.rows("SELECT count(*) FROM posts")[0][0]
    if not posts:
        return 0
    place = math.ceil(posts * (1 - _ROOM * most / now))
    found = db.rows("SELECT sort_at FROM posts ORDER BY sort_at LIMIT 1 OFFSET ?", (place - 1,))
    return int(found[0][0]) + 1 if found else 0


def analyze(db: Database, *tables: str) -> None:
    """Count the rows of `tables` anew (if none is named, of those with most), after much was
    removed. SQLite counts as it goes."""
    if not db.sqlite:
        for table in tables or ("posts", "hits", "engagements"):
            db.run(f"ANALYZE {table}")
