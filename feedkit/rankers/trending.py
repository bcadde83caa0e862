"""The ranker by speed: votes now against votes before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta

from feedkit.duration import duration_text
from feedkit.needs import VOTERS
from feedkit.plugin import Field, Term
from feedkit.post import Post, Request
from feedkit.rankers.votes import KINDS, VOTES, Votes
from feedkit.times import Period


class Trending(Votes):
    """How much faster a post gets votes now than before:
    (now - share · all) / √(share · (1 - share) · squares + calm).

    `now`: the points that it got within the last `window`; `all`: all its points. `share`: the
    part that `window` is of the time since the network saw the post, or ½ while the post is younger
    than two windows: then the second half of its life is held against the first. `squares`: the
    sum over its votes of weight². A steady post scores about 0, one that cools down less, and a
    burst of n votes for a post that had none about n.

    Source: the conditional test of two Poisson rates (Przyborowski and Wilenski, Biometrika 31,
    1940) as a z-score; `calm`, which keeps one vote from being a trend, is feedkit's own. Votes are
    looked at one by one, the newest 500 of a post; those older count as before.

    ```yaml
    trending: {window: 2h, likes: 1, reposts: 2}
    ```
    """

    window: Period = Field(default=timedelta(hours=1), description="how long ago is still now")
    calm: float = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        description="how much chance is reckoned with, in squared points; more: small posts less",
    )

    @property
    def needs(self) -> AbstractSet[str]:
        return {name for name, _ in self._weights} | {VOTERS}

    def score(self, post: Post, request: Request) -> float:
        recent, expected, spread = self._pace(post, request)
        return (recent - expected) / spread

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        recent, expected, spread = self._pace(post, request)
        length, share = self._now(post, request)
        within = duration_text(timedelta(seconds=round(length)))
        points = self.points_term(post)
        return (
            Term("now", recent, f"points within the last {within}"),
            Term("before", -expected, f"{share:.3g} of {points.value:g} points: {points.because}"),
            Term("spread", spread, f"what chance makes of it, with calm {self.calm:g}", "÷"),
        )

    def _now(self, post: Post, request: Request) -> tuple[float, float]:
        """The length of «now» in seconds, and its share of the post's life."""
        age = (request.now - post.seen_at).total_seconds()
        length = min(self.window.total_seconds(), max(age, 0.0) / 2)
        return length, length / age if age > 0 else 0.5

    def _pace(self, post: Post, request: Request) -> tuple[float, float, float]:
        post = self.counted(post)
        length, share = self._now(post, request)
        begins = request.now - timedelta(seconds=length)
        weights = dict(self._weights)
        worth = {kind: weights.get(name, 0.0) for kind, name in zip(KINDS, VOTES, strict=True)}
        recent = sum(worth[vote.kind] for vote in post.votes if vote.at >= begins)
        every = sum(weight * getattr(post, name) for name, weight in self._weights)
        squares = sum(weight**2 * getattr(post, name) for name, weight in self._weights)
        spread = math.sqrt(share * (1 - share) * squares + self.calm)
        return float(recent), share * every, spread
