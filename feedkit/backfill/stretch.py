"""Reading the stream from a moment on to where the live cursor is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from time import monotonic
from typing import cast

from feedkit.backfill.beginning import Beginning
from feedkit.backfill.rewound import Refused, Rewound, is_news
from feedkit.backfill.staging import Staging, Stopped, now_us
from feedkit.event import Engaged, Frame, PostWritten
from feedkit.settings import Stream
from feedkit.sources.position import MINUTE
from feedkit.sources.syntax import moment
from feedkit.store.staging import Live, Reached, Run

log = logging.getLogger(__name__)

WRITE_EVERY = 0.5  # seconds
NOTE_EVERY = 5.0  # seconds until the place is written down though nothing was found
LOOK_EVERY = 0.5  # seconds between two looks at where the live cursor is
QUIET = 5.0  # seconds without a message after which a stream may have no more
PATIENCE = 15.0  # seconds until the first message of a connection
ROUNDS = 3  # connections that brought nothing, after which a stream counts as quiet
CORRECTIONS = 5  # times that accounts are looked at again, since one may change all the time

Within = Callable[[int], bool]
OnProgress = Callable[[float, str], None]


def no_progress(done: float, place: str) -> None:
    """Nobody looks."""


class Stretch:
    """The stream of `run`, read for `staging`. `within` says whether a post of that time
    (microseconds since 1970) may be added; `engagement` what else is read; `on_progress` is told
    how much is done (0 to 1), and where it is.

    A stream of which only posts are asked for may be quiet long before the live cursor's place.
    It has no more when a new connection, from the last message on, brings that message again and
    then nothing: so it works, and there is nothing behind it.

    Behind a live stream that goes on, perhaps another one whose numbers say nothing, it ends in
    three steps:

    1. When it has caught up, it takes nothing new any more (the live stream does), and remembers
       where that stands.
    2. When it is there too, every deletion that the live stream saw before the last post was
       stored has been read. Posts may be shown.
    3. An account that is here neither what this stream says nor changed since step 1 is one that
       the live stream has missed: its state is taken over. The live stream may just have told a
       newer one, which is not read here yet; so what was taken over is looked at once more when
       the place is passed where the live stream stood then.
    """

    def __init__(
        self,
        staging: Staging,
        stream: Stream,
        run: Run,
        within: Within,
        engagement: frozenset[str] = frozenset(),
        on_progress: OnProgress = no_progress,
        *,
        quiet: float = QUIET,
        patience: float = PATIENCE,
    ) -> None:
        self._staging, self._run, self._within = staging, run, within
        self._source = Rewound(stream, engagement)
        self._engagement, self._on_progress = engagement, on_progress
        self._quiet, self._patience = quiet, patience
        self._cursor, self._time = run.cursor, run.time or run.since
        self._beginning = Beginning(staging, run, self._source)
        self._until = now_us()
        self._aim = self._left = 0  # a place of the live stream, and how far it was away
        self._behind: list[Live] = []  # step 2: what is to be passed; none before step 1
        self._doubtful: dict[str, str] = {}  # step 3: states of accounts that may be wrong
        self._corrections = 0
        self._noted = self._wrote = self._looked = monotonic()
        self._target = self._until
        self._silent = 0  # connections in a row that brought nothing

    @property
    def began(self) -> int:
        """From when on the stream really was read (microseconds since 1970)."""
        return self._beginning.time

    @property
    def reached(self) -> Reached:
        return Reached(self._cursor, self._time, self._run.place)

    def read(self) -> None:
        """Read to the end, settle, and show what was found. Raises `Refused`, `Stopped`."""
        if not self._run.settled:
            while not self._ended():
                if self._staging.stop.is_set():
                    raise Stopped
        self._staging.show(self._run)
        self._staging.store.backfills.note_end(self.reached)
        self._on_progress(1.0, "")

    def _ended(self) -> bool:
        """Read on one connection or more, until the end; or False, to open another one."""
        if self._look() and self._settle(False):
            return True
        frames = cast(
            "Generator[Frame | None]",
            self._source.frames(self._cursor or None, self._time, self._staging.stop),
        )
        brought = news = False
        last = monotonic()
        try:
            for frame in frames:
                now = monotonic()
                if self._source.refusal:
                    raise Refused(self._source.refusal)
                if self._source.open is None:  # now it is open
                    self._source.open, last, brought, news = True, now, False, False
                if frame is not None:
                    last, brought = now, True
                    if is_news(frame, self._cursor):
                        news, self._silent = True, 0
                    self._take(frame)
                if self._staging.full or now - self._wrote > WRITE_EVERY:
                    self._write(now)
                if now - self._looked > LOOK_EVERY and self._look() and self._settle(False):
                    return True
                wait = self._quiet if brought else self._patience
                if self._source.open and monotonic() - last > wait:
                    self._silent += not news
                    if not news and (brought or not self._cursor or self._silent >= ROUNDS):
                        return self._settle(True)
                    return False
        finally:
            frames.close()
        return False

    def _take(self, frame: Frame) -> None:
        if is_news(frame, self._cursor):
            self._cursor = frame.cursor
        if frame.time:
            self._time = frame.time
            self._beginning.saw(frame.time)
        staging = self._staging
        for event in frame.events:
            if isinstance(event, PostWritten):
                within = not self._behind and self._within(event.time)
                before = len(staging)
                staging.take(event, within)
                answers = event.post.reply_parent or event.post.quote
                if self._engagement and answers and not self._behind and len(staging) == before:
                    staging.engaging(event)
            elif not (self._behind and isinstance(event, Engaged)):
                staging.take(event, False)

    def _write(self, now: float = 0.0) -> None:
        now = now or monotonic()
        self._wrote = now
        if len(self._staging) or now - self._noted > NOTE_EVERY:
            self._noted = now
            if self._cursor:
                self._beginning.decide()
            self._staging.write(self._run, self.reached, self._engagement)

    def _look(self) -> bool:
        """Whether it seems to be at the end; `_settle` makes sure of it."""
        self._looked = monotonic()
        live = self._staging.store.backfills.live()
        newest = max((one.time for one in live), default=self._until)
        self._target = max((one.time + MINUTE for one in self._behind), default=newest)
        whole = max(self._target - self._run.since, 1)
        done = min(max((self._time - self._run.since) / whole, 0.0), 1.0)
        self._on_progress(done, moment(self._time).isoformat(" ", "seconds"))
        if live and not self._behind and self._caught_up(newest):
            self._fall_behind()
        return self._passed(live) or (bool(self._behind) and self._passed(self._behind))

    def _caught_up(self, newest: int) -> bool:
        """Whether it is where the live stream was when it began; or where that has come
        meanwhile, as long as it gets nearer quickly."""
        if not self._aim:
            self._aim, self._left = newest, newest - self._time
        if self._time < self._aim:
            return False
        left = newest - self._time
        if MINUTE < left < self._left / 2:
            self._aim, self._left = newest, left
            return False
        return True

    def _fall_behind(self) -> None:
        """Step 1. The accounts come first: what the live stream does to them from then on is
        either read here or seen as a change."""
        self._write_all()
        backfills = self._staging.store.backfills
        self._doubtful = backfills.disagreeing(self._run)
        self._behind = backfills.live()

    def _settle(self, quiet: bool) -> bool:
        self._write_all()
        self._beginning.decide()

        def reached(live: list[Live]) -> bool:
            return self._passed(live) or (quiet and not live)

        if self._staging.settle(self._run, reached):
            return True
        if not self._behind:
            if quiet:
                self._fall_behind()
            return False
        if not (quiet or self._passed(self._behind)):
            return False
        return self._correct()

    def _correct(self) -> bool:
        """Step 3; whether it was the last time."""
        corrected, more = self._staging.correct(self._run, self._doubtful)
        self._corrections += 1
        # Others that disagree by now are doubtful only if the live stream should have told of them
        # before step 1 ended, so once; later ones it will tell of itself.
        self._doubtful = corrected | (more if self._corrections == 1 else {})
        if self._doubtful and self._corrections < CORRECTIONS:
            self._behind = self._staging.store.backfills.live()
            return False
        self._staging.settle_behind(self._run)
        return True

    def _write_all(self) -> None:
        self._noted = 0.0
        self._write()

    def _passed(self, live: list[Live]) -> bool:
        """Whether all that the live streams have told was read here too. Their numbers are those
        of this stream if it is the same one; else times must do, with a minute to spare."""
        if not live:
            return self._time >= self._until
        return all(
            (self._cursor >= one.cursor and self._is_this(one.source))
            or self._time > one.time + MINUTE
            for one in live
        )

    def _is_this(self, source: str) -> bool:
        name = self._source.stream_name
        return source == name or source.startswith(f"{name} ")
