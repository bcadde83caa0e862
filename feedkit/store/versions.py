"""Rankings kept as they were, so that nothing repeats or is skipped while someone scrolls.

A version is the ordered ids of one ranking, in chunks, and never changes; a page is a slice of it.
Where many feeds are ranked every minute versions are most of what is written, so those that no
reader has a cursor of are not kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from feedkit.store.database import Database
from feedkit.store.errors import StoreError
from feedkit.store.hurry import hurried
from feedkit.store.packing import pack, unpack

CHUNK = 250  # ids: a page of 100 reads one or two chunks
EMPTY = 5 * 1_000_000  # µs after which a ranking without posts is made anew: a feed's first one
ASKED = 10 * 60 * 1_000_000  # µs for which a feed counts as asked for
QUIET = 5 * 60 * 1_000_000  # µs after which a feed that nobody asks for is ranked, if there is time
# µs by which a page may be given later than `feeds.asked_at` says: that is noted every 30 seconds,
# by clocks that need not agree.
NOTED_LATE = 60 * 1_000_000
# Rankings kept for one viewer, 3 kB each: as many as somebody may ask for in an hour who goes on
# reading an older one. The app's own look for news, once a minute, asks for one post and reads on
# in none of its rankings: those are counted apart.
PER_VIEWER, PROBES = 30, 2


class Version(NamedTuple):
    """One ranking. `created_at`: microseconds since 1970. `size`: how many posts it holds.
    `probe`: only its first post was given, as to the app when it looks for news."""

    id: int
    created_at: int
    size: int
    recipe: str
    probe: bool = False


class Recipe(NamedTuple):
    """How a feed is ranked, and how often: `refresh` in microseconds; `fingerprint` changes when
    its ranker or selectors change."""

    refresh: int
    fingerprint: str = ""


def save_version(
    db: Database, feed: str, viewer: str, ids: Sequence[int], now: int, recipe: str = "",
    probe: bool = False,
) -> int:  # fmt: skip
    """Keep a ranking of `feed`, for `viewer` (DID) or for everybody (""); its id. The one before
    for everybody goes if it was given to nobody; of those for a viewer the newest few stay."""
    with db.transaction():
        before = [] if viewer else _latest(db, feed)
        made = db.rows(
            "INSERT INTO versions (feed_id, viewer, created_at, size, recipe, probe) "
            "SELECT id, ?, ?, ?, ?, ? FROM feeds WHERE name = ? RETURNING id",
            (viewer, now, len(ids), recipe, probe, feed),
        )
        if not made:
            raise StoreError(f"store {db.place}: the feed {feed!r} is not registered")
        version = int(made[0][0])
        db.many(
            "INSERT INTO chunks (version_id, number, ids) VALUES (?, ?, ?)",
            [
                (version, start // CHUNK, pack(ids[start : start + CHUNK]))
                for start in range(0, len(ids), CHUNK)
            ],
        )
        for old, made_at, asked_at in before:
            if asked_at < made_at - NOTED_LATE:
                drop(db, [old])
            else:  # whoever has a cursor of it has had it for no longer than since now
                db.run("UPDATE versions SET replaced_at = ? WHERE id = ?", (now, old))
        if viewer.startswith("did:"):
            drop(db, _beyond(db, feed, viewer, probe))
    return version


def keep_version(db: Database, version: int) -> None:
    """Note that more of a probe's ranking was given than its first post."""
    db.run("UPDATE versions SET probe = FALSE WHERE id = ?", (version,))


def _latest(db: Database, feed: str) -> list[tuple[int, int, int]]:
    """The newest ranking for everybody, if there is one: its id, when it was made, and when
    somebody last asked for the feed."""
    return db.rows(
        "SELECT v.id, v.created_at, f.asked_at FROM feeds AS f JOIN versions AS v ON v.id = "
        "(SELECT max(id) FROM versions WHERE feed_id = f.id AND viewer = '') WHERE f.name = ?",
        (feed,),
    )


def _beyond(db: Database, feed: str, viewer: str, probe: bool) -> list[int]:
    """The newest of a viewer's rankings that is one too many, of one kind."""
    found = db.rows(
        "SELECT id FROM versions WHERE feed_id = (SELECT id FROM feeds WHERE name = ?) "
        "AND viewer = ? AND probe = ? ORDER BY id DESC LIMIT 1 OFFSET ?",
        (feed, viewer, probe, PROBES if probe else PER_VIEWER),
    )
    return [id for (id,) in found]


def drop(db: Database, versions: Sequence[int]) -> None:
    """Remove rankings."""
    ids = [(id,) for id in versions]
    db.many("DELETE FROM chunks WHERE version_id = ?", ids)
    db.many("DELETE FROM versions WHERE id = ?", ids)


