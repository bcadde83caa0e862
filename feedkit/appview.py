"""Questions to the AppView: with patience where it is busy, and an end to everything."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import httpx

import feedkit
from feedkit.asking import Answer, Patience, Trouble

TIMEOUT = 10.0  # seconds for a connection, and between two pieces of an answer
LONGEST = 30.0  # seconds for an answer
LARGEST = 10_000_000  # bytes of an answer
TRIES = 4
PAUSE = 1.0  # seconds before the second try; it doubles
MOST_PATIENCE = 60.0  # seconds that a server may ask us to wait before we give up for now
PAGE = 100  # the most that the API gives at once
MOST_PAGES = 2000

# The AppView says InvalidRequest for nearly everything; these words make it a definite answer.
_GONE = re.compile(
    r"not found|could not (be )?f[io]und|unable to resolve|no such|taken ?down|deactivated|"
    r"suspended|deleted",
    re.IGNORECASE,
)
_ERRORS = re.compile(r"NotFound|Takedown|Deactivated|Suspended")


class Unresolved(Exception):
    """It could not be found out who is meant. The message says why."""


class Away(Unresolved):
    """The network could not be asked, or gave no sensible answer: another time it may."""


class Gone(Unresolved, LookupError):
    """The network says that there is no such thing, or not any more."""


class AppView(AbstractContextManager["AppView"]):
    """The AppView at `address`. `requests` counts what it was asked. `stop` ends every wait;
    `longest`: seconds after which a question is not asked again, for who has no time; `patience`:
    seconds that it may ask us to wait."""

    def __init__(
        self,
        address: str,
        stop: threading.Event,
        pause: float = PAUSE,
        *,
        longest: float = math.inf,
        patience: float = MOST_PATIENCE,
    ) -> None:
        self.address, self.requests = address, 0
        self._stop = stop
        self._patience = Patience(TRIES, pause, wait=patience, longest=longest)
        self._client = httpx.Client(
            timeout=TIMEOUT, headers={"user-agent": f"feedkit/{feedkit.__version__}"}
        )

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def get(self, method: str, params: Mapping[str, str | int | Sequence[str]]) -> dict[str, Any]:
        """What `method` answers. Raises `Gone`, or `Away` after several tries."""
        try:
            return self._patience.ask(lambda: self._read(self._once(method, params)), self._stop)
        except Trouble as trouble:
            raise Away(f"{self.address} {trouble}") from None

    def pages(self, method: str, params: Mapping[str, str | int], key: str) -> Iterator[list[Any]]:
        """The lists under `key`, page by page, to the last. Raises `Gone` or `Away`, also where
        there is no end to them."""
        asked: dict[str, str | int] = {**params, "limit": PAGE}
        seen = set()
        for _ in range(MOST_PAGES):
            answer = self.get(method, asked)
            items, cursor = answer.get(key), answer.get("cursor")
            if not isinstance(items, list):
                raise Away(f"{self.address} answered {method} without {key}")
            yield items
            if not cursor:
                return
            if not isinstance(cursor, str) or cursor in seen:
                raise Away(f"{self.address} leads {method} round in a circle")
            seen.add(cursor)
            asked["cursor"] = cursor
        raise Away(
            f"there are more than {MOST_PAGES * PAGE:,} accounts, which is more than feedkit takes"
        )

    def _read(self, answer: Answer) -> dict[str, Any]:
        """The object in `answer`. Raises `Trouble`, or what another try would not change."""
        found, status = answer.object, answer.status
        if status == 200 and found is not None:
            return found
        if status in (400, 404) and found is not None and _is_definite(found):
            raise Gone(f"{self.address} says: {answer.told}")
        what = f"status {status}" if status != 200 else "something that is no JSON object"
        problem = f"answered with {what}{answer.aside}"
        if status != 200 and status != 429 and status < 500:
            raise Away(f"{self.address} {problem}")
        raise Trouble(problem, answer.peace)

    def _once(self, method: str, params: Mapping[str, Any]) -> Answer:
        self.requests += 1
        ends = time.monotonic() + LONGEST
        body = b""
        url = f"{self.address}/xrpc/{method}"
        with self._client.stream("GET", url, params=params) as answer:
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > LARGEST:
                    raise httpx.DecodingError(f"more than {LARGEST:,} bytes")
                if time.monotonic() > ends or self._stop.is_set():
                    raise httpx.ReadTimeout("it took too long")
        return Answer(answer.status_code, answer.headers, body)


def _is_definite(answer: dict[str, Any]) -> bool:
    error, message = answer.get("error"), answer.get("message")
    return bool(
        (isinstance(error, str) and _ERRORS.search(error))
        or (isinstance(message, str) and _GONE.search(message))
    )
