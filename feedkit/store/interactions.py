"""What the app says that viewers did: which posts they saw, and of which they want more or less."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from feedkit.store.database import Database

SEEN = "app.bsky.feed.defs#interactionSeen"
MORE = "app.bsky.feed.defs#requestMore"
LESS = "app.bsky.feed.defs#requestLess"
MOST_SEEN = 5000  # posts seen that are read of one viewer: the newest
MOST_WISHES = 1000  # the same of posts of which they want more, or less
MINUTE = 60 * 1_000_000  # µs
MOST_KEPT = 10_000  # of one viewer: the newest
MOST_CROWDED = 1000  # the same where the store is too large
ROWS, BYTES = 1000, 200_000  # removed in one transaction
_WISHES = f"event IN ('{MORE}', '{LESS}')"
_KEY = "viewer, event, item, feed"
_REMOVE = "DELETE FROM interactions WHERE viewer = ? AND event = ? AND item = ? AND feed = ?"


class Removed(NamedTuple):
    """How many interactions were removed, and about how many bytes that frees."""

    number: int = 0
    bytes: int = 0


class Interaction(NamedTuple):
    """One thing that a viewer did. `event`: a token of the lexicon, or one that nobody knows;
    `item`: the URI of a post; `feed`: the name of the feed, empty where it is not known."""

    event: str
    item: str
    feed: str = ""
    feed_context: str = ""
    req_id: str = ""


class Wish(NamedTuple):
    """A post of which a viewer wants `event`, MORE or LESS. `at`: microseconds since 1970."""

    event: str
    item: str
    author: str
    at: int


class Interactions:
    """The interactions in the store. Each is kept once: of one that is repeated, the last."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, viewer: str, done: Collection[Interaction], now: int, most: int) -> bool:
        """Keep what `viewer` (a DID) did, in this order, at `now`, µs since 1970, and no more
        than `MOST_KEPT` of it. False, and nothing is kept, where that makes more than `most`
        interactions in one minute."""
        # A microsecond between one and the next, lest «more» and «less» be of the same time.
        rows = {
            (viewer, event, item, feed): (now + place, item.split("/")[2], context, req_id)
            for place, (event, item, feed, context, req_id) in enumerate(done)
        }
        with self._db.transaction():
            (sent,) = self._db.rows(
                "INSERT INTO senders (viewer, minute, sent) VALUES (?, ?, ?) "
                "ON CONFLICT (viewer) DO UPDATE SET minute = excluded.minute, "
                "sent = excluded.sent + CASE WHEN senders.minute = excluded.minute "
                "THEN senders.sent ELSE 0 END RETURNING sent",
                (viewer, now // MINUTE, len(done)),
            )[0]
            if sent > most:
                return False
            self._db.insert(
                "INSERT INTO interactions "
                "(viewer, event, item, feed, at, author, feed_context, req_id)",
                [(*key, *rest) for key, rest in rows.items()],
                "ON CONFLICT (viewer, event, item, feed) DO UPDATE SET at = excluded.at, "
                "feed_context = excluded.feed_context, req_id = excluded.req_id",
            )
            held = self._db.rows(
                "SELECT count(*) FROM (SELECT 1 FROM interactions WHERE viewer = ? LIMIT ?) AS k",
                (viewer, MOST_KEPT + ROWS // 2),
            )[0][0]
            if held > MOST_KEPT:  # more than must go, lest the next request sorts them again
                _forget_oldest(self._db, viewer, ROWS // 2)
        return True

    def seen(self, viewer: str, since: int, most: int = MOST_SEEN) -> frozenset[str]:
        """The URIs of the posts that a viewer saw at `since` or later: the newest `most`."""
        rows = self._db.rows(
            "SELECT item FROM interactions WHERE viewer = ? AND event = ? AND at >= ? "
            "ORDER BY at DESC LIMIT ?",
            (viewer, SEEN, since, most),
        )
        return frozenset(item for (item,) in rows)

    def wishes(self, viewer: str, most: int = MOST_WISHES) -> list[Wish]:
        """Of what a viewer wants more or less, the newest first, at most `most` of each. Who has
        changed their mind about a post wants what they said last."""
        found: dict[str, Wish] = {}
        newest = (
            "SELECT event, item, author, at FROM interactions WHERE viewer = ? AND event = ? "
            "ORDER BY at DESC LIMIT ?"
        )
        for row in self._db.rows(
            f"SELECT * FROM ({newest}) AS wanted UNION ALL SELECT * FROM ({newest}) AS unwanted",
            (viewer, MORE, most, viewer, LESS, most),
        ):
            wish = Wish(*row)
            if wish.item not in found or found[wish.item].at < wish.at:
                found[wish.item] = wish
        return sorted(found.values(), key=lambda wish: (-wish.at, wish.item))


def forget_interactions(db: Database, before: int, wishes_before: int) -> int:
    """Remove some interactions older than `before` (of wishes: than `wishes_before`), and what is
    known of senders that long ago; how many, 0 once there are none."""
    removed = _forget(db, f"at < ? AND NOT {_WISHES}", before).number
    removed += _forget(db, f"at < ? AND {_WISHES}", wishes_before).number
    with db.transaction():
        gone = db.rows(
            "SELECT viewer FROM senders WHERE minute < ? LIMIT ?", (before // MINUTE, ROWS // 2)
        )
        db.many("DELETE FROM senders WHERE viewer = ?", gone)
    return removed + len(gone)


def forget_crowding(db: Database, before: int, most: int = MOST_CROWDED) -> Removed:
    """Remove some interactions where there are too many: first those older than `before` that are
    no wishes, then the oldest of viewers with more than `most`."""
    if (removed := _forget(db, f"at < ? AND NOT {_WISHES}", before)).number:
        return removed
    found = db.rows(
        "SELECT viewer, count(*) FROM interactions GROUP BY viewer HAVING count(*) > ? "
        "ORDER BY count(*) DESC, viewer LIMIT 1",
        (most,),
    )
    if not found:
        return removed
    viewer, held = found[0]
    with db.transaction():
        return _forget_oldest(db, viewer, min(held - most, ROWS), BYTES)


def forget_anybodys(db: Database) -> Removed:
    """Remove some interactions, the oldest of all, wishes last: where so many send little that it
    is too much."""
    found = _forget(db, f"at < ? AND NOT {_WISHES}", 1 << 62)
    return found if found.number else _forget(db, f"at < ? AND {_WISHES}", 1 << 62)


def interactions_size(db: Database) -> int:
    """About how many bytes the interactions take, with their indexes."""
    return int(db.rows(f"SELECT coalesce(sum({_size(db)}), 0) FROM interactions")[0][0])


def _size(db: Database) -> str:
    """The bytes that a row takes, in SQL: its key is in the row and in indexes, and on SQLite a
    long row takes pages that nothing else shares. Measured: right by 5 % there, by 30 % on
    PostgreSQL, which packs what is long and repeats."""

    def length(*columns: str) -> str:
        of = "octet_length({})" if not db.sqlite else "length(CAST({} AS BLOB))"
        return " + ".join(of.format(column) for column in columns)

    key = f"({length(*_KEY.split(', '))} + 17)"
    row = f"({key} + {length('author', 'feed_context', 'req_id')} + 3)"
    if not db.sqlite:
        return f"(({row} + {key} + {length('viewer', 'event')} + 34) * 5 / 4)"
    row = f"CASE WHEN {row} > 1000 THEN 430 + 3560 * (({row} + 3602) / 4092) ELSE {row} END"
    return f"(({row} + 2 * {key}) * 23 / 20)"


def _forget(db: Database, where: str, before: int) -> Removed:
    """Remove some, the oldest, of those `where` that are older than `before`."""
    # Looked for before the transaction: wishes stay for longer, and others wait for none of that.
    old = db.rows(
        f"SELECT {_KEY}, {_size(db)} FROM interactions WHERE {where} ORDER BY at LIMIT ?",
        (before, ROWS // 2),
    )
    some, removed = _some(old, BYTES)
    with db.transaction():
        # Unless it was said again meanwhile.
        db.many(f"{_REMOVE} AND at < ?", [(*row[:4], before) for row in some])
    return removed


def _forget_oldest(db: Database, viewer: str, number: int, most: int = 1 << 62) -> Removed:
    """Wishes last: there are few of them, and what they hide would come back. `most`: bytes."""
    old = db.rows(
        f"SELECT {_KEY}, {_size(db)} FROM interactions WHERE viewer = ? "
        f"ORDER BY {_WISHES}, at LIMIT ?",
        (viewer, number),
    )
    some, removed = _some(old, most)
    db.many(_REMOVE, [row[:4] for row in some])
    return removed


def _some(rows: list[tuple[Any, ...]], most: int) -> tuple[list[tuple[Any, ...]], Removed]:
    """The first of `rows`, whose last column is their size, that come to `most` bytes."""
    size = 0
    for number, row in enumerate(rows, 1):
        size += int(row[-1])
        if size >= most:
            return rows[:number], Removed(number, size)
    return rows, Removed(len(rows), size)
