"""Asking for the pages of a search, signed in, with patience."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

import httpx

from feedkit.appview import PAUSE, TRIES, Away, Gone
from feedkit.asking import Answer, Patience, Trouble
from feedkit.backfill.filling import RATE_LIMIT
from feedkit.backfill.views import Ask

log = logging.getLogger(__name__)


def patiently(ask: Ask, failure: type[Exception], stop: threading.Event) -> Ask:
    """`ask`, again where its server is busy or away, and as late as that wants. `failure` is what
    `ask` raises, because of an answer of the SDK's.

    Raises `Away` when the patience is at an end, `Gone` where the server finds the question wrong,
    and `failure` for what another try would not change."""
    patience = Patience(TRIES, PAUSE, waits=RATE_LIMIT, quota=True)

    def asked(method: str, params: Mapping[str, str | int]) -> Mapping[str, Any]:
        def once() -> Mapping[str, Any]:
            try:
                return ask(method, params)
            except failure as error:
                status, peace = _answered(error)
                if status == 400:
                    raise Gone(str(error)) from error
                if 0 < status < 500 and status != 429:
                    raise
                raise Trouble(str(error), peace) from error

        try:
            return patience.ask(once, stop, _tell)
        except Trouble as trouble:
            raise Away(str(trouble)) from trouble

    return asked


def _answered(error: Exception) -> tuple[int, float]:
    """The status that the server answered with, 0 where it did not, and for how many seconds it
    wants to be left alone."""
    response = getattr(error.__cause__, "response", None)
    if response is None:
        return 0, 0.0
    headers = httpx.Headers({str(name): str(value) for name, value in response.headers.items()})
    return response.status_code, Answer(response.status_code, headers, b"").peace


def _tell(problem: str, seconds: float) -> None:
    log.info("%s: waiting %.0f s", problem, seconds)
