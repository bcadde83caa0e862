"""Retention: what is too old goes, in small transactions, so that ingest and pages never wait.

Age is measured against the stream's clock, so a machine with a wrong clock deletes nothing; and
against ours too, so that one event from the future does not either. What is too much goes as if
it were too old: the oldest first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from msgspec import Struct

from feedkit.store import size as sizes
from feedkit.store.backfilling import drop_abandoned
from feedkit.store.database import Database
from feedkit.store.interactions import (
    forget_crowded,
    forget_interactions,
    forget_seen,
    interactions_size,
)
from feedkit.store.reading import stream_clock
from feedkit.store.versions import drop
from feedkit.store.viewers import forget_viewers
from feedkit.store.writing import remove_posts

TOMBSTONES = timedelta(hours=72)  # as far back as relays replay
RANKINGS = timedelta(hours=1)
INTERACTIONS = timedelta(days=30)
CROWDED = timedelta(days=1)  # the same, but for wishes, where the store is too large …
THEIRS = 0.1  # … and they take more than this part of it
VIEWERS = timedelta(days=14)  # since they last asked
UNNAMED = timedelta(hours=1)  # since a running configuration last named a feed
ABANDONED = timedelta(days=2)  # since a backfill last wrote; the stream is forgotten by then
# One transaction removes at most so many hits, as many posts, and so much engagement: 1,000 rows.
HITS, ENGAGEMENTS, ROWS = 250, 500, 1000
_MANY = 10_000  # posts or interactions, after which the database counts anew


class Pruned(Struct):
    """How much was removed. `cut`: posts from before then (µs since 1970) went because the store
    was too large, 0 if it was not. `finished` is False if pruning was told to stop before the
    end."""

    hits: int = 0
    posts: int = 0
    engagements: int = 0
    tombstones: int = 0
    versions: int = 0
    feeds: int = 0
    interactions: int = 0
    viewers: int = 0
    cut: int = 0
    finished: bool = True


def prune(
    db: Database,
    keep: Mapping[str, timedelta],
    now: int,
    stop: Callable[[], bool] = lambda: False,
    most: Mapping[str, int] | None = None,
    size: int = 0,
    rankings: timedelta = RANKINGS,
) -> Pruned:
    """Remove the hits of each feed older than `keep`, or more than `most`; those of feeds not in
    `keep` altogether, once no configuration named them for an hour; the oldest of all where the
    store holds more than `size` bytes (0: any number), interactions before posts; posts left
    without a hit, old tombstones, and rankings so long (`rankings`) after the next one. `now`: our
    clock, µs since 1970. `stop` is asked between transactions."""
    done = Pruned()
    clock = min(now, stream_clock(db))
    while size and _crowded(db, clock, size, done):
        if stop():
            done.finished = False
            return done
    if done.interactions:
        sizes.analyze(db, "interactions", "senders")
    done.cut = sizes.too_old(db, size) if size else 0
    for feed_id, name, named_at in db.rows("SELECT id, name, named_at FROM feeds ORDER BY id"):
        if name in keep:
            horizon = max(clock - _us(keep[name]), _beyond(db, feed_id, (most or {}).get(name, 0)))
        elif named_at and clock - named_at < _us(UNNAMED):
            horizon = 0  # another configuration is at work
        else:
            horizon = 1 << 62
        horizon = max(horizon, done.cut)
        while any(_old(db, table, feed_id, horizon, done) for table in _OLD):
            if stop():
                done.finished = False
                return done
        if horizon == 1 << 62:
            done.feeds += _forget_feed(db, feed_id)
    if done.cut or done.posts > _MANY:
        sizes.analyze(db)
    while _old_tombstones(db, clock - _us(TOMBSTONES), done):
        if stop():
            done.finished = False
            return done
    while _old_versions(db, now - _us(rankings), done):
        if stop():
            done.finished = False
            return done
    while drop_abandoned(db, now - _us(ABANDONED)):
        if stop():
            done.finished = False
            return done
    while _of_viewers(db, clock, done):
        if stop():
            done.finished = False
            return done
    return done


def _us(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


_OLD = {
    "hits": "SELECT post_id FROM hits WHERE feed_id = ? AND sort_at < ? "
    "ORDER BY sort_at, post_id LIMIT ?",
    "pending": "SELECT d.post_id FROM pending AS d JOIN posts AS p ON p.id = d.post_id "
    "WHERE d.feed_id = ? AND p.sort_at < ? LIMIT ?",
}


def _beyond(db: Database, feed_id: int, most: int) -> int:
    """The time of the feed's hit number `most`, from the newest; 0 if it has not as many."""
    found = most and db.rows(
        "SELECT sort_at FROM hits WHERE feed_id = ? ORDER BY sort_at DESC, post_id DESC "
        "LIMIT 1 OFFSET ?",
        (feed_id, most - 1),
    )
    return int(found[0][0]) if found else 0


