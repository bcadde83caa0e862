"""What the rankers that count votes share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import cached_property
from typing import Any

from msgspec.structs import replace

from feedkit.accounts import Accounts
from feedkit.needs import VOTERS
from feedkit.plugin import Field, Ranker, Term
from feedkit.post import Counts, Post

VOTES = ("likes", "reposts", "replies", "quotes")
KINDS = ("like", "repost", "reply", "quote")  # the same, as `Vote.kind`
_LAST = (*VOTES, "votes_from")


class Counting(Ranker):
    """A ranker that counts votes: everybody's, or with `votes_from` those by some accounts alone.
    As long as it is not known whom `votes_from` means, only votes by those who are known count:
    while that is nobody, no post has any."""

    votes_from: Accounts = Field(
        default=Accounts(),
        description="whose votes alone count: DIDs, handles, lists, starter packs, "
        "{followed_by: …}, {file: …}; without: everybody's",
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        # `gravity: 1.5` in YAML sets the first parameter: a ranker's own come before these.
        fields = cls.__pydantic_fields__
        own = {name: field for name, field in fields.items() if name not in _LAST}
        cls.__pydantic_fields__ = own | {name: fields[name] for name in _LAST if name in fields}

    def counting(self, kinds: AbstractSet[str]) -> AbstractSet[str]:
        """What must be loaded to count these `kinds` (likes, reposts …): for `needs`."""
        return {*kinds, VOTERS} if kinds and self.votes_from else kinds

    def counted(self, post: Post) -> Post:
        """`post`, as if nobody but those whose votes count had voted."""
        if not self.votes_from:
            return post
        known = self.votes_from.known
        votes = tuple(vote for vote in post.votes if vote.actor in known)
        numbers = Counter(vote.kind for vote in votes)
        return replace(post, votes=votes, counts=Counts(*(numbers[kind] for kind in KINDS)))


class Votes(Counting):
    """A ranker by the points of a post: how often it was liked, reposted, answered and quoted,
    each times a weight. What weighs nothing is neither subscribed to nor counted."""

    likes: float = Field(default=1.0, allow_inf_nan=False, description="points for a like")
    reposts: float = Field(default=0.0, allow_inf_nan=False, description="points for a repost")
    replies: float = Field(default=0.0, allow_inf_nan=False, description="points for a reply")
    quotes: float = Field(default=0.0, allow_inf_nan=False, description="points for a quote")

    @cached_property
    def _weights(self) -> tuple[tuple[str, float], ...]:
        return tuple((name, weight) for name in VOTES if (weight := getattr(self, name)))

    @property
    def needs(self) -> AbstractSet[str]:
        return self.counting({name for name, _ in self._weights})

    def points(self, post: Post) -> float:
        """The weighted sum of what happened to `post`."""
        if self.votes_from:
            post = self.counted(post)
        points = 0.0
        for name, weight in self._weights:
            points += weight * getattr(post, name)
        return points

    def points_term(self, post: Post) -> Term:
        """The points of `post`, as `explain` shows them."""
        seen = self.counted(post)
        counted = (
            f"{happened(getattr(seen, name), name)} × {weight:g}" for name, weight in self._weights
        )
        return Term("points", self.points(post), " + ".join(counted) or "nothing counts")


def age_hours(post: Post, now: datetime) -> float:
    """How old `post` is at `now`, in hours; never below 0."""
    return max(0.0, (now - post.sort_at).total_seconds() / 3600)


def happened(number: int, name: str) -> str:
    """`1 like`, `2 replies`."""
    return f"{number:,} {name if number != 1 else {'replies': 'reply'}.get(name, name[:-1])}"


def sunk_term(hours: float, gravity: float) -> Term:
    """What age divides by, as `explain` shows it."""
    sunk = math.pow(hours + 2, gravity)
    return Term("age", sunk, f"({hours_text(hours)} + 2) ^ {gravity:g}", "÷")


def hours_text(hours: float) -> str:
    """`0.453 h`, `3,388 h`."""
    return f"{hours:,.0f} h" if hours >= 100 else f"{hours:.3g} h"
