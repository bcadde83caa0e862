"""Reading the stream from a moment on to where the live cursor is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from time import monotonic
from typing import cast

from feedkit.backfill.rewound import Refused, Rewound, is_news
from feedkit.backfill.staging import Staging, Stopped, now_us
from feedkit.event import Frame, PostWritten
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
        self._until = now_us()
        self._noted = self._wrote = self._looked = monotonic()
        self._target = self._until
        self.began = 0  # the time of the first event
        self._silent = 0  # connections in a row that brought nothing

    @property
    def cut(self) -> bool:
        """Whether the stream began later than it was asked to."""
        return self._source.cut

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
            self.began = self.began or frame.time
        staging = self._staging
        for event in frame.events:
            if isinstance(event, PostWritten):
                within = self._within(event.time)
                before = len(staging)
                staging.take(event, within)
                answers = event.post.reply_parent or event.post.quote
                if self._engagement and answers and len(staging) == before:
                    staging.engaging(event)
            else:
                staging.take(event, False)

    def _write(self, now: float = 0.0) -> None:
        now = now or monotonic()
        self._wrote = now
        if len(self._staging) or now - self._noted > NOTE_EVERY:
            self._noted = now
            self._staging.write(self._run, self.reached, self._engagement)

    def _look(self) -> bool:
        """Whether it seems to be at the end; `_settle` makes sure of it."""
        self._looked = monotonic()
        live = self._staging.store.backfills.live()
        self._target = max([one.time for one in live] or [self._until])
        whole = max(self._target - self._run.since, 1)
        done = min(max((self._time - self._run.since) / whole, 0.0), 1.0)
        self._on_progress(done, moment(self._time).isoformat(" ", "seconds"))
        return self._passed(live)

    def _settle(self, quiet: bool) -> bool:
        self._noted = 0.0
        self._write()
        return self._staging.settle(self._run, lambda live: quiet or self._passed(live))

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
