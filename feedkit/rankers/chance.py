"""Rankers without merit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from feedkit.chance import fraction
from feedkit.plugin import Field, Ranker, Term
from feedkit.post import EPOCH, Post, Request
from feedkit.times import Period, turn


class Random(Ranker):
    """In an order of chance that stays the same for a day, and is another the day after.

    ```yaml
    random: {every: 12h}
    ```
    """

    every: Period = Field(default=timedelta(days=1), description="when the order changes: 1d, 12h")
    salt: str = Field(default="", description="any text; another one gives another order")

    def score(self, post: Post, request: Request) -> float:
        return fraction("random", self.salt, turn(request.now, self.every), post.uri)

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        until = EPOCH + (turn(request.now, self.every) + 1) * self.every
        drawn = f"drawn by its address; drawn anew at {until:%Y-%m-%d %H:%M:%S} UTC"
        return (Term("chance", self.score(post, request), drawn),)
