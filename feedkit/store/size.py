"""How large a store is, what takes the room, and which posts must go where it is larger than it may
be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from feedkit.store.database import Database
from feedkit.store.interactions import interactions_size
from feedkit.store.models import MODELS

_ROOM = 0.95  # of what it may hold is left, lest the next minute begins the same again
THEIRS = 0.1  # of it, which interactions may take, and rankings, before they go early
_TURNS = 20  # transactions that remove those, after which the database counts anew
TABLES = tuple(sorted(model._meta.table_name for model in MODELS))
OIDS = ", ".join(f"to_regclass('{table}')" for table in TABLES)  # theirs, on PostgreSQL
POSTS, INTERACTIONS = "posts and what goes with them", "readers' interactions"
_KINDS = {
    POSTS: ("posts", "hits", "engagements", "features", "pending", "backfill_posts"),
    "rankings": ("versions", "chunks"),
    INTERACTIONS: ("interactions", "senders"),
    "scores": ("scores",),
    "tombstones": ("tombstones",),
    "states of accounts": ("accounts", "backfill_accounts"),
    "lists and follows": ("account_sets", "viewers", "viewer_sets"),
}
RANKING = "3 * size + 250"  # bytes that a ranking takes, about, by its row in `versions`
_RANKINGS = f"SELECT coalesce(sum({RANKING}), 0) FROM versions"
# Of SQLite, which tells the size of a table only after it has read all of it: how many bytes rows
# take with their indexes, as `dbstat` showed. What posts take is the rest.
_ESTIMATES = {
    "rankings": _RANKINGS,
    "scores": "SELECT coalesce(sum(95 + length(value)), 0) FROM scores",
    "tombstones": "SELECT 200 * count(*) FROM tombstones",
    "states of accounts": "SELECT 50 * count(*) FROM accounts",
    "lists and follows": "SELECT coalesce(sum(length(members)), 0) FROM "
    "(SELECT members FROM account_sets UNION ALL SELECT members FROM viewer_sets) AS sets",
}


def used(db: Database) -> int:
    """The bytes that are in use. What was deleted does not count, though the file may keep its
    size: its room is used again."""
    if db.sqlite:  # the file is feedkit's alone
        facts = ("page_count", "freelist_count", "page_size")
        pages, free, size = (db.rows(f"PRAGMA {fact}")[0][0] for fact in facts)
        return int((pages - free) * size)
    return sum(_by_table(db).values())


def exceeds(db: Database, most: int) -> bool:
    """Whether more than `most` bytes are in use, also by what is counted now."""
    if used(db) <= most:
        return False
    analyze(db, *TABLES)
    return used(db) > most


def held(db: Database) -> dict[str, int]:
    """The bytes in use by kind of data, those with most first."""
    if db.sqlite:
        kinds = {kind: int(db.rows(sql)[0][0]) for kind, sql in _ESTIMATES.items()}
        kinds[INTERACTIONS] = interactions_size(db)
        kinds[POSTS] = max(1, used(db) - sum(kinds.values()))
    else:
        tables = _by_table(db)
        kinds = {kind: sum(tables.get(name, 0) for name in names) for kind, names in _KINDS.items()}
        kinds["the rest"] = sum(tables.values()) - sum(kinds.values())
    return dict(sorted(kinds.items(), key=lambda item: -item[1]))


def rankings(db: Database) -> int:
    """About how many bytes the rankings take."""
    return int(db.rows(_RANKINGS)[0][0])


def _by_table(db: Database) -> dict[str, int]:
    """Tables and indexes as they are on PostgreSQL's disk, by the share of each table that its rows
    take: their number and their columns' mean widths are what ANALYZE last found. Feedkit's alone:
    other applications may have theirs beside them."""
    return {
        name: round(total * min(1.0, rows * (width + 32) / heap)) if rows >= 0 and heap else total
        for name, total, heap, rows, width in db.rows(
            "SELECT c.relname, pg_total_relation_size(c.oid), pg_relation_size(c.oid), "
            "c.reltuples::float, coalesce((SELECT sum(s.avg_width) FROM pg_stats AS s "
            "WHERE s.schemaname = n.nspname AND s.tablename = c.relname), 0)::float "
            "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            f"WHERE c.oid IN ({OIDS})"
        )
    }


def ease(
    db: Database, most: int, tables: tuple[str, ...], theirs: int, remove: Callable[[], int]
) -> Iterator[None]:
    """Let `remove` take some from `tables`, which gives the bytes that this frees, as long as the
    store holds more than `most`, and these, which take `theirs`, more than their part of it: they
    must not push posts out."""
    turns = 0
    while theirs > most * THEIRS and used(db) > most and (freed := remove()):
        theirs -= freed
        turns += 1
        if turns % _TURNS == 0:
            analyze(db, *tables)
        yield
    if turns:
        analyze(db, *tables)


def too_old(db: Database, most: int, held: Mapping[str, int]) -> int:
    """The time before which posts must go so that the store, of which this is `held`, holds no
    more than `most` bytes, as `sort_at`; 0 if it does. By what posts take: where other things
    grew, as many posts go as make up for them."""
    now = sum(held.values())
    posts = db.rows("SELECT count(*) FROM posts")[0][0] if now > most else 0
    if not posts:
        return 0
    place = math.ceil(posts * min(1.0, (now - _ROOM * most) / max(1, held[POSTS])))
    found = db.rows("SELECT sort_at FROM posts ORDER BY sort_at LIMIT 1 OFFSET ?", (place - 1,))
    return int(found[0][0]) + 1 if found else 0


def analyze(db: Database, *tables: str) -> None:
    """Count the rows of `tables` anew (if none is named, of those with most), after much was
    removed. SQLite counts as it goes."""
    if not db.sqlite:
        for table in tables or ("posts", "hits", "engagements"):
            db.run(f"ANALYZE {table}")
