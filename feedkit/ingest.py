"""Source → matcher → store, in batches. The stream and nothing else."""

from __future__ import annotations

import gc
import logging
import threading
from collections import Counter
from time import monotonic

from feedkit.event import Event, Frame, PostWritten
from feedkit.matcher import Matcher, worth_saying
from feedkit.settings import Service
from feedkit.sources import Source
from feedkit.store import Store

log = logging.getLogger(__name__)

BATCH_EVENTS = 500
BATCH_SECONDS = 0.1
NO_FEEDS: frozenset[str] = frozenset()


def tune_garbage_collection() -> None:
    """Look for garbage rarely, in a process that does nothing but ingest: what is loaded by now
    stays, and what comes is gone with its batch. Measured: a tenth of ingest."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


class Ingest:
    """Folds a source into a store until told to stop.

    `counts`: frames, events, posts, hits, skipped so far. A store that cannot be written ends it
    with the store's error; nothing that arrives does.
    """

    def __init__(self, service: Service, store: Store, batch_events: int = BATCH_EVENTS) -> None:
        self.counts: Counter[str] = Counter()
        self._store = store
        self._engagement = service.engagement
        self._matcher = Matcher({name: feed.filter for name, feed in service.feeds.items()})
        self.batch_events = batch_events
        self._batch: list[tuple[Event, frozenset[str]]] = []
        self._last: Frame | None = None
        self._began = 0.0
        store.sync_feeds({name: feed.filter.fingerprint() for name, feed in service.feeds.items()})

    def run(self, source: Source, stop: threading.Event) -> None:
        """Read `source` from the stored cursor on, until it ends or `stop` is set. What was read
        is written before this returns."""
        # A stream that was not read before goes on at the time where another one stopped.
        cursor, time = self._store.cursor(source.name) or (None, self._store.live_clock())
        for frame in source.frames(cursor, time, stop):
            if frame is not None:
                self._take(frame)
            if self._last is not None and (
                len(self._batch) >= self.batch_events or monotonic() - self._began > BATCH_SECONDS
            ):
                self._write(source.name)
        self._write(source.name)

    def _take(self, frame: Frame) -> None:
        if self._last is None:
            self._began = monotonic()
        self._last = frame
        for event in frame.events:
            feeds = NO_FEEDS
            if type(event) is PostWritten:
                feeds = self._matcher.match(event.post)
                self.counts["posts"] += 1
                self.counts["hits"] += len(feeds)
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
        self._store.apply(batch, source, frame.cursor, frame.time, self._engagement)
        self.counts["batches"] += 1
        self.counts["events"] += len(batch)
        self._last, self._batch = None, []
