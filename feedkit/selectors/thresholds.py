"""Selectors that ask something of each post alone."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Self

from pydantic import model_validator

from feedkit.duration import duration_text
from feedkit.plugin import Field, Selector
from feedkit.post import Post, Request
from feedkit.times import Period

_KINDS = ("likes", "reposts", "replies", "quotes")


class AtLeast(Selector):
    """Only posts with so many likes, reposts, replies and quotes, all of what is given; the
    others are left out until they have them.

    ```yaml
    at_least: {likes: 5, reposts: 1}
    ```
    """

    likes: int = Field(default=0, ge=0, description="how many likes")
    reposts: int = Field(default=0, ge=0, description="how many reposts")
    replies: int = Field(default=0, ge=0, description="how many replies")
    quotes: int = Field(default=0, ge=0, description="how many quotes")

    @model_validator(mode="after")
    def _asks(self) -> Self:
        if not self.needs:
            raise ValueError("asks for nothing; write how many likes, reposts, replies or quotes")
        return self

    @property
    def needs(self) -> AbstractSet[str]:
        return {kind for kind in _KINDS if getattr(self, kind)}

    def select(self, posts: list[Post], request: Request) -> list[Post]:
        asked = {kind: getattr(self, kind) for kind in self.needs}
        return [
            post
            for post in posts
            if all(getattr(post, kind) >= number for kind, number in asked.items())
        ]

    def explain(
        self, post: Post, before: Sequence[Post], after: Sequence[Post], request: Request
    ) -> str:
        lacking = [
            f"{getattr(post, kind):,} of {getattr(self, kind):,} {kind}"
            for kind in _KINDS
            if getattr(post, kind) < getattr(self, kind)
        ]
        return ", ".join(lacking)


class Within(Selector):
    """Only posts of this age or younger; older ones are left out.

    ```yaml
    within: 48h
    ```
    """

    age: Period = Field(default=timedelta(days=2), description="how old at most, such as 12h, 3d")

    def select(self, posts: list[Post], request: Request) -> list[Post]:
        return [post for post in posts if request.now - post.sort_at <= self.age]

    def explain(
        self, post: Post, before: Sequence[Post], after: Sequence[Post], request: Request
    ) -> str:
        age = request.now - post.sort_at
        if age <= self.age:
            return ""
        return f"{age / timedelta(hours=1):.4g} h old, more than {duration_text(self.age)}"
