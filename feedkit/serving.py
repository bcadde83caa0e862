"""Which page answers a request: everybody's, the viewer's own, or what stands in for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from feedkit.personal import asker_of, rank_now, too_many_languages
from feedkit.post import Request, Viewer
from feedkit.settings import EVERYONE, REFUSE, FeedConfig
from feedkit.skeleton import BadCursor, Chain, Item, Made, Page, may_be_shown, page
from feedkit.store import Store, StoreError, Unavailable
from feedkit.store.interactions import LESS
from feedkit.times import micros

# A cursor that begins with one of these leads through the feed that stands in for another.
SIGNED_OUT, EMPTY = "s", "e"
WISHES = 200  # the newest for less that are heeded
_NOT_OURS = "the cursor is not one that this feed gave out; leave it out"

log = logging.getLogger(__name__)


class SignInFirst(Exception):
    """The feed is shown to nobody whom it does not know."""


class NotProvedYet(Exception):
    """Somebody is signed in, and what they ask for is only for whom they say that they are; in a
    moment that can be told."""


class Asker(NamedTuple):
    """Who asks. `did` is None where nobody is signed in, or where that is `unproved`: who it is
    cannot be said yet. `load` gives what the feed needs to know of the viewer, None while that is
    not known yet; it is called where a ranking is made."""

    now: datetime
    did: str | None = None
    load: Callable[[], Viewer | None] = lambda: None
    languages: tuple[str, ...] = ()
    unproved: bool = False


def serve(
    store: Store, feeds: Mapping[str, FeedConfig], feed: FeedConfig, limit: int, cursor: str,
    asker: Asker,
) -> Page:  # fmt: skip
    """The page of `feed` that `asker` gets; `feeds` are all of the service.

    Raises `BadCursor` for a cursor that this asker was never given, `SignInFirst`, `NotProvedYet`.
    """
    mark = cursor[:1]
    if mark in (SIGNED_OUT, EMPTY):
        return _stand_in(store, feeds, feed, limit, cursor, asker)
    request = Request(now=asker.now, languages=asker.languages)
    if not feed.personal and not feed.by_language:
        found = page(store, feed, limit, cursor, request)
    else:
        if feed.personal:
            if asker.did is None:
                if cursor and asker.unproved:
                    raise NotProvedYet("whose cursor it is cannot be checked just now; try again")
                if cursor:
                    raise BadCursor("the cursor is of somebody who is signed in; leave it out")
                return _stand_in(store, feeds, feed, limit, SIGNED_OUT, asker)
            viewer = Viewer(did=asker.did) if cursor else asker.load()
            if viewer is None:
                return _stand_in(store, feeds, feed, limit, SIGNED_OUT, asker)
            request = replace(request, viewer=viewer)
        elif not cursor and too_many_languages(store, feed, request):
            return _stand_in(store, feeds, feed, limit, SIGNED_OUT, asker)
        found = _own(store, feeds, feed, limit, cursor, request, asker)
    if not found.items and not cursor and feed.when_empty:
        return _stand_in(store, feeds, feed, limit, EMPTY, asker)
    return found


def _own(
    store: Store, feeds: Mapping[str, FeedConfig], feed: FeedConfig, limit: int, cursor: str,
    request: Request, asker: Asker,
) -> Page:  # fmt: skip
    """A page of the chain of who asks."""

    def rank() -> Made | None:
        ranked = request
        if cursor and feed.personal:  # the chain's ranking is gone, and so far only the DID is here
            if (viewer := asker.load()) is None:
                return None
            ranked = replace(request, viewer=viewer)
        elif cursor and too_many_languages(store, feed, request):
            return None
        return rank_now(store, feed, ranked, feeds, probe=limit == 1 and not cursor)

    if (viewer := request.viewer) and not cursor and "viewer.less" in feed.viewer_needs:
        hidden = frozenset(liked.uri for liked in viewer.less)  # as was just read
    else:
        hidden = _unwanted(store, feed, asker)
    chain = Chain(asker_of(feed, request), rank, hidden)
    return page(store, feed, limit, cursor, request, chain)


def _unwanted(store: Store, feed: FeedConfig, asker: Asker) -> frozenset[str]:
    """Whatever a personal feed makes of wishes, nobody sees a post again of which they want less,
    nor in what stands in for the feed. It is left out of a chain that was begun before, too; the
    rest stays in its order."""
    if not feed.personal or asker.did is None:
        return frozenset()
    wishes = store.interactions.wishes(asker.did, most=WISHES)
    return frozenset(wish.item for wish in wishes if wish.event == LESS)


def _stand_in(
    store: Store, feeds: Mapping[str, FeedConfig], feed: FeedConfig, limit: int, cursor: str,
    asker: Asker,
) -> Page:  # fmt: skip
    """A page of what stands in for `feed`; `cursor` begins with which of both cases it is."""
    mark, rest = cursor[0], cursor[1:]
    name = feed.when_empty if mark == EMPTY else feed.signed_out
    if mark == SIGNED_OUT and not (feed.personal or feed.by_language):
        name = ""
    if name.startswith("at://") and not rest:
        shown = name not in _unwanted(store, feed, asker) and may_be_shown(store, name)
        return Page([Item(name, stand_in=name)] if shown else [], None)
    if name == REFUSE and mark == SIGNED_OUT:
        if asker.unproved:
            raise NotProvedYet("who is signed in cannot be checked just now; try again")
        if asker.did is None:
            raise SignInFirst("this feed is for those who are signed in")
        if rest:
            raise BadCursor(_NOT_OURS)
        found = Page([], None)  # it is not known yet whom they follow; the next request finds it
    else:
        target = feed if name == EVERYONE and mark == SIGNED_OUT else feeds.get(name)
        if target is None:
            raise BadCursor(_NOT_OURS)
        if target is not feed:
            mark_asked(store, target, asker.now)
        request = Request(now=asker.now, languages=asker.languages)
        chain = Chain(hidden=_unwanted(store, feed, asker))
        found = page(store, target, limit, rest, request, chain)
        told = [item._replace(stand_in=target.name) for item in found.items]
        found = found._replace(items=told)
    if not found.items and not rest and mark == SIGNED_OUT and feed.when_empty:
        return _stand_in(store, feeds, feed, limit, EMPTY, asker)
    return found._replace(cursor=f"{mark}{found.cursor}" if found.cursor else None)


def mark_asked(store: Store, feed: FeedConfig, now: datetime) -> None:
    """Note that someone reads the feed, so that it is ranked again. Where another writer is in the
    way the next request notes it: no reader waits for that."""
    try:
        store.mark_asked(feed.name, micros(now))
    except StoreError as error:  # the page matters more
        level = logging.DEBUG if isinstance(error, Unavailable) else logging.WARNING
        log.log(level, "feeds.%s: cannot note that it was asked for: %s", feed.name, error)
