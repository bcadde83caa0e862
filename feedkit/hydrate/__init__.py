"""Hydrators at work: beside the stream, each in threads of its own, so that none can hold up
ingest, another hydrator, or the end of the process."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from feedkit.hydrate.caller import Caller
from feedkit.hydrate.context import WebContext
from feedkit.hydrate.lane import Lane
from feedkit.matcher import Matcher
from feedkit.needs import hydrated
from feedkit.settings import Service
from feedkit.store import Answer, Settled, Store

__all__ = ["Hydration"]

AT_ONCE = 100  # posts settled in one transaction


class Hydration:
    """What the hydrators of a service find out, and what follows from it: a lane for each."""

    def __init__(self, service: Service, store: Store) -> None:
        self._service, self._store = service, store
        self._filters = {
            name: filter for name, filter in service.feed_filters.items() if hydrated([filter])
        }
        # Not indexed: whom `Accounts` mean may change while this is at work.
        self._matcher = Matcher(self._filters, service.keeps_missing, indexed=False)
        self._ranked = {
            name: feed.ranks_by for name, feed in service.feeds.items() if feed.ranks_by
        }
        self._for_ranking = frozenset().union(*self._ranked.values())
        words = hydrated(service.feed_filters.values()) | self._for_ranking
        self.lanes = [
            Lane(
                hydrator,
                words & hydrator.provides.keys(),
                Caller(hydrator, lambda: WebContext(service.network, store), store.close),
                store,
                self.settle,
            )
            for hydrator in service.hydrators
        ]

    def settle(self, answers: list[Answer]) -> Settled:
        """Keep `answers`, and decide where their posts belong: few in a transaction, since ingest
        waits for it."""
        done = Settled()
        for start in range(0, len(answers), AT_ONCE):
            some = self._store.hydration.settle(
                answers[start : start + AT_ONCE],
                self._filters,
                self._matcher.match,
                self._for_ranking,
            )
            done.late += some.late
            done.hits += some.hits
            done.removed += some.removed
        return done

    def ask_for_rankings(self) -> int:
        """Ask for what rankers and selectors need of their feeds' posts. Returns how many posts
        lacked something."""
        return sum(
            self._store.hydration.ask_for_ranking(name, words, self._service.feeds[name].depth)
            for name, words in self._ranked.items()
        )

    def once(self, stop: threading.Event) -> int:
        """Look at all posts that are due, but leave a hydrator alone once it fails. Returns how
        many posts that were."""
        self.ask_for_rankings()
        looked_at = 0
        lanes = list(self.lanes)
        while lanes and not stop.is_set():
            found = [(lane, lane.once(stop)) for lane in lanes]
            looked_at += sum(number for _, number in found)
            lanes = [lane for lane, number in found if number and not lane.failing]
        self.close()
        return looked_at

    @contextmanager
    def running(self) -> Iterator[None]:
        """All lanes at work, each in a thread of its own, as long as the block lasts."""
        stop = threading.Event()
        threads = [
            threading.Thread(target=lane.run, args=(stop,), name=lane.name) for lane in self.lanes
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            self.close()

    def counts(self) -> dict[str, Counter[str]]:
        """What the hydrators did so far, by name, see `feedkit.hydrate.lane`."""
        return {lane.name: lane.counts for lane in self.lanes}

    def close(self) -> None:
        """Let go of the hydrators. One that still has not answered ends with the process."""
        for lane in self.lanes:
            lane.caller.close()
