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

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000  # microseconds
PATIENCE = 60.0  # seconds between two rewinds
OnGap = Callable[[int, int, str], None]


class StartedOver(Exception):
    """The stream counts anew: go on by `Position.resume`, on another connection."""


class Position:
    """`cursor`, `time` (microseconds since 1970): of the last event that was stored, or None and
    0. `on_gap(from_us, to_us, reason)` is called for every stretch of time that may be lost;
    from_us is 0 where the start is not known.

    `far_back`: a number lower by more than this belongs to a sequence that started over.
    `far_ahead`: a number higher by more than this is believed when the next one confirms it.
    `inclusive`: the server sends the event of the cursor once more.

    `resume` says what to ask for on the next connection: `cursor` (the cursor), `time` (what
    happened since `rewound`) or `live` (whatever happens next).
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
        inclusive: bool = False,
    ) -> None:
        self.name = name
        self.cursor = cursor or 0
        self.time = time
        self.resume: Literal["cursor", "time", "live"] = "cursor" if cursor else "live"
        self.rewound = 0
        self._on_gap = on_gap
        self._far_back = far_back
        self._far_ahead = far_ahead
        self._inclusive = inclusive
        self._jump: Frame | None = None  # a frame far ahead, not believed yet
        self._gap = ""  # why the first event to come may be later than it should
        self._last_rewind = float("-inf")
        self._calm = False  # none of the above, and `resume` is `cursor`
        if not cursor and time:  # another server than before
            self._rewind(time, "this server was not read before")

    def take(self, frame: Frame) -> Frame:
        """`frame` with a cursor and a time that can be stored. Raises StartedOver."""
        ahead = frame.cursor - self.cursor
        later = frame.time - self.time
        if self._calm and 0 < ahead <= self._far_ahead and -DAY <= later <= DAY:
            self.cursor = frame.cursor
            self.time = frame.time
            return frame
        return self._doubt(frame, ahead, later)

    def _doubt(self, frame: Frame, ahead: int, later: int) -> Frame:
        """`take` for everything that is not simply the next one."""
        jump, self._jump = self._jump, None
        if not frame.cursor:  # its events count, where it stands is not known
            return replace(frame, cursor=self.cursor, time=0)
        if self.resume == "cursor":
            if ahead == 0 and self._inclusive:
                return Frame(self.cursor, 0)
            if ahead < -self._far_back:
                self._started_over(frame)
            elif (ahead > self._far_ahead or (self.time and later > DAY)) and (
                jump is None or not self._near(jump, frame)
            ):
                self._jump, self._calm = frame, False
                return replace(frame, cursor=self.cursor, time=0)
        self.cursor, self.resume = frame.cursor, "cursor"
        if frame.time:
            self._settle(frame.time)
            if later < -DAY:
                frame = replace(frame, time=0)
            else:
                self.time = frame.time
        self._calm = not self._gap
        return frame

    def _near(self, jump: Frame, frame: Frame) -> bool:
        ahead = frame.cursor - jump.cursor
        return -self._far_back <= ahead <= self._far_ahead and abs(frame.time - jump.time) <= DAY

    def _started_over(self, frame: Frame) -> None:
        told = (
            f"{self.name}: the sequence started over: {frame.cursor:,} comes after {self.cursor:,}"
        )
        reason = "the sequence of the stream started over"
        # A single absurd time must not become the place to begin again.
        since = min(self.time, frame.time or self.time)
        if since and self._rewind(since, reason):
            log.warning(
                "%s; reading again from %s. Posts of that time come twice and count once",
                told,
                _shown(self.rewound),
            )
            raise StartedOver
        log.warning("%s; going on with the new numbers", told)
        self.expect_gap(reason)

    def _rewind(self, since: int, reason: str) -> bool:
        """Go back by time, but not time and again: a server whose numbers go back with every
        message would be read in circles."""
        now = clock.monotonic()
        if now - self._last_rewind < PATIENCE:
            return False
        self._last_rewind = now
        self.resume, self.rewound = "time", max(since - MINUTE, 1)
        self.expect_gap(reason)
        return True

    def lost(self, reason: str) -> bool:
        """The server cannot go on from where it was asked to. True: a new connection may help,
        by time or else from now on. False: take what comes."""
        self.expect_gap(reason)
        if self.resume == "live":
            return False
        if self.resume == "time" or not self.time or not self._rewind(self.time, reason):
            self.resume = "live"
        return True

    def expect_gap(self, reason: str) -> None:
        """If the next event is later than the last one, what was between is lost."""
        if self.time or self.cursor:
            self._gap, self._calm = reason, False

    def _settle(self, time: int) -> None:
        reason, self._gap = self._gap, ""
        if not reason or (self.time and time <= self.time):
            return
        log.error(
            "%s: events from %s to %s may be lost: %s. Posts of that time are missing in the feeds",
            self.name,
            _shown(self.time) if self.time else "the last visit",
            _shown(time),
            reason,
        )
        self._on_gap(self.time, time, reason)


def _shown(us: int) -> str:
    return moment(us).isoformat(" ", "seconds")
