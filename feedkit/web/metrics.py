"""/metrics, for Prometheus: what all processes of the service said of themselves, from the store.

Any web process answers for all of them, so that one address is scraped, however many there are.
"""

from __future__ import annotations

import hmac
import os
import threading
import time
from collections.abc import Iterator
from typing import cast

from flask import Blueprint, Response, current_app, request
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from feedkit.heartbeat.pulse import now_us
from feedkit.overview import look
from feedkit.settings import Service
from feedkit.store import Store, StoreError
from feedkit.web.errors import XrpcError
from feedkit.web.exposition import families, without_store
from feedkit.web.watch import Watch

blueprint = Blueprint("metrics", __name__)

TOKEN = "FEEDKIT_METRICS_TOKEN"
SHORTEST = 16  # characters
FRESH = 15.0  # seconds for which an answer is given again without a look at the store
_lock = threading.Lock()


@blueprint.get("/metrics")
def metrics() -> Response:
    """The figures, for who has the token."""
    _check_token()
    with _lock:  # whoever asks meanwhile gets the same answer
        made, body = current_app.config.get("METRICS", (0.0, b""))
        if not body or time.monotonic() - made > FRESH:
            body = _text()
            current_app.config["METRICS"] = time.monotonic(), body
    return Response(body, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _check_token() -> None:
    """The figures tell of feeds that are not offered, and how the machine fares: nobody's business
    unless somebody gives them a token. By address alone they could not be kept: behind a proxy
    all the world comes from this machine."""
    token = os.environ.get(TOKEN, "")
    if not token:
        raise XrpcError("NotFound", f"no metrics are shown here; {TOKEN} is not set", 404)
    if len(token) < SHORTEST:
        raise XrpcError(
            "NotFound", f"no metrics are shown: {TOKEN} is shorter than {SHORTEST} characters", 404
        )
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        raise XrpcError("AuthMissing", f"the metrics need Authorization: Bearer ${TOKEN}", 401)


def _text() -> bytes:
    service = cast(Service, current_app.config["SERVICE"])
    store = cast(Store, current_app.config["STORE"])
    try:
        return generate_latest(_Said(families(look(service, store, now_us()))))
    except StoreError:
        watch = cast(Watch | None, current_app.config.get("WATCH"))
        return generate_latest(_Said(without_store({watch.name: watch.figures()} if watch else {})))


class _Said(Collector):
    def __init__(self, metrics: Iterator[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics
