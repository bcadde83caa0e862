"""Pages of a feed, and the cursors that lead from page to page."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from feedkit.plugin import Pinned
from feedkit.post import Request
from feedkit.ranking import by_keyset
from feedkit.settings import FeedConfig
from feedkit.store import Store

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
