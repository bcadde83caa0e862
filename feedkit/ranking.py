"""Candidates → rank → select: the order of a feed."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from datetime import UTC, datetime

from feedkit.awaiting import knows
from feedkit.needs import hydrated
from feedkit.plugin import Selector
from feedkit.post import Post, Request
from feedkit.rankers.time import Newest
from feedkit.settings import FeedConfig
from feedkit.store import Store
from feedkit.times import micros

log = logging.getLogger(__name__)


def by_keyset(feed: FeedConfig) -> bool:
    """Whether the feed needs no snapshot: newest first, and no selector but pins."""
    return isinstance(feed.rank, Newest) and all(
        type(selector).select is Selector.select for selector in feed.select
    )


def rank(feed: FeedConfig, candidates: Sequence[tuple[int, Post]], now: datetime) -> list[int]:
    """The ids of `candidates` (newest first) as `feed` ranks and selects them, best first.

    A ranker that raises or gives no finite numbers is logged, and the feed is newest first; a
    selector that raises or invents posts is logged and passed over. Posts of which a hydrator has
    not told what the ranker needs come last, newest first.
    """
    request = Request(now=now)
    ids = {post.uri: id for id, post in candidates}
    words = hydrated([feed.rank])
    posts = [post for _, post in candidates if knows(post, words)]
    rest = [post for _, post in candidates if not knows(post, words)]
    try:
        scores = [float(score) for score in feed.rank.score_many(posts, request)]
        if len(scores) != len(posts) or not all(map(math.isfinite, scores)):
            raise ValueError("it must give one finite number for each post")
    except Exception as error:
        log.error(
            "feeds.%s: the ranker %s failed (%s: %s); the feed is newest first until it works",
            feed.name, feed.rank.yaml_name(), type(error).__name__, error,
        )  # fmt: skip
    else:
        order = sorted(range(len(posts)), key=scores.__getitem__, reverse=True)
        posts = [posts[i] for i in order]
    posts += rest
    for selector in feed.select:
        try:
            chosen = selector.select(list(posts), request)
            uris = [post.uri for post in chosen]
            if len(set(uris)) != len(uris) or not ids.keys() >= set(uris):
                raise ValueError("it must not repeat or invent posts")
        except Exception as error:
            log.error(
                "feeds.%s: the selector %s failed (%s: %s); it is passed over until it works",
                feed.name, selector.yaml_name(), type(error).__name__, error,
            )  # fmt: skip
        else:
            posts = chosen
    return [ids[post.uri] for post in posts]


def recipe(feed: FeedConfig) -> str:
    """A text that changes when the feed is to be ranked or selected in another way."""
    return ";".join(part.fingerprint() for part in (feed.rank, *feed.select)) + f";{feed.depth}"


def take_snapshot(store: Store, feed: FeedConfig, now: datetime | None = None) -> int:
    """Rank `feed` and store the result as its new version. Returns the number of posts."""
    now = now or datetime.now(UTC)
    ids = rank(feed, store.candidates(feed.name, feed.depth, bool(feed.ranks_by)), now)
    store.save_version(feed.name, "", ids, micros(now), recipe(feed))
    return len(ids)
