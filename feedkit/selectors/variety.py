"""Selectors that mix: by difference, by chance."""

from __future__ import annotations

from datetime import timedelta

from feedkit.chance import fraction
from feedkit.plugin import Field, Selector
from feedkit.post import Post, Request
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
