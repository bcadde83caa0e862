"""A plain page for people: what this service offers, and the newest posts of each feed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from flask import Blueprint, Response, current_app, render_template, request

from feedkit.addresses import post_address
from feedkit.post import Post
from feedkit.serving import Asker, SignInFirst, mark_asked, serve
from feedkit.settings import FeedConfig, Service
from feedkit.store import Store
from feedkit.web.xrpc import feed_uri
from feedkit.why import explain_stored, not_stored

blueprint = Blueprint("pages", __name__)

POSTS = 5  # shown of a feed
FEEDS = 50  # whose posts are shown; further ones are named only


@blueprint.get("/")
def index() -> str:
    service, store = current_app.config["SERVICE"], current_app.config["STORE"]
    now = datetime.now(UTC)
    served = [feed for feed in service.feeds.values() if feed.served]
    feeds = [
        {
            "config": feed,
            "uri": feed_uri(service, feed),
            "link": f"https://bsky.app/profile/{feed.publisher or service.publisher}"
            f"/feed/{feed.name}",
            "rank": feed.rank.yaml_name(),
            "posts": _first_posts(store, feed, now) if number < FEEDS else None,
        }
        for number, feed in enumerate(served)
    ]
    return render_template("index.html", service=service, feeds=feeds)


@blueprint.get("/why")
def why() -> Response:
    """Why a stored post is in a feed or not, and at which place: what `feedkit why` prints. A page
    of the service's own operator and readers; the network is not asked."""
    service, store = current_app.config["SERVICE"], current_app.config["STORE"]
    name, written = request.args.get("feed", ""), request.args.get("post", "").strip()
    feed = service.feeds.get(name)
    try:
        uri = post_address(written) if written else ""
    except ValueError as error:
        return _why_page(service, name, written, str(error), 400)
    if not written or not name:
        return _why_page(service, name, written, "", 200)
    if feed is None or not feed.served:
        return _why_page(service, name, written, "There is no such feed.", 404)
    stored = store.find_post(uri)
    if stored is None:
        return _why_page(service, name, written, f"This post is {not_stored(store, uri)}.", 404)
    found = explain_stored(service, store, feed, uri, stored.post)
    return _why_page(service, name, written, "", 200, lines=list(found.lines()))


def _why_page(service: Service, name: str, post: str, problem: str, status: int,
              lines: Sequence[str] = ()) -> Response:  # fmt: skip
    feeds = [feed for feed in service.feeds.values() if feed.served]
    text = render_template(
        "why.html", service=service, feeds=feeds, name=name, post=post, problem=problem, lines=lines
    )
    return Response(text, status, content_type="text/html; charset=utf-8")


def _first_posts(store: Store, feed: FeedConfig, now: datetime) -> list[tuple[Post, bool]]:
    """The first posts of the feed, as far as they are stored, and which of them are pinned."""
    mark_asked(store, feed, now)  # who looks here wants to see it ranked, too
    feeds = current_app.config["SERVICE"].feeds
    try:
        items = serve(store, feeds, feed, POSTS, "", Asker(now)).items
    except SignInFirst:
        return []
    found = [(store.find_post(item.uri), item.pinned) for item in items]
    return [(stored.post, pinned) for stored, pinned in found if stored is not None]


@blueprint.app_template_filter("ago")
def ago(moment: datetime) -> str:
    """How long ago `moment` was, in words as short as in the app: 5s, 12m, 3h, 2d."""
    seconds = max(int((datetime.now(UTC) - moment).total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


@blueprint.app_template_filter("app_link")
def app_link(uri: str) -> str:
    """The address of a post in the app."""
    did, _, rkey = uri.removeprefix("at://").partition("/app.bsky.feed.post/")
    return f"https://bsky.app/profile/{did}/post/{rkey}"
