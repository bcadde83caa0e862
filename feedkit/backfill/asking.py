"""Questions to the archive of a Jetstream v2 (network.bsky.jetstream.*), with its key, and with
patience: it is metered by bytes, and a quota that is used up fills again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

import httpx

import feedkit
from feedkit.asking import Answer, Patience, Trouble
from feedkit.backfill.staging import Stopped

log = logging.getLogger(__name__)

KEY = "FEEDKIT_ARCHIVE_KEY"
PREFIX = "network.bsky.jetstream."
LARGEST = 64 * 2**20  # bytes of an answer
TIMEOUT = 20.0  # seconds for a connection, and between two pieces of an answer
TRIES = 5
PAUSE = 1.0  # seconds before the second try; it doubles
PATIENCE = 900.0  # seconds in all that the server may ask us to wait
DOWNLOADS = ("getBlock", "getSegment")  # what is metered


class NoArchive(Exception):
    """The archive cannot be read now. The message says why, and what can be done."""


class Rewritten(Exception):
    """A segment is no longer what was planned."""


class Asking(AbstractContextManager["Asking"]):
    """The archive of the Jetstream at `url` (ws:// or wss://). `bytes`: those that were fetched
    of segments. The key goes to this host alone: no redirect is followed.

    `pause`, `patience`: see above.
    """

    def __init__(
        self,
        url: str,
        key: str,
        stop: threading.Event,
        *,
        pause: float = PAUSE,
        patience: float = PATIENCE,
    ) -> None:
        parts = urlsplit(url)
        scheme = "https" if parts.scheme == "wss" else "http"
        folder = parts.path.rstrip("/").rpartition("/")[0] or "/xrpc"
        self.host = parts.netloc.rpartition("@")[2]
        self.bytes = 0
        self._base = f"{scheme}://{parts.netloc}{folder}/{PREFIX}"
        self._stop = stop
        self._patience = Patience(TRIES, pause, waits=patience, quota=True)
        self._client = httpx.Client(
            timeout=TIMEOUT,
            headers={
                "authorization": f"Bearer {key}",
                "user-agent": f"feedkit/{feedkit.__version__}",
                "accept-encoding": "identity",
            },
        )

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def ask(
        self,
        method: str,
        params: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        """An answer of status 200, 206 or 416, after as many tries and as much waiting as it
        takes. Raises `NoArchive`, `Rewritten`, and `Stopped` when `stop` is set."""

        def once() -> Answer:
            answer = self._once(method, params, body, more or {})
            if answer.status in (200, 206, 416):
                return answer
            problem = f"answered {method} with status {answer.status}{answer.aside}"
            self._check(method, answer.status, problem, answer.aside)
            raise Trouble(problem, answer.peace)

        def on_wait(problem: str, seconds: float) -> None:
            log.info("%s %s: waiting %.0f s", self.host, problem, seconds)

        try:
            return self._patience.ask(once, self._stop, on_wait)
        except Trouble as trouble:
            if self._stop.is_set():
                raise Stopped from None
            raise NoArchive(
                f"{self.host} {trouble}; what was found is kept: run this again to go on"
            ) from None

    def _check(self, method: str, status: int, problem: str, told: str) -> None:
        """Raise for what another try would not change."""
        if status in (401, 403):
            raise NoArchive(
                f"{self.host} refuses the key in {KEY}{told}; put a valid one there and run this "
                "again; what was found is kept"
            )
        if status in (400, 404) and method in DOWNLOADS:
            raise Rewritten
        if status in (404, 405, 501) or 300 <= status < 400:
            raise NoArchive(
                f"{self.host} has no archive (it {problem}); name a Jetstream v2 that has one with "
                "--jetstream"
            )
        if status < 500 and status != 429:
            raise NoArchive(f"{self.host} {problem}")

    def _once(
        self,
        method: str,
        params: Mapping[str, str],
        body: Mapping[str, Any] | None,
        more: Mapping[str, str],
    ) -> Answer:
        if self._stop.is_set():
            raise Stopped
        held = bytearray()
        with self._client.stream(
            "GET" if body is None else "POST",
            self._base + method,
            params=params,
            json=body,
            headers=dict(more),
        ) as answer:
            for piece in answer.iter_bytes():
                held += piece
                if method in DOWNLOADS and answer.is_success:
                    self.bytes += len(piece)
                if len(held) > LARGEST or (answer.status_code == 200 and "range" in more):
                    break  # it is not what was asked for; no more of it
                if self._stop.is_set():
                    raise Stopped
        return Answer(answer.status_code, answer.headers, bytes(held))
