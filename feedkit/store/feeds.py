"""The feeds that the store knows, and deciding stored posts again when a filter changed."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from msgspec.structs import replace

from feedkit.awaiting import decided, undecided
from feedkit.post import UNKNOWN, Post
from feedkit.store.body import decode
from feedkit.store.database import Database
from feedkit.store.fold import Tombstone
from feedkit.store.reading import stream_clock
from feedkit.store.waiting import features, wait
from feedkit.store.writing import bury, remove_posts

Decide = Callable[[Post], frozenset[str]]
MOST = 1000  # posts decided again in one call …
AT_ONCE = 200  # … of which so many are written in one transaction
LONGEST = 1.0  # seconds after which a call decides no further post: a filter may be slow
_NAMED_EVERY = 600 * 1_000_000  # µs
CONTENT = "p.id, p.uri, p.rev, p.sort_at, p.seen_at, p.body"  # of a post, see `decide_rows`
Row = tuple[Any, ...]  # `CONTENT`
Verdict = tuple[Row, Mapping[str, Any], frozenset[str]]  # of a post, with what was known of it
_DIDS = re.compile(r"did:[a-z]+:[A-Za-z0-9._:%-]+").findall


def sync_feeds(db: Database, feeds: Mapping[str, str], now: int = 0) -> set[str]:
    """Register `feeds` (name → fingerprint of the filter); the names of those whose stored posts
    must be decided again: the filter is another one, or the feed is new and there are posts
    already. What is registered but not configured any more is left to prune, which leaves alone
    what was named lately: `now`, our clock, µs since 1970."""
    known = _fingerprints(db)
    if any(known.get(name) != fingerprint for name, fingerprint in feeds.items()):
        with db.writing():
            known = _register(db, feeds)
    if now:
        name_feeds(db, feeds, now)
    return {name for name, fingerprint in feeds.items() if known[name] != fingerprint}


def name_feeds(db: Database, feeds: Collection[str], now: int) -> None:
    """Note that a running configuration names `feeds`. Writes once in ten minutes at most."""
    named = dict(db.rows("SELECT name, named_at FROM feeds"))
    old = [name for name in feeds if not 0 <= now - named.get(name, now) < _NAMED_EVERY]
    if old:
        with db.transaction():
            db.many("UPDATE feeds SET named_at = ? WHERE name = ?", [(now, name) for name in old])


def _register(db: Database, feeds: Mapping[str, str]) -> dict[str, str]:
    known = _fingerprints(db)
    db.many(
        "INSERT INTO feeds (name, fingerprint, asked_at) VALUES (?, '', 0)",
        [(name,) for name in feeds if name not in known],
    )
    if not db.rows("SELECT 1 FROM posts LIMIT 1"):  # nothing to decide
        _decided(db, feeds)
    return _fingerprints(db)


def _decided(db: Database, feeds: Mapping[str, str]) -> None:
    db.many(
        "UPDATE feeds SET fingerprint = ? WHERE name = ?",
        [(fingerprint, name) for name, fingerprint in feeds.items()],
    )


def _fingerprints(db: Database) -> dict[str, str]:
    return dict(db.rows("SELECT name, fingerprint FROM feeds"))


def redecide(
    db: Database,
    feeds: Mapping[str, str],
    decide: Decide,
    after: int = 0,
    limit: int = MOST,
) -> int | None:
    """Decide the next stored posts after the id `after` again, `limit` at most, as regards `feeds`
    (name → fingerprint). Call it with 0 and then with what it returns, until that is None: then
    the fingerprints are recorded.

    `decide` gives the names of the feeds that want a post; others than `feeds` are ignored. A post
    that no feed wants any more is removed. Nobody waits while `decide` is at work.
    """
    with db.writing():  # else an ingest might yet write a post before the last of these
        rows = db.rows(
            f"SELECT {CONTENT} FROM posts AS p WHERE p.id > ? ORDER BY p.id LIMIT ?",
            (after, min(limit, MOST)),
        )
        if not rows:
            _decided(db, feeds)
            return None
    return _decide_again(db, rows, feeds, decide, time.monotonic() + LONGEST)


def redecide_posts(
    db: Database, feeds: Collection[str], decide: Decide, posts: Collection[int]
) -> None:
    """Decide these stored posts (ids, at most `MOST`) again, as regards `feeds`; see `redecide`."""
    if rows := db.each(CONTENT, "posts AS p", "p.id", posts):
        _decide_again(db, rows, feeds, decide)


def _decide_again(
    db: Database, rows: list[Row], feeds: Collection[str], decide: Decide, until: float = math.inf
) -> int:
    """Decide posts again, outside of any transaction, and write that in short ones; see `_verdicts`
    for `until`. A post that changed meanwhile is decided once more. The id of the last one."""
    said = _verdicts(db, rows, decide, until)
    last = int(said[-1][0][0])
    while said:
        changed: set[int] = set()
        for start in range(0, len(said), AT_ONCE):
            changed |= _write_unchanged(db, said[start : start + AT_ONCE], feeds)
        said = _verdicts(db, db.each(CONTENT, "posts AS p", "p.id", changed), decide)
    return last


def _write_unchanged(db: Database, said: list[Verdict], feeds: Collection[str]) -> set[int]:
    """Write what was decided, but for posts that are not what they were; the ids of those that
    are still there."""
    with db.writing():
        ids = dict(db.each("f.name, f.id", "feeds AS f", "f.name", feeds))
        revs = dict(db.each("p.id, p.rev", "posts AS p", "p.id", [row[0] for row, *_ in said]))
        known, staged = features(db, revs), _staged(db, revs)
        same = [
            verdict
            for verdict in said
            if (revs.get(verdict[0][0]), known.get(verdict[0][0], UNKNOWN))
            == (verdict[0][2], verdict[1])
        ]
        _write(db, [v for v in same if v[0][0] not in staged], set(ids.values()), ids)
    return revs.keys() - {row[0] for row, *_ in same}


def posts_by(db: Database, authors: Collection[str]) -> list[int]:
    """The ids of the stored posts by these accounts."""
    return sorted(number for (number,) in db.each("p.id", "posts AS p", "p.author", authors))


def posts_naming(db: Database, dids: AbstractSet[str]) -> list[int]:
    """The ids of the stored posts in which one of these DIDs stands: their author's, that of a
    post which they answer or quote, somebody's whom they mention; or in what hydrators found out.
    Looks through all of them, and lets nobody wait meanwhile."""
    found: list[int] = []
    after = 0
    while rows := db.rows(
        "SELECT id, author, body FROM posts WHERE id > ? ORDER BY id LIMIT ?", (after, MOST)
    ):
        after = rows[-1][0]
        found += [
            number
            for number, author, body in rows
            if author in dids or not dids.isdisjoint(_DIDS(body))
        ]
        ids = [row[0] for row in rows]
        also = db.each("f.post_id, f.value", "features AS f", "f.post_id", ids)
        found += [number for number, value in also if not dids.isdisjoint(_DIDS(value))]
    return sorted(set(found))


def _staged(db: Database, posts: Collection[int]) -> set[int]:
    """Those of the posts that a backfill shows when it has read everything."""
    staged = {n for (n,) in db.each("b.post_id", "backfill_posts AS b", "b.post_id", posts)}
    return staged - {n for (n,) in db.each("h.post_id", "hits AS h", "h.post_id", staged)}


def decide_rows(
    db: Database, rows: list[Row], asked: set[int], ids: dict[str, int], decide: Decide
) -> None:
    """Decide posts again (`CONTENT`), as regards the feeds `asked`; within a transaction."""
    _write(db, _verdicts(db, rows, decide), asked, ids)


def _verdicts(
    db: Database, rows: list[Row], decide: Decide, until: float = math.inf
) -> list[Verdict]:
    """What `decide` says of posts, in their order: of the first one, and of no further one after
    the time `until`."""
    known = features(db, [row[0] for row in rows])
    said: list[Verdict] = []
    for row in rows:
        if said and time.monotonic() > until:
            break
        number, _, _, sort_at, seen_at, body = row
        words = known.get(number, UNKNOWN)
        post = replace(decode(body, sort_at, seen_at), features=words)
        said.append((row, words, decide(post)))
    return said


def _write(db: Database, said: list[Verdict], asked: set[int], ids: dict[str, int]) -> None:
    there: dict[int, set[int]] = {row[0]: set() for row, *_ in said}
    for post_id, feed_id in db.each("post_id, feed_id", "hits", "post_id", there):
        there[post_id].add(feed_id)
    waiting: dict[int, set[int]] = {row[0]: set() for row, *_ in said}
    for post_id, feed_id in db.each("post_id, feed_id", "pending", "post_id", there):
        waiting[post_id].add(feed_id)
    gone, come, over, wanting, lonely = [], [], [], [], {}
    clock = stream_clock(db)
    for (post_id, uri, rev, sort_at, *_), _, wanted in said:
        wants = {ids[name] for name in decided(wanted) if name in ids}
        may_want = {ids[name] for name in undecided(wanted) if name in ids}
        wanting.append((post_id, wanted))
        had = there[post_id]
        over += [(post_id, number) for number in (waiting[post_id] & asked) - may_want]
        gone += [(number, sort_at, post_id) for number in (had & asked) - wants]
        come += [(number, sort_at, post_id) for number in wants - had]
        if not (had - asked) | wants | (waiting[post_id] - asked) | may_want:
            # Not `deleted`: if the filter changes back, a replay may bring the post back.
            lonely[post_id] = uri, Tombstone(rev, clock, deleted=False)
    db.many("DELETE FROM hits WHERE feed_id = ? AND sort_at = ? AND post_id = ?", gone)
    db.many("INSERT INTO hits (feed_id, sort_at, post_id) VALUES (?, ?, ?)", come)
    db.many("DELETE FROM pending WHERE post_id = ? AND feed_id = ?", over)
    wait(db, wanting, ids)
    remove_posts(db, lonely)
    bury(db, dict(lonely.values()))
