"""Reading the archive of a stream from a moment on to its end."""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple

from feedkit.backfill.archive import Archive, Damaged, Unit
from feedkit.backfill.asking import NoArchive, Rewritten
from feedkit.backfill.segments import COLLECTIONS, frames
from feedkit.backfill.staging import Staging, Stopped
from feedkit.backfill.stretch import OnProgress, Within
from feedkit.event import PostWritten
from feedkit.sources.syntax import moment
from feedkit.store.staging import Reached, Run
from feedkit.wording import size_text

WRITE_EVERY = 0.5  # seconds
TELL_EVERY = 0.5  # seconds
AGAIN = 3  # times that the same block is fetched, and that a changed archive is planned anew


class Place(NamedTuple):
    """Before which block of which segment it stands. `offset`: the byte where that begins, 0 if
    it is not known. `checksum`: of the segment; another one has other blocks."""

    segment: str
    checksum: str
    block: int
    offset: int

    @classmethod
    def read(cls, text: str) -> Place:
        words = text.split(" ")
        if len(words) != 4 or not (words[2].isdigit() and words[3].isdigit()):
            return cls("", "", 0, 0)
        return cls(words[0], words[1], int(words[2]), int(words[3]))

    def within(self, unit: Unit) -> tuple[int, int]:
        """The block and the offset to begin with."""
        if (self.segment, self.checksum) != (unit.name, unit.checksum):
            return 0, 0
        return self.block, self.offset


class Sweep:
    """The archive, read for `run`, from `since` (microseconds since 1970) to `until`. `within`,
    `on_progress`: as for `Stretch`. It notes from when on the archive has anything."""

    def __init__(
        self,
        staging: Staging,
        archive: Archive,
        run: Run,
        until: int,
        within: Within,
        on_progress: OnProgress,
    ) -> None:
        self._staging, self._archive, self._run = staging, archive, run
        self._within, self._on_progress, self._until = within, on_progress, until
        self._cursor, self._time = run.cursor, run.time
        self._place = Place.read(run.place)
        self._wrote = self._told = monotonic()

    def read(self, done: str) -> Run:
        """Read to the end, which is told by `done` as the place. Raises `NoArchive`, and what was
        read is written by then; `Stopped`, and what came after the last write (`WRITE_EVERY`) is
        fetched again the next time."""
        run = self._run
        try:
            if self._begin():
                self._to_the_end()
        except NoArchive:
            self._write(" ".join(map(str, self._place)))
            raise
        self._write(done)
        return run._replace(cursor=self._cursor, time=self._time, place=done)

    def _begin(self) -> bool:
        """Find the number with which to begin, unless an earlier run did; whether the archive has
        anything of that time."""
        if self._cursor:
            return True
        since = self._run.since
        for number, segment in enumerate(self._archive.segments()):
            if segment.max_witnessed_at >= since:
                began = since if number else max(segment.min_witnessed_at, since)
                self._staging.note_began(self._run, began)
                self._cursor = max(segment.min_seq - 1, 0)
                return True
        return False

    def _to_the_end(self) -> None:
        before, tries = self._where, 1
        while True:
            try:
                self._planned()
                return
            except Rewritten:
                problem = "the archive changes all the time"
                self._place = Place.read("")
            except Damaged as damage:
                problem = f"{damage}; ask for less, so that it is left out"
            before, tries = self._where, tries + 1 if before == self._where else 2
            if tries > AGAIN:
                raise NoArchive(f"{problem}; what was found is kept: run this again to go on")

    @property
    def _where(self) -> tuple[int, int]:
        return self._cursor, self._place.block

    def _planned(self) -> None:
        """Fetch what is planned from here on."""
        tip = 0
        for page in self._archive.plan(self._cursor, COLLECTIONS):
            tip = page.sealed_tip_seq
            for unit in page.segments:
                self._read(unit)
        self._cursor = max(self._cursor, tip)

    def _read(self, unit: Unit) -> None:
        first, offset = self._place.within(unit)
        number = first
        try:
            if unit.whole:
                for number, block, end in self._archive.blocks(unit, first, offset):
                    self._take(unit, number, block, end)
                return
            for blocks in unit.blocks:
                for number in range(max(blocks.first, first), blocks.last + 1):
                    self._take(unit, number, self._archive.block(unit, number), 0)
        except Damaged as damage:
            if unit.whole:
                number = self._place.within(unit)[0]
            raise Damaged(
                f"block {number} of {unit.name}, behind {self._moment}, is damaged ({damage})"
            ) from damage

    def _take(self, unit: Unit, number: int, block: bytes, end: int) -> None:
        """Stage what a block has; it ends at the byte `end` of the segment."""
        for frame in frames(block):
            if frame.cursor <= self._cursor:
                continue
            self._staging.counts["skipped"] += len(frame.skipped)
            for event in frame.events:
                within = isinstance(event, PostWritten) and self._within(event.time)
                self._staging.take(event, within)
            self._cursor, self._time = frame.cursor, frame.time
            if self._staging.full:
                self._write(" ".join(map(str, self._place)))
        self._place = Place(unit.name, unit.checksum, number + 1, end)
        now = monotonic()
        if now - self._wrote > WRITE_EVERY:
            self._write(" ".join(map(str, self._place)))
        if now - self._told > TELL_EVERY:
            self._told = now
            whole = max(self._until - self._run.since, 1)
            done = min(max((self._time - self._run.since) / whole, 0.0), 1.0)
            self._on_progress(done, f"{self._moment}, {size_text(self._archive.spent, 1)} fetched")
        if self._staging.stop.is_set():
            raise Stopped

    def _write(self, place: str) -> None:
        self._wrote = monotonic()
        reached = Reached(self._cursor, self._time, place)
        self._staging.write(self._run, reached, frozenset())

    @property
    def _moment(self) -> str:
        return moment(self._time or self._run.since).isoformat(" ", "seconds")
