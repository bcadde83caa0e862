"""Asking over HTTP: what an answer says, and with how much patience one asks again."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar

import httpx
import msgspec
from msgspec import Struct

T = TypeVar("T")


class Trouble(Exception):
    """There is no answer now; another try may bring one. `peace`: seconds for which the server
    wants to be left alone."""

    def __init__(self, problem: str, peace: float = 0.0) -> None:
        super().__init__(problem)
        self.peace = peace


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def object(self) -> dict[str, Any] | None:
        """The JSON object in it; None where there is none."""
        return object_in(self.body)

    @property
    def told(self) -> str:
        """The message of an XRPC error, or else its name; empty where it has neither."""
        found = self.object or {}
        said = found.get("message") or found.get("error")
        return " ".join(said.split())[:200] if isinstance(said, str) else ""

    @property
    def aside(self) -> str:
        """`told`, as it goes behind a sentence: in brackets, or nothing."""
        told = self.told
        return f" ({told})" if told else ""

    @property
    def peace(self) -> float:
        """Seconds for which a server that is busy asks us to wait."""
        return _asked_to_wait(self.headers) if self.status in (429, 503) else 0.0


class Patience(Struct, frozen=True):
    """With how much patience one asks: `tries` in all, the second after `pause` seconds, which
    double. Seconds at most: `wait` for one wait, `waits` for all of them together, `longest` for
    everything. `quota`: a server that asks us to wait does its work, and no try is counted."""

    tries: int
    pause: float
    wait: float = math.inf
    waits: float = math.inf
    longest: float = math.inf
    quota: bool = False

    def ask(
        self,
        once: Callable[[], T],
        stop: threading.Event,
        on_wait: Callable[[str, float], object] = lambda problem, seconds: None,
    ) -> T:
        """What `once` returns. Where it raises `Trouble`, or httpx finds nobody, it is called again
        after a while; raises `Trouble` once the patience is at an end, or `stop` is set. `on_wait`
        is told of every wait that the server asks for: why, and how many seconds."""
        ends = time.monotonic() + self.longest
        waited, tries = 0.0, 0
        while True:
            try:
                return once()
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problem, peace = f"cannot be asked ({said_by(error)})", 0.0
            except Trouble as trouble:
                problem, peace = str(trouble), trouble.peace
            tries += not (peace and self.quota)
            wait = max(peace, self.pause * 2 ** max(tries - 1, 0))
            waited += wait
            if wait > self.wait or waited > self.waits or time.monotonic() + wait > ends:
                if wait == peace:
                    problem += f" and wants to be left alone for {wait:.0f} s"
                raise Trouble(problem)
            if tries >= self.tries:
                raise Trouble(problem)
            if peace:
                on_wait(problem, peace)
            if stop.wait(wait):
                raise Trouble(problem)


def object_in(body: bytes) -> dict[str, Any] | None:
    """The JSON object that `body` is; None where it is none."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def said_by(error: BaseException) -> str:
    """`[Errno -2] Name or service not known` without its number; timeouts often say nothing."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def _asked_to_wait(headers: httpx.Headers) -> float:
    """Seconds, from Retry-After (seconds or a date) or ratelimit-reset (seconds since 1970)."""
    after, reset = headers.get("retry-after", ""), headers.get("ratelimit-reset", "")
    try:
        if after.isascii() and after.isdigit():
            return float(after)
        if after:
            return max(0.0, parsedate_to_datetime(after).timestamp() - time.time())
        if reset.isascii() and reset.isdigit():
            return max(0.0, float(reset) - time.time())
    except (ValueError, OverflowError):
        pass
    return 0.0
