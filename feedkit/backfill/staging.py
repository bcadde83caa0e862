"""What a backfill takes of the events that it reads, written in small batches beside ingest."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from time import monotonic
from typing import TypeVar

from feedkit.awaiting import Wanted, decided, undecided
from feedkit.event import AccountChanged, Event, PostWritten
from feedkit.matcher import Matcher
from feedkit.post import Post
from feedkit.settings import Service
from feedkit.store import Store, Unavailable
from feedkit.store.staging import Found, Live, Reached, Run
from feedkit.times import micros

BATCH = 300  # events written in one transaction
REST = 2.0  # times what a transaction took, before the next: the live ingest comes first
SHORTEST_REST = 0.02  # seconds
LONGEST_WAIT = 120.0  # seconds in a row that the store may be busy
NO_FEEDS: frozenset[str] = frozenset()

T = TypeVar("T")


class Stopped(Exception):
    """It was told to stop; what was found so far is kept."""


class Staging:
    """Takes events of the past for `feeds`, and writes them for `run`.

    `counts`: posts that were found, hits that came of it. A post that is older than a feed keeps
    is not for that feed.
    """

    def __init__(
        self, service: Service, store: Store, feeds: Sequence[str], stop: threading.Event
    ) -> None:
        self.service, self.store, self.feeds, self.stop = service, store, tuple(feeds), stop
        self.counts: Counter[str] = Counter()
        self._every = Matcher(service.feed_filters, service.keeps_missing)
        some = {name: service.feeds[name].filter for name in feeds}
        self._some = Matcher(some, service.keeps_missing)
        now = now_us()
        us = timedelta(microseconds=1)
        self._oldest = {name: now - service.feeds[name].keep // us for name in feeds}
        self._batch: list[Found] = []
        self._accounts: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._batch) + len(self._accounts)

    @property
    def full(self) -> bool:
        return len(self) >= BATCH

    def wanted(self, post: Post) -> frozenset[str]:
        """Those of the feeds to be filled that want `post`."""
        feeds = self._some.match(post)
        sort_at = micros(post.sort_at)
        if old := {name for name in feeds if sort_at < self._oldest[name]}:
            waiting = {name: w for name, w in undecided(feeds).items() if name not in old}
            feeds = Wanted(decided(feeds) - old, waiting) if waiting else decided(feeds) - old
        return feeds

    def take(self, event: Event, within: bool) -> None:
        """`within`: whether a post may be added; else the event only tells what became of one."""
        if isinstance(event, AccountChanged):
            self._accounts[event.did] = event.state
        elif isinstance(event, PostWritten):
            post = event.post
            wanted = self.wanted(post) if within or not event.created else NO_FEEDS
            if wanted or not event.created:
                self._batch.append(Found(event, within, wanted, self._every.match(post)))
                self.counts["found"] += within and bool(wanted)
        else:
            self._batch.append(Found(event))

    def engaging(self, event: PostWritten) -> None:
        """Take a post for what it answers or quotes alone."""
        self._batch.append(Found(event, False, NO_FEEDS, self._every.match(event.post)))

    def write(self, run: Run, reached: Reached, engagement: frozenset[str]) -> None:
        """Store what was taken. Raises `Stopped` if that was not possible before."""
        batch, accounts = self._batch, self._accounts
        self._batch, self._accounts = [], {}
        self.counts["hits"] += self.patiently(
            lambda: self.store.backfills.stage(
                run, batch, accounts, reached, self.wanted, self.feeds, engagement, now_us()
            )
        )

    def note_began(self, run: Run, began: int) -> None:
        """Note from when on the stream of `run` really was read."""
        self.patiently(lambda: self.store.backfills.note_began(run, began))

    def settle(self, run: Run, reached: Callable[[list[Live]], bool]) -> bool:
        """See `feedkit.store.backfilling.Backfills.settle`."""
        return self.patiently(lambda: self.store.backfills.settle(run, reached, now_us()))

    def settle_behind(self, run: Run) -> None:
        """See `feedkit.store.backfilling.Backfills.settle_behind`."""
        self.patiently(lambda: self.store.backfills.settle_behind(run, now_us()))

    def correct(self, run: Run, before: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """See `feedkit.store.backfilling.Backfills.correct`."""
        return self.patiently(lambda: self.store.backfills.correct(run, before))

    def show(self, run: Run) -> None:
        """Show all that was staged."""
        while True:
            more = self.patiently(lambda: self.store.backfills.show(run, self.feeds, self.wanted))
            if more is None:
                return
            self.counts["hits"] += more

    def patiently(self, write: Callable[[], T]) -> T:
        """A transaction, again if the store was busy, and then a rest in which others write."""
        ends = monotonic() + LONGEST_WAIT
        while True:
            if self.stop.is_set():
                raise Stopped
            began = monotonic()
            try:
                done = write()
            except Unavailable:
                if monotonic() > ends:
                    raise
                self.stop.wait(1.0)
                continue
            self.stop.wait(max(SHORTEST_REST, REST * (monotonic() - began)))
            return done


def now_us() -> int:
    return time.time_ns() // 1000
