"""Candidates → rank → select: the order of a feed."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from operator import attrgetter
from time import perf_counter
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from feedkit.awaiting import knows
from feedkit.failures import failed
from feedkit.logs import worth_saying
from feedkit.plugin import Ranker, Selector
from feedkit.post import Post, Request
from feedkit.posts import Joined, Posts
from feedkit.rankers.time import Newest
from feedkit.settings import FeedConfig
from feedkit.store import Narrowing, Place, Store
from feedkit.times import micros

log = logging.getLogger(__name__)

SLOW = 2.0  # seconds for one feed, after which a ranker or selector is named as slow


class Candidates:
    """The posts that a feed is ranked from, newest first. `numbers`: their ids in the store, in the
    same order."""

    def __init__(self, posts: Sequence[Post], numbers: Sequence[int]) -> None:
        self.posts, self.numbers = posts, numbers

    @staticmethod
    def of(found: Iterable[tuple[int, Post]]) -> Candidates:
        found = list(found)
        return Candidates(Posts(post for _, post in found), [id for id, _ in found])

    @cached_property
    def ids(self) -> Mapping[str, int]:
        """Their ids by URI."""
        return dict(zip(map(_uri, self.posts), self.numbers, strict=True))

    def only(self, posts: Sequence[Post]) -> Candidates:
        """Some of them."""
        if posts is self.posts:
            return self
        return Candidates(posts, [*map(self.ids.__getitem__, map(_uri, posts))])

    def first(self, most: int) -> Candidates:
        """At most so many of them."""
        if len(self.posts) <= most:
            return self
        return Candidates(self.posts[:most], self.numbers[:most])

    def then(self, others: Candidates) -> Candidates:
        """They, and after them others."""
        if not self.posts or not others.posts:
            return self if self.posts else others
        return Candidates([*self.posts, *others.posts], [*self.numbers, *others.numbers])

    def joined(
        self, first: int, stay: Iterable[tuple[int, Post]], others: Candidates
    ) -> Candidates:
        """The first of them, and after these some that `stay`, and others."""
        kept = Candidates.of(stay).then(others)
        posts = self.posts if isinstance(self.posts, Posts) else Posts(self.posts)
        numbers = [*self.numbers[:first], *kept.numbers]
        return Candidates(Joined(posts, first, kept.posts), numbers)

    def place(self, number: int) -> Place:
        """Where one of them stands in the feed; -1 is the last."""
        return micros(self.posts[number].sort_at), self.numbers[number]


_uri = attrgetter("uri")
NO_OTHERS: Mapping[str, Candidates] = MappingProxyType({})
NO_FEEDS: Mapping[str, FeedConfig] = MappingProxyType({})


class Stage(Struct, frozen=True):
    """The posts, best first, after a ranker or selector was at work. `scores`: what a ranker gave
    the first of them; those that it cannot tell yet come after these. `failure`: why it was passed
    over, if it was. `request`: what it was given."""

    plugin: Ranker | Selector
    posts: list[Post]
    request: Request
    scores: Sequence[float] = ()
    failure: str = ""


class Order(Struct, frozen=True):
    """What a ranker made of posts. `places`: theirs, from 0, the best first; `scores`: by place,
    of the first `told` of these; of the others it cannot tell yet, or it failed: `failure`."""

    places: Sequence[int]
    scores: Sequence[float] | Mapping[int, float] = ()
    told: int = 0
    failure: str = ""


def by_keyset(feed: FeedConfig) -> bool:
    """Whether the feed needs no snapshot: newest first, and no selector but pins."""
    return isinstance(feed.rank, Newest) and all(
        type(selector).select is Selector.select for selector in feed.select
    )


def stages(
    feed: FeedConfig,
    candidates: Candidates,
    request: Request,
    others: Mapping[str, Candidates] = NO_OTHERS,
) -> Iterator[Stage]:
    """How `feed` comes to its order: `candidates` (newest first) after its ranker, and after each
    of its selectors. `others`: the posts of the feeds that it mixes in, best first.

    After a ranker that raises or gives no finite numbers the feed is newest first; a selector that
    raises or invents posts changes nothing. Posts of which a hydrator has not told what the ranker
    needs come last, newest first.
    """
    request = _mixing(request, others)
    order, posts = _ordered(feed, candidates.posts, request), candidates.posts
    ranked = [*map(posts.__getitem__, order.places)]
    scores = [order.scores[place] for place in order.places[: order.told]]
    yield Stage(feed.rank, ranked, request, scores, order.failure)
    yield from _selected(feed, ranked, request)


def _mixing(request: Request, others: Mapping[str, Candidates]) -> Request:
    if not others:
        return request
    return replace(request, feeds={name: tuple(some.posts) for name, some in others.items()})


def _selected(feed: FeedConfig, posts: list[Post], request: Request) -> Iterator[Stage]:
    own = {post.uri for post in posts} if feed.select else set()
    for selector in feed.select:
        mixed = {post.uri for name in selector.mixes for post in request.feeds.get(name, ())}
        try:
            chosen = list(selector.select(list(posts), request))
            uris = [post.uri for post in chosen]
            if len(set(uris)) != len(uris) or not own | mixed >= set(uris):
                raise ValueError("it must not repeat or invent posts")
        except (Exception, SystemExit) as error:
            yield Stage(selector, posts, request, failure=f"{type(error).__name__}: {error}")
        else:
            posts = chosen
            own |= mixed
            yield Stage(selector, posts, request)


def _ordered(feed: FeedConfig, posts: Sequence[Post], request: Request) -> Order:
    places: Sequence[int] = range(len(posts))
    told, rest = posts, list[int]()
    if words := feed.scored_by:
        rest = [place for place in places if not knows(posts[place], words)]
        places = [place for place in places if knows(posts[place], words)]
        told = [posts[place] for place in places]
    try:
        given = list(map(float, feed.rank.score_many(told, request)))
        # A sum is quicker than a look at each, and says as much unless it is too large itself.
        finite = math.isfinite(sum(given)) or all(map(math.isfinite, given))
        if len(given) != len(told) or not finite:
            raise ValueError("it must give one finite number for each post")
    except (Exception, SystemExit) as error:
        return Order([*places, *rest], failure=f"{type(error).__name__}: {error}")
    if not rest:
        return Order(_best_first(given), given, len(given))
    scores = dict(zip(places, given, strict=True))
    best = sorted(places, key=scores.__getitem__, reverse=True)
    return Order([*best, *rest], scores, len(best))


def _best_first(scores: Sequence[float]) -> list[int]:
    """The places of `scores`, the highest first, equal ones as they stand."""
    places = list(range(len(scores)))
    told = [place for place, score in enumerate(scores) if score]
    if len(told) > len(scores) // 8:
        places.sort(key=scores.__getitem__, reverse=True)
        return places
    # Where a ranker knows few of the posts the others, all with 0, need no sorting.
    for place in reversed(told):
        del places[place]
    told.sort(key=scores.__getitem__, reverse=True)
    above = sum(scores[place] > 0 for place in told)
    return [*told[:above], *places, *told[above:]]


def rank(
    feed: FeedConfig,
    candidates: Candidates,
    asked: datetime | Request,
    others: Mapping[str, Candidates] = NO_OTHERS,
) -> list[int]:
    """The ids of `candidates` as `feed` ranks and selects them, best first; see `stages`. `asked`:
    the clock, or the whole request. What fails is counted, and logged."""
    request = _mixing(asked if isinstance(asked, Request) else Request(now=asked), others)
    began, size = perf_counter(), len(candidates.posts)
    order = _ordered(feed, candidates.posts, request)
    _note(feed, feed.rank, order.failure, perf_counter() - began, size)
    if not feed.select:
        return [*map(candidates.numbers.__getitem__, order.places)]
    posts, began = [*map(candidates.posts.__getitem__, order.places)], perf_counter()
    for stage in _selected(feed, posts, request):
        _note(feed, stage.plugin, stage.failure, perf_counter() - began, size)
        posts, began = stage.posts, perf_counter()
    ids = candidates.ids
    for some in others.values():
        ids = {**some.ids, **ids}
    return [ids[post.uri] for post in posts]


def _note(
    feed: FeedConfig, plugin: Ranker | Selector, failure: str, took: float, size: int
) -> None:
    if took > SLOW:
        log.warning(
            "feeds.%s: the %s %s took %.1f s for %d posts; all other feeds wait for it",
            feed.name, plugin.kind, plugin.yaml_name(), took, size,
        )  # fmt: skip
    if failure:
        _complain(feed, plugin, failure)


def _complain(feed: FeedConfig, plugin: Ranker | Selector, failure: str) -> None:
    times = failed(feed.name, plugin.yaml_name())
    if worth_saying(times):
        then = (
            "it is passed over until it works"
            if isinstance(plugin, Selector)
            else "the feed is newest first until it works"
        )
        log.error(
            "feeds.%s: the %s %s failed (%s), %d times so far; %s",
            feed.name, plugin.kind, plugin.yaml_name(), failure, times, then,
        )  # fmt: skip


def candidates_of(
    store: Store, feed: FeedConfig, most: int | None = None,
    narrowing: Collection[Narrowing] = (Narrowing(),), before: Place | None = None,
) -> Candidates:  # fmt: skip
    """The posts that `feed` is ranked from, newest first, with all that its ranking needs: `most`
    of them, else as many as it says; only those of one of `narrowing`, and below a place."""
    depth = feed.depth if most is None else most
    found = store.candidates(feed.name, depth, bool(feed.ranks_by), feed.voters, narrowing, before)
    return Candidates.of(found)


def latest_of_each(
    store: Store, feed: FeedConfig, authors: Collection[str], most: int
) -> list[tuple[int, Post]]:
    """As `candidates_of`: of each of `authors` the last `most` of their posts in `feed`."""
    return store.newest_of_each(feed.name, authors, most, bool(feed.ranks_by), feed.voters)


def mixed(store: Store, feed: FeedConfig, feeds: Mapping[str, FeedConfig]) -> dict[str, Candidates]:
    """The posts of those of `feeds` that `feed` mixes in, best first: as in their newest snapshot,
    else newest first; at most as many as each of them ranks. What those mix in themselves is left
    out, so that two feeds may mix in each other."""
    return {
        name: _in_order(store, feeds[name], feed)
        for name in sorted(feed.mixes)
        if name in feeds and name != feed.name
    }


def _in_order(store: Store, feed: FeedConfig, into: FeedConfig) -> Candidates:
    found = store.candidates(feed.name, feed.depth, bool(into.ranks_by), into.voters)
    newest = Candidates.of(found)
    version = None if by_keyset(feed) else store.latest_version(feed.name)
    if version is None:
        return newest
    own = dict(found)
    ids = store.version_slice(version.id, 0, version.size) if version.size else []
    if len(ids) < version.size:  # it was replaced just now
        return newest
    return newest.only([own[id] for id in ids if id in own])


def take_snapshot(
    store: Store,
    feed: FeedConfig,
    now: datetime | None = None,
    feeds: Mapping[str, FeedConfig] = NO_FEEDS,
) -> int:
    """Rank `feed` and store the result as its new version. Returns the number of posts. `feeds`:
    all of the service, which it may mix in."""
    now = now or datetime.now(UTC)
    ids = rank(feed, candidates_of(store, feed), now, mixed(store, feed, feeds))
    store.save_version(feed.name, "", ids, micros(now), feed.recipe)
    return len(ids)
