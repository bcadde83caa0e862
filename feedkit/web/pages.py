"""A plain page for people: what this service offers, and the newest posts of each feed."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, current_app, render_template

from feedkit.post import Post
from feedkit.serving import Asker, SignInFirst, mark_asked, serve
from feedkit.settings import FeedConfig
from feedkit.store import Store
from feedkit.web.xrpc import feed_uri

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
