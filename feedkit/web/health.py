"""Whether this process lives, and whether it can do its work."""

from __future__ import annotations

import time
from typing import Any, cast

from flask import Blueprint, current_app

import feedkit
from feedkit.store import SchemaError, Store, StoreError
from feedkit.times import moment

blueprint = Blueprint("health", __name__)


@blueprint.get("/xrpc/_health")
@blueprint.get("/health")
def health() -> tuple[dict[str, Any], int]:
    """Whether this process can answer: 200, or 503 with the reason."""
    try:
        clock = _store().stream_clock()
    except StoreError as error:
        return {"status": "store unavailable", "message": str(error)}, 503
    return {"status": "ok", "version": feedkit.__version__, **_stream(clock)}, 200


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
    except StoreError as error:
        return {"status": "not ready", "reason": "store", "message": str(error)}, 503
    return {"status": "ready", "version": feedkit.__version__, **_stream(clock)}, 200


def _stream(clock: int) -> dict[str, Any]:
    """What is said of the stream: nothing before anything was read."""
    if not clock:
        return {}
    read = moment(clock).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"streamTime": read, "streamLagSeconds": max(time.time() - clock / 1_000_000, 0.0)}


def _store() -> Store:
    return cast(Store, current_app.config["STORE"])
