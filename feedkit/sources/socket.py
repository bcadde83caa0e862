"""One websocket that is opened again for as long as nobody stops it.

What the messages mean is the sources' business; this loop only keeps them coming. It survives
whatever a server does: refusals, garbage, silence, every close code, text that is no UTF-8.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from msgspec import Struct
from websockets.exceptions import ConnectionClosed, InvalidStatus

from feedkit.settings import Stream
from feedkit.sources.connection import Connection, connect

TICK = 0.1  # seconds: how often a waiting source gives the turn back
OPEN_TIMEOUT = 10.0  # seconds for name look-up, TCP, TLS and the upgrade together

T = TypeVar("T")


class Opened(Struct, frozen=True):
    """A connection is there."""


class Closed(Struct, frozen=True):
    """A connection is gone or did not come about; `wait` seconds until the next try. `status`:
    of the HTTP answer if there was one instead of a websocket, with its `body`."""

    reason: str
    wait: float
    status: int = 0
    body: bytes = b""


class Socket:
    """Messages of `address()`, which is asked anew for every connection.

    Waits `backoff` seconds after the first failure, twice as long after each further one, up to
    `backoff_cap`; `works()` sets that back. Nothing for `idle` seconds counts as a failure.
    """

    def __init__(
        self,
        stream: Stream,
        address: Callable[[], str],
        stop: threading.Event,
        *,
        subprotocol: str | None = None,
        max_size: int,
    ) -> None:
        self._stream = stream
        self._address = address
        self._stop = stop
        self._options: dict[str, Any] = {
            "subprotocols": [subprotocol] if subprotocol else [],
            "max_size": max_size,
            "timeout": OPEN_TIMEOUT,
        }
        self._failures = 0
        self._again = False

    def works(self) -> None:
        """The connection brings what it should: the next failure is a first one."""
        self._failures = 0

    def reconnect(self) -> None:
        """Leave this connection and open the next one at once."""
        self._again = True

    def messages(self) -> Iterator[bytes | Opened | Closed | None]:
        """Messages as bytes, Opened and Closed as they happen, and None every TICK in which
        nothing arrives. Ends only when `stop` is set, within a second."""
        while not self._stop.is_set():
            self._again = False
            try:
                connection = in_background(
                    lambda: connect(self._address(), **self._options), self._stop, _abandon
                )
            except InvalidStatus as refusal:
                answer = refusal.response
                body = bytes(answer.body or b"")
                reason = f"the server answered {answer.status_code} {answer.reason_phrase}"
                closed = Closed(reason, self._failed(), answer.status_code, body)
            except Exception as problem:  # whatever it is, the next try may fare better
                closed = Closed(_said(problem), self._failed())
            else:
                if connection is None:
                    return
                try:
                    yield Opened()
                    reason = yield from self._receive(connection)
                finally:
                    connection.close()
                if self._stop.is_set():
                    return
                closed = Closed(reason, 0.0 if self._again else self._failed())
            yield closed
            until = time.monotonic() + (0.0 if self._again else closed.wait)
            while (left := until - time.monotonic()) > 0 and not self._stop.wait(min(left, TICK)):
                yield None

    def _receive(self, connection: Connection) -> Generator[bytes | None, None, str]:
        """Messages of one connection; returns why it ended."""
        receive, stopped = connection.recv, self._stop.is_set
        silence = 0
        while not stopped():
            try:
                message = receive(TICK)
            except TimeoutError:
                silence += 1
                if silence * TICK >= self._stream.idle:
                    return f"nothing arrived for {self._stream.idle:g} seconds"
                yield None
            except ConnectionClosed as problem:
                return _said(problem)
            else:
                silence = 0
                yield message
            if self._again:
                return "it starts again from another place"
        return "stopped"

    def _failed(self) -> float:
        """Seconds to wait after this failure: a little random, so that the readers of a server
        that comes back do not all come back in the same moment."""
        wait = min(self._stream.backoff * 2.0 ** min(self._failures, 30), self._stream.backoff_cap)
        self._failures += 1
        return wait * random.uniform(0.75, 1.0)


def in_background(
    call: Callable[[], T], stop: threading.Event, abandon: Callable[[T], None] | None = None
) -> T | None:
    """What `call` returns or raises, or None as soon as `stop` is set: name look-ups and
    connections cannot be interrupted. `abandon` gets a result that comes too late."""
    results: list[T] = []
    problems: list[BaseException] = []
    done, lock, given_up = threading.Event(), threading.Lock(), threading.Event()

    def work() -> None:
        try:
            result = call()
        except BaseException as problem:
            problems.append(problem)
        else:
            with lock:
                results.append(result)
                late = given_up.is_set()
            if late and abandon:
                abandon(result)
        done.set()

    threading.Thread(target=work, name="feedkit-connect", daemon=True).start()
    while not done.wait(TICK):
        if stop.is_set():
            with lock:
                if not results:
                    given_up.set()
                    return None
    if problems:
        raise problems[0]
    return results[0]


def _abandon(connection: Connection) -> None:
    connection.close()


def _said(problem: Exception) -> str:
    return str(problem) or type(problem).__name__
