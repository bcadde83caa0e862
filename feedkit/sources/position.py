"""Where a source stands in its stream, and what it does when the stream's numbers make no sense.

Sequence numbers belong to one server. A server that is set up anew counts from the start, a relay
that moves jumps ahead, and a broken one may send anything. Here it is decided, for all streams
alike, which number is believed, when the stream started over, and whether a hole is left.
"""

from __future__ import annotations

import logging
import time as clock
from collections.abc import Callable
from typing import Literal

from msgspec.structs import replace

from feedkit.event import Frame
from feedkit.sources.syntax import moment

log = logging.getLogger(__name__)

MINUTE, DAY = 60 * 1_000_000, 86_400 * 1_000_000  # microseconds
Resume = Literal["cursor", "time", "live"]
OnGap = Callable[[int, int, str], None]


class StartedOver(Exception):
    """The stream counts anew: go on from `Position.rewound`, on another connection."""


class Position:
    """`cursor`, `time`: of the last event that was stored; None and 0 for a first start.

    `far_back`: a number lower by more than this is a sequence that started over. `far_ahead`: a
    number higher by more than this is believed when the next one confirms it. `timed`: the
    numbers are microseconds (Jetstream v1). `on_gap(from_us, to_us, reason)` is called for every
    stretch of time that may be lost; from_us is 0 where the start is not known.
    """

    def __init__(
        self,
        name: str,
        cursor: int | None,
        time: int,
        on_gap: OnGap,
        *,
        far_back: int = 100_000,
        far_ahead: int = 10**9,
    ) -> None:
        self.name = name
        self.cursor = cursor or 0
        self.time = time
        self.resume: Resume = "cursor" if cursor else "time" if time else "live"
        self.rewound = 0  # microseconds: where to begin again by time
        self._on_gap = on_gap
        self._far_back = far_back
        self._far_ahead = far_ahead
        self._fresh = not cursor  # the next number is taken as it comes
        self._jump: Frame | None = None  # a frame far ahead, not believed yet
        self._gap = ""  # why the first event to come may be later than it should
        self._last_rewind = float("-inf")
        if self.resume == "time":
            self._rewind_to(time)

    def take(self, frame: Frame) -> Frame:
        """`frame` with a cursor and a time that can be stored. Raises StartedOver."""
        step = frame.cursor - self.cursor
        if (
            -self._far_back <= step <= self._far_ahead
            and -DAY <= frame.time - self.time <= DAY
            and not self._fresh
            and not self._gap
        ):
            self.cursor = frame.cursor
            self.time = frame.time
            return frame
        return self._doubt(frame, step)

    def _doubt(self, frame: Frame, step: int) -> Frame:
        """`take` for everything that is not simply the next one."""
        if not frame.cursor:  # it has no number: what it holds counts, where it stands does not
            return replace(frame, cursor=self.cursor, time=0)
        if self._fresh:
            self._fresh = False
        elif step < -self._far_back:
            self._started_over(frame)
        elif step > self._far_ahead or (self.time and frame.time - self.time > DAY):
            before, self._jump = self._jump, frame
            if before is None or not self._near(before, frame):
                return replace(frame, cursor=self.cursor, time=0)
        self._jump = None
        self.cursor = frame.cursor
        if frame.time:
            self._settle(frame.time)
            if not self.time or frame.time > self.time - DAY:
                self.time = frame.time
        return frame

    def _near(self, before: Frame, frame: Frame) -> bool:
        step = frame.cursor - before.cursor
        apart = abs(frame.time - before.time)
        return -self._far_back <= step <= self._far_ahead and apart <= DAY

    def _started_over(self, frame: Frame) -> None:
        told = (
            f"{self.name}: the sequence started over, from {self.cursor:,} to {frame.cursor:,} "
            "(another server, or one that was set up anew)"
        )
        now = clock.monotonic()
        if now - self._last_rewind < 60 or not self.time:
            # Going back for every such number could go on for ever.
            self.expect_gap("the sequence started over again")
            log.warning("%s; going on with the new numbers", told)
            return
        self._last_rewind = now
        # A single absurd time must not become the place to begin again.
        self._rewind_to(min(self.time, frame.time) if frame.time else self.time)
        self.expect_gap("the sequence started over")
        log.warning(
            "%s; reading again from %s. Posts of that time come twice and count once",
            told,
            moment(self.rewound).isoformat(" ", "seconds"),
        )
        raise StartedOver

    def _rewind_to(self, time: int) -> None:
        self.resume, self._fresh = "time", True
        self.rewound = max(time - MINUTE, 1)

    def lost(self, reason: str) -> None:
        """The server cannot go on from where we asked it to: ask by time, then take what comes."""
        if self.resume == "cursor" and self.time:
            self._rewind_to(self.time)
        else:
            self.resume, self._fresh = "live", True
        self.expect_gap(reason)

    def opened(self) -> None:
        """A connection is there: after it, the numbers count again."""
        if self.cursor and not self._fresh:
            self.resume = "cursor"

    def expect_gap(self, reason: str) -> None:
        """If the next event is later than the last one, what was between is lost."""
        if self.time or self.cursor:
            self._gap = reason

    def _settle(self, time: int) -> None:
        reason, self._gap = self._gap, ""
        if not reason or (self.time and time <= self.time):
            return
        log.error(
            "%s: events from %s to %s are lost: %s. Posts of that time are missing from the feeds",
            self.name,
            moment(self.time).isoformat(" ", "seconds") if self.time else "the last visit",
            moment(time).isoformat(" ", "seconds"),
            reason,
        )
        self._on_gap(self.time, time, reason)
