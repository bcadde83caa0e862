"""The ways to fill feeds: from the stream, from authors, from a search; and to fill gaps."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta

from feedkit.appview import AppView, Gone, Unresolved
from feedkit.backfill.rewound import Refused
from feedkit.backfill.runs import MayGoOn, NotPossible, Outcome, Runs
from feedkit.backfill.staging import Staging, now_us
from feedkit.backfill.stretch import Within
from feedkit.backfill.views import Ask, Page, by_author, by_words, named_authors
from feedkit.sources.position import HOUR, MINUTE
from feedkit.sources.syntax import moment
from feedkit.store.gaps import MissedStretch
from feedkit.store.staging import Reached, Run

log = logging.getLogger(__name__)

BEFORE = 10 * MINUTE  # the AppView may show for so long what the stream has told to be deleted
FRESH = 20 * HOUR  # what was staged longer ago is fetched again: the stream may have forgotten
DONE = "~"  # as a place: behind every DID
PAGE = ">"  # before the cursor of a search, as a place
RATE_LIMIT = 900.0  # seconds that a server may ask us to wait


class Filling(Runs):
    """Fills `feeds` of a service. Every way raises `Stopped` when `stop` is set, and goes on from
    there when it is called again with the same words. Raises `NotPossible`."""

    def from_stream(self, span: timedelta) -> Outcome:
        """Posts of the last `span`, as far as the feeds keep them."""
        since = self.since(span)
        return self._filled(
            "stream", since, lambda run: run.since <= since, lambda time: time >= since
        )

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
                    raise self._not_now(error, f"{did}: ") from error
        return self._finished(staging, run, tuple(problems))

    def from_search(self, words: str, ask: Ask) -> Outcome:
        """Posts that the network's search finds; `ask` is signed in, and raises `Unresolved` when
        its patience is at an end."""
        staging = self.staging()
        run = self.begun("search", now_us() - BEFORE, self._is_fresh, [words])
        oldest = self._oldest()
        while run.place != DONE:
            self.on_progress(0.0, words)
            before = run.place
            try:
                for page, cursor in by_words(ask, words, oldest, before.removeprefix(PAGE)):
                    self._stage(staging, page)
                    run = run._replace(place=PAGE + cursor if cursor else DONE)
                    staging.write(run, Reached(run.cursor, run.time, run.place), frozenset())
                run = run._replace(place=DONE)
            except Gone as error:
                if not before or run.place != before:
                    raise self._not_now(error) from error
                log.info("the search does not go on where it was (%s): it begins again", error)
                run = run._replace(place="")
            except Unresolved as error:
                raise self._not_now(error) from error
        return self._finished(staging, run)

    def gaps(self) -> tuple[list[MissedStretch], list[MissedStretch]]:
        """Those gaps that may still be filled, and those that cannot: their posts are older than
        feeds keep them, or nobody knows when they began."""
        oldest = self._oldest()
        gaps = self._store.backfills.open_gaps()
        lost = [gap for gap in gaps if not gap.from_us or gap.to_us < oldest]
        return [gap for gap in gaps if gap not in lost], lost

    def fill_gaps(self, gaps: Sequence[MissedStretch]) -> tuple[Outcome, list[MissedStretch]]:
        """All that was missed in `gaps`: posts, deletions, likes …; and what is left of the gaps,
        because the stream has forgotten it. A stream that refuses what is too old is asked for
        less and less."""
        left = sorted(gaps, key=lambda gap: gap.from_us)
        lost: list[MissedStretch] = []
        since = left[0].from_us
        while left:
            ids = [str(gap.id) for gap in left]

            def within(time: int, some: Sequence[MissedStretch] = tuple(left)) -> bool:
                return any(gap.from_us <= time <= gap.to_us for gap in some)

            try:
                outcome = self._read(
                    "gaps", since, lambda run: True, within, self._service.engagement, ids
                )
                return outcome, lost + self.close_gaps(left, outcome.began)
            except Refused as refusal:
                log.info("not since %s: %s", moment(since).isoformat(" ", "seconds"), refusal)
                oldest = left[0]
                if oldest.to_us - since > HOUR:
                    since = (since + oldest.to_us) // 2
                else:
                    lost.append(left.pop(0))
                    since = left[0].from_us if left else 0
        return Outcome(), lost

    def close_gaps(self, gaps: Sequence[MissedStretch], began: int) -> list[MissedStretch]:
        """Note that `gaps` were filled from the time `began` on; what is left of them."""
        backfills = self._store.backfills
        left = [gap._replace(to_us=min(gap.to_us, began)) for gap in gaps if gap.from_us < began]
        open_ = {gap.id for gap in left}
        backfills.mark_filled([gap.id for gap in gaps if gap.id not in open_], now_us())
        for gap in left:
            backfills.shorten_gap(gap.id, gap.to_us)
        return left

    def _filled(self, kind: str, since: int, may_go_on: MayGoOn, within: Within) -> Outcome:
        try:
            return self._read(kind, since, may_go_on, within, frozenset())
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
    ) -> Outcome:
        """Read the stream since then. Raises `Refused`."""
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
            return Outcome.of(staging, run, stretch.began)

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
        for page in pages:
            self._stage(staging, page)
            staging.write(run, Reached(run.cursor, run.time, run.place), frozenset())
        run = run._replace(place=place)
        staging.write(run, Reached(run.cursor, run.time, run.place), frozenset())
        return run

    def _stage(self, staging: Staging, page: Page) -> None:
        """Take the posts of `page` that feeds keep still."""
        posts, bad = page
        oldest = self._oldest()
        staging.counts["skipped"] += bad
        for event in posts:
            if event.time >= oldest:
                staging.take(event, True)

    def _not_now(self, error: Unresolved, who: str = "") -> NotPossible:
        """What is raised where the network does not answer. Raises `Stopped` if that is why."""
        self._check_stopped()
        return NotPossible(f"{who}{error}; what was found is kept: run this again to go on")

    def _is_fresh(self, run: Run) -> bool:
        return run.since > now_us() - FRESH
