"""Whether this process lives, and whether it can do its work.

What lives must not be restarted because the store is away: just then its pages stand in. So
/health never waits for the store, nor behind requests that do; it says how the store was a moment
ago. Whether requests can be answered in full is what /ready says.
"""

from __future__ import annotations

import logging
import time
from typing import Any, NamedTuple, cast

from flask import Blueprint, current_app

import feedkit
from feedkit.store import SchemaError, Store, StoreError
from feedkit.times import moment

log = logging.getLogger(__name__)
blueprint = Blueprint("health", __name__)

PATHS = ("/health", "/xrpc/_health")
OUT_OF_REACH = "the store cannot be read just now; the log says why"
LOOK = 1.0  # seconds between two looks at the store
LATE = 5.0  # seconds without a look that came to an end: then the store hangs


class _Seen(NamedTuple):
    """What a look found: the stream's clock, or why there is none; `at`: by `time.monotonic`."""

    clock: int
    problem: str
    at: float


class Lookout:
    """How the store is, as this process last saw it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._began, self._seen = time.monotonic(), cast(_Seen | None, None)

    def look(self) -> None:
        """Ask the store. May take its time, so a thread does it, every `LOOK` seconds."""
        try:
            clock, problem = self._store.live_clock(), ""
        except StoreError as error:  # whose text names the database's host and user
            clock, problem = 0, OUT_OF_REACH
            if not (self._seen and self._seen.problem):
                log.error("the store cannot be read: %s", error)
        else:
            if self._seen and self._seen.problem:
                log.info("the store can be read again")
        self._seen = _Seen(clock, problem, time.monotonic())

    @property
    def lost(self) -> str:
        """Why the store is out of reach, or nothing."""
        seen = self._seen
        silent = time.monotonic() - (seen.at if seen else self._began)
        if silent > LATE:
            return f"the store has not answered for {silent:.0f} s"
        return seen.problem if seen else ""

    def said(self) -> dict[str, Any]:
        """What is known, at once: `status` is `ok`, `store unavailable` with the reason, or
        `starting` before the first look."""
        version = {"version": feedkit.__version__}
        if problem := self.lost:
            return {"status": "store unavailable", **version, "message": problem}
        if self._seen is None:
            return {"status": "starting", **version}
        return {"status": "ok", **version, **_stream(self._seen.clock)}


@blueprint.get("/xrpc/_health")
@blueprint.get("/health")
def health() -> dict[str, Any]:
    """The same where no front stands before Flask, which answers without it: asks the store."""
    lookout = Lookout(_store())
    lookout.look()
    return lookout.said()


@blueprint.get("/ready")
def ready() -> tuple[dict[str, Any], int]:
    """Whether requests may be sent here: 200 where the store answers and its tables are those of
    this version, else 503 with the reason. A stream that lags is told, and no reason: the feeds
    are served meanwhile."""
    store = _store()
    try:
        store.check_schema()
        clock = store.live_clock()
    except SchemaError as error:
        return {"status": "not ready", "reason": "schema", "message": str(error)}, 503
    except StoreError:
        return {"status": "not ready", "reason": "store", "message": OUT_OF_REACH}, 503
    return {"status": "ready", "version": feedkit.__version__, **_stream(clock)}, 200


def _stream(clock: int) -> dict[str, Any]:
    """What is said of the stream: nothing before anything was read."""
    if not clock:
        return {}
    read = moment(clock).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"streamTime": read, "streamLagSeconds": max(time.time() - clock / 1_000_000, 0.0)}


def _store() -> Store:
    return cast(Store, current_app.config["STORE"])
