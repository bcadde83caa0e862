"""The ranker for what people like who otherwise like different things."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from feedkit.needs import VOTERS
from feedkit.plugin import Field, Term
from feedkit.post import Post, Request
from feedkit.rankers.camps import two_camps
from feedkit.rankers.votes import Counting


class _Shares(NamedTuple):
    """How many of each camp like a post, of how many."""

    likes: tuple[int, int]
    camps: tuple[int, int]

    def score(self) -> float:
        one, other = ((n + 1) / (of + 2) for n, of in zip(self.likes, self.camps, strict=True))
        return 2 * one * other / (one + other)


class Bridging(Counting):
    """Posts that people like who otherwise like different things: 2ab / (a + b), where a and b say
    how much of each of two camps likes the post, (likes + 1) / (members + 2).

    That is never more than twice the lower of both: what one camp alone likes, however much, comes
    below what some of each like. The camps are found anew with each ranking, among the accounts
    that like at least `least` of the feed's posts, by what else they like (regularised spectral
    clustering); a minority of a few in a hundred may not be found. Likes by others count nothing:
    nobody knows what they like otherwise. Nor does a post's age: add `within`, or use `blend`.

    Source: Polis' group-informed consensus (Small and others, «Polis», Recerca 26(2), 2021), the
    product of such shares over groups of people; here the groups are two, the mean is harmonic. The
    groups: Rohe, Qin and Yu, PNAS 113(45), 2016. It is not the method of Community Notes (Wojcik
    and others, arXiv:2210.15723), which needs votes against; who does not like a post here may just
    not have seen it. The camps are of tastes in this feed, not of anybody's politics. At most the
    newest 500 likes of a post and 100,000 of the feed are looked at.

    ```yaml
    bridging
    ```
    """

    least: int = Field(
        default=2, ge=2, description="how many of the posts an account must like to be in a camp"
    )

    @property
    def needs(self) -> AbstractSet[str]:
        return {"likes", VOTERS}

    def score(self, post: Post, request: Request) -> float:
        return self.score_many([post], request)[0]

    def score_many(self, posts: Sequence[Post], request: Request) -> list[float]:
        return [shares.score() for shares in self._shares(posts)]

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        return self.explain_among(post, [post], request)

    def explain_among(self, post: Post, posts: Sequence[Post], request: Request) -> Sequence[Term]:
        number = [other.uri for other in posts].index(post.uri)
        shares = self._shares(posts)[number]
        (one, other), (some, others) = shares.likes, shares.camps
        told = f"liked by {one:,} of {some:,} in one camp, {other:,} of {others:,} in the other"
        return (Term("bridging", shares.score(), told),)

    def _shares(self, posts: Sequence[Post]) -> list[_Shares]:
        likers = {post.uri: self._likers(post) for post in posts}
        liked: dict[str, set[str]] = {}
        for uri, some in likers.items():
            for actor in some:
                liked.setdefault(actor, set()).add(uri)
        camps = two_camps({who: some for who, some in liked.items() if len(some) >= self.least})
        sizes = len(camps[0]), len(camps[1])
        return [
            _Shares((len(some & camps[0]), len(some & camps[1])), sizes)
            for some in (likers[post.uri] for post in posts)
        ]

    def _likers(self, post: Post) -> frozenset[str]:
        votes = self.counted(post).votes
        return frozenset(vote.actor for vote in votes if vote.kind == "like")
