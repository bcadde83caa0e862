"""Filters by what hydrators find out: the author's profile, the post that is quoted or answered.

A post waits until it is known; where nothing can be found, the filter's own `missing` decides, or
else the feed's.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import ClassVar, Self

from pydantic import field_validator, model_validator

from feedkit.needs import hydrated
from feedkit.plugin import Field, Filter
from feedkit.post import EPOCH, Post, from_mapping
from feedkit.times import Period

MISSING = "the verdict where it cannot be found out; else the feed's `missing`"


class NewAccount(Filter):
    """Posts by accounts that were new when they posted.

    ```yaml
    not: {new_account: {younger_than: 7d, missing: yes}}
    ```
    """

    younger_than: Period = Field(
        default=timedelta(days=30), description="how old an account is that is not new any more"
    )
    missing: bool | None = Field(default=None, description=MISSING)

    @property
    def needs(self) -> AbstractSet[str]:
        return frozenset({"author_created"})

    def match(self, post: Post) -> bool:
        return self._age(post) < self.younger_than

    def when_missing(self) -> bool | None:
        return self.missing

    def explain(self, post: Post) -> str:
        return f"{self._age(post).days} days old"

    @staticmethod
    def _age(post: Post) -> timedelta:
        return (post.seen_at - EPOCH) - timedelta(seconds=post.features["author_created"])


class _Between(Filter):
    word: ClassVar[str]  # what is looked at
    least: float | None = Field(default=None, ge=0)
    most: float | None = Field(default=None, ge=0)
    missing: bool | None = Field(default=None, description=MISSING)

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.least is None and self.most is None:
            raise ValueError("needs least, most, or both")
        if self.least is not None and self.most is not None and self.most < self.least:
            raise ValueError(
                f"asks for at least {self.least:.15g} and at most {self.most:.15g}; "
                "no post could match"
            )
        return self

    @property
    def needs(self) -> AbstractSet[str]:
        return frozenset({self.word})

    def match(self, post: Post) -> bool:
        number = post.features[self.word]
        return (self.least is None or number >= self.least) and (
            self.most is None or number <= self.most
        )

    def when_missing(self) -> bool | None:
        return self.missing


class AuthorFollowers(_Between):
    """Posts by accounts with so many followers.

    ```yaml
    author_followers: {least: 20, most: 5000}
    ```
    """

    word = "author_followers"
    least: int | None = Field(default=None, ge=0, description="how many at least")
    most: int | None = Field(default=None, ge=0, description="how many at most")

    def explain(self, post: Post) -> str:
        return f"{post.features['author_followers']:,} followers"


class AuthorRate(_Between):
    """Posts by accounts that post so often, replies included: posts a day, counted over the newest
    hundred entries of their feed, however long these took (see the hydrator `posting_rate`).

    ```yaml
    author_rate: {most: 10}
    ```
    """

    word = "author_rate"
    least: float | None = Field(default=None, ge=0, description="posts a day at least")
    most: float | None = Field(default=None, ge=0, description="posts a day at most")

    def explain(self, post: Post) -> str:
        return f"{post.features['author_rate']:.1f} posts a day"


class OtherPost(Filter):
    """A filter by another post, which a hydrator brings under `word`."""

    word: ClassVar[str]

    filter: Filter = Field(description="what that post must be")
    missing: bool | None = Field(default=None, description=MISSING)

    @field_validator("filter")
    @classmethod
    def _answerable(cls, filter: Filter) -> Filter:
        if words := hydrated([filter]):
            raise ValueError(
                f"nobody finds out {min(words)} of a post that is quoted or answered; take the "
                "filter that needs it out"
            )
        return filter

    @property
    def needs(self) -> AbstractSet[str]:
        return frozenset({self.word})

    @staticmethod
    def _uri(post: Post) -> str:
        raise NotImplementedError

    def match(self, post: Post) -> bool:
        return self.decide(post) is True

    def decide(self, post: Post) -> bool | None:
        if not self._uri(post):
            return False
        if self.word not in post.features:
            return None
        other = self.other(post)
        return self.missing if other is None else self.filter.decide(other)

    def when_missing(self) -> bool | None:
        return self.missing

    def explain(self, post: Post) -> str:
        return self._uri(post)

    def other(self, post: Post) -> Post | None:
        """The post that is meant, where it is known."""
        known = post.features.get(self.word)
        return None if known is None else from_mapping(known)


class QuotedPost(OtherPost):
    """Posts that quote a post which another filter keeps.

    ```yaml
    quoted_post: {keywords: [heron, kingfisher]}
    ```
    """

    word = "quoted"

    @staticmethod
    def _uri(post: Post) -> str:
        return post.quote


class ParentPost(OtherPost):
    """Posts that answer a post which another filter keeps.

    ```yaml
    parent_post: {hashtags: [askbirds]}
    ```
    """

    word = "parent"

    @staticmethod
    def _uri(post: Post) -> str:
        return post.reply_parent
