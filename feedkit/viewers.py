"""What is known of those who ask for personal feeds: read from the store, never from the network.

Whom a viewer follows is found out by the jobs (`feedkit.people.viewers`); here they are only noted
as asking.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any

from feedkit.cache import Cache
from feedkit.post import CoLike, Liked, Viewer
from feedkit.settings import Service
from feedkit.store import Store, StoreError, Unavailable
from feedkit.store.interactions import MORE, Wish
from feedkit.store.pruning import WISHES
from feedkit.times import micros, moment

log = logging.getLogger(__name__)

SECOND = 1_000_000  # µs
DAY = 86_400 * SECOND
NOTED = 300 * SECOND  # between two notes that a viewer asked …
NOTED_NEW = 10 * SECOND  # … of whom something is needed that is not known
FRESH = 10 * SECOND  # for so long follows are believed without a look at the store
CO_LIKES = 60 * SECOND  # for so long it is believed who likes the same
SEEN_FOR = 7 * DAY  # posts seen before that may be shown again
LIKED_FOR = timedelta(days=7)  # older likes tell who likes the same only where a ranker asks
# What the caches hold at most, in DIDs and in likes: 100 to 200 bytes each.
MOST_MEMBERS, MOST_CO_LIKES, MOST_NOTED = 30_000, 40_000, 20_000

_SETS = frozenset({"viewer.follows", "viewer.followers"})


class Viewers:
    """Loads the viewers of a service: one object for a process, for all of its threads."""

    def __init__(self, service: Service, store: Store) -> None:
        self._store = store
        # Each ranker leaves out what is too old for it.
        since = _longest(service, {"viewer.co_likes"}, "window", LIKED_FOR)
        self._liked_for = since // timedelta(microseconds=1)
        self._sets = Cache[dict[str, tuple[int, frozenset[str]]]](MOST_MEMBERS)
        self._co_likes = Cache[Mapping[str, tuple[CoLike, ...]]](MOST_CO_LIKES)
        self._noted = Cache[bool](MOST_NOTED)

    def load(self, did: str, needs: AbstractSet[str], now: datetime) -> Viewer | None:
        """The viewer `did` with what a feed `needs` of them, see `FeedConfig.viewer_needs`. None
        where it needs follows or followers that nobody has asked the network for yet; the jobs do,
        in a second or two, since the viewer is noted as asking.

        Raises `StoreError`. `now`: aware.
        """
        at = micros(now)
        known: dict[str, Any] = {}
        if sets := _SETS & needs:
            names = frozenset(need.removeprefix("viewer.") for need in sets)
            found = self._members(did, names, at)
            missing = not names <= found.keys()
            self._note(did, at, missing)
            if missing:
                return None
            known = {name: found[name][1] for name in names}
        if "viewer.likes" in needs:
            known["likes"] = self._store.likes.of(did)
        if "viewer.seen" in needs:
            known["seen"] = self._store.interactions.seen(did, at - SEEN_FOR)
        if {"viewer.more", "viewer.less"} & needs:
            wishes = self._store.interactions.wishes(did)
            known["more"] = tuple(_liked(wish) for wish in wishes if wish.event == MORE)
            known["less"] = tuple(_liked(wish) for wish in wishes if wish.event != MORE)
        if "viewer.co_likes" in needs:
            known["co_likes"] = self._liked_with(did, at)
        return Viewer(did=did, **known)

    def _members(
        self, did: str, names: frozenset[str], at: int
    ) -> dict[str, tuple[int, frozenset[str]]]:
        """Those of the sets that are known, read again only where they have changed."""
        kept = self._sets.get(did, at, FRESH)
        if kept is not None and names <= kept.keys():
            return kept
        versions = self._store.viewers.known(did)
        kept = self._sets.get(did) or {}
        found = {name: one for name, one in kept.items() if versions.get(name) == one[0]}
        if newer := (versions.keys() & names) - found.keys():
            found |= self._store.viewers.members(did, newer)
        self._sets.put(did, found, at, 1 + sum(len(dids) for _, dids in found.values()))
        return found

    def _note(self, did: str, at: int, missing: bool) -> None:
        key = (did, missing)
        if not self._noted.get(key, at, NOTED_NEW if missing else NOTED):
            try:
                self._store.viewers.asked(did, at, missing)
            except StoreError as error:  # the page matters more, and the next one notes it
                level = logging.DEBUG if isinstance(error, Unavailable) else logging.WARNING
                log.log(level, "cannot note that %s asked for a feed: %s", did, error)
                return
            self._noted.put(key, True, at)

    def _liked_with(self, did: str, at: int) -> Mapping[str, tuple[CoLike, ...]]:
        found = self._co_likes.get(did, at, CO_LIKES)
        if found is None:
            found = self._store.likes.co_likes(did, at - self._liked_for, salt=str(at // DAY))
            self._co_likes.put(did, found, at, 1 + sum(map(len, found.values())))
        return found


def wishes_for(service: Service) -> timedelta:
    """How long wishes for more or less are needed: as long as the longest `within` of the plugins
    that look at them."""
    return _longest(service, {"viewer.more", "viewer.less"}, "within", WISHES)


def _longest(service: Service, needs: AbstractSet[str], field: str, least: timedelta) -> timedelta:
    """The longest time in the `field` of the plugins that need one of `needs`, or `least`."""
    found = [
        getattr(part, field, None)
        for feed in service.feeds.values()
        for plugin in (feed.rank, *feed.select, *feed.viewer)
        for part in plugin.walk()
        if needs & frozenset(getattr(part, "needs", ()))
    ]
    return max([least, *(span for span in found if isinstance(span, timedelta))])


def _liked(wish: Wish) -> Liked:
    return Liked(wish.item, wish.author, moment(wish.at))
