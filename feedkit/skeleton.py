"""Pages of a feed, and the cursors that lead from page to page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from feedkit.failures import failed
from feedkit.logs import worth_saying
from feedkit.plugin import Pinned, Selector
from feedkit.post import EPOCH, Request
from feedkit.ranking import by_keyset
from feedkit.settings import FeedConfig
from feedkit.store import Store
from feedkit.times import micros

log = logging.getLogger(__name__)

MAX_ID = 2**63 - 1
MOST_SECONDS = 2**32  # the year 2106
MOST_GONE = 3  # rankings that may expire while one page is read


class BadCursor(ValueError):
    """A cursor that this feed never gave out."""


class Item(NamedTuple):
    """A post of a page. `pinned`: it is there whatever was ranked. `place`: how many posts of the
    ranking stand before it; -1 where it was not ranked. `stand_in`: what it is there for in place
    of the feed that was asked for: the name of a feed (of the same one, where it is as everybody
    gets it), or the post's own URI."""

    uri: str
    pinned: bool = False
    place: int = -1
    stand_in: str = ""


class Page(NamedTuple):
    """A page of a feed. `cursor` is None where nothing comes after it. `version`: the ranking that
    it is a slice of; 0: newest first, by time."""

    items: list[Item]
    cursor: str | None
    version: int = 0


class Made(NamedTuple):
    """A ranking that is kept as a version. `ids`: those of its posts, where it was made just now;
    None: the store has them."""

    version: int
    ids: Sequence[int] | None = None


class Chain(NamedTuple):
    """Pages that follow each other and belong to one asker. `asker`: a DID, or whatever the ranking
    depends on; "": everybody. `rank` makes the ranking, or gives the one that was made a moment
    ago; None where there is nothing to rank yet: for the first page, and for a later one whose
    version has expired where there is no newer one. `hidden`: URIs that are left out by now."""

    asker: str = ""
    rank: Callable[[], Made | None] | None = None
    hidden: Collection[str] = frozenset()


EVERYBODY = Chain()


class _Position(NamedTuple):
    """Where a page begins: after a post (by time), or at a place of a version."""

    version: int  # 0: newest first, by time
    place: int  # sort_at of the last post, or how many places of the version were examined
    post: int  # the last post's id
    began: int = 0  # when its chain began, in seconds, where that matters: pins come and go
    given: int = 0  # where pins are still to come: how many posts the chain has given,
    pinned: int = 0  # and how many of its pins, in the order of their places, were passed


def page(
    store: Store, feed: FeedConfig, limit: int, cursor: str, now: datetime | Request,
    chain: Chain = EVERYBODY,
) -> Page:  # fmt: skip
    """One page of `feed`: at most `limit` posts (at least 1) after `cursor` ("": from the top).

    Raises `BadCursor` for a cursor that is none of this feed's, or of somebody else's chain.
    """
    request = now if isinstance(now, Request) else Request(now=now)
    position = _parse(cursor)
    if position is not None and position.began:  # what was pinned then is not to come again
        then = EPOCH + timedelta(seconds=position.began)
        request = replace(request, now=min(then, request.now))
    pins = _pins(feed, request)
    left_out = {pin.uri for pin in pins}.union(chain.hidden)
    first = position is None
    made = chain.rank() if position is None and chain.rank is not None else None
    start = _start(store, feed, chain, made) if position is None else position
    coming = [
        (number, pin)
        for number, pin in enumerate(pins, 1)
        if number > start.pinned and (first or start.given) and _may_be_pinned(store, pin, chain)
    ]
    places = _places((pin for _, pin in coming), start.given)
    here = sum(place <= start.given + limit for place in places)
    items: list[Item] = []
    end, more = start, False
    if start.version or not chain.asker:
        wanted = limit - here
        if start.version:
            items, end, more = _from_version(store, feed, start, wanted, left_out, chain, made)
        else:
            items, end, more = _by_time(store, feed, start, wanted, left_out)
    elif not first and not start.given:
        raise BadCursor("the cursor is not one of yours; leave it out to start anew")
    if not more:  # all pins that are left follow the last post
        here = min(len(coming), limit - len(items))
    for place, (_, pin) in zip(places[:here], coming, strict=False):
        items.insert(place - start.given - 1, Item(pin.uri, pinned=True))
    left = len(coming) > here
    if not items or not (more or left):
        return Page(items, None, end.version)
    began = micros(request.now) // 1_000_000 if has_pins(feed) else 0
    end = _Position(*end[:3], began)
    if left:
        passed = coming[here - 1][0] if here else start.pinned
        end = end._replace(given=start.given + len(items), pinned=passed)
    return Page(items, _format(end), end.version)


def _places(pins: Iterable[Pinned], given: int) -> list[int]:
    """The places, from 1, of `pins` in a chain that has given so many posts: where they are to be,
    or the next that is free."""
    places = []
    for pin in pins:
        given = max(pin.at, given + 1)
        places.append(given)
    return places


def _start(store: Store, feed: FeedConfig, chain: Chain, made: Made | None) -> _Position:
    if chain.rank is not None:
        return _Position(made.version if made else 0, 0, MAX_ID)
    version = None if by_keyset(feed) else store.latest_version(feed.name, chain.asker)
    return _Position(version.id, 0, MAX_ID) if version else _Position(0, MAX_ID, MAX_ID)


