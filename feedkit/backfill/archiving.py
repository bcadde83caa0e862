"""Filling feeds from the archive of a Jetstream v2, and then from the stream behind its end."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from msgspec import Struct

from feedkit.backfill.archive import Archive
from feedkit.backfill.asking import PATIENCE, PAUSE, Asking, NoArchive
from feedkit.backfill.filling import DONE, Filling
from feedkit.backfill.rewound import Refused
from feedkit.backfill.runs import MayGoOn, NotPossible, Outcome
from feedkit.backfill.segments import COLLECTIONS
from feedkit.backfill.staging import Staging, Stopped, now_us
from feedkit.backfill.stretch import Within
from feedkit.backfill.sweep import Sweep
from feedkit.store.gaps import MissedStretch
from feedkit.store.staging import Run
from feedkit.wording import size_text

log = logging.getLogger(__name__)

FIRST_VERSION = "/subscribe"  # how the address of a Jetstream v1 ends


def has_archive(url: str) -> bool:
    """Whether the Jetstream at `url` is of a kind that may have an archive."""
    return not url.split("?")[0].rstrip("/").endswith(FIRST_VERSION)


class Planned(Struct):
    """What would be fetched. `bytes`: at most; `since`: microseconds since 1970, where it begins;
    `begun`: whether it goes on with what was begun before."""

    segments: int = 0
    blocks: int = 0
    parted: int = 0  # segments that the blocks are of
    bytes: int = 0
    since: int = 0
    begun: bool = False


class Archived:
    """Fills the feeds of `filling` from the archive of its stream, with this key. Raises as the
    ways of `Filling` do. `fetched`: bytes of the archive.

    `pause`, `patience`: seconds, see `feedkit.backfill.asking`.
    """

    def __init__(
        self, filling: Filling, key: str, *, pause: float = PAUSE, patience: float = PATIENCE
    ) -> None:
        url = filling.stream.url
        if not has_archive(url):
            raise NotPossible(
                f"{url} is a Jetstream v1, which has no archive; name a Jetstream v2 that has one "
                "with --jetstream"
            )
        self._filling, self._url, self._key = filling, url, key
        self._pause, self._patience = pause, patience
        self.fetched = 0

    def fill(self, span: timedelta) -> Outcome:
        """Posts of the last `span`, as far as the feeds keep them. What was fetched before is not
        fetched again. Gaps in that time are filled by it too, if it was for all feeds."""
        filling = self._filling
        since = filling.since(span)
        gaps = filling.gaps()[0] if filling.all_feeds else []
        outcome, until = self._fill("archive", since, lambda run: run.since <= since)
        filling.close_gaps([gap for gap in gaps if gap.to_us <= until], outcome.began)
        return outcome

    def fill_gaps(self, gaps: Sequence[MissedStretch]) -> tuple[Outcome, list[MissedStretch]]:
        """The posts that were missed in `gaps`, and what became of them; and what is left of the
        gaps, because the archive does not go back so far."""
        since = min(gap.from_us for gap in gaps)
        outcome, _ = self._fill("archived-gaps", since, lambda run: True, gaps)
        return outcome, self._filling.close_gaps(gaps, outcome.began)

    def _fill(
        self, kind: str, since: int, may_go_on: MayGoOn, gaps: Collection[MissedStretch] = ()
    ) -> tuple[Outcome, int]:
        """Read the archive since then, for posts in `gaps` alone if there are any; also gives the
        time up to which everything was read."""
        filling = self._filling
        staging = filling.staging()
        run = filling.begun(kind, since, may_go_on, [str(gap.id) for gap in gaps])
        begins, before = run.since, -1
        until = run.time if run.settled else now_us()

        def within(time: int) -> bool:
            if gaps:
                return any(gap.from_us <= time <= gap.to_us for gap in gaps)
            return time >= begins

        while True:
            if not run.settled and run.place != DONE:
                run = self._swept(staging, run, within)
            stretch = filling.stretch(staging, run, within)
            try:
                stretch.read()
                return Outcome.of(staging, run, stretch.began), until
            except Refused as refusal:
                if run.cursor == before:
                    raise NotPossible(
                        f"{self._url} does not go back to where its archive ends ({refusal}); "
                        "what was found is kept: run this again later to go on"
                    ) from refusal
                before, run = run.cursor, run._replace(place="")  # the archive may have more now

    def _swept(self, staging: Staging, run: Run, within: Within) -> Run:
        with self._archive() as archive:
            on_progress = self._filling.on_progress
            sweep = Sweep(staging, archive, run, now_us(), within, on_progress)
            try:
                return sweep.read(DONE)
            except (NoArchive, Stopped):
                log.info("%s were fetched from the archive", size_text(archive.spent, 1))
                raise
            finally:
                self.fetched += archive.spent

    def plan(self, span: timedelta) -> Planned:
        """What would be fetched for that."""
        filling = self._filling
        planned = Planned(since=filling.since(span))
        run = filling.find("archive")
        if run and run.since <= planned.since:
            planned.since, planned.begun = max(run.time, run.since), True
            if run.settled or run.place == DONE:
                return planned
        with self._archive() as archive:
            sizes = {s.name: s for s in archive.segments() if s.max_witnessed_at >= planned.since}
            first = min((segment.min_seq for segment in sizes.values()), default=0)
            after = run.cursor if run and planned.begun and run.cursor else max(first - 1, 0)
            for page in archive.plan(after, COLLECTIONS) if sizes else ():
                for unit in page.segments:
                    if unit.whole:
                        planned.segments += 1
                    else:
                        planned.parted += 1
                        planned.blocks += sum(b.last - b.first + 1 for b in unit.blocks)
                    if unit.name in sizes:
                        planned.bytes += sizes[unit.name].size_bytes
        return planned

    @contextmanager
    def _archive(self) -> Iterator[Archive]:
        stop = self._filling.stop
        try:
            with Asking(
                self._url, self._key, stop, pause=self._pause, patience=self._patience
            ) as asking:
                yield Archive(asking)
        except NoArchive as error:
            raise NotPossible(str(error)) from error
