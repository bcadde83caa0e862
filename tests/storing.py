"""Events for tests of the store, in one line each, and what a store holds in natural keys."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from feedkit.event import (
    AccountChanged,
    Disengaged,
    Engaged,
    Event,
    PostDeleted,
    PostWritten,
)
from feedkit.post import EPOCH, Post
from feedkit.store import Store
from feedkit.store.body import decode
from feedkit.store.models import MODELS

ALL = frozenset({"likes", "reposts", "replies", "quotes"})
NONE: frozenset[str] = frozenset()
START = datetime(2026, 7, 4, 12, tzinfo=UTC)
START_US = (START - EPOCH) // timedelta(microseconds=1)
SECOND = 1_000_000
DAY = 24 * 3600 * SECOND

Step = tuple[Event, frozenset[str]]


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def us(seconds: float) -> int:
    return START_US + round(seconds * SECOND)


def did(name: str) -> str:
    return f"did:plc:{name:a<24}"


def uri(name: str, author: str = "ann") -> str:
    return f"at://{did(author)}/app.bsky.feed.post/{name}"


def written(
    name: str,
    feeds: str = "",
    *,
    rev: str,
    author: str = "ann",
    seconds: float = 0,
    created: bool = True,
    made: float | None = None,
    **content: Any,
) -> Step:
    """A post written at `seconds`, dated `made` by its author, wanted by `feeds` (words)."""
    post = Post(
        uri=uri(name, author),
        author=did(author),
        cid=f"cid-{name}-{rev}",
        created_at=at(seconds if made is None else made),
        seen_at=at(seconds),
        sort_at=at(seconds if made is None else min(made, seconds)),
        **content,
    )
    return PostWritten(post, rev, created, us(seconds)), frozenset(feeds.split())


def deleted(name: str, *, rev: str, author: str = "ann", seconds: float = 0) -> Step:
    return PostDeleted(uri(name, author), rev, us(seconds)), NONE


def record(actor: str, key: str, kind: str = "like") -> str:
    return f"at://{did(actor)}/app.bsky.feed.{kind}/{key}"


def engaged(actor: str, key: str, subject: str, kind: Any = "like", seconds: float = 0) -> Step:
    return Engaged(record(actor, key, kind), kind, did(actor), subject, us(seconds)), NONE


def disengaged(actor: str, key: str, kind: Any = "like") -> Step:
    return Disengaged(record(actor, key, kind), kind), NONE


def account(name: str, state: str) -> Step:
    return AccountChanged(did(name), state), NONE


def apply(store: Store, *steps: Step, seconds: float = 0, engagement: frozenset[str] = ALL) -> None:
    store.apply(steps, "test", round(seconds), us(seconds), engagement)


def clear(store: Store) -> None:
    """Make a store as new, which is quicker than making a new store."""
    with store.db.transaction():
        for model in MODELS:
            store.db.run(f"DELETE FROM {model._meta.table_name}")


def counts(store: Store, name: str, author: str = "ann") -> tuple[int, int, int, int]:
    found = store.find_post(uri(name, author))
    assert found is not None, f"{name} is not stored"
    post = found.post
    return post.likes, post.reposts, post.replies, post.quotes


def contents(store: Store) -> dict[str, Any]:
    """All that a fold over events decides, in natural keys: no ids, no cursor, no times of
    tombstones."""
    db = store.db
    uris = dict(db.rows("SELECT id, uri FROM posts"))
    names = dict(db.rows("SELECT id, name FROM feeds"))
    hits: dict[str, set[tuple[str, int]]] = {}
    for feed_id, sort_at, post_id in db.rows("SELECT feed_id, sort_at, post_id FROM hits"):
        hits.setdefault(uris[post_id], set()).add((names[feed_id], sort_at))
    return {
        "posts": {
            row[0]: (*row[1:9], bool(row[9]), decode(row[10], row[4], row[5]), hits[row[0]])
            for row in db.rows(
                "SELECT uri, author, cid, rev, sort_at, seen_at, likes, reposts, replies, hidden, "
                "body FROM posts"
            )
        },
        "quotes": dict(db.rows("SELECT uri, quotes FROM posts")),
        "engagements": {
            (actor, rkey, kind): (uris[post_id], bool(counted), at)
            for actor, rkey, kind, post_id, counted, at in db.rows(
                "SELECT actor, rkey, kind, post_id, counted, at FROM engagements"
            )
        },
        "accounts": dict(db.rows("SELECT did, state FROM accounts")),
        "tombstones": {
            name: (rev, bool(gone))
            for name, rev, gone in db.rows("SELECT uri, rev, deleted FROM tombstones")
        },
    }


def order(store: Store, feed: str) -> list[str]:
    """The visible posts of a feed as a reader sees them."""
    return [row.uri for row in store.newest(feed, None, 1000)]


def close_threads(stage, store):
    """End a stage of the application, with the connection of each of its threads: all wait for one
    another, else one thread would close its own several times."""
    many = stage._pool._max_workers
    together = threading.Barrier(many)

    def close():
        together.wait(10)
        store.close()

    for one in [stage._pool.submit(close) for _ in range(many)]:
        one.result()
    stage.close()


@contextmanager
def another_writer(store: Store, write: Callable[[], object]) -> Iterator[None]:
    """Somebody else has written something, and holds the store for as long as the block lasts."""
    begun, done = threading.Event(), threading.Event()

    def hold() -> None:
        with store.db.writing():
            write()
            begun.set()
            done.wait(20)
        store.close()

    writer = threading.Thread(target=hold)
    writer.start()
    assert begun.wait(20)
    try:
        yield
    finally:
        done.set()
        writer.join()