def _by_time(
    store: Store, feed: FeedConfig, start: _Position, wanted: int, left_out: set[str]
) -> tuple[list[Item], _Position, bool]:
    """The next `wanted` posts, where the page after them begins, and whether there may be one."""
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
        if not more or len(items) == wanted:
            return items, _Position(0, *at), more


class _Ranking(NamedTuple):
    """A version, as it is read. `ids`: all of it, where the store need not be asked."""

    id: int
    size: int
    ids: Sequence[int] | None = None

    def some(self, store: Store, place: int, count: int) -> Sequence[int]:
        """The ids from `place` (0 is the first) on; none where the version has expired."""
        if self.ids is not None:
            return self.ids[place : place + count]
        return store.version_slice(self.id, place, count)


def _find(store: Store, feed: FeedConfig, chain: Chain, made: Made) -> _Ranking | None:
    if made.ids is not None:
        return _Ranking(made.version, len(made.ids), made.ids)
    version = store.find_version(made.version, feed.name, chain.asker)
    return _Ranking(version.id, version.size) if version else None


def _from_version(
    store: Store, feed: FeedConfig, start: _Position, wanted: int, left_out: set[str], chain: Chain,
    made: Made | None,
) -> tuple[list[Item], _Position, bool]:  # fmt: skip
    """As `_by_time`, of a version; of the one that was `made` for this page, if it was."""
    number, place, last = start[:3]
    items: list[Item] = []
    gone = 0
    version = _find(store, feed, chain, made or Made(number))
    while version is None or (place < version.size and len(items) < wanted):
        count = max(wanted - len(items), 30)
        ids = version.some(store, place, count) if version else []
        if version is None or not ids:  # it has expired, perhaps while it was read
            gone += 1
            version, place = _after(store, feed, chain, last, place)
            if version is None or gone > MOST_GONE:
                return items, start, False
            continue
        visible = store.posts(ids)
        for id in ids:
            if len(items) == wanted:
                break
            place, last = place + 1, id
            row = visible.get(id)
            if row is not None and row.uri not in left_out:
                items.append(Item(row.uri, place=place - 1))
    return items, _Position(version.id, place, last), place < version.size


def _after(
    store: Store, feed: FeedConfig, chain: Chain, last: int, place: int
) -> tuple[_Ranking | None, int]:
    """Where today's ranking goes on after the post `last`, which one that has expired gave last
    (MAX_ID: it gave none yet). Where that is in today's no more: at its place; None, if it is a
    ranking of one asker's, in which places mean little: what they saw may be left out by now."""
    newest = store.latest_version(feed.name, chain.asker)
    version = _Ranking(newest.id, newest.size) if newest else None
    if version is None and chain.rank is not None and (made := chain.rank()) is not None:
        version = _find(store, feed, chain, made)
    if version is None or last == MAX_ID:
        return version, 0
    found = store.version_position(version.id, last)
    if found is not None:
        return version, found + 1
    return (None, 0) if chain.asker else (version, min(max(place - 1, 0), version.size))


def _pins(feed: FeedConfig, request: Request) -> Sequence[Pinned]:
    pins: list[Pinned] = []
    for selector in feed.select:
        try:
            some = list(selector.pins(request))
            if not all(isinstance(pin, Pinned) for pin in some):
                raise TypeError("pins() must give Pinned(uri=…, at=…)")
            pins += some
        except (Exception, SystemExit) as error:
            times = failed(feed.name, selector.yaml_name())
            if worth_saying(times):
                log.error(
                    "feeds.%s: the selector %s failed to pin (%s: %s), %d times so far; the feed "
                    "goes without its pins until it works",
                    feed.name, selector.yaml_name(), type(error).__name__, error, times,
                )  # fmt: skip
    return sorted({pin.uri: pin for pin in pins}.values(), key=lambda pin: pin.at)


def _may_be_pinned(store: Store, pin: Pinned, chain: Chain) -> bool:
    return pin.uri not in chain.hidden and may_be_shown(store, pin.uri)


def may_be_shown(store: Store, uri: str) -> bool:
    """Whether a post that was not ranked is none that is known to be gone or hidden."""
    stored = store.find_post(uri)
    return not stored.hidden if stored is not None else not store.is_deleted(uri)


def has_pins(feed: FeedConfig) -> bool:
    """Whether posts may be pinned in it."""
    return any(type(selector).pins is not Selector.pins for selector in feed.select)


def _format(position: _Position) -> str:
    parts = 6 if position.given else 4 if position.began else 3
    return ".".join(map(str, position[:parts]))


def _parse(cursor: str) -> _Position | None:
    if not cursor:
        return None
    parts = cursor.split(".")
    if len(parts) not in (3, 4, 6) or not all(
        p.isascii() and p.isdigit() and len(p) < 20 for p in parts
    ):
        raise BadCursor("the cursor is not one that this feed gave out; leave it out to start anew")
    position = _Position(*map(int, parts))
    if max(position) > MAX_ID or position.began > MOST_SECONDS:
        raise BadCursor("the cursor is out of range; leave it out to start anew")
    return position
