"""Selectors that mix: by difference, by chance."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta

from feedkit.chance import fraction
from feedkit.plugin import Field, Selector
from feedkit.post import EPOCH, Post, Request
from feedkit.selectors.places import nth, place_of
from feedkit.selectors.repeats import grams, link_identity, said, similarity
from feedkit.times import Period, turn


class Diversify(Selector):
    """Puts what differs from the posts above it further up, by maximal marginal relevance: at
    each place, of the next `lookahead` posts the one with the highest
    λ · relevance - (1 - λ) · (similarity to the likest of the last `lookahead` shown).

    Relevance falls from 1 for the first of these posts evenly to 0 below the last. Two posts of
    one author, thread or link are as similar as can be, 1; others as far as their texts share
    sequences of four letters. None sinks by more than `lookahead` places, none is left out.

    Source: Carbonell and Goldstein, The Use of MMR, 1998.

    ```yaml
    diversify: {lambda: 0.7, lookahead: 20}
    ```
    """

    lambda_: float = Field(
        default=0.7, ge=0, le=1, description="1: the ranking alone, 0: difference alone"
    )
    lookahead: int = Field(default=20, ge=2, le=100, description="among how many posts to choose")

    def select(self, posts: list[Post], request: Request) -> list[Post]:
        traits = [_Traits(post) for post in posts]
        ahead = list(range(min(self.lookahead, len(posts))))
        likest: dict[int, list[float]] = {number: [] for number in ahead}
        chosen: list[int] = []
        while ahead:
            if len(chosen) - ahead[0] >= self.lookahead:
                best = ahead[0]  # it has waited as long as was promised
            else:
                places = {number: place for place, number in enumerate(ahead)}
                best = max(ahead, key=lambda number: self._worth(places[number], likest[number]))
            chosen.append(best)
            ahead.remove(best)
            del likest[best]
            for number in ahead:
                likest[number].append(traits[number].similarity(traits[best]))
            if (entering := len(chosen) + len(ahead)) < len(posts):
                ahead.append(entering)
                likest[entering] = [
                    traits[entering].similarity(traits[other])
                    for other in chosen[-self.lookahead :]
                ]
        return [posts[number] for number in chosen]

    def explain(
        self, post: Post, before: Sequence[Post], after: Sequence[Post], request: Request
    ) -> str:
        was, now = place_of(post, before), place_of(post, after)
        if was is None or now is None or was == now:
            return ""
        if now < was:
            return "those it passed are more like the posts above"
        first = max(0, now - 1 - self.lookahead)
        own = _Traits(post)
        alike = [own.similarity(_Traits(other)) for other in after[first : now - 1]]
        most = max(alike)
        if not most:
            return "posts that differ more came first"
        return f"{most:.0%} like the post at place {first + alike.index(most) + 1}"

    def _worth(self, place: int, similarities: list[float]) -> float:
        relevance = 1 - place / self.lookahead
        likest = max(similarities[-self.lookahead :], default=0.0)
        return self.lambda_ * relevance - (1 - self.lambda_) * likest


class _Traits:
    """What of a post is compared with others."""

    def __init__(self, post: Post) -> None:
        self.author, self.thread = post.author, post.reply_root or post.uri
        self.links = frozenset(map(link_identity, post.links))
        self.grams = grams(said(post.text))

    def similarity(self, other: _Traits) -> float:
        if self.author == other.author or self.thread == other.thread:
            return 1.0
        return 1.0 if self.links & other.links else similarity(self.grams, other.grams)


class Shuffle(Selector):
    """Shuffles each group of `window` posts that follow each other, so that none moves by
    `window` places or more. The order stays the same for `every`.

    ```yaml
    shuffle: {window: 10, every: 1h}
    ```
    """

    window: int = Field(default=10, ge=2, description="how many posts are shuffled together")
    every: Period = Field(default=timedelta(hours=1), description="when the order changes")

    def select(self, posts: list[Post], request: Request) -> list[Post]:
        now = turn(request.now, self.every)
        order = sorted(
            range(len(posts)),
            key=lambda number: (
                number // self.window,
                fraction("shuffle", now, posts[number].uri),
            ),
        )
        return [posts[number] for number in order]

    def explain(
        self, post: Post, before: Sequence[Post], after: Sequence[Post], request: Request
    ) -> str:
        was = place_of(post, before)
        if was is None:
            return ""
        first = (was - 1) // self.window * self.window + 1
        until = EPOCH + (turn(request.now, self.every) + 1) * self.every
        last = min(first + self.window - 1, len(before))
        return f"places {first} to {last} are shuffled until {until:%Y-%m-%d %H:%M:%S} UTC"


class Mix(Selector):
    """Every n-th post is one of another feed of this service, in that feed's order, as long as it
    has some that are not shown already. A post that is in both stands where it comes first.

    The other feed's newest ranking is taken, without what it mixes in itself, and of a personal
    feed without what its viewer leaves out (`hide_seen`, `not_interested`). The post ranked at
    place p stands at most (p - 1) / (one_in - 1) places further down; none is left out.

    ```yaml
    mix: {feed: birds, one_in: 3}
    ```
    """

    feed: str = Field(min_length=1, description="the name of the other feed, its record key")
    one_in: int = Field(default=3, ge=2, description="of how many posts one is the other feed's")

    @property
    def mixes(self) -> AbstractSet[str]:
        return {self.feed}

    def select(self, posts: list[Post], request: Request) -> list[Post]:
        others = iter(request.feeds.get(self.feed, ()))
        shown: set[str] = set()
        chosen: list[Post] = []

        def show(post: Post) -> bool:
            if post.uri in shown:
                return False
            shown.add(post.uri)
            chosen.append(post)
            return True

        for post in posts:
            if show(post) and (len(chosen) + 1) % self.one_in == 0:
                next((other for other in others if show(other)), None)
        return chosen

    def explain(
        self, post: Post, before: Sequence[Post], after: Sequence[Post], request: Request
    ) -> str:
        was, now = place_of(post, before), place_of(post, after)
        number = place_of(post, request.feeds.get(self.feed, ()))
        if number and now and (was is None or now < was):
            return f"place {number} of {self.feed}, one of which is every {nth(self.one_in)} post"
        return ""