def latest_version(
    db: Database, feed: str, viewer: str = "", recipe: str | None = None
) -> Version | None:
    """The newest ranking of `feed`; of those made by `recipe`, where one is named."""
    found = db.rows(
        "SELECT v.id, v.created_at, v.size, v.recipe, v.probe FROM versions AS v "
        "WHERE v.feed_id = (SELECT id FROM feeds WHERE name = ?) AND v.viewer = ? "
        + ("" if recipe is None else "AND v.recipe = ? ")
        + "ORDER BY v.id DESC LIMIT 1",
        (feed, viewer) if recipe is None else (feed, viewer, recipe),
    )
    return Version(*found[0]) if found else None


def recipes(db: Database, feed: str, viewer: str) -> frozenset[str]:
    """The recipes of the rankings that are kept for one viewer: a few, as these are."""
    rows = db.rows(
        "SELECT DISTINCT recipe FROM versions "
        "WHERE feed_id = (SELECT id FROM feeds WHERE name = ?) AND viewer = ?",
        (feed, viewer),
    )
    return frozenset(recipe for (recipe,) in rows)


def askers(db: Database, feed: str, most: int) -> int:
    """How many there are who have a ranking of `feed` of their own; counted up to `most`."""
    found = db.rows(
        "SELECT count(*) FROM (SELECT DISTINCT viewer FROM versions WHERE viewer > '' "
        "AND feed_id = (SELECT id FROM feeds WHERE name = ?) LIMIT ?) AS others",
        (feed, most),
    )
    return int(found[0][0])


def find_version(db: Database, version: int, feed: str, viewer: str = "") -> Version | None:
    """The ranking with this id, if it is still kept and is one of `feed` for `viewer`: a cursor
    comes from outside, and may name anybody's."""
    found = db.rows(
        "SELECT v.id, v.created_at, v.size, v.recipe, v.probe FROM versions AS v WHERE v.id = ? "
        "AND v.feed_id = (SELECT id FROM feeds WHERE name = ?) AND v.viewer = ?",
        (version, feed, viewer),
    )
    return Version(*found[0]) if found else None


def version_slice(db: Database, version: int, start: int, count: int) -> list[int]:
    """The ids at the places `start` (from 0) to `start + count` of a ranking."""
    first, last = start // CHUNK, (start + count - 1) // CHUNK
    ids = _chunks(db, version, first, last)
    return ids[start - first * CHUNK : start - first * CHUNK + count]


def version_position(db: Database, version: int, post_id: int) -> int | None:
    """The place (from 0) of a post in a ranking."""
    ids = _chunks(db, version, 0, 1 << 30)
    return ids.index(post_id) if post_id in ids else None


def mark_asked(db: Database, feed: str, now: int) -> None:
    """Note that somebody asked for `feed`, so that it is ranked for the next minutes. Raises
    `Unavailable` where another writer is in the way."""
    with hurried(db):
        db.run("UPDATE feeds SET asked_at = ? WHERE name = ? AND asked_at < ?", (now, feed, now))


def feeds_due(db: Database, feeds: Mapping[str, Recipe], now: int) -> list[str]:
    """Those of `feeds` that must be ranked: never ranked yet, ranked by another recipe, or asked
    for in the last ten minutes and last ranked longer ago than their refresh (a few seconds, if
    there was nothing to rank). Longest waiting first."""
    due = []
    for name, asked_at, created_at, made_by, size in db.rows(_STATES):
        recipe = feeds.get(name)
        if recipe is None:
            continue
        if created_at is None or made_by != recipe.fingerprint:
            due.append((0, name))
            continue
        fresh = recipe.refresh if size else min(recipe.refresh, EMPTY)
        if asked_at >= now - ASKED and not 0 <= now - created_at < fresh:
            due.append((created_at, name))
    return [name for _, name in sorted(due)]


def quiet_feed(db: Database, feeds: Mapping[str, Recipe], now: int) -> str | None:
    """Of those of `feeds` that nobody asked for lately the one that was ranked longest ago, if
    that is minutes: whoever asks for it next is to find no order of yesterday."""
    old = [
        (created_at, name)
        for name, _, created_at, _, _ in db.rows(_STATES)
        if created_at is not None and name in feeds
        and created_at < now - max(QUIET, feeds[name].refresh)
    ]  # fmt: skip
    return min(old)[1] if old else None


_STATES = (
    "SELECT f.name, f.asked_at, v.created_at, v.recipe, v.size FROM feeds AS f "
    "LEFT JOIN versions AS v ON v.id = "
    "(SELECT max(id) FROM versions WHERE feed_id = f.id AND viewer = '')"
)


def _chunks(db: Database, version: int, first: int, last: int) -> list[int]:
    rows = db.rows(
        "SELECT ids FROM chunks WHERE version_id = ? AND number BETWEEN ? AND ? ORDER BY number",
        (version, first, last),
    )
    ids: list[int] = []
    for (packed,) in rows:
        ids += unpack(packed)
    return ids
