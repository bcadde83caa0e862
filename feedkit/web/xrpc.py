"""The methods that the network calls, in the shapes of their lexicons. What is absent is left
out, never null: one null makes the AppView refuse a whole page."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from secrets import token_urlsafe
from typing import Any, NoReturn, cast

import msgspec
from flask import Blueprint, Response, current_app, request

from feedkit.auth import SHORT, Authenticator, BadToken, KeyUnavailable
from feedkit.feedback import BadInteractions, TooMany, context, record
from feedkit.serving import Asker, NotProvedYet, SignInFirst, mark_asked, serve
from feedkit.settings import FeedConfig, Service
from feedkit.skeleton import BadCursor, Page
from feedkit.store import Store
from feedkit.viewers import Viewers
from feedkit.web.errors import XrpcError
from feedkit.web.languages import preferred

log = logging.getLogger(__name__)
blueprint = Blueprint("xrpc", __name__)

DIDS_FOR = 600.0  # seconds for which a publisher's DID is believed: a handle may move
MAX_CURSOR = 512  # characters; ours stay under 100
DESCRIBE = "/xrpc/app.bsky.feed.describeFeedGenerator"
SKELETON = "/xrpc/app.bsky.feed.getFeedSkeleton"
INTERACTIONS = "/xrpc/app.bsky.feed.sendInteractions"
_METHODS = {DESCRIBE: "GET", SKELETON: "GET", INTERACTIONS: "POST"}
_encode = msgspec.json.encode
GENERATOR = "app.bsky.feed.generator"


@blueprint.get("/.well-known/did.json")
def did_document() -> dict[str, Any]:
    service = _service()
    if service.did != f"did:web:{service.hostname}":
        raise XrpcError(
            "NotFound", f"this service is {service.did}; its document is elsewhere", 404
        )
    return {
        "@context": ["https://www.w3.org/ns/did/v1"],
        "id": service.did,
        "service": [
            {
                "id": "#bsky_fg",
                "type": "BskyFeedGenerator",
                "serviceEndpoint": f"https://{service.hostname}",
            }
        ],
    }


@blueprint.get(DESCRIBE)
def describe_feed_generator() -> dict[str, Any]:
    service = _service()
    return {
        "did": service.did,
        "feeds": [
            {"uri": feed_uri(service, feed)} for feed in service.feeds.values() if feed.served
        ],
    }


@blueprint.get(SKELETON)
def get_feed_skeleton() -> Response:
    service, store = _service(), _store()
    feed = _feed(service, _one("feed"))
    limit = _limit(_one("limit", "50"))
    cursor = _one("cursor", "")
    if len(cursor) > MAX_CURSOR:
        raise XrpcError("InvalidRequest", "the cursor is too long to be one of ours")
    asker = _asker(feed)
    mark_asked(store, feed, asker.now)
    try:
        found = serve(store, service.feeds, feed, limit, cursor, asker)
    except BadCursor as error:
        raise XrpcError("InvalidRequest", str(error)) from error
    except SignInFirst as error:
        raise XrpcError("AuthMissing", str(error), 401) from error
    except NotProvedYet as error:
        raise _not_now(str(error)) from error
    response = Response(_encode(skeleton(feed, found)), content_type="application/json")
    if feed.personal:  # a cache on the way must give nobody the page of another
        response.headers["Cache-Control"] = "private, no-store"
    elif feed.by_language:
        response.headers["Vary"] = "Accept-Language"
    if said := _languages(service, feed, found, asker):
        response.headers["Content-Language"] = ", ".join(said)
    return response


def _languages(service: Service, feed: FeedConfig, found: Page, asker: Asker) -> Sequence[str]:
    """The languages of a page, as far as the feed that it is of says so; none for a mere post."""
    if stand_in := next((item.stand_in for item in found.items), ""):
        answered = service.feeds.get(stand_in)
        return answered.languages if answered is not None else ()
    return asker.languages if feed.by_language else feed.languages


@blueprint.post(INTERACTIONS)
def send_interactions() -> dict[str, Any]:
    now = datetime.now(UTC)
    try:
        viewer = who(INTERACTIONS)
    except KeyUnavailable as error:
        raise _not_now(error.message) from error
    if viewer is None:
        raise XrpcError("AuthMissing", "say who you are: a service token is needed here", 401)
    try:
        record(_store(), viewer, request.get_data(), _service().feeds, now)
    except BadInteractions as error:
        raise XrpcError("InvalidRequest", str(error)) from error
    except TooMany as error:
        raise XrpcError("RateLimitExceeded", str(error), 429) from error
    return {}


def _asker(feed: FeedConfig) -> Asker:
    """Who asks for `feed`; nobody looks for shared feeds."""
    now = datetime.now(UTC)
    languages = preferred(request.headers.get("Accept-Language", "")) if feed.by_language else ()
    try:
        did = who(SKELETON, SHORT) if feed.personal else None
    except KeyUnavailable:  # the next request knows; what stands in is for whoever it may be
        return Asker(now, languages=languages, unproved=True)
    if did is None:
        return Asker(now, languages=languages)
    viewers: Viewers = current_app.config["VIEWERS"]
    return Asker(now, did, lambda: viewers.load(did, feed.viewer_needs, now), languages)


def who(path: str, patience: float | None = None) -> str | None:
    """The DID of who asks, by the request's token; None: nobody is signed in. Raises
    `KeyUnavailable` where that cannot be said in `patience`, see `Authenticator.viewer`."""
    authenticator: Authenticator = current_app.config["AUTH"]
    try:
        method = path.rpartition("/")[2]
        return authenticator.viewer(request.headers.get("Authorization"), method, patience)
    except BadToken as error:
        raise XrpcError(error.error, error.message, 401) from error


def _not_now(message: str) -> XrpcError:
    """The answer where it takes a moment to find out who asks."""
    return XrpcError(KeyUnavailable.error, message, KeyUnavailable.status, again=1)


@blueprint.route("/xrpc/<nsid>", methods=["GET", "POST"])
def unknown_method(nsid: str) -> NoReturn:
    if takes := _METHODS.get(f"/xrpc/{nsid}"):
        raise XrpcError("InvalidRequest", f"{nsid} takes {takes}, not {request.method}", 405)
    raise XrpcError("MethodNotImplemented", f"this service does not implement {nsid}", 501)


def feed_uri(service: Service, feed: FeedConfig) -> str:
    """The at:// URI of the feed's record; by the publisher's handle until its DID is known."""
    publisher = feed.publisher or service.publisher
    return f"at://{publisher_did(publisher) or publisher}/{GENERATOR}/{feed.name}"


