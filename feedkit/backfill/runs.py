"""Runs of backfills over the feeds of a service: begun, gone on with, known by their words."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from msgspec import Struct

from feedkit.backfill.staging import Staging, Stopped, now_us
from feedkit.backfill.stretch import PATIENCE, QUIET, OnProgress, Stretch, Within, no_progress
from feedkit.duration import duration_text
from feedkit.people import Membership, Refreshing
from feedkit.settings import Service, Stream
from feedkit.store import Store
from feedkit.store.staging import Run

log = logging.getLogger(__name__)

US = timedelta(microseconds=1)

MayGoOn = Callable[[Run], bool]


class NotPossible(Exception):
    """This cannot be filled. The message says why, and what can be done."""


class Outcome(Struct):
    """What came of it. `hits`: posts that the feeds have more; `cut`: the stream did not go back
    as far as it was asked to, only to `began` (microseconds since 1970); `problems`: what could
    not be asked for."""

    hits: int = 0
    cut: bool = False
    problems: tuple[str, ...] = ()
    began: int = 0

    @classmethod
    def of(cls, staging: Staging, run: Run, began: int) -> Outcome:
        """That of `run`, whose stream was read from `began` on."""
        return cls(staging.counts["hits"], began > run.since, (), began)


class Runs:
    """What all ways to fill `feeds` of a service share. Raises `NotPossible`.

    `stream`: a Jetstream, wherever posts come from: deletions are read from it.
    """

    def __init__(
        self,
        service: Service,
        store: Store,
        feeds: Sequence[str],
        stream: Stream,
        stop: threading.Event,
        on_progress: OnProgress = no_progress,
        *,
        quiet: float = QUIET,
        patience: float = PATIENCE,
    ) -> None:
        self._service, self._store, self.stream, self.stop = service, store, stream, stop
        self._feeds, self.on_progress, self._quiet = sorted(feeds), on_progress, quiet
        self._patience = patience
        store.sync_feeds({name: feed.filter.fingerprint() for name, feed in service.feeds.items()})
        self._know_people()

    @property
    def all_feeds(self) -> bool:
        """Whether all feeds of the service are filled."""
        return set(self._feeds) == set(self._service.feeds)

    def since(self, span: timedelta) -> int:
        """When that began, as far as the feeds keep posts (microseconds since 1970)."""
        now = now_us()
        keep = max(self._service.feeds[name].keep for name in self._feeds)
        if keep < span:
            log.info("feeds keep posts for %s: no older ones are read", duration_text(keep))
        since = now - min(span, keep) // US
        times = [live.time for live in self._store.backfills.live()]
        if times and max(times) <= since:
            raise NotPossible(
                "ingest has read nothing in the time that is to be filled; start `feedkit ingest`: "
                "it goes on where it was, and these posts come by themselves"
            )
        return since

    def begun(self, kind: str, since: int, may_go_on: MayGoOn, about: Collection[str] = ()) -> Run:
        """The backfill of this name: the unfinished one, if it may go on, or a new one."""
        backfills = self._store.backfills
        name = self._name(kind, about)
        run = backfills.resume(name, now_us())
        if run and (run.settled or may_go_on(run)):
            log.info("going on with what was begun before")
            return run
        if run:
            backfills.drop(run)
        return backfills.begin(name, since, now_us())

    def find(self, kind: str) -> Run | None:
        """The unfinished backfill of this kind, left alone."""
        return self._store.backfills.find(self._name(kind))

    def _name(self, kind: str, about: Collection[str] = ()) -> str:
        filters = [self._service.feeds[name].filter.fingerprint() for name in self._feeds]
        words = "\n".join([self.stream.url, *self._feeds, *filters, *sorted(about)])
        return f"{kind} {self._feeds[0]} {hashlib.sha256(words.encode()).hexdigest()[:16]}"

    def stretch(
        self, staging: Staging, run: Run, within: Within, engagement: frozenset[str] = frozenset()
    ) -> Stretch:
        """The stream, from where `run` is on."""
        return Stretch(
            staging,
            self.stream,
            run,
            within,
            engagement,
            self.on_progress,
            quiet=self._quiet,
            patience=self._patience,
        )

    def staging(self) -> Staging:
        """What takes the events of one reading."""
        return Staging(self._service, self._store, self._feeds, self.stop)

    def _oldest(self) -> int:
        return now_us() - max(self._service.feeds[name].keep for name in self._feeds) // US

    def _check_stopped(self) -> None:
        if self.stop.is_set():
            raise Stopped

    def _know_people(self) -> None:
        """Find out whom the feeds' lists and handles mean, if nobody has done so yet."""
        people = Membership(self._service, self._store)
        if any(people.unknown(name) for name in self._feeds):
            Refreshing(self._service, self._store, people, self.stop).refresh()
            people.look()
        for name in self._feeds:
            if left := people.unknown(name):
                raise NotPossible(
                    f"feeds.{name}: nobody could find out whom {min(map(str, left))} means; try "
                    "again when the network answers"
                )
