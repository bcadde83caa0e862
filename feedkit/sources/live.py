"""What following a live stream is, whichever wire it speaks: connect, decode, go on."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator

from feedkit.event import Frame
from feedkit.logs import worth_saying
from feedkit.settings import Stream
from feedkit.sources.decode import BadFrame, StreamNotice, wanted_collections
from feedkit.sources.position import OnGap, Position, StartedOver
from feedkit.sources.socket import Closed, Opened, Socket
from feedkit.sources.syntax import without_login

log = logging.getLogger(__name__)

# Names by which servers say that they cannot go on from the cursor.
_CURSOR_REFUSED = ("CursorTooOld", "FutureCursor", "OutdatedCursor")


class LiveSource:
    """A stream that goes on until it is told to stop. Subclasses know its wire.

    `meanwhile`: what it means that there is no connection.
    """

    meanwhile = "the feeds get no new posts, and catch up afterwards"
    subprotocol: str | None = None
    max_size: int  # bytes of the largest message

    def __init__(
        self, kind: str, stream: Stream, engagement: frozenset[str], on_gap: OnGap
    ) -> None:
        self.name = f"{kind} {without_login(stream.url.partition('?')[0])}"
        self._stream = stream
        self._wanted = wanted_collections(engagement)
        self._on_gap = on_gap
        self._bad = 0
        self.problem = ""  # why there is no connection, or nothing

    def frames(
        self, cursor: int | None, time: int, stop: threading.Event
    ) -> Iterator[Frame | None]:
        """A Frame per message, None at least every 100 ms in which nothing arrives; ends within
        a second when `stop` is set.

        `cursor`, `time`: of the last stored frame of this source; None and 0 for a first start,
        None and a time if another source was followed before.
        """
        position = self._position(cursor, time)
        socket = Socket(
            self._stream,
            lambda: self._address(position),
            stop,
            subprotocol=self.subprotocol,
            max_size=self.max_size,
        )
        works = False
        for message in socket.messages():
            if not isinstance(message, bytes):
                if isinstance(message, Opened):
                    works, self.problem = False, ""
                    log.info("%s: connected, reading %s", self.name, _from(position))
                elif isinstance(message, Closed):
                    self._closed(message, position)
                yield None
                continue
            frame: Frame | None = None
            try:
                decoded = self._decode(message, position)
            except BadFrame as problem:
                frame = self._skip(problem, position)
            except StreamNotice as notice:
                if self._told(notice, position):
                    socket.reconnect()
            except Exception as bug:  # no message ends the stream, not even by our own mistake
                log.exception("%s: a mistake of feedkit's; the message is skipped", self.name)
                frame = self._skip(bug, position)
            else:
                if not works:
                    works = True
                    socket.works()
                try:
                    frame = position.take(decoded)
                except StartedOver:
                    socket.reconnect()
            yield frame

    def _position(self, cursor: int | None, time: int) -> Position:
        raise NotImplementedError

    def _address(self, position: Position) -> str:
        """The URL to open next. May take its time."""
        raise NotImplementedError

    def _decode(self, message: bytes, position: Position) -> Frame:
        raise NotImplementedError

    def _refused(self, error: str, position: Position) -> bool:
        """Whether the wire knows what to do about a refusal of this name."""
        return False

    def _skip(self, problem: Exception, position: Position) -> Frame | None:
        """A message that could not be read: counted, and logged ever more rarely."""
        self._bad += 1
        if worth_saying(self._bad):
            log.warning(
                "%s: a message was skipped, %s. That makes %s since the start; "
                "whatever it held is not in the feeds",
                self.name,
                problem,
                f"{self._bad:,}",
            )
        return Frame(position.cursor, 0, (), (("", str(problem)),)) if position.cursor else None

    def _told(self, notice: StreamNotice, position: Position) -> bool:
        """The server said something; whether to connect anew because of it."""
        if notice.name == "OutdatedCursor" and not notice.final:
            log.warning("%s: %s; it begins with the oldest that it has", self.name, notice)
            position.expect_gap("the server no longer has what came after the last visit")
            return False
        if notice.name in _CURSOR_REFUSED:
            log.warning("%s: %s", self.name, notice)
            return position.lost("the server did not know the place in its stream any more")
        if notice.name == "ConsumerTooSlow":
            log.warning(
                "%s: %s. Nothing is lost, but new posts come late to the feeds until ingest has "
                "caught up; if this repeats, the machine or the database is too slow",
                self.name,
                notice,
            )
        elif notice.final:
            log.warning("%s: the server ended the stream: %s", self.name, notice)
        else:
            log.info("%s: %s", self.name, notice)
        return False

    def _closed(self, closed: Closed, position: Position) -> None:
        error = said = ""
        if closed.status:
            error, said = _xrpc_error(closed.body)
            if error in _CURSOR_REFUSED:
                position.lost("the server no longer has what came after the last visit")
            elif self._refused(error, position):
                return
        reason = without_login(closed.reason)
        if closed.wait:
            self.problem = reason
        log.log(
            logging.WARNING if closed.wait else logging.INFO,
            "%s: %s%s; %s",
            self.name,
            reason,
            f" ({error}: {said})" if error else "",
            f"trying again in {closed.wait:.0f} s. Until then {self.meanwhile}"
            if closed.wait
            else "connecting anew",
        )


def _from(position: Position) -> str:
    if position.resume == "cursor":
        return f"on from {position.cursor}"
    return "what is new" if position.resume == "live" else "by time"


def _xrpc_error(body: bytes) -> tuple[str, str]:
    """`error` and `message` of an XRPC error, or nothing."""
    try:
        answer = json.loads(body)
        return str(answer["error"])[:100], str(answer.get("message", ""))[:500]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "", ""