def publisher_did(publisher: str) -> str | None:
    """The DID of a publisher, if the store knows it (`feedkit.identity` asks the network)."""
    if publisher.startswith("did:"):
        return publisher
    known: dict[str, tuple[str, float]] = current_app.config["DIDS"]
    did, until = known.get(publisher, ("", 0.0))
    if time.monotonic() > until:
        if (found := _store().identities.find(publisher)) is None:
            return None
        did = found[0]
        known[publisher] = did, time.monotonic() + DIDS_FOR
    return did


def skeleton(feed: FeedConfig, page: Page) -> dict[str, Any]:
    """A page as app.bsky.feed.getFeedSkeleton answers it. Where the app is to tell what became of
    the posts, each carries what is needed to learn from that."""
    answer: dict[str, Any] = {"feed": [{"post": item.uri} for item in page.items]}
    for shown, item in zip(answer["feed"], page.items, strict=True):
        if item.pinned:
            shown["reason"] = {"$type": "app.bsky.feed.defs#skeletonReasonPin"}
        if feed.accepts_interactions:
            shown["feedContext"] = context(feed.name, page.version, item.place, item.stand_in)
    if feed.accepts_interactions:
        answer["reqId"] = token_urlsafe(9)
    if page.cursor:
        answer["cursor"] = page.cursor
    return answer


def _service() -> Service:
    return cast(Service, current_app.config["SERVICE"])


def _store() -> Store:
    return cast(Store, current_app.config["STORE"])


def _one(name: str, default: str | None = None) -> str:
    values = request.args.getlist(name)
    if len(values) > 1:
        raise XrpcError("InvalidRequest", f"the parameter {name} was given {len(values)} times")
    if not values:
        if default is None:
            raise XrpcError("InvalidRequest", f"the parameter {name} is missing")
        return default
    return values[0]


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= 100):
        raise XrpcError("InvalidRequest", "limit must be a whole number from 1 to 100")
    return int(text)


def _feed(service: Service, uri: str) -> FeedConfig:
    scheme, _, path = uri.partition("at://")
    authority, _, rest = path.partition("/")
    collection, _, name = rest.partition("/")
    if scheme or not authority or not name or "/" in name:
        raise XrpcError("InvalidRequest", "feed must be the at:// URI of a feed's record")
    feed = service.feeds.get(name)
    if (
        feed is None
        or not feed.served
        or collection != GENERATOR
        or not _publishes(feed.publisher or service.publisher, authority)
    ):
        raise XrpcError("UnknownFeed", f"this service has no feed {uri[:300]}")
    return feed


def _publishes(publisher: str, authority: str) -> bool:
    return authority in (publisher, publisher_did(publisher))
