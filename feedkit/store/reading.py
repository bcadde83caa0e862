"""What pages and `why` read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from feedkit.post import Counts, Post
from feedkit.store.body import decode
from feedkit.store.database import Database
from feedkit.store.waiting import features


class Row(NamedTuple):
    """A stored post, as a page needs it. `sort_at`: microseconds since 1970."""

    id: int
    uri: str
    sort_at: int


class StoredPost(NamedTuple):
    """All that is known of a stored post. `post` has its counts."""

    id: int
    rev: str
    post: Post
    hidden: bool
    feeds: frozenset[str]


# As a row value: `sort_at < ? OR (sort_at = ? AND …)` measured 100 times slower.
NEWEST = (
    "SELECT h.post_id, p.uri, h.sort_at FROM hits AS h JOIN posts AS p ON p.id = h.post_id "
    "WHERE h.feed_id = (SELECT id FROM feeds WHERE name = ?) "
    "AND (h.sort_at, h.post_id) < (?, ?) AND NOT p.hidden "
    "ORDER BY h.sort_at DESC, h.post_id DESC LIMIT ?"
)
_FIRST = (1 << 63) - 1  # later than every sort_at, higher than every id
CONTENT = (
    "p.id, p.body, p.sort_at, p.seen_at, p.likes, p.reposts, p.replies, p.quotes"  # see as_post
)


def newest(db: Database, feed: str, before: tuple[int, int] | None, limit: int) -> list[Row]:
    """The newest `limit` visible posts of `feed` below the place `before` (sort_at, id)."""
    rows = db.rows(NEWEST, (feed, *(before or (_FIRST, _FIRST)), limit))
    return [Row(*row) for row in rows]


def place_by_time(db: Database, feed: str, sort_at: int, post_id: int) -> tuple[int, int]:
    """The place, from 1, of a visible post of `feed` where the newest come first; of how many."""
    of_feed = (
        "SELECT count(*) FROM hits AS h JOIN posts AS p ON p.id = h.post_id "
        "WHERE h.feed_id = (SELECT id FROM feeds WHERE name = ?) AND NOT p.hidden"
    )
    newer = f"{of_feed} AND (h.sort_at, h.post_id) >= (?, ?)"
    place = db.rows(newer, (feed, sort_at, post_id))[0][0]
    return int(place), int(db.rows(of_feed, (feed,))[0][0])


def posts(db: Database, ids: Collection[int]) -> dict[int, Row]:
    """Those of the posts `ids` that are there and visible."""
    rows = db.each("p.id, p.uri, p.sort_at", "posts AS p", "p.id", ids, "AND NOT p.hidden")
    return {row[0]: Row(*row) for row in rows}


def is_deleted(db: Database, uri: str) -> bool:
    """Whether the post at `uri` is known to be deleted, or its author's account to be hidden or
    gone. A post that was never stored and is simply unknown is not."""
    author = uri.split("/")[2] if uri.startswith("at://") else ""
    return bool(
        db.rows(
            "SELECT 1 FROM tombstones WHERE uri = ? AND deleted "
            "UNION ALL SELECT 1 FROM accounts WHERE did = ?",
            (uri, author),
        )
    )


def stream_clock(db: Database) -> int:
    """The time of the newest event read, microseconds since 1970; 0 before the first one."""
    return int(db.rows("SELECT coalesce(max(time), 0) FROM cursors")[0][0])


def find_post(db: Database, uri: str) -> StoredPost | None:
    """The post at `uri`, hidden or not; None if it is not stored."""
    found = db.rows(f"SELECT {CONTENT}, p.rev, p.hidden FROM posts AS p WHERE p.uri = ?", (uri,))
    if not found:
        return None
    row = found[0]
    feeds = db.rows(
        "SELECT f.name FROM hits AS h JOIN feeds AS f ON f.id = h.feed_id WHERE h.post_id = ?",
        (row[0],),
    )
    return StoredPost(
        row[0],
        row[8],
        as_post(row, features(db, [row[0]]).get(row[0])),
        bool(row[9]),
        frozenset(name for (name,) in feeds),
    )


def as_post(row: tuple[Any, ...], known: Mapping[str, Any] | None = None) -> Post:
    """The post of a row of `CONTENT`, with what hydrators know of it."""
    post = decode(row[1], row[2], row[3], Counts(*row[4:8]))
    return replace(post, features=known) if known else post
