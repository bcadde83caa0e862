"""Jetstream from a moment in the past on."""

from __future__ import annotations

from feedkit.event import Frame
from feedkit.settings import Stream
from feedkit.sources.decode import StreamNotice
from feedkit.sources.jetstream import Jetstream
from feedkit.sources.position import DAY, HOUR, Position
from feedkit.sources.socket import Closed

LOOKBACK = 35 * HOUR  # microseconds; a Jetstream v1 goes back 36 hours
_TOO_OLD = ("CursorTooOld", "FutureCursor", "OutdatedCursor")


class Refused(Exception):
    """The stream does not go back as far as it was asked to."""


class Rewound(Jetstream):
    """Frames of a Jetstream from a time on, and then from the cursor reached.

    `open`: whether there is a connection; None while one is being opened. `refusal`: what the
    server said if it does not go back so far. `cut`: it said that it began with the oldest that it
    has. `silent`: it would not say so.
    """

    meanwhile = "nothing more is filled; what was filled stays"

    def __init__(self, stream: Stream, engagement: frozenset[str]) -> None:
        super().__init__(stream, engagement, _nothing)
        self.stream_name = self.name
        self.name = f"backfill from {self.name}"
        self.open: bool | None = None
        self.refusal = ""
        self.cut = False
        self.silent = not self._v2

    def _position(self, cursor: int | None, time: int) -> Position:
        if self._v2:
            return _Past(self.name, cursor, time, _nothing, inclusive=True)
        return _Past(self.name, cursor, time, _nothing, far_back=HOUR, far_ahead=DAY)

    def _address(self, position: Position) -> str:
        self.open = None
        return super()._address(position)

    def _told(self, notice: StreamNotice, position: Position) -> bool:
        if notice.name == "OutdatedCursor" and not notice.final and position.resume == "time":
            self.cut = True
            return False
        if notice.name in _TOO_OLD:
            self.refusal = str(notice)
            return False
        return super()._told(notice, position)

    def _closed(self, closed: Closed, position: Position) -> None:
        self.open = False
        for name in _TOO_OLD:
            if closed.status and name.encode() in closed.body:
                self.refusal = f"{closed.reason}: {name}"
                return
        super()._closed(closed, position)


class _Past(Position):
    """The past is known to have an end: nothing is a gap."""

    def expect_gap(self, reason: str) -> None:
        pass


def is_news(frame: Frame, cursor: int) -> bool:
    """Whether `frame` is behind `cursor`; Jetstream v2 begins with the one at the cursor."""
    return frame.cursor > cursor


def _nothing(*_: object) -> None:
    pass
