"""Rankers without merit."""

from __future__ import annotations

from datetime import timedelta

from feedkit.chance import fraction
from feedkit.plugin import Field, Ranker
from feedkit.post import Post, Request
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
