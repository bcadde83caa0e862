"""Candidates → rank → select: the order of a feed."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from time import perf_counter
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from feedkit.awaiting import knows
from feedkit.failures import failed
from feedkit.logs import worth_saying
from feedkit.needs import hydrated
from feedkit.plugin import Ranker, Selector
from feedkit.post import Post, Request
from feedkit.rankers.time import Newest
from feedkit.settings import FeedConfig
from feedkit.store import Narrowing, Place, Store
from feedkit.times import micros

log = logging.getLogger(__name__)

SLOW = 2.0  # seconds for one feed, after which a ranker or selector is named as slow


class Candidates(Struct, frozen=True):
    """The posts that a feed is ranked from, newest first. `ids`: theirs in the store by URI, and
    perhaps more: those that viewers are given a part of are looked up once for all of them."""

    posts: Sequence[Post]
    ids: Mapping[str, int]

    @staticmethod
    def of(found: Iterable[tuple[int, Post]]) -> Candidates:
        found = list(found)
        return Candidates([post for _, post in found], {post.uri: id for id, post in found})

    def only(self, posts: Sequence[Post]) -> Candidates:
        """Some of them."""
        return Candidates(posts, self.ids)


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
    feeds = {name: tuple(some.posts) for name, some in others.items()}
    request = replace(request, feeds=feeds)
    ranked = _ranked(feed.rank, candidates.posts, request)
    yield ranked
    posts = ranked.posts
    own = {post.uri for post in posts} if feed.select else set()
    for selector in feed.select:
        mixed = {post.uri for name in selector.mixes for post in feeds.get(name, ())}
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


def _ranked(ranker: Ranker, candidates: Sequence[Post], request: Request) -> Stage:
    posts, rest = candidates, list[Post]()
    if words := hydrated([ranker]):
        posts = [post for post in candidates if knows(post, words)]
        rest = [post for post in candidates if not knows(post, words)]
    try:
        scores = list(map(float, ranker.score_many(posts, request)))
        if len(scores) != len(posts) or not all(map(math.isfinite, scores)):
            raise ValueError("it must give one finite number for each post")
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}"
        return Stage(ranker, [*posts, *rest], request, failure=said)
    order = sorted(range(len(posts)), key=scores.__getitem__, reverse=True)
    best = [posts[number] for number in order]
    return Stage(ranker, best + rest, request, [scores[number] for number in order])


def rank(
    feed: FeedConfig,
    candidates: Candidates,
    asked: datetime | Request,
    others: Mapping[str, Candidates] = NO_OTHERS,
) -> list[int]:
    """The ids of `candidates` as `feed` ranks and selects them, best first; see `stages`. `asked`:
    the clock, or the whole request. What fails is counted, and logged."""
    request = asked if isinstance(asked, Request) else Request(now=asked)
    posts: list[Post] = []
    began = perf_counter()
    for stage in stages(feed, candidates, request, others):
        took = perf_counter() - began
        if took > SLOW:
            log.warning(
                "feeds.%s: the %s %s took %.1f s for %d posts; all other feeds wait for it",
                feed.name, stage.plugin.kind, stage.plugin.yaml_name(), took,
                len(candidates.posts),
            )  # fmt: skip
        posts = stage.posts
        if stage.failure:
            _complain(feed, stage)
        began = perf_counter()
    ids = candidates.ids
    for some in others.values():
        ids = {**some.ids, **ids}
    return [ids[post.uri] for post in posts]


def _complain(feed: FeedConfig, stage: Stage) -> None:
    times = failed(feed.name, stage.plugin.yaml_name())
    if worth_saying(times):
        then = (
            "it is passed over until it works"
            if isinstance(stage.plugin, Selector)
            else "the feed is newest first until it works"
        )
        log.error(
            "feeds.%s: the %s %s failed (%s), %d times so far; %s",
            feed.name, stage.plugin.kind, stage.plugin.yaml_name(), stage.failure, times, then,
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
