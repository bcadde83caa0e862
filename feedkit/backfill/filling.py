"""The ways to fill feeds: from the stream, from authors, from a search; and to fill gaps."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import timedelta

from msgspec import Struct

from feedkit.appview import AppView, Gone, Unresolved
from feedkit.backfill.rewound import Refused
from feedkit.backfill.staging import Staging, Stopped, now_us
from feedkit.backfill.stretch import PATIENCE, QUIET, OnProgress, Stretch, Within, no_progress
from feedkit.backfill.views import Ask, Page, by_author, by_words, named_authors
from feedkit.duration import duration_text
from feedkit.people import Membership, Refreshing
from feedkit.settings import Service, Stream
from feedkit.sources.position import HOUR, MINUTE
from feedkit.store import Store
from feedkit.store.gaps import MissedStretch
from feedkit.store.staging import Reached, Run

log = logging.getLogger(__name__)

US = timedelta(microseconds=1)
BEFORE = 10 * MINUTE  # the AppView may show for so long what the stream has told to be deleted
FRESH = 20 * HOUR  # what was staged longer ago is fetched again: the stream may have forgotten
DONE = "~"  # as a place: behind every DID
RATE_LIMIT = 900.0  # seconds that a server may ask us to wait


MayGoOn = Callable[[Run], bool]


class NotPossible(Exception):
    """This cannot be filled. The message says why, and what can be done."""


class Outcome(Struct):
    """What came of it. `hits`: posts that the feeds have more; `cut`: the stream did not go back
    as far as it was asked to; `problems`: what could not be asked for."""

    hits: int = 0
    cut: bool = False
    problems: tuple[str, ...] = ()


class Filling:
    """Fills `feeds` of a service. Every way raises `Stopped` when `stop` is set, and goes on from
    there when it is called again with the same words. Raises `NotPossible`.

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

    def from_stream(self, span: timedelta) -> Outcome:
        """Posts of the last `span`, as far as the feeds keep them."""
        since = self.since(span)
        return self._filled(
            "stream", since, lambda run: run.since <= since, lambda time: time >= since
        )

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

    def from_authors(self, more: Collection[str] = (), named: bool = True) -> Outcome:
        """Posts by those whom the feeds' filters name (if `named`), and by `more` (DIDs)."""
        dids = set(more)
        if named:
            for name in self._feeds:
                dids |= named_authors(self._service.feeds[name].filter)
        if not dids:
            raise NotPossible(
                f"the filter of {', '.join(self._feeds)} names no authors; name some with "
                "--author, or use --stream"
            )
        staging = self.staging()
        run = self.begun("authors", now_us() - BEFORE, self._is_fresh, dids)
        problems: list[str] = []
        ordered = sorted(did for did in dids if did > run.place)
        with AppView(self._service.network.appview, self.stop, patience=RATE_LIMIT) as appview:
            for number, did in enumerate(ordered):
                self.on_progress((number + len(dids) - len(ordered)) / len(dids), did)
                try:
                    run = self._take(staging, run, by_author(appview.get, did, self._oldest()), did)
                except Gone as error:
                    problems.append(f"{did}: {error}")
                except Unresolved as error:
                    self._check_stopped()
                    raise NotPossible(
                        f"{did}: {error}; what was found is kept: run this again to go on"
                    ) from error
        return self._finished(staging, run, tuple(problems))

    def from_search(self, words: str, ask: Ask) -> Outcome:
        """Posts that the network's search finds; `ask` is signed in."""
        staging = self.staging()
        run = self.begun("search", now_us() - BEFORE, self._is_fresh, [words])
        if run.place != DONE:
            self.on_progress(0.0, words)
            run = self._take(staging, run, by_words(ask, words, self._oldest()), "")
        return self._finished(staging, run)

    def gaps(self) -> tuple[list[MissedStretch], list[MissedStretch]]:
        """Those gaps that may still be filled, and those that cannot: their posts are older than
        feeds keep them, or nobody knows when they began."""
        oldest = self._oldest()
        gaps = self._store.backfills.open_gaps()
        lost = [gap for gap in gaps if not gap.from_us or gap.to_us < oldest]
        return [gap for gap in gaps if gap not in lost], lost

    def fill_gaps(self, gaps: Sequence[MissedStretch]) -> tuple[Outcome, list[MissedStretch]]:
        """All that was missed in `gaps`: posts, deletions, likes …; and the gaps that the stream
        has forgotten."""
        since = min(gap.from_us for gap in gaps)

        def within(time: int) -> bool:
            return any(gap.from_us <= time <= gap.to_us for gap in gaps)

        outcome, began = Outcome(), 0
        ids = [str(gap.id) for gap in gaps]
        try:
            outcome, began = self._read(
                "gaps", since, lambda run: True, within, self._service.engagement, ids
            )
        except Refused as refusal:
            log.warning("%s", refusal)
            return outcome, list(gaps)
        lost = [gap for gap in gaps if outcome.cut and gap.to_us < began]
        self._store.backfills.mark_filled([g.id for g in gaps if g not in lost], now_us())
        return outcome, lost

    def _filled(self, kind: str, since: int, may_go_on: MayGoOn, within: Within) -> Outcome:
        try:
            return self._read(kind, since, may_go_on, within, frozenset())[0]
        except Refused as refusal:
            raise NotPossible(
                f"{self.stream.url} does not go back so far ({refusal}); ask for less, as in "
                "--stream 12h"
            ) from refusal

    def _read(
        self,
        kind: str,
        since: int,
        may_go_on: MayGoOn,
        within: Within,
        engagement: frozenset[str],
        about: Collection[str] = (),
    ) -> tuple[Outcome, int]:
        """Read the stream since then; also gives the time where it began."""
        while True:
            staging = self.staging()
            run = self.begun(kind, since, may_go_on, about)
            stretch = self.stretch(staging, run, within, engagement)
            try:
                stretch.read()
            except Refused as refusal:
                self._store.backfills.drop(run)
                if not run.cursor:
                    raise
                log.info("%s; it begins again", refusal)
                continue
            return Outcome(staging.counts["hits"], stretch.cut), stretch.began

    def _finished(self, staging: Staging, run: Run, problems: tuple[str, ...] = ()) -> Outcome:
        """Read what became meanwhile of the posts that were staged, and show the others."""
        staging.write(run, Reached(run.cursor, run.time, DONE), frozenset())
        run = run._replace(place=DONE)
        try:
            self.stretch(staging, run, lambda time: False, frozenset()).read()
        except Refused as refusal:
            self._store.backfills.drop(run)
            raise NotPossible(
                f"{self.stream.url} could not tell which posts were deleted meanwhile "
                f"({refusal}); run this again"
            ) from refusal
        return Outcome(staging.counts["hits"], False, problems)

    def _take(self, staging: Staging, run: Run, pages: Iterator[Page], place: str) -> Run:
        """Stage what `pages` hold; then `place` is reached."""
        oldest = self._oldest()
        for posts, bad in pages:
            staging.counts["skipped"] += bad
            for event in posts:
                if event.time >= oldest:
                    staging.take(event, True)
            staging.write(run, Reached(run.cursor, run.time, run.place), frozenset())
        run = run._replace(place=place or run.place)
        staging.write(run, Reached(run.cursor, run.time, run.place), frozenset())
        return run

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

    def _is_fresh(self, run: Run) -> bool:
        return run.since > now_us() - FRESH

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
