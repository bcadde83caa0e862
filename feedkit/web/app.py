"""The Flask app factory. Importing it starts nothing: no thread, no scheduler, no connection."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import cast

from flask import Flask, Response, current_app, jsonify, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException

from feedkit.auth import Authenticator
from feedkit.config import load_config
from feedkit.logs import worth_saying
from feedkit.settings import Service
from feedkit.store import Store, StoreError, Unavailable, open_store
from feedkit.viewers import Viewers
from feedkit.web import health, metrics, pages, xrpc
from feedkit.web.errors import XrpcError

log = logging.getLogger(__name__)

APART = 60.0  # seconds after which a failure of the store is another one
_OPEN = ("/.well-known/did.json", xrpc.DESCRIBE)


def create_app(service: Service | None = None, store: Store | None = None) -> Flask:
    """The web application of `service`; without it, of the configuration that `FEEDKIT_CONFIG`
    names (else `config.yaml` here). It is served behind `feedkit.web.front`.

    Raises `ConfigError` or `StoreError` where these cannot be used.
    """
    if service is None:
        service = load_config(Path(os.environ.get("FEEDKIT_CONFIG", "config.yaml")))
    app = Flask(__name__)
    app.config["SERVICE"] = service
    app.config["STORE"] = store or open_store(service.store, timeout=2.0)
    app.config["DIDS"] = {}  # of publishers, by handle
    app.config["AUTH"] = Authenticator(service)
    app.config["VIEWERS"] = Viewers(service, app.config["STORE"])
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.register_blueprint(xrpc.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(metrics.blueprint)
    app.register_blueprint(pages.blueprint)
    app.before_request(_check_query)
    app.after_request(_say_methods)
    app.after_request(_open_to_browsers)
    app.register_error_handler(XrpcError, _refused)
    app.register_error_handler(StoreError, _Without().answer)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _broken)
    return app


def _check_query() -> None:
    """Refuse a query that is no text: whoever looks at a parameter would raise. No browser
    sends one, but some servers let it through."""
    if _query() is None:
        raise XrpcError("InvalidRequest", "the query is not UTF-8; write other bytes as %XX")


def _query() -> MultiDict[str, str] | None:
    """The parameters; None where the query is no text."""
    try:
        return request.args
    except UnicodeDecodeError:
        return None


def _say_methods(response: Response) -> Response:
    """Say which methods a path takes, where that is asked, or another one was tried. Of a path with
    a rule of its own only that counts: `/xrpc/<nsid>` takes both, to say which is right."""
    if response.status_code == 405 or request.method == "OPTIONS":
        rules = [rule for rule in current_app.url_map.iter_rules() if rule.rule == request.path]
        if methods := {method for rule in rules for method in rule.methods or ()}:
            response.headers["Allow"] = ", ".join(sorted(methods))
    return response


def _open_to_browsers(response: Response) -> Response:
    """Let scripts of any site read what is the same for everybody. `*` is never for a request with
    credentials, and as a list of headers means all but Authorization."""
    if _is_for_all():
        response.headers["Access-Control-Allow-Origin"] = "*"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "GET, HEAD"
            response.headers["Access-Control-Allow-Headers"] = "*"
            response.headers["Access-Control-Max-Age"] = "86400"
    return response


def _is_for_all() -> bool:
    """Whether the answer is the same for everybody: also where there is no such feed."""
    if request.path != xrpc.SKELETON:
        return request.path in _OPEN
    query, service = _query(), cast(Service, current_app.config["SERVICE"])
    if query is None:
        return False
    asked = [service.feeds.get(uri.rpartition("/")[2]) for uri in query.getlist("feed")]
    return not any(feed.personal for feed in asked if feed is not None)


def _answer(status: int, error: str, message: str, again: int = 0) -> Response:
    response = jsonify(error=error, message=message)
    response.status_code = status
    if again:
        response.headers["Retry-After"] = str(again)
    return response


def _refused(error: XrpcError) -> Response:
    return _answer(error.status, error.error, error.message, error.again)


class _Without:
    """The answers while the store cannot be read. Each time that it is gone is said in the log, not
    each request."""

    def __init__(self) -> None:
        self._failures, self._last = 0, 0.0

    def answer(self, error: StoreError) -> Response:
        now = time.monotonic()
        self._failures = 1 if now - self._last > APART else self._failures + 1
        self._last = now
        if worth_saying(self._failures):
            log.error("%s %s: the store cannot be read: %s", request.method, request.path, error)
            if isinstance(error, Unavailable):
                log.info("the next request connects anew")
        message = "the feed's store cannot be read just now; try again"
        return _answer(503, "Unavailable", message, again=5)


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    name = {404: "NotFound", 405: "MethodNotAllowed", 414: "InvalidRequest"}.get(status)
    response = _answer(status, name or error.name.replace(" ", ""), error.description or error.name)
    for header, value in error.get_headers():  # such as Allow, which belongs to 405
        if header != "Content-Type":
            response.headers[header] = value
    return response


def _broken(error: Exception) -> Response:
    log.exception("%s %s failed; please report this", request.method, request.path)
    return _answer(500, "InternalServerError", "feedkit failed here; its log says how")
