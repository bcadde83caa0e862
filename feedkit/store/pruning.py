"""Retention: what is too old goes, in small transactions, so that ingest and pages never wait.

Age is measured against the stream's clock, so a machine with a wrong clock deletes nothing; and
against ours too, so that one event from the future does not either. What is too much goes as if
it were too old: the oldest first. Where the whole store is too large, what can be made or sent
again goes before posts, which cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial

from msgspec import Struct

from feedkit.store import size as sizes
from feedkit.store.backfilling import drop_abandoned
from feedkit.store.database import Database
from feedkit.store.interactions import (
    forget_anybodys,
    forget_crowding,
    forget_interactions,
    interactions_size,
)
from feedkit.store.reading import stream_clock
from feedkit.store.versions import drop
from feedkit.store.viewers import forget_viewers
from feedkit.store.writing import remove_posts

TOMBSTONES = timedelta(hours=72)  # as far back as relays replay
RANKINGS = timedelta(hours=1)
INTERACTIONS = timedelta(days=30)
WISHES = timedelta(days=90)  # the same of those for more or less: as long as `not_interested` asks
CROWDED = timedelta(days=1)  # the same, but for wishes, where there are too many
LEAST = 1000  # posts that a feed keeps where other things take more than half of the store
VIEWERS = timedelta(days=14)  # since they last asked
UNNAMED = timedelta(hours=1)  # since a running configuration last named a feed
ABANDONED = timedelta(days=2)  # since a backfill last wrote; the stream is forgotten by then
# One transaction removes at most so many hits, as many posts, and so much engagement: 1,000 rows.
HITS, ENGAGEMENTS, ROWS = 250, 500, 1000
VERSIONS = 100  # the same of rankings, each with up to eight chunks
_MANY = 10_000  # posts, after which the database counts anew


class Pruned(Struct):
    """How much was removed. `held`: where the store was too large even so, what took how many bytes
    of it, the most first; then `early` rankings for viewers went before their time, and posts from
    before `cut` (µs since 1970; 0: none), but in each feed not the newest where these were
    `spared`. `finished` is False if pruning was told to stop before the end."""

    hits: int = 0
    posts: int = 0
    engagements: int = 0
    tombstones: int = 0
    versions: int = 0
    feeds: int = 0
    interactions: int = 0
    viewers: int = 0
    held: dict[str, int] = {}
    early: int = 0
    cut: int = 0
    spared: bool = False
    finished: bool = True


def prune(
    db: Database,
    keep: Mapping[str, timedelta],
    now: int,
    stop: Callable[[], bool] = lambda: False,
    most: Mapping[str, int] | None = None,
    size: int = 0,
    rankings: timedelta = RANKINGS,
    wishes: timedelta = WISHES,
) -> Pruned:
    """Remove the hits of each feed older than `keep`, or more than `most`; those of feeds not in
    `keep` altogether, once no configuration named them for an hour; posts left without a hit, old
    tombstones, rankings so long (`rankings`) after the next one, and what readers want more or less
    of so long (`wishes`) after they said so. Where the store then still holds more than `size`
    bytes (0: any number), more goes: interactions and rankings for viewers before the oldest posts.
    `now`: our clock, µs since 1970. `stop` is asked between transactions."""
    done = Pruned()
    clock = min(now, stream_clock(db))
    for steps in (
        _old_posts(db, clock, keep, most or {}, done),
        _old_rest(db, clock, now, rankings, wishes, done),
        _too_much(db, clock, size, done) if size else iter(()),
    ):
        for _ in steps:
            if stop():
                done.finished = False
                return done
    return done


def _old_posts(
    db: Database, clock: int, keep: Mapping[str, timedelta], most: Mapping[str, int], done: Pruned
) -> Iterator[None]:
    for feed_id, name, named_at in db.rows("SELECT id, name, named_at FROM feeds ORDER BY id"):
        if name in keep:
            horizon = max(clock - _us(keep[name]), _beyond(db, feed_id, most.get(name, 0)))
        elif named_at and clock - named_at < _us(UNNAMED):
            continue  # another configuration is at work
        else:
            horizon = 1 << 62
        while any(_old(db, table, feed_id, horizon, done) for table in _OLD):
            yield
        if horizon == 1 << 62:
            while _old_versions(db, feed_id, done):
                yield
            done.feeds += _forget_feed(db, feed_id)
    if done.posts > _MANY:
        sizes.analyze(db)


def _old_rest(
    db: Database, clock: int, now: int, rankings: timedelta, wishes: timedelta, done: Pruned
) -> Iterator[None]:
    """All that is no post."""
    while _old_tombstones(db, clock - _us(TOMBSTONES), done):
        yield
    while _replaced_versions(db, now - _us(rankings), done):
        yield
    while drop_abandoned(db, now - _us(ABANDONED)):
        yield
    while _of_viewers(db, clock, wishes, done):
        yield


def _too_much(db: Database, clock: int, size: int, done: Pruned) -> Iterator[None]:
    """What goes though it is not too old, because the store holds more than `size` bytes."""
    if not sizes.exceeds(db, size):
        return
    done.held = sizes.held(db)
    for tables, theirs, remove in (
        (("interactions", "senders"), interactions_size, _crowded),
        (("interactions", "senders"), interactions_size, partial(_crowded, anybodys=True)),
        # The app is given new ones, in which what was shown may come again.
        (("versions", "chunks"), sizes.rankings, _viewers_versions),
    ):
        yield from sizes.ease(db, size, tables, theirs(db), partial(remove, db, clock, done))
    if sizes.used(db) <= size:
        return
    held = sizes.held(db)
    done.cut = sizes.too_old(db, size, held)
    if not done.cut:
        return
    # However many posts go, they cannot make up for what grows beside them.
    done.spared = sum(held.values()) - held[sizes.POSTS] > size / 2
    for (feed_id,) in db.rows("SELECT id FROM feeds ORDER BY id"):
        horizon = min(done.cut, _beyond(db, feed_id, LEAST)) if done.spared else done.cut
        while any(_old(db, table, feed_id, horizon, done) for table in _OLD):
            yield
    sizes.analyze(db)


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


def _old_versions(db: Database, feed_id: int, done: Pruned) -> bool:
    """Remove rankings of a feed that is not configured any more; whether there may be more."""
    found = db.rows("SELECT id FROM versions WHERE feed_id = ? LIMIT ?", (feed_id, VERSIONS))
    return _drop(db, found, done)


def _forget_feed(db: Database, feed_id: int) -> int:
    with db.writing():
        if any(
            db.rows(f"SELECT 1 FROM {table} WHERE feed_id = ? LIMIT 1", (feed_id,))
            for table in (*_OLD, "versions")
        ):
            return 0  # an ingest or jobs with the old configuration are still at work
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


def _of_viewers(db: Database, clock: int, wishes: timedelta, done: Pruned) -> bool:
    longest = clock - max(_us(wishes), _us(INTERACTIONS))
    interactions = forget_interactions(db, clock - _us(INTERACTIONS), longest)
    viewers = forget_viewers(db, clock - _us(VIEWERS))
    done.interactions += interactions
    done.viewers += viewers
    return interactions + viewers > 0


def _replaced_versions(db: Database, horizon: int, done: Pruned) -> bool:
    """Remove versions for everybody that were replaced before `horizon`, and those for others that
    were made before it; never a feed's latest for everybody."""
    found = db.rows(
        # coalesce(replaced_at, created_at) < ?, such that the index serves
        "SELECT v.id FROM versions AS v WHERE "
        "(v.replaced_at < ? OR (v.replaced_at IS NULL AND v.created_at < ?)) "
        "AND (v.viewer <> '' OR v.id < "
        "(SELECT max(id) FROM versions WHERE feed_id = v.feed_id AND viewer = '')) LIMIT ?",
        (horizon, horizon, VERSIONS),
    )
    return _drop(db, found, done)


def _crowded(db: Database, clock: int, done: Pruned, anybodys: bool = False) -> int:
    """Remove some interactions where there are too many, in the end `anybodys`; about how many
    bytes that frees."""
    removed = forget_anybodys(db) if anybodys else forget_crowding(db, clock - _us(CROWDED))
    done.interactions += removed.number
    return removed.bytes


def _viewers_versions(db: Database, clock: int, done: Pruned) -> int:
    """Remove the oldest rankings for viewers; about how many bytes that frees."""
    found = db.rows(
        f"SELECT id, {sizes.RANKING} FROM versions WHERE viewer <> '' ORDER BY id LIMIT ?",
        (VERSIONS,),
    )
    _drop(db, [(id,) for id, _ in found], done)
    done.early += len(found)
    return sum(size for _, size in found)


def _drop(db: Database, found: list[tuple[int]], done: Pruned) -> bool:
    """Remove the rankings that were `found`; whether there may be more."""
    if found:
        with db.transaction():
            drop(db, [id for (id,) in found])
    done.versions += len(found)
    return len(found) == VERSIONS
