"""A feed as one viewer gets it: ranked when the first page is asked for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import compress
from weakref import WeakKeyDictionary

from feedkit.failures import failed
from feedkit.logs import worth_saying
from feedkit.post import Post, Request, Viewer
from feedkit.ranking import Candidates, candidates_of, mixed, rank
from feedkit.settings import FeedConfig
from feedkit.store import Narrowing, Store
from feedkit.times import micros
from feedkit.viewing import ViewerFilter

log = logging.getLogger(__name__)

DEPTH = 1000  # the newest posts that are ranked for a viewer, after narrowing
AGAIN = timedelta(seconds=5)  # for which the same ranking starts a new chain: apps ask twice

AT_ONCE = 2  # rankings in one process: more take only Python's lock and memory from each other
# Seconds to wait for a turn; then a ranking goes on without, lest one that hangs hold up all.
TURN = 1.0
MOMENT = 1.0  # seconds for which candidates are shared among viewers
MOST_LANGUAGES = 300  # rankings of a feed by languages: what people ask for, and some
MOST_RECENT = 8  # feeds of which they are: about 2 MB each

_NONE = Candidates.of(())
_lock = threading.Lock()
_turns = threading.BoundedSemaphore(AT_ONCE)
_recent: WeakKeyDictionary[Store, dict[str, tuple[float, Candidates]]] = WeakKeyDictionary()


def asker_of(feed: FeedConfig, request: Request) -> str:
    """Whose rankings those for `request` are: the viewer's DID, the languages, or both."""
    parts = [request.viewer.did] if request.viewer and feed.personal else []
    if feed.by_language:
        parts.append("-".join(request.languages) or "any")
    return " ".join(parts)


def too_many_languages(store: Store, feed: FeedConfig, request: Request) -> bool:
    """Whether there are so many rankings of a feed by languages that those whom `request` asks for
    get none of their own: anybody can ask for any, and each is kept for an hour."""
    if store.latest_version(feed.name, asker_of(feed, request)) is not None:
        return False
    return store.askers(feed.name, MOST_LANGUAGES) >= MOST_LANGUAGES


def rank_now(
    store: Store, feed: FeedConfig, request: Request, feeds: Mapping[str, FeedConfig],
    probe: bool = False,
) -> int | None:  # fmt: skip
    """The id of a ranking of `feed` for who asks, made now unless it was made just before. None:
    nothing is left to be shown. `probe`: only its first post will be given."""
    asker, now, made_by = asker_of(feed, request), micros(request.now), feed.recipe
    again = (AGAIN if feed.personal else feed.refresh) // timedelta(microseconds=1)

    def just_made() -> int | None:
        last = store.latest_version(feed.name, asker)
        if last is None or last.recipe != made_by or not 0 <= now - last.created_at < again:
            return None
        if last.probe and not probe:
            store.keep_version(last.id)
        return last.id

    def make() -> int | None:
        ids = ranked(store, feed, request, feeds)
        return store.save_version(feed.name, asker, ids, now, made_by, probe) if ids else None

    if made := just_made():
        return made
    if not feed.personal:  # what is for all must not wait for viewers
        return make()
    with _turn() as waited:  # perhaps for another request of this viewer
        return (waited and just_made()) or make()


@contextmanager
def _turn() -> Iterator[bool]:
    """A turn to rank; gives whether it had to be waited for."""
    taken = _turns.acquire(blocking=False)
    waited = not taken
    taken = taken or _turns.acquire(timeout=TURN)
    try:
        yield waited
    finally:
        if taken:
            _turns.release()


def ranked(
    store: Store, feed: FeedConfig, request: Request, feeds: Mapping[str, FeedConfig]
) -> list[int]:
    """The ids of the posts of `feed` for who asks, best first."""
    found = candidates_for(store, feed, request.viewer)
    return rank(feed, found, request, mixed(store, feed, feeds))


def candidates_for(store: Store, feed: FeedConfig, viewer: Viewer | None) -> Candidates:
    """What is ranked for the viewer: what all viewer filters keep, or everything for nobody."""
    if viewer is None:
        return _candidates(store, feed, None)
    found = _candidates(store, feed, narrowing_for(feed, viewer))
    posts = found.posts
    for filter in feed.viewer:
        posts = _kept(feed, filter, posts, viewer)
    return found.only(posts)


def _candidates(store: Store, feed: FeedConfig, narrowing: Narrowing | None) -> Candidates:
    """The candidates; those that all viewers share as they were a moment ago. What was deleted
    since is left out when the page is read."""
    depth = min(feed.depth, DEPTH)
    if narrowing not in (None, Narrowing()):
        return candidates_of(store, feed, depth, narrowing)
    with _lock:
        recent = _recent.setdefault(store, {})
        made, found = recent.get(feed.name, (0.0, _NONE))
    if not found.posts or time.monotonic() - made > MOMENT:
        made = time.monotonic()
        found = candidates_of(store, feed, depth)
        with _lock:
            if len(recent) >= MOST_RECENT:
                del recent[min(recent, key=lambda name: recent[name][0])]
            recent[feed.name] = made, found
    return found


def narrowing_for(feed: FeedConfig, viewer: Viewer) -> Narrowing:
    """What the viewer filters say of the posts that they keep, before these are read."""
    authors = None
    naming = []
    for filter in feed.viewer:
        try:
            theirs, named = filter.authors(viewer), filter.mentioned(viewer)
        except (Exception, SystemExit) as error:
            _complain(feed, filter, error)
            theirs, named = frozenset(), None
        if theirs is not None:
            authors = frozenset(theirs) if authors is None else authors & theirs
        if named is not None:
            naming.append(named)
    return Narrowing(authors, tuple(naming))


def _kept(
    feed: FeedConfig, filter: ViewerFilter, posts: Sequence[Post], viewer: Viewer
) -> Sequence[Post]:
    try:
        verdicts = [filter.keep(post, viewer) for post in posts]
    except (Exception, SystemExit):
        verdicts = []
    if len(verdicts) == len(posts) and {*map(type, verdicts)} <= {bool}:
        return posts if all(verdicts) else [*compress(posts, verdicts)]
    return [post for post in posts if _surely_kept(feed, filter, post, viewer)]


def _surely_kept(feed: FeedConfig, filter: ViewerFilter, post: Post, viewer: Viewer) -> bool:
    """What must not be shown, perhaps, is not."""
    try:
        verdict = filter.keep(post, viewer)
        if type(verdict) is not bool:
            raise TypeError(f"keep returned {type(verdict).__name__}, not True or False")
    except (Exception, SystemExit) as error:
        _complain(feed, filter, error, post.uri)
        return False
    return verdict


def _complain(feed: FeedConfig, filter: ViewerFilter, error: BaseException, uri: str = "") -> None:
    times = failed(feed.name, filter.yaml_name())
    if worth_saying(times):
        about = f" on {uri}" if uri else ""
        log.error(
            "feeds.%s: the viewer filter %s failed%s (%s: %s), %d times so far; "
            "what it cannot tell of is not shown",
            feed.name, filter.yaml_name(), about, type(error).__name__, error, times,
        )  # fmt: skip
