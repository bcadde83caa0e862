"""The Flask app factory. Importing it starts nothing: no thread, no scheduler, no connection."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from feedkit.auth import Authenticator
from feedkit.config import load_config
from feedkit.settings import Service
from feedkit.store import Store, StoreError, Unavailable, open_store
from feedkit.viewers import Viewers
from feedkit.web import health, metrics, pages, xrpc
from feedkit.web.errors import XrpcError

log = logging.getLogger(__name__)


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
    app.register_error_handler(XrpcError, _refused)
    app.register_error_handler(StoreError, _no_store)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _broken)
    return app


def _answer(status: int, error: str, message: str) -> Response:
    response = jsonify(error=error, message=message)
    response.status_code = status
    return response


def _refused(error: XrpcError) -> Response:
    return _answer(error.status, error.error, error.message)


def _no_store(error: StoreError) -> Response:
    log.error("%s %s: the store cannot be read: %s", request.method, request.path, error)
    response = _answer(503, "Unavailable", "the feed's store cannot be read just now; try again")
    response.headers["Retry-After"] = "5"
    if isinstance(error, Unavailable):
        log.info("the next request connects anew")
    return response


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    name = {404: "NotFound", 405: "MethodNotAllowed", 414: "InvalidRequest"}.get(status)
    return _answer(status, name or error.name.replace(" ", ""), error.description or error.name)


def _broken(error: Exception) -> Response:
    log.exception("%s %s failed; please report this", request.method, request.full_path)
    return _answer(500, "InternalServerError", "feedkit failed here; its log says how")
