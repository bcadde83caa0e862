"""Which posts are ranked for a viewer: the newest that they may see, and what rankers seek."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from weakref import WeakKeyDictionary

from feedkit.narrowing import EVERYTHING, kept, narrowing_for
from feedkit.plugin import Sought
from feedkit.post import Viewer
from feedkit.posts import places_by
from feedkit.ranking import Candidates, candidates_of
from feedkit.seeking import older, sought_by
from feedkit.settings import FeedConfig
from feedkit.store import Narrowing, Place, Store

DEPTH = 1000  # posts that are ranked for a viewer, after narrowing
# Where so many of them are by those whom rankers seek no older ones are sought, by whomever.
ENOUGH = 3
STEPS = 5  # of so many posts that are looked at for them
MOMENT = 1.0  # seconds for which candidates are shared among viewers …
READING = 3.0  # … and while somebody reads them anew, if that takes no longer
MOST_RECENT = 8  # of which so many are kept: about 1 MB each


class _Recent:
    """What was read of one feed. `made`: when. `reading`: since when somebody reads it anew."""

    __slots__ = ("found", "made", "reading")

    def __init__(self) -> None:
        self.found: Candidates | None = None
        self.made = self.reading = -math.inf


_lock = threading.Lock()
_Key = tuple[str, Place | None]
_recent: WeakKeyDictionary[Store, OrderedDict[_Key, _Recent]] = WeakKeyDictionary()


def candidates_for(store: Store, feed: FeedConfig, viewer: Viewer | None) -> Candidates:
    """What is ranked for the viewer: the newest posts that all viewer filters keep, and below them
    older ones that the rankers seek for them; or everything for nobody."""
    depth = min(feed.depth, DEPTH)
    if viewer is None:
        return _read(store, feed, (EVERYTHING,), depth)
    narrowing = narrowing_for(feed, viewer)
    newest, below = _newest(store, feed, viewer, narrowing, depth)
    if below is None:
        return newest
    sought = sought_by(feed, viewer)
    if sought.authors and len(places_by(newest.posts, sought.authors)) >= ENOUGH:
        sought = Sought(sought.uris)
    if not sought.uris and not sought.authors:
        return newest
    found = older(store, feed, viewer, narrowing, sought, depth, below)
    return _in_place_of_others(newest, found, sought, depth) if found.posts else newest


def _in_place_of_others(
    newest: Candidates, found: Candidates, sought: Sought, most: int
) -> Candidates:
    """The newest and what was found below them: that takes the place of the oldest others, if they
    are more than `most`."""
    first = len(newest.posts)
    over, uris, stay = first + len(found.posts) - most, set(sought.uris), list[int]()
    while over > 0 and first > 0:
        first -= 1
        post = newest.posts[first]
        if post.author in sought.authors or post.uri in uris:
            stay.append(first)
        else:
            over -= 1
    stay.reverse()
    return newest.joined(first, [(newest.numbers[n], newest.posts[n]) for n in stay], found)


def _newest(
    store: Store, feed: FeedConfig, viewer: Viewer, narrowing: tuple[Narrowing, ...], depth: int
) -> tuple[Candidates, Place | None]:
    """The newest `depth` posts that all viewer filters keep, and below which place there may be
    older ones. Where too few are kept of what it reads, it reads on, up to `STEPS` times."""
    found, below = Candidates((), ()), None
    for _ in range(STEPS):
        step = _read(store, feed, narrowing, depth, below)
        found = found.then(step.only(kept(feed, step.posts, viewer)))
        if len(step.posts) < depth and len(found.posts) <= depth:
            return found, None
        if len(found.posts) >= depth:
            return found.first(depth), found.place(depth - 1)
        below = step.place(-1)
    return found, below


def _read(
    store: Store, feed: FeedConfig, narrowing: tuple[Narrowing, ...], depth: int,
    before: Place | None = None,
) -> Candidates:  # fmt: skip
    """Candidates before a place; those that all viewers share as they were a moment ago. What was
    deleted since is left out when the page is read."""
    if narrowing != (EVERYTHING,):
        return candidates_of(store, feed, depth, narrowing, before)
    key, now = (feed.name, before), time.monotonic()
    with _lock:
        recent = _recent.setdefault(store, OrderedDict())
        one = recent.setdefault(key, _Recent())
        recent.move_to_end(key)
        while len(recent) > MOST_RECENT:
            recent.popitem(last=False)
        found = one.found
        if found is not None and (now - one.made <= MOMENT or now - one.reading <= READING):
            return found  # the old one, while another request reads it anew
        one.reading = now
    try:
        found = candidates_of(store, feed, depth, narrowing, before)
        if found.posts:
            with _lock:
                one.found, one.made = found, now
    finally:
        one.reading = -math.inf
    return found