def _old(db: Database, table: str, feed_id: int, horizon: int, done: Pruned) -> bool:
    """Remove a feed's oldest hits below `horizon`, or what is pending there, with the posts that
    no other feed has or waits for; whether there may be more."""
    with db.writing():
        old = {post_id for (post_id,) in db.rows(_OLD[table], (feed_id, horizon, HITS))}
        if not old:
            return False
        shared = {
            post_id
            for other in _OLD
            for (post_id,) in db.each(
                "DISTINCT post_id", other, "post_id", old, "AND feed_id <> ?", (feed_id,)
            )
        }
        lonely = list(old - shared)
        # A popular post has more engagement than one transaction may remove. It goes first: while
        # the hit is there the next call finds the rest.
        records = db.each(
            "actor, rkey, kind, post_id", "engagements", "post_id", lonely, "LIMIT ?",
            (ENGAGEMENTS,),
        )  # fmt: skip
        db.many(
            "DELETE FROM engagements WHERE actor = ? AND rkey = ? AND kind = ? AND post_id = ?",
            records,
        )
        done.engagements += len(records)
        if len(records) == ENGAGEMENTS:
            return True
        db.many(
            f"DELETE FROM {table} WHERE feed_id = ? AND post_id = ?",
            [(feed_id, post_id) for post_id in old],
        )
        remove_posts(db, lonely)
    done.hits += len(old) if table == "hits" else 0
    done.posts += len(lonely)
    return True


def _forget_feed(db: Database, feed_id: int) -> int:
    with db.writing():
        if any(db.rows(f"SELECT 1 FROM {t} WHERE feed_id = ? LIMIT 1", (feed_id,)) for t in _OLD):
            return 0  # an ingest with the old configuration is still at work
        db.run(
            "DELETE FROM chunks WHERE version_id IN (SELECT id FROM versions WHERE feed_id = ?)",
            (feed_id,),
        )
        db.run("DELETE FROM versions WHERE feed_id = ?", (feed_id,))
        return db.run("DELETE FROM feeds WHERE id = ?", (feed_id,))


def _old_tombstones(db: Database, horizon: int, done: Pruned) -> bool:
    with db.writing():
        removed = db.run(
            "DELETE FROM tombstones WHERE uri IN "
            "(SELECT uri FROM tombstones WHERE at < ? ORDER BY at LIMIT ?)",
            (horizon, ROWS),
        )
    done.tombstones += removed
    return removed == ROWS


def _of_viewers(db: Database, clock: int, done: Pruned) -> bool:
    interactions = forget_interactions(db, clock - _us(INTERACTIONS))
    viewers = forget_viewers(db, clock - _us(VIEWERS))
    done.interactions += interactions
    done.viewers += viewers
    return interactions + viewers > 0


def _crowded(db: Database, clock: int, size: int, done: Pruned) -> bool:
    """Remove interactions where the store holds more than `size` bytes, and these more than their
    part of it: what one sends must not push posts out. Whether there may be more."""
    if sizes.used(db) <= size or interactions_size(db) <= size * THEIRS:
        return False
    before = done.interactions
    done.interactions += forget_seen(db, clock - _us(CROWDED)) or forget_crowded(db)
    if done.interactions // _MANY > before // _MANY:
        sizes.analyze(db, "interactions", "senders")
    return done.interactions > before


def _old_versions(db: Database, horizon: int, done: Pruned) -> bool:
    """Remove versions for everybody that were replaced before `horizon`, and those for others that
    were made before it; never a feed's latest for everybody."""
    with db.writing():
        old = db.rows(
            # coalesce(replaced_at, created_at) < ?, such that the index serves
            "SELECT v.id FROM versions AS v WHERE "
            "(v.replaced_at < ? OR (v.replaced_at IS NULL AND v.created_at < ?)) "
            "AND (v.viewer <> '' OR v.id < "
            "(SELECT max(id) FROM versions WHERE feed_id = v.feed_id AND viewer = '')) LIMIT ?",
            (horizon, horizon, ROWS // 10),
        )
        drop(db, [id for (id,) in old])
    done.versions += len(old)
    return len(old) == ROWS // 10
