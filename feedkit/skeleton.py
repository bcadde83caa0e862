"""Candidates → rank → select → page, and the cursors that lead from page to page."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from feedkit.awaiting import knows
from feedkit.needs import hydrated
from feedkit.plugin import Pinned, Selector
from feedkit.post import EPOCH, Post, Request
from feedkit.rankers.time import Newest
from feedkit.settings import FeedConfig
from feedkit.store import Store

log = logging.getLogger(__name__)

MAX_ID = 2**63 - 1


class BadCursor(ValueError):
    """A cursor that this feed never gave out."""


class Item(NamedTuple):
    """A post of a page. `pinned`: it is there whatever was ranked."""

    uri: str
    pinned: bool = False


class Page(NamedTuple):
    """A page of a feed. `cursor` is None where nothing comes after it."""

    items: list[Item]
    cursor: str | None


class _Position(NamedTuple):
    """Where a page begins: after a post (by time), or at a place of a version."""

    version: int  # 0: newest first, by time
    place: int  # sort_at of the last post, or how many places of the version were examined
    post: int  # the last post's id


def micros(moment: datetime) -> int:
    """`moment` (aware) in microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def by_keyset(feed: FeedConfig) -> bool:
    """Whether the feed needs no snapshot: newest first, and no selector but pins."""
    return isinstance(feed.rank, Newest) and all(
        type(selector).select is Selector.select for selector in feed.select
    )


def page(store: Store, feed: FeedConfig, limit: int, cursor: str, now: datetime) -> Page:
    """One page of `feed`: at most `limit` posts (at least 1) after `cursor` ("": from the top).

    Raises `BadCursor` for a cursor that is none of this feed's.
    """
    position = _parse(cursor)
    pins = _pins(feed, Request(now=now))
    pinned = {pin.uri for pin in pins}
    first = position is None
    if position is None:
        version = None if by_keyset(feed) else store.latest_version(feed.name)
        position = _Position(version.id, 0, MAX_ID) if version else _Position(0, MAX_ID, MAX_ID)
    wanted = max(limit - len(pins), 0) if first else limit
    if position.version:
        items, end = _from_version(store, feed, position, wanted, pinned)
    else:
        items, end = _by_time(store, feed, position, wanted, pinned)
    if first:
        for pin in sorted(pins, key=lambda pin: pin.at):
            if len(items) < limit and _may_be_shown(store, pin.uri):
                items.insert(max(pin.at - 1, 0), Item(pin.uri, pinned=True))
    return Page(items, _format(end) if end is not None and items else None)


def _by_time(
    store: Store, feed: FeedConfig, start: _Position, wanted: int, left_out: set[str]
) -> tuple[list[Item], _Position | None]:
    items: list[Item] = []
    at = (start.place, start.post)
    while True:
        rows = store.newest(feed.name, at, wanted - len(items) + 1)
        more = len(rows) > wanted - len(items)
        for row in rows:
            if len(items) == wanted:
                break
            at = (row.sort_at, row.id)
            if row.uri not in left_out:
                items.append(Item(row.uri))
        if not more:
            return items, None
        if len(items) == wanted:
            return items, _Position(0, *at)


def _from_version(
    store: Store, feed: FeedConfig, start: _Position, wanted: int, left_out: set[str]
) -> tuple[list[Item], _Position | None]:
    number, place, last = start
    version = store.find_version(number, feed.name)
    if version is None:  # it has expired: go on after the last post that it gave, in today's
        version = store.latest_version(feed.name)
        found = store.version_position(version.id, last) if version else None
        if version is None or found is None:
            return [], None
        place = found + 1
    items: list[Item] = []
    while place < version.size and len(items) < wanted:
        ids = store.version_slice(version.id, place, max(wanted - len(items), 30))
        visible = store.posts(ids)
        for id in ids:
            if len(items) == wanted:
                break
            place, last = place + 1, id
            row = visible.get(id)
            if row is not None and row.uri not in left_out:
                items.append(Item(row.uri))
    return items, _Position(version.id, place, last) if place < version.size else None


def _pins(feed: FeedConfig, request: Request) -> list[Pinned]:
    return [pin for selector in feed.select for pin in selector.pins(request)]


def _may_be_shown(store: Store, uri: str) -> bool:
    """Whether a pinned post is none that is known to be gone or hidden."""
    stored = store.find_post(uri)
    return not stored.hidden if stored is not None else not store.is_deleted(uri)


def _format(position: _Position) -> str:
    return ".".join(map(str, position))


def _parse(cursor: str) -> _Position | None:
    if not cursor:
        return None
    parts = cursor.split(".")
    if len(parts) != 3 or not all(p.isascii() and p.isdigit() and len(p) < 20 for p in parts):
        raise BadCursor("the cursor is not one that this feed gave out; leave it out to start anew")
    position = _Position(*map(int, parts))
    if max(position) > MAX_ID:
        raise BadCursor("the cursor is out of range; leave it out to start anew")
    return position


def rank(feed: FeedConfig, candidates: Sequence[tuple[int, Post]], now: datetime) -> list[int]:
    """The ids of `candidates` (newest first) as `feed` ranks and selects them, best first.

    A ranker that raises or gives no finite numbers is logged, and the feed is newest first; a
    selector that raises or invents posts is logged and passed over. Posts of which a hydrator has
    not told what the ranker needs come last, newest first.
    """
    request = Request(now=now)
    ids = {post.uri: id for id, post in candidates}
    words = hydrated([feed.rank])
    posts = [post for _, post in candidates if knows(post, words)]
    rest = [post for _, post in candidates if not knows(post, words)]
    try:
        scores = [float(score) for score in feed.rank.score_many(posts, request)]
        if len(scores) != len(posts) or not all(map(math.isfinite, scores)):
            raise ValueError("it must give one finite number for each post")
    except Exception as error:
        log.error(
            "feeds.%s: the ranker %s failed (%s: %s); the feed is newest first until it works",
            feed.name, feed.rank.yaml_name(), type(error).__name__, error,
        )  # fmt: skip
    else:
        order = sorted(range(len(posts)), key=scores.__getitem__, reverse=True)
        posts = [posts[i] for i in order]
    posts += rest
    for selector in feed.select:
        try:
            chosen = selector.select(list(posts), request)
            uris = [post.uri for post in chosen]
            if len(set(uris)) != len(uris) or not ids.keys() >= set(uris):
                raise ValueError("it must not repeat or invent posts")
        except Exception as error:
            log.error(
                "feeds.%s: the selector %s failed (%s: %s); it is passed over until it works",
                feed.name, selector.yaml_name(), type(error).__name__, error,
            )  # fmt: skip
        else:
            posts = chosen
    return [ids[post.uri] for post in posts]


def recipe(feed: FeedConfig) -> str:
    """A text that changes when the feed is to be ranked or selected in another way."""
    return ";".join(part.fingerprint() for part in (feed.rank, *feed.select)) + f";{feed.depth}"


def take_snapshot(store: Store, feed: FeedConfig, now: datetime | None = None) -> int:
    """Rank `feed` and store the result as its new version. Returns the number of posts."""
    now = now or datetime.now(UTC)
    ids = rank(feed, store.candidates(feed.name, feed.depth, bool(feed.ranks_by)), now)
    store.save_version(feed.name, "", ids, micros(now), recipe(feed))
    return len(ids)
