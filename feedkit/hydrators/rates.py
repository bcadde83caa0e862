"""How often a post's author posts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from feedkit.context import Context
from feedkit.hydrators.authors import seconds
from feedkit.plugin import Hydrator
from feedkit.post import Post

PAGE = 100  # the most that getAuthorFeed gives at once
DAY = 86_400.0
SHORTEST = 60.0  # seconds that a page of entries is taken to span at least


class PostingRate(Hydrator):
    """How many posts a day the author makes, replies included: `author_rate`.

    One question (app.bsky.feed.getAuthorFeed) for each author of a batch, for the newest hundred
    entries: the author's posts among them, divided by the days from the oldest entry to this post.
    Reposts are entries, but not counted. Where there are fewer than fifty entries, which are then
    all that the author has, these are at least one day; so nobody's first posts are taken for a
    habit. An entry's time is the earlier of what the author's app claims and when the network saw
    it. Nothing is known of an author who is gone, or whose feed is empty.

    ```yaml
    hydrators: [posting_rate]
    ```
    """

    provides: ClassVar[Mapping[str, Any]] = {"author_rate": float}
    batch = 25
    deadline = 240.0  # a question for each author, and the AppView may ask for patience

    def hydrate(self, posts: Sequence[Post], context: Context) -> list[dict[str, Any]]:
        known: dict[str, list[tuple[float, bool]]] = {}
        for author in dict.fromkeys(post.author for post in posts):
            try:
                known[author] = _entries(author, context)
            except Exception:
                if not known:
                    raise
                break  # who is left is asked for again
        return [
            {"author_rate": _rate(known[post.author], post.seen_at.timestamp())}
            if post.author in known
            else {}
            for post in posts
        ]


def _entries(author: str, context: Context) -> list[tuple[float, bool]]:
    """Of the newest entries of the author's feed: when, and whether it is a post of theirs."""
    asked = {"actor": author, "limit": PAGE, "filter": "posts_with_replies"}
    try:
        answer = context.api("app.bsky.feed.getAuthorFeed", asked)
    except LookupError:  # there is no such account any more
        return []
    return list(_read(author, answer.get("feed")))


def _read(author: str, feed: object) -> Iterator[tuple[float, bool]]:
    for item in feed if isinstance(feed, list) else ():
        post, reason = _part(item, "post"), _part(item, "reason")
        if reason:
            when, own = seconds(reason.get("indexedAt")), False
        else:
            own = _part(post, "author").get("did") == author
            claimed = seconds(_part(post, "record").get("createdAt"))
            seen = seconds(post.get("indexedAt"))
            when = min((time for time in (claimed, seen) if time is not None), default=None)
        if when is not None:
            yield when, own


def _rate(entries: list[tuple[float, bool]], now: float) -> float | None:
    if not entries:
        return None
    times = [when for when, _ in entries]
    span = max(now, *times) - min(times)
    span = max(span, SHORTEST if len(entries) >= PAGE // 2 else DAY)
    return sum(own for _, own in entries) / (span / DAY)


def _part(whole: object, key: str) -> Mapping[str, Any]:
    part = whole.get(key) if isinstance(whole, Mapping) else None
    return part if isinstance(part, Mapping) else {}
