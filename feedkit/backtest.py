"""Two configurations on the same recorded events: which posts enter and leave each feed, and how
their places move.

Both sides go through what the service itself uses: ingest with its matcher, a store (SQLite, made
for this and thrown away), and `ranking.rank`. The clock is that of the last event.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec import Struct

from feedkit.ingest import Ingest
from feedkit.post import EPOCH, Post
from feedkit.ranking import by_keyset, candidates_of, mixed, rank, take_snapshot
from feedkit.settings import Service
from feedkit.sources.replay import Replay
from feedkit.store import Store, open_store
from feedkit.times import micros

PAGE = 30  # how many places are compared
_ALL = 10**9


class Outcome(Struct, frozen=True):
    """A feed after all events: the addresses of the posts that it keeps, newest first; the posts
    that it shows, best first."""

    kept: tuple[str, ...]
    shown: tuple[Post, ...]


class Side(Struct, frozen=True):
    """One configuration after all events. `now`: the time of the last one."""

    now: datetime
    events: int
    feeds: dict[str, Outcome]
    texts: dict[str, str]


class Move(Struct, frozen=True):
    """A post among the first on either side; a place is None where it is not shown at all."""

    uri: str
    text: str
    before: int | None
    after: int | None


class Difference(Struct, frozen=True):
    """What becomes of one feed. `before`, `after`: how many posts it keeps, None where the
    configuration has no such feed. `entered`, `left`: (address, text), newest first."""

    feed: str
    before: int | None
    after: int | None
    entered: tuple[tuple[str, str], ...] = ()
    left: tuple[tuple[str, str], ...] = ()
    moves: tuple[Move, ...] = ()

    @property
    def same(self) -> bool:
        return not (self.entered or self.left) and all(m.before == m.after for m in self.moves)


def replayed(service: Service, files: Sequence[str]) -> Side:
    """What `service` makes of the events in `files` (see `feedkit.sources.replay`). Raises OSError
    for a file that cannot be read."""
    with (
        TemporaryDirectory(prefix="feedkit-") as folder,
        open_store(f"sqlite:///{Path(folder) / 'store.db'}") as store,
    ):
        store.migrate()
        work = Ingest(service, store)
        work.run(Replay(files, service.engagement), threading.Event())
        now = EPOCH + timedelta(microseconds=store.stream_clock())
        store.prune({name: feed.keep for name, feed in service.feeds.items()}, micros(now))
        texts: dict[str, str] = {}
        # What other feeds mix in is in the order in which it is served.
        for name in sorted({name for feed in service.feeds.values() for name in feed.mixes}):
            if not by_keyset(service.feeds[name]):
                take_snapshot(store, service.feeds[name], now)
        feeds = {name: _outcome(store, service, name, now, texts) for name in service.feeds}
        return Side(now, work.counts["events"], feeds, texts)


def _outcome(
    store: Store, service: Service, name: str, now: datetime, texts: dict[str, str]
) -> Outcome:
    feed = service.feeds[name]
    rows = store.newest(feed.name, None, _ALL)
    candidates, others = candidates_of(store, feed), mixed(store, feed, service.feeds)
    posts: dict[int, Post] = {}
    for some in (*others.values(), candidates):
        posts.update(zip(some.numbers, some.posts, strict=True))
    texts.update((post.uri, " ".join(post.text.split())) for post in posts.values())
    shown = tuple(posts[id] for id in rank(feed, candidates, now, others))
    return Outcome(tuple(row.uri for row in rows), shown)


def compare(old: Side, new: Side, page: int = PAGE) -> list[Difference]:
    """What becomes of every feed of either side when `old` is replaced by `new`, looking at the
    first `page` places."""
    names = [*new.feeds, *(name for name in old.feeds if name not in new.feeds)]
    texts = old.texts | new.texts
    return [
        _difference(name, old.feeds.get(name), new.feeds.get(name), texts, page) for name in names
    ]


def _difference(
    name: str, old: Outcome | None, new: Outcome | None, texts: dict[str, str], page: int
) -> Difference:
    if old is None or new is None:
        return Difference(
            name, before=len(old.kept) if old else None, after=len(new.kept) if new else None
        )
    had, has = set(old.kept), set(new.kept)
    before = {post.uri: place for place, post in enumerate(old.shown, 1)}
    after = {post.uri: place for place, post in enumerate(new.shown, 1)}
    first = [post.uri for post in new.shown[:page]]
    first += [post.uri for post in old.shown[:page] if post.uri not in set(first)]
    return Difference(
        feed=name,
        before=len(old.kept),
        after=len(new.kept),
        entered=tuple((uri, texts.get(uri, "")) for uri in new.kept if uri not in had),
        left=tuple((uri, texts.get(uri, "")) for uri in old.kept if uri not in has),
        moves=tuple(Move(u, texts.get(u, ""), before.get(u), after.get(u)) for u in first),
    )


def as_json(new: Side, differences: Sequence[Difference]) -> dict[str, Any]:
    """The comparison as plain data."""
    return {
        "clock": new.now.isoformat(),
        "events": new.events,
        "feeds": {
            each.feed: {
                "before": each.before,
                "after": each.after,
                "entered": [{"uri": uri, "text": text} for uri, text in each.entered],
                "left": [{"uri": uri, "text": text} for uri, text in each.left],
                "places": [
                    {"uri": m.uri, "text": m.text, "before": m.before, "after": m.after}
                    for m in each.moves
                ],
            }
            for each in differences
        },
    }
