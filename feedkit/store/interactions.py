"""What the app says that viewers did: which posts they saw, and of which they want more or less."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from feedkit.store.database import Database

SEEN = "app.bsky.feed.defs#interactionSeen"
MORE = "app.bsky.feed.defs#requestMore"
LESS = "app.bsky.feed.defs#requestLess"
MOST_SEEN = 5000  # posts seen that are read of one viewer: the newest
MOST_WISHES = 1000  # the same of posts of which they want more, or less
MINUTE = 60 * 1_000_000  # µs
MOST_KEPT = 10_000  # of one viewer: the newest
MOST_CROWDED = 1000  # the same where the store is too large
ROWS = 1000  # removed in one transaction
EACH = 600  # bytes that one takes, with its indexes
_WISHES = f"event IN ('{MORE}', '{LESS}')"
_REMOVE = "DELETE FROM interactions WHERE viewer = ? AND event = ? AND item = ? AND feed = ?"


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


def forget_interactions(db: Database, before: int) -> int:
    """Remove some interactions older than `before`, and what is known of senders that long ago;
    how many, 0 once there are none."""
    with db.transaction():
        old = db.rows(
            "SELECT viewer, event, item, feed FROM interactions WHERE at < ? ORDER BY at LIMIT ?",
            (before, ROWS // 2),
        )
        db.many(_REMOVE, old)
        gone = db.rows(
            "SELECT viewer FROM senders WHERE minute < ? LIMIT ?", (before // MINUTE, ROWS // 2)
        )
        db.many("DELETE FROM senders WHERE viewer = ?", gone)
    return len(old) + len(gone)


def forget_seen(db: Database, before: int) -> int:
    """Remove some interactions older than `before` that are no wishes; how many, 0 once there are
    none."""
    with db.transaction():
        old = db.rows(
            "SELECT viewer, event, item, feed FROM interactions WHERE at < ? "
            f"AND NOT {_WISHES} ORDER BY at LIMIT ?",
            (before, ROWS // 2),
        )
        db.many(_REMOVE, old)
    return len(old)


def interactions_size(db: Database) -> int:
    """About how many bytes the interactions take."""
    return EACH * int(db.rows("SELECT count(*) FROM interactions")[0][0])


def forget_crowded(db: Database, most: int = MOST_CROWDED) -> int:
    """Remove some interactions, the oldest, of viewers with more than `most`; how many, 0 once
    nobody has more."""
    with db.transaction():
        found = db.rows(
            "SELECT viewer, count(*) FROM interactions GROUP BY viewer HAVING count(*) > ? "
            "ORDER BY count(*) DESC, viewer LIMIT 1",
            (most,),
        )
        return sum(_forget_oldest(db, viewer, min(held - most, ROWS)) for viewer, held in found)


def _forget_oldest(db: Database, viewer: str, number: int) -> int:
    """Wishes last: there are few of them, and what they hide would come back."""
    old = db.rows(
        "SELECT viewer, event, item, feed FROM interactions WHERE viewer = ? "
        f"ORDER BY {_WISHES}, at LIMIT ?",
        (viewer, number),
    )
    db.many(_REMOVE, old)
    return len(old)
