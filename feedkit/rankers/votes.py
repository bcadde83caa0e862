"""What the rankers that count votes share."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import cached_property
from typing import Any

from feedkit.plugin import Field, Ranker
from feedkit.post import Post

VOTES = ("likes", "reposts", "replies", "quotes")


class Votes(Ranker):
    """A ranker by the points of a post: how often it was liked, reposted, answered and quoted,
    each times a weight. What weighs nothing is neither subscribed to nor counted."""

    likes: float = Field(default=1.0, allow_inf_nan=False, description="points for a like")
    reposts: float = Field(default=0.0, allow_inf_nan=False, description="points for a repost")
    replies: float = Field(default=0.0, allow_inf_nan=False, description="points for a reply")
    quotes: float = Field(default=0.0, allow_inf_nan=False, description="points for a quote")

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        # `gravity: 1.5` in YAML sets the first parameter: the weights come after a ranker's own.
        fields = cls.__pydantic_fields__
        own = {name: field for name, field in fields.items() if name not in VOTES}
        cls.__pydantic_fields__ = own | {name: fields[name] for name in VOTES}

    @cached_property
    def _weights(self) -> tuple[tuple[str, float], ...]:
        return tuple((name, weight) for name in VOTES if (weight := getattr(self, name)))

    @property
    def needs(self) -> AbstractSet[str]:
        return {name for name, _ in self._weights}

    def points(self, post: Post) -> float:
        """The weighted sum of what happened to `post`."""
        return float(sum(weight * getattr(post, name) for name, weight in self._weights))


def age_hours(post: Post, now: datetime) -> float:
    """How old `post` is at `now`, in hours; never below 0."""
    return max(0.0, (now - post.sort_at).total_seconds() / 3600)
