"""What the app reports of its readers (app.bsky.feed.sendInteractions): checked, and kept."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from datetime import datetime
from typing import Any

import msgspec

from feedkit.settings import FeedConfig
from feedkit.sources.syntax import is_did, is_post_uri
from feedkit.store import Store
from feedkit.store.interactions import Interaction
from feedkit.times import micros

A_MINUTE = 600  # interactions of a viewer in a minute, and so in a request
# Bytes, as the lexicon counts; for event and item it names no limit, but keys of tables have one.
LONGEST = {"event": 200, "feedContext": 2000, "reqId": 100}
LONGEST_ITEM = 1000
_UNSTORED = re.compile("[\0\ud800-\udfff]")  # which PostgreSQL, or no UTF-8, can hold


class BadInteractions(ValueError):
    """The body of the request does not fit the lexicon. The message says where."""


class TooMany(Exception):
    """A viewer sends more in a minute than anybody reads. They may try again in the next one."""


def context(feed: str, version: int, place: int, stand_in: str = "") -> str:
    """What goes out with a post as its feedContext, and comes back with what a reader does: where
    the post was shown. `feed`: that was asked for; `version`: of the ranking, 0 where posts stand
    by time; `place`: in it. `stand_in`, a fourth word: the ranking was made for everybody, and is
    that of the feed of this name; without it, the ranking is the one of `feed` for who asked."""
    return f"{feed} {version} {place} {stand_in}".rstrip()


def record(
    store: Store, viewer: str, body: Any, feeds: Mapping[str, FeedConfig], now: datetime
) -> int:
    """Keep the interactions of `body`, the JSON of a request (or what it decodes to) by `viewer` (a
    DID whose token was checked); how many. Sent again, they are kept once.

    `feeds`: name → feed, of those that there are. Only what comes from a feed that asks for it
    (`accepts_interactions`) is kept: which one, the body's `feed` says, or a `context` that went
    out with the post. What names no feed, another's or one that does not ask is passed over, as is
    what names no post or no event. Event tokens that nobody knows are kept, fields that nobody
    knows are not. Raises `BadInteractions`, `TooMany`, and then nothing is kept; `StoreError`.
    """
    asking = {name for name, feed in feeds.items() if feed.accepts_interactions}
    done = read(_decoded(body) if isinstance(body, bytes) else body, asking)
    if done and not store.interactions.add(viewer, done, micros(now), A_MINUTE):
        raise TooMany(
            f"more than {A_MINUTE} interactions in a minute are not kept; send them later"
        )
    return len(done)


def read(body: Any, feeds: Container[str]) -> list[Interaction]:
    """The interactions of `body` that come from `feeds` (names), in order. Raises
    `BadInteractions`."""
    if not isinstance(body, dict):
        raise BadInteractions('the body is no JSON object; send {"interactions": […]}')
    sent = body.get("interactions")
    if not isinstance(sent, list):
        raise BadInteractions("interactions: it is missing, or no list")
    if len(sent) > A_MINUTE:  # which no other time would be the right one for
        raise BadInteractions(
            f"interactions: {len(sent)} are too many; send at most {A_MINUTE} at once"
        )
    feed = _feed(body.get("feed"), feeds)
    done = [_interaction(one, f"interactions[{place}]") for place, one in enumerate(sent)]
    return [
        one._replace(feed=name)
        for one in done
        if one is not None and (name := feed or _shown_in(one.feed_context, feeds))
    ]


def _shown_in(context: str, feeds: Container[str]) -> str:
    """The feed of a `context`; apps need not say it otherwise."""
    name, _, rest = context.partition(" ")
    return name if rest and name in feeds else ""


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInteractions(f"the body is no JSON ({error})") from error


def _feed(uri: Any, feeds: Container[str]) -> str:
    """The name of the feed at `uri`; empty where it is none of `feeds`, or was not sent."""
    if uri is None:
        return ""
    parts = uri.split("/") if isinstance(uri, str) else []
    if len(parts) != 5 or parts[0] != "at:" or parts[1] or not is_did(parts[2]):
        raise BadInteractions("feed: it is no at:// address of a feed, with a DID")
    ours = parts[3] == "app.bsky.feed.generator" and parts[4] in feeds
    return parts[4] if ours else ""


def _interaction(one: Any, place: str) -> Interaction | None:
    if not isinstance(one, dict):
        raise BadInteractions(f"{place}: it is no object")
    event, said, request = (_text(one, name, place) for name in LONGEST)
    item = one.get("item")
    if item is None or not event:
        return None
    if not isinstance(item, str) or len(item) > LONGEST_ITEM or not is_post_uri(item):
        raise BadInteractions(
            f"{place}.item: it is no address of a post, at://DID/app.bsky.feed.post/RECORD-KEY"
        )
    return Interaction(event, item, feed_context=said, req_id=request)


def _text(one: dict[str, Any], name: str, place: str) -> str:
    value = one.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInteractions(f"{place}.{name}: it is no text")
    text = _UNSTORED.sub("", value)
    if len(text.encode()) > LONGEST[name]:
        raise BadInteractions(
            f"{place}.{name}: it is longer than {LONGEST[name]} bytes, which is the most"
        )
    return text
