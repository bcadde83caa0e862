"""How much is stored, for /health and `feedkit status`."""

from __future__ import annotations

from msgspec import Struct

from feedkit.store.database import Database


class FeedStats(Struct, frozen=True):
    """A feed's hits. Times: microseconds since 1970, 0 for never."""

    hits: int
    newest: int
    asked_at: int


class Stats(Struct, frozen=True):
    """What is in the store. `cursors`: by source, how far it was read and the stream's clock."""

    posts: int
    hidden: int
    engagements: int
    tombstones: int
    accounts: int  # not active
    versions: int
    pending: int  # posts × feeds that wait for a hydrator
    feeds: dict[str, FeedStats]
    cursors: dict[str, tuple[int, int]]


def stats(db: Database) -> Stats:
    """Count everything: a few ms for 100,000 posts, so not for every request."""
    posts, hidden = db.rows(
        "SELECT count(*), coalesce(sum(CASE WHEN hidden THEN 1 END), 0) FROM posts"
    )[0]
    engagements, tombstones, accounts, versions, pending = (
        db.rows(f"SELECT count(*) FROM {table}")[0][0]
        for table in ("engagements", "tombstones", "accounts", "versions", "pending")
    )
    feeds = {
        name: FeedStats(hits, newest, asked_at)
        for name, hits, newest, asked_at in db.rows(
            "SELECT f.name, count(h.post_id), coalesce(max(h.sort_at), 0), f.asked_at "
            "FROM feeds AS f LEFT JOIN hits AS h ON h.feed_id = f.id "
            "GROUP BY f.id, f.name, f.asked_at"
        )
    }
    cursors = {
        source: (cursor, time)
        for source, cursor, time in db.rows("SELECT source, cursor, time FROM cursors")
    }
    return Stats(
        posts, hidden, engagements, tombstones, accounts, versions, pending, feeds, cursors
    )  # fmt: skip
