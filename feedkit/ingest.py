"""Source → matcher → store, in batches. The stream and nothing else."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Generator
from time import monotonic, time_ns

from feedkit.awaiting import decided
from feedkit.backfill.notice import tell_of_new_feeds
from feedkit.event import Event, Frame, PostWritten
from feedkit.handover import noting_first, take_over, wait_for_first
from feedkit.logs import worth_saying
from feedkit.matcher import Matcher
from feedkit.people import Membership
from feedkit.settings import Service
from feedkit.sharding import Shard
from feedkit.sources import Source
from feedkit.store import Store

log = logging.getLogger(__name__)

BATCH_EVENTS = 500
BATCH_SECONDS = 0.1
NAMED_EVERY = 900.0  # seconds; what nobody names for an hour may be pruned
PATIENCE = 30.0  # seconds that the start waits for lists and handles to be looked up
NO_FEEDS: frozenset[str] = frozenset()


class Ingest:
    """Folds a source into a store until told to stop.

    `counts`: events, posts, hits, skipped, batches so far; `matches`: hits by feed; `clock`: the
    time of the newest event written. `at_rest` is called between batches, and a few times a second
    while nothing arrives. `waiting`: for whom it waits before it reads, or nothing. A store that
    cannot be written ends it with the store's error, and the connection to the source with it;
    nothing that arrives does.
    """

    def __init__(
        self,
        service: Service,
        store: Store,
        batch_events: int = BATCH_EVENTS,
        shard: Shard | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.matches: Counter[str] = Counter()
        self.clock = 0
        self.waiting = ""
        self._stop: Callable[[], bool] = lambda: False
        self.at_rest: Callable[[], None] = lambda: None
        self._store, self._shard = store, shard
        self._engagement = service.engagement
        self._people = Membership(service, store)
        self._matcher = Matcher(service.feed_filters, service.keeps_missing)
        self.errors, self.slow = self._matcher.errors, self._matcher.slow
        self.batch_events = batch_events
        self._batch: list[tuple[Event, frozenset[str]]] = []
        self._last: Frame | None = None
        self._began = 0.0
        tell_of_new_feeds(store, service.feeds)
        self._feeds = {name: feed.filter.fingerprint() for name, feed in service.feeds.items()}
        self._named = monotonic()
        store.sync_feeds(self._feeds, time_ns() // 1000)

    def run(self, source: Source, stop: threading.Event) -> None:
        """Read `source` from the stored cursor on, until it ends or `stop` is set. What was read
        is written before this returns. The name of a shard's source ends with the shard."""
        self._stop, shard = stop.is_set, self._shard
        whole = source.name.removesuffix(f" {shard}") if shard else source.name
        if not self._store.db.sqlite:  # there one process reads
            take_over(self._store, whole, shard, stop, waiting=self._waits)
        if shard:
            wait_for_first(self._store, whole, shard, stop, self._waits)
        self.waiting = ""
        # A stream that was not read before goes on at the time where another one stopped.
        cursor, time = self._store.cursor(source.name) or (None, self._store.live_clock())
        opened = frames = source.frames(cursor, time, stop)
        if shard and cursor is None:
            frames = noting_first(self._store, whole, shard, frames)
        try:
            for frame in frames:
                if frame is not None:
                    self._take(frame)
                elif self._last is None:
                    self._look_at_people()
                    self.at_rest()
                if self._last is not None and (
                    len(self._batch) >= self.batch_events
                    or monotonic() - self._began > BATCH_SECONDS
                ):
                    self._write(source.name)
            self._write(source.name)
        finally:  # not when the error is forgotten: nothing is read that cannot be stored
            for one in (frames, opened):
                if isinstance(one, Generator):
                    one.close()

    def _waits(self, whom: str) -> None:
        """It cannot read yet, but it is there."""
        self.waiting = whom
        self.at_rest()

    def wait_for_people(self, stop: threading.Event, seconds: float = PATIENCE) -> None:
        """Wait until the jobs have asked at least once whom all lists, handles … mean, lest the
        posts that come first be decided without them; at most so long."""
        if not self._people.sources:
            return
        if left := self._people.wait(stop, seconds):
            log.warning(
                "nobody has found out yet whom %s means%s; filters with it match nothing until "
                "then; does `feedkit jobs` run?",
                min(map(str, left)), f" (and {len(left) - 1} more)" if len(left) > 1 else "",
            )  # fmt: skip
        self._matcher.people_changed()

    def _look_at_people(self) -> None:
        """Take up what the jobs have found out since."""
        began = monotonic()
        if began - self._named > NAMED_EVERY:
            self._named = began
            self._store.name_feeds(self._feeds, time_ns() // 1000)
        if self._people.look_sometimes():
            self._matcher.people_changed()
            self._people.changed_for(monotonic() - began)

    def _take(self, frame: Frame) -> None:
        if self._last is None:
            self._began = monotonic()
        self._last, shard = frame, self._shard
        for event in frame.events:
            feeds = NO_FEEDS
            if shard is not None and not shard.concerns(event):
                continue
            if type(event) is PostWritten and (shard is None or shard.has(event.post.author)):
                feeds = self._matcher.match(event.post)
                self.counts["posts"] += 1
                if hits := decided(feeds):
                    self.counts["hits"] += len(hits)
                    self.matches.update(hits)
            self._batch.append((event, feeds))
        for uri, reason in frame.skipped:
            self.counts["skipped"] += 1
            if worth_saying(self.counts["skipped"]):
                log.warning(
                    "a record cannot be used and is left out: %s: %s (%d so far)",
                    uri or "no address", reason, self.counts["skipped"],
                )  # fmt: skip

    def _write(self, source: str) -> None:
        if self._last is None:
            return
        frame, batch = self._last, self._batch
        self._store.apply(
            batch, source, frame.cursor, frame.time, self._engagement, self._shard, self._stop
        )
        self.counts["batches"] += 1
        self.counts["events"] += len(batch)
        self.clock = frame.time or self.clock
        self._last, self._batch = None, []
        self._look_at_people()
        self.at_rest()
