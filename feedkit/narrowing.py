"""What viewer filters leave of a feed: what the store is asked for, and what of that is kept."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from itertools import compress

from feedkit.failures import failed
from feedkit.logs import worth_saying
from feedkit.post import Post, Viewer
from feedkit.settings import FeedConfig
from feedkit.store import Narrowing
from feedkit.viewing import ViewerFilter

log = logging.getLogger(__name__)

EVERYTHING = Narrowing()
NOTHING = Narrowing(frozenset())
MOST = 6  # look-ups for one viewer; beyond that all posts are looked at


def narrowing_for(feed: FeedConfig, viewer: Viewer) -> tuple[Narrowing, ...]:
    """What is known of the posts that all viewer filters keep, before any is read: each of them is
    one of at least one of these."""
    found: Sequence[Narrowing] = (EVERYTHING,)
    for filter in feed.viewer:
        options = _alternatives(feed, filter, viewer)
        found = _fewer(both(one, other) for one in found for other in options)
    return tuple(found)


def both(one: Narrowing, other: Narrowing) -> Narrowing:
    """What the posts of `one` and of `other` have in common."""
    return Narrowing(
        _common(one.authors, other.authors),
        tuple(dict.fromkeys((*one.naming, *other.naming))),
        _common(one.uris, other.uris),
    )


def _common(one: Collection[str] | None, other: Collection[str] | None) -> frozenset[str] | None:
    """What both have, where None has everything."""
    if one is None or other is None:
        some = other if one is None else one
        return None if some is None else frozenset(some)
    return frozenset(one).intersection(other)


def _alternatives(feed: FeedConfig, filter: ViewerFilter, viewer: Viewer) -> list[Narrowing]:
    try:
        return [
            Narrowing(None if authors is None else frozenset(authors), (did,) if did else ())
            for authors, did in filter.alternatives(viewer)
        ]
    except (Exception, SystemExit) as error:
        _complain(feed, filter, error)
        return [NOTHING]


def _fewer(found: Iterable[Narrowing]) -> list[Narrowing]:
    """The same in fewer look-ups: those by author are one."""
    authors: frozenset[str] | None = None
    others = []
    for one in dict.fromkeys(found):
        if one == EVERYTHING:
            return [EVERYTHING]
        if one.naming or one.authors is None:
            others.append(one)
        else:
            authors = (authors or frozenset()).union(one.authors)
    if authors or not others:
        others.append(Narrowing(authors or frozenset()))
    return others if len(others) <= MOST else [EVERYTHING]


def kept(feed: FeedConfig, posts: Sequence[Post], viewer: Viewer) -> Sequence[Post]:
    """Those of `posts` that all viewer filters keep. What one fails on is not kept."""
    for filter in feed.viewer:
        posts = _kept(feed, filter, posts, viewer)
    return posts


def bearable(feed: FeedConfig, posts: Sequence[Post], viewer: Viewer) -> Sequence[Post]:
    """Those of another feed's `posts`, which `feed` mixes in, that the viewer filters do not leave
    out; filters that say whose posts are shown speak of the feed's own."""
    for filter in feed.viewer:
        if EVERYTHING in _alternatives(feed, filter, viewer):
            posts = _kept(feed, filter, posts, viewer)
    return posts


def _kept(
    feed: FeedConfig, filter: ViewerFilter, posts: Sequence[Post], viewer: Viewer
) -> Sequence[Post]:
    try:
        verdicts = filter.keep_many(posts, viewer)
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
