"""A batch of events becomes rows, in one transaction with the cursor."""

from __future__ import annotations

import logging
import time as clock
from collections.abc import Callable, Collection

from feedkit.awaiting import decided
from feedkit.logs import worth_saying
from feedkit.sharding import MOST, Shard, account_of
from feedkit.store import cursors
from feedkit.store.body import encode
from feedkit.store.database import Database
from feedkit.store.errors import Conflict, StoreError, Unavailable
from feedkit.store.faults import is_locked
from feedkit.store.fold import Applied, Engagement, Kept, State, Tombstone, fold
from feedkit.store.touched import Batch, Record, Touched, engagements, kinds_of, touched
from feedkit.store.waiting import forget, wait

log = logging.getLogger(__name__)

_POST = "p.id, p.uri, p.author, p.rev, p.seen_at"
_TRIES = 5  # of a batch that another process's work collides with
PATIENCE = 30.0  # seconds from which on a lock that another program holds is a fault of the store


def apply(
    db: Database,
    batch: Batch,
    source: str,
    cursor: int,
    time: int,
    engagement: frozenset[str],
    shard: Shard | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Applied:
    """Fold `batch` into the store, as far as it is the business of `shard`, and note that `source`
    has been read up to `cursor`. Waits for `PATIENCE`, unless told to `stop`, where another program
    holds a lock: a backup takes its time, and to end for that and begin again would find it no
    sooner gone."""
    wanted = kinds_of(engagement)
    about = touched(batch, wanted)
    tries, waits, began = 1, 0, clock.monotonic()
    while True:
        try:
            with db.writing(source):
                state = load(db, batch, wanted, about, shard)
                fold(state, batch)
                write(db, state)
                cursors.move(db, source, cursor, time, shard)
            if waits:
                log.info("events are stored again, after %.0f s", clock.monotonic() - began)
            return state.applied
        except Conflict:
            # A distributed database lets one of two transactions fail that meet.
            if tries == _TRIES:
                raise
            tries += 1
        except Unavailable as error:
            if not is_locked(error) or stop() or clock.monotonic() - began > PATIENCE:
                raise
            waits += 1
            if worth_saying(waits):
                log.warning(
                    "events wait, for up to %.0f s, until a lock is free: %s", PATIENCE, error
                )


def load(
    db: Database,
    batch: Batch,
    wanted: dict[str, int],
    about: Touched,
    shard: Shard | None = None,
) -> State:
    """What the store holds of all that `batch` touches; with `shard` given, of what is its own."""
    state = State(wanted, sharded=shard is not None)
    by_id: dict[int, Kept] = {}
    for column, values in (
        ("p.uri", about.posts | about.subjects),
        ("p.author", about.deleted),
    ):
        for row in db.each(_POST, "posts AS p", column, values):
            if shard is None or shard.has(row[2]):
                by_id[row[0]] = state.posts[row[1]] = Kept(*row)
    graves = about.posts
    if shard is not None:
        graves = {uri for uri in graves if shard.has(account_of(uri))}
    for uri, rev, at, gone in db.each("uri, rev, at, deleted", "tombstones", "uri", graves):
        state.tombstones[uri] = Tombstone(rev, at, bool(gone))
    state.accounts = dict(db.each("did, state", "accounts", "did", about.authors))
    engaged = engagements(batch, wanted, state.posts.keys() | about.wanted)
    _load_records(db, state, about.undone | engaged.keys(), by_id, shard)
    _load_fans(db, state, engaged, by_id)
    return state


def _load_records(
    db: Database,
    state: State,
    records: Collection[Record],
    by_id: dict[int, Kept],
    shard: Shard | None,
) -> None:
    found = db.matching(
        "actor, rkey, kind, post_id, counted",
        "engagements",
        {"actor": "text", "rkey": "text", "kind": "smallint"},
        records,
        most=MOST,
    )
    others: set[int] = set()  # posts of other shards
    if shard is not None:
        others = {row[3] for row in found} - by_id.keys()
        authors = db.each("p.id, p.author", "posts AS p", "p.id", others)
        others -= {post_id for post_id, author in authors if shard.has(author)}
    for actor, rkey, kind, post_id, counted in found:
        if post_id in others:
            continue
        post = by_id.get(post_id)
        if post is None:  # only its counts can change: nothing else in the batch is about it
            post = by_id[post_id] = Kept(post_id)
        known = Engagement(post, bool(counted), stored=True)
        state.records.setdefault((actor, rkey, kind), []).append(known)


def _load_fans(
    db: Database,
    state: State,
    engaged: dict[Record, tuple[str, bool]],
    by_id: dict[int, Kept],
) -> None:
    fans = {
        (state.posts[subject].id, kind, actor)
        for (actor, _, kind), (subject, once) in engaged.items()
        if once and subject in state.posts
    }
    for post_id, kind, actor in db.matching(
        "post_id, kind, actor",
        "engagements",
        {"post_id": "bigint", "kind": "smallint", "actor": "text", "counted": "boolean"},
        [(*fan, True) for fan in fans],
    ):
        by_id[post_id].fans.add((kind, actor))


def write(db: Database, state: State) -> None:
    """Make rows of what `fold` has changed in `state`."""
    remove_posts(db, [kept.id for kept in state.removed])
    db.many(
        "DELETE FROM engagements WHERE actor = ? AND rkey = ? AND kind = ? AND post_id = ?",
        [(*record, post_id) for record, post_id in state.undone],
    )
    written = [kept for kept in state.written if not kept.gone]
    new = [kept for kept in written if not kept.id]
    _update_posts(db, [kept for kept in written if kept.id])
    _insert_posts(db, state, new)
    fresh = set(new)  # written with their counts already
    _write_hits(db, written)
    db.add(
        "engagements",
        "actor, rkey, kind, post_id, counted, at",
        [
            (*record, known.post.id, known.counted, known.at)
            for record, several in state.records.items()
            for known in several
            if not known.stored and not known.post.gone
        ],
    )
    db.many(
        "UPDATE posts SET likes = likes + ?, reposts = reposts + ?, replies = replies + ?, "
        "quotes = quotes + ? WHERE id = ?",
        [
            (*kept.counts, kept.id)
            for kept in state.counted.values()
            if not kept.gone and kept not in fresh and any(kept.counts)
        ],
    )
    _write_accounts(db, state.changed)
    bury(db, {uri: state.tombstones.get(uri) for uri in state.buried})


def _update_posts(db: Database, written: list[Kept]) -> None:
    db.many(
        "UPDATE posts SET cid = ?, rev = ?, sort_at = ?, body = ? WHERE id = ?",
        [
            (kept.post.cid, kept.rev, kept.sort_at, encode(kept.post), kept.id)
            for kept in written
            if kept.post
        ],
    )
    db.many("DELETE FROM hits WHERE post_id = ?", [(kept.id,) for kept in written])
    forget(db, [kept.id for kept in written])


def _insert_posts(db: Database, state: State, new: list[Kept]) -> None:
    ids = db.insert(
        "INSERT INTO posts (uri, author, cid, rev, sort_at, seen_at, hidden, body, "
        "likes, reposts, replies, quotes)",
        [
            (
                *(kept.uri, kept.author, kept.post.cid, kept.rev, kept.sort_at, kept.seen),
                state.accounts.get(kept.author, "active") != "active",
                encode(kept.post),
                *kept.counts,
            )
            for kept in new
            if kept.post
        ],
        "RETURNING uri, id",
    )
    for uri, number in ids:
        state.posts[uri].id = number


def _write_hits(db: Database, written: list[Kept]) -> None:
    # Asked each time: a process with another configuration may have forgotten a feed meanwhile.
    names = {name for kept in written for name in kept.feeds}
    ids = dict(db.each("f.name, f.id", "feeds AS f", "f.name", names))
    if unknown := names - ids.keys():
        raise StoreError(
            f"store {db.place}: the feed {min(unknown)!r} is not registered; was it removed by a "
            "feedkit with another configuration? Start this one again"
        )
    hits = [(ids[name], kept.sort_at, kept.id) for kept in written for name in decided(kept.feeds)]
    db.add("hits", "feed_id, sort_at, post_id", hits)
    wait(db, ((kept.id, kept.feeds) for kept in written), ids)


def _write_accounts(db: Database, changed: dict[str, str]) -> None:
    db.many(
        "INSERT INTO accounts (did, state) VALUES (?, ?) "
        "ON CONFLICT (did) DO UPDATE SET state = excluded.state, at = 0",
        [item for item in changed.items() if item[1] != "active"],
    )
    db.many(
        "DELETE FROM accounts WHERE did = ?",
        [(did,) for did, state in changed.items() if state == "active"],
    )
    db.many(
        "UPDATE posts SET hidden = ? WHERE author = ? AND hidden <> ?",
        [(state != "active", did, state != "active") for did, state in changed.items()],
    )


def bury(db: Database, graves: dict[str, Tombstone | None]) -> None:
    """Write the tombstones of URIs; None: there is none any more."""
    db.many(
        "INSERT INTO tombstones (uri, rev, at, deleted) VALUES (?, ?, ?, ?) ON CONFLICT (uri) "
        "DO UPDATE SET rev = excluded.rev, at = excluded.at, deleted = excluded.deleted",
        [(uri, grave.rev, grave.at, grave.deleted) for uri, grave in graves.items() if grave],
    )
    db.many(
        "DELETE FROM tombstones WHERE uri = ?",
        [(uri,) for uri, grave in graves.items() if grave is None],
    )


def remove_posts(db: Database, ids: Collection[int]) -> None:
    """Remove posts, with their hits and the engagement that they got."""
    keys = [(number,) for number in ids]
    db.many("DELETE FROM hits WHERE post_id = ?", keys)
    db.many("DELETE FROM engagements WHERE post_id = ?", keys)
    forget(db, ids)
    db.many("DELETE FROM posts WHERE id = ?", keys)
