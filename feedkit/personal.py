"""A feed as one viewer gets it: ranked when the first page is asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from msgspec.structs import replace

from feedkit.candidates import candidates_for
from feedkit.narrowing import bearable
from feedkit.post import Request
from feedkit.ranking import mixed, rank
from feedkit.settings import FeedConfig
from feedkit.skeleton import Made
from feedkit.store import Store
from feedkit.times import micros

AGAIN = timedelta(seconds=5)  # for which the same ranking starts a new chain: apps ask twice

AT_ONCE = 2  # rankings in one process: more take only Python's lock and memory from each other
# Seconds to wait for a turn; then a ranking goes on without, lest one that hangs hold up all.
TURN = 1.0
MOST_LANGUAGES = 300  # rankings of a feed by languages: what people ask for, and some
MOST_OF_VIEWER = 5  # the same of one viewer, who may have devices in several languages

_turns = threading.BoundedSemaphore(AT_ONCE)


def asker_of(feed: FeedConfig, request: Request) -> str:
    """Whose rankings those for `request` are: the viewer's (a DID), whatever languages are asked
    for, or those of all who ask for the same ones."""
    if request.viewer and feed.personal:
        return request.viewer.did
    return _spoken(request) if feed.by_language else ""


def _spoken(request: Request) -> str:
    return "-".join(request.languages) or "any"


def _made_by(feed: FeedConfig, request: Request) -> str:
    """The recipe of a ranking for `request`. Languages are part of it where they are not part of
    `asker_of`, so that all rankings of a viewer are counted together."""
    by_both = feed.personal and feed.by_language
    return f"{feed.recipe} {_spoken(request)}" if by_both else feed.recipe


def too_many_languages(store: Store, feed: FeedConfig, request: Request) -> bool:
    """Whether there are so many rankings of a feed by languages that those whom `request` asks for
    get none of their own: anybody can ask for any, and each is kept for an hour. Of a personal feed
    those of this viewer count."""
    if feed.personal:
        made_by = _made_by(feed, request)
        made = store.recipes(feed.name, asker_of(feed, request))
        others = sum(recipe.startswith(f"{feed.recipe} ") for recipe in made)
        return made_by not in made and others >= MOST_OF_VIEWER
    if store.latest_version(feed.name, asker_of(feed, request)) is not None:
        return False
    return store.askers(feed.name, MOST_LANGUAGES) >= MOST_LANGUAGES


def rank_now(
    store: Store, feed: FeedConfig, request: Request, feeds: Mapping[str, FeedConfig],
    probe: bool = False,
) -> Made | None:  # fmt: skip
    """A ranking of `feed` for who asks, made now unless it was made just before. None: nothing is
    left to be shown. `probe`: only its first post will be given."""
    by_both = feed.personal and feed.by_language and request.languages
    if by_both and too_many_languages(store, feed, request):
        request = replace(request, languages=())
    asker, now, made_by = asker_of(feed, request), micros(request.now), _made_by(feed, request)
    again = (AGAIN if feed.personal else feed.refresh) // timedelta(microseconds=1)

    def just_made() -> Made | None:
        last = store.latest_version(feed.name, asker, made_by)
        if last is None or not 0 <= now - last.created_at < again:
            return None
        if last.probe and not probe:
            store.keep_version(last.id)
        return Made(last.id)

    def make() -> Made | None:
        if not (ids := ranked(store, feed, request, feeds)):
            return None
        return Made(store.save_version(feed.name, asker, ids, now, made_by, probe), ids)

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
    viewer = request.viewer
    found, others = candidates_for(store, feed, viewer), mixed(store, feed, feeds)
    if viewer is not None:
        others = {
            name: some.only(bearable(feed, some.posts, viewer)) for name, some in others.items()
        }
    return rank(feed, found, request, others)
