"""Rankers by votes and age. Each formula names where it is published."""

from __future__ import annotations

import math

from feedkit.plugin import Field
from feedkit.post import Post, Request
from feedkit.rankers.votes import Votes, age_hours


class Gravity(Votes):
    """Hacker News' ranking: points / (hours + 2) ^ gravity. Posts without a vote come last, the
    newest of them first.

    Source: news.arc, the Hacker News front page, with gravity 1.8; SkyFeed's is the same.

    ```yaml
    gravity: {gravity: 1.8, likes: 1, reposts: 2}
    ```
    """

    gravity: float = Field(
        default=1.8, ge=0, le=10, description="how fast posts sink with age; 0: never"
    )

    def score(self, post: Post, request: Request) -> float:
        sunk = math.pow(age_hours(post, request.now) + 2, self.gravity)
        return self.points(post) / sunk
