"""Which posts are ranked for a viewer: the newest that they may see, and what rankers seek."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from itertools import islice
from weakref import WeakKeyDictionary

from feedkit.failures import failed
from feedkit.logs import worth_saying
from feedkit.narrowing import EVERYTHING, both, kept, narrowing_for
from feedkit.plugin import Ranker, Sought
from feedkit.post import Post, Viewer
from feedkit.ranking import Candidates, candidates_of
from feedkit.settings import FeedConfig
from feedkit.store import Narrowing, Place, Store
from feedkit.times import micros

log = logging.getLogger(__name__)

DEPTH = 1000  # posts that are ranked for a viewer, after narrowing
# Posts by authors whom rankers seek: with so many none are sought below the newest, which costs
# as much as all the rest of a page; else so many.
ENOUGH, THEIRS = 3, 60
STEPS = 5  # of so many posts that are looked at for them
MOMENT = 1.0  # seconds for which candidates are shared among viewers
MOST_RECENT = 8  # of which so many are kept: about 2 MB each

_NONE = Candidates.of(())
_lock = threading.Lock()
_Recent = dict[tuple[str, Place | None], tuple[float, Candidates]]
_recent: WeakKeyDictionary[Store, _Recent] = WeakKeyDictionary()


def candidates_for(store: Store, feed: FeedConfig, viewer: Viewer | None) -> Candidates:
    """What is ranked for the viewer: the newest posts that all viewer filters keep, and below them
    older ones that the rankers seek for them; or everything for nobody."""
    depth = min(feed.depth, DEPTH)
    if viewer is None:
        return _read(store, feed, (EVERYTHING,), depth)
    narrowing = narrowing_for(feed, viewer)
    newest, below = _newest(store, feed, viewer, narrowing, depth)
    sought = _seek(feed, viewer) if below is not None else Sought()
    theirs = (post for post in newest.posts if post.author in sought.authors)
    if len([*islice(theirs, ENOUGH)]) == ENOUGH:
        sought = Sought(sought.uris)
    if not sought.uris and not sought.authors:
        return newest
    older = _older(store, feed, viewer, narrowing, sought, depth, below)
    over = len(newest.posts) + len(older.posts) - depth
    posts, uris = list(newest.posts), set(sought.uris)
    for place in range(len(posts) - 1, -1, -1):  # they take the place of the oldest others
        if over <= 0:
            break
        if posts[place].author not in sought.authors and posts[place].uri not in uris:
            del posts[place]
            over -= 1
    return Candidates([*posts, *older.posts][:depth], {**newest.ids, **older.ids})


def _newest(
    store: Store, feed: FeedConfig, viewer: Viewer, narrowing: tuple[Narrowing, ...], depth: int
) -> tuple[Candidates, Place | None]:
    """The newest `depth` posts that all viewer filters keep, and below which place there may be
    older ones. Where too few are kept of what it reads, it reads on, up to `STEPS` times."""
    posts: list[Post] = []
    ids: Mapping[str, int] = {}
    below: Place | None = None
    for _ in range(STEPS):
        step = _read(store, feed, narrowing, depth, below)
        posts += kept(feed, step.posts, viewer)
        ids = {**ids, **step.ids} if ids else step.ids
        if len(step.posts) < depth and len(posts) <= depth:
            return Candidates(posts, ids), None
        last = posts[depth - 1] if len(posts) >= depth else step.posts[-1]
        below = micros(last.sort_at), ids[last.uri]
        if len(posts) >= depth:
            break
    return Candidates(posts[:depth], ids), below


def _seek(feed: FeedConfig, viewer: Viewer) -> Sought:
    """What the feed's rankers seek for the viewer."""
    uris: dict[str, None] = {}
    authors: set[str] = set()
    for ranker in feed.rank.walk():
        if isinstance(ranker, Ranker):
            try:
                sought = ranker.seeks(viewer)
                uris |= dict.fromkeys(sought.uris)
                authors |= sought.authors
            except (Exception, SystemExit) as error:
                _complain(feed, ranker, error)
    return Sought(tuple(uris), authors)


def _older(
    store: Store, feed: FeedConfig, viewer: Viewer, narrowing: tuple[Narrowing, ...],
    sought: Sought, depth: int, below: Place | None,
) -> Candidates:  # fmt: skip
    """What is sought of the posts below a place, newest first: at most half of what is ranked, and
    `THEIRS` by authors."""
    found = _NONE
    for wanted, most in (
        (Narrowing(uris=(*islice(sought.uris, depth // 2),)), depth // 2),
        (Narrowing(sought.authors), min(depth // 4, THEIRS)),
    ):
        if wanted.uris or wanted.authors:
            most = min(most, depth // 2 - len(found.posts))
            some = candidates_of(store, feed, most, [both(one, wanted) for one in narrowing], below)
            posts = {post.uri: post for post in (*found.posts, *kept(feed, some.posts, viewer))}
            found = Candidates(list(posts.values()), {**found.ids, **some.ids})
    ids = found.ids
    newest_first = sorted(found.posts, key=lambda p: (p.sort_at, ids[p.uri]), reverse=True)
    return found.only(newest_first)


def _complain(feed: FeedConfig, ranker: Ranker, error: BaseException) -> None:
    times = failed(feed.name, ranker.yaml_name())
    if worth_saying(times):
        log.error(
            "feeds.%s: the ranker %s failed to say what it seeks (%s: %s), %d times so far; the "
            "newest posts are ranked",
            feed.name, ranker.yaml_name(), type(error).__name__, error, times,
        )  # fmt: skip


def _read(
    store: Store, feed: FeedConfig, narrowing: tuple[Narrowing, ...], depth: int,
    before: Place | None = None,
) -> Candidates:  # fmt: skip
    """Candidates before a place; those that all viewers share as they were a moment ago. What was
    deleted since is left out when the page is read."""
    if narrowing != (EVERYTHING,):
        return candidates_of(store, feed, depth, narrowing, before)
    key = feed.name, before
    with _lock:
        recent = _recent.setdefault(store, {})
        made, found = recent.get(key, (0.0, _NONE))
    if not found.posts or time.monotonic() - made > MOMENT:
        made = time.monotonic()
        found = candidates_of(store, feed, depth, narrowing, before)
        with _lock:
            if key not in recent and len(recent) >= MOST_RECENT:
                del recent[min(recent, key=lambda key: recent[key][0])]
            recent[key] = made, found
    return found
