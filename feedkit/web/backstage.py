"""Flask behind an ASGI server: each request is one call in one of a few threads.

Why not a general bridge: handing over start, chunks and end one by one costs three changes of
thread a request (measured: 2,900 requests/s; this 7,500; gunicorn's own sync worker 5,000).
"""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

from werkzeug.test import run_wsgi_app

from feedkit.logs import worth_saying

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MOST_WAITING = 256  # calls that are running or wait for a thread; a full page of them takes 0.1 s
LONGEST = 3.0  # seconds for an answer, with the wait for a thread: a driver may wait for ever


class Busy(Exception):
    """There is no answer in time. `error` names the kind, the message says more."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error, self.message = error, message


class Answer(NamedTuple):
    """A finished HTTP answer."""

    status: int
    headers: Headers
    body: bytes


class Backstage:
    """The WSGI application `app` for calls from an event loop, `most` of them at a time."""

    def __init__(self, app: Callable[..., Iterable[bytes]], threads: int, most: int = 0) -> None:
        self._app, self._most = app, most
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="web")
        self.waiting = 0
        self._late = 0

    async def call(
        self, scope: Scope, body: bytes, ended: Callable[[], None] = lambda: None
    ) -> Answer:
        """What the application answers to the request `scope` (ASGI) with this body. Raises `Busy`,
        after `LONGEST` seconds at the latest. `ended` is called when the body is let go of, which
        is later where nobody waits for the answer any longer."""
        if self.waiting >= (self._most or MOST_WAITING):
            ended()
            raise Busy("Busy", "too many are asking just now; try again")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        until = time.monotonic() + LONGEST

        def over(given: Answer | None, error: BaseException | None) -> None:
            # Only now: what nobody waits for any longer still stands in the queue.
            self.waiting -= 1
            ended()
            if answer.done():
                return
            if given is not None:
                answer.set_result(given)
            else:
                answer.set_exception(error or _late())

        def run() -> None:
            given, error = None, None
            try:
                given = self._run(made, until)
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # the loop is closed: nobody waits any longer
                loop.call_soon_threadsafe(over, given, error)

        try:
            made = environ(scope, body)
            self._pool.submit(run)
        except BaseException:
            ended()
            raise
        self.waiting += 1
        # Measured: half the time of a future of the pool's that is wrapped and waited for.
        bell = loop.call_later(LONGEST, self._give_up, answer, scope["path"])
        try:
            return await answer
        finally:
            bell.cancel()

    def _give_up(self, answer: asyncio.Future[Answer], path: str) -> None:
        if answer.done():
            return
        self._late += 1
        if worth_saying(self._late):
            log.error(
                "%s had no answer within %g s, %d requests so far; does the store hang?",
                path, LONGEST, self._late,
            )  # fmt: skip
        answer.set_exception(_late())

    def close(self) -> None:
        """Take no more calls."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, given: dict[str, Any], until: float) -> Answer:
        if time.monotonic() > until:
            raise _late()
        parts, status, headers = run_wsgi_app(self._app, given, buffered=True)
        return Answer(
            int(status[:3]),
            [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
            b"".join(parts),
        )


def _late() -> Busy:
    return Busy("Unavailable", "there was no answer in time; does the store hang? try again")


def environ(scope: Scope, body: bytes) -> dict[str, Any]:
    """The WSGI environment (PEP 3333) of an ASGI request."""
    host, port = scope.get("server") or ("localhost", 0)
    client, client_port = scope.get("client") or ("", 0)
    made: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": str(host),
        "SERVER_PORT": str(port or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": str(client),
        "REMOTE_PORT": str(client_port),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        if name in (b"content-length", b"transfer-encoding"):
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        if key != "CONTENT_TYPE":
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        made[key] = f"{made[key]},{text}" if key in made else text
    return made
