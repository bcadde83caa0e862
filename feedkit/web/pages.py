"""A plain page for people: what this service offers, and the newest posts of each feed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, current_app, render_template

from feedkit.skeleton import page
from feedkit.web.xrpc import feed_uri

blueprint = Blueprint("pages", __name__)

SHOWN = 5


@blueprint.get("/")
def index() -> str:
    service, store = current_app.config["SERVICE"], current_app.config["STORE"]
    now = datetime.now(UTC)
    feeds: list[dict[str, Any]] = []
    for feed in service.feeds.values():
        if not feed.served:
            continue
        items = page(store, feed, SHOWN, "", now).items
        posts = [store.find_post(item.uri) for item in items]
        feeds.append(
            {
                "config": feed,
                "uri": feed_uri(service, feed),
                "rank": feed.rank.yaml_name(),
                "posts": [found.post for found in posts if found is not None],
            }
        )
    return render_template("index.html", service=service, feeds=feeds, now=now)


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
