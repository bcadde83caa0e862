"""Filters that stand for others. `All`, `Any` and `Not` are in plugin.py."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import reduce
from operator import or_
from typing import Literal, Self

from pydantic import PrivateAttr, model_validator

from feedkit.chance import fraction
from feedkit.parameters import Parameters
from feedkit.plugin import Field, Filter, Key, commonness
from feedkit.post import Post


class Everything(Filter):
    """All posts of the network: over two million a day. For feeds that a `viewer` or `candidates`
    narrows; a filter that would keep everything by accident is refused.

    ```yaml
    everything
    ```
    """

    def match(self, post: Post) -> bool:
        return True


class Sample(Filter):
    """A share of all posts, drawn by chance, but the same posts every time.

    ```yaml
    sample: {percent: 10, of: authors}
    ```
    """

    percent: float = Field(gt=0, le=100, description="how many of a hundred")
    of: Literal["posts", "authors"] = Field(
        default="posts", description="what is drawn: posts, or authors with all their posts"
    )
    salt: str = Field(default="", description="any text; another one draws others")

    def match(self, post: Post) -> bool:
        drawn = post.uri if self.of == "posts" else post.author
        return fraction("sample", self.salt, drawn) * 100 < self.percent


class AtLeastOf(Filter):
    """Posts that at least so many of several filters keep.

    ```yaml
    at_least_of:
      number: 2
      filters:
        - keywords: [heron, tern]
        - hashtags: [birds]
        - links_to: [ebird.org]
    ```
    """

    number: int = Field(ge=1, description="how many of the filters must match")
    filters: tuple[Filter, ...] = Field(min_length=1, description="the filters")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.number > len(self.filters):
            raise ValueError(
                f"asks for {self.number} of {len(self.filters)} filters; no post could match"
            )
        return self

    def match(self, post: Post) -> bool:
        return self.decide(post) is True

    def decide(self, post: Post) -> bool | None:
        missing, left = self.number, len(self.filters)
        unknown = 0
        for part in self.filters:
            said = part.decide(post)
            left -= 1
            missing -= said is True
            unknown += said is None
            if missing <= 0:
                return True
            if missing > left + unknown:
                return False
        return None

    def keys(self) -> AbstractSet[Key] | None:
        # Who misses all of m - n + 1 filters matches n - 1 at most: these may stand for all.
        known = [keys for part in self.filters if (keys := part.keys()) is not None]
        enough = len(self.filters) - self.number + 1
        if len(known) < enough:
            return None
        return reduce(or_, sorted(known, key=commonness)[:enough])

    def explain(self, post: Post) -> str:
        matched = sum(part.decide(post) is True for part in self.filters)
        return f"{matched} of {len(self.filters)}"


class SameAs(Filter):
    """Posts that a filter kept elsewhere keeps: one under `filters:`, or the filter of another
    feed. The bare name does the same, unless a built-in has it.

    ```yaml
    same_as: advert
    ```
    """

    name: str = Field(description="the name under `filters:`, or of a feed")

    _filter: Filter | None = PrivateAttr(default=None)

    def bind(self, filter: Filter) -> None:
        """Say which filter is meant. Raises `ValueError` if that one means this one again."""
        if any(part is self for part in filter.walk()):
            raise ValueError(f"{self.name!r} means itself, by way of same_as: {self.name}")
        self._filter = filter

    @property
    def filter(self) -> Filter:
        """The filter that is meant."""
        if self._filter is None:
            raise LookupError(
                f"same_as: {self.name} stands for a filter of the configuration; outside of one, "
                "use that filter itself, or bind(filter)"
            )
        return self._filter

    def match(self, post: Post) -> bool:
        return self.filter.match(post)

    def decide(self, post: Post) -> bool | None:
        return self.filter.decide(post)

    def keys(self) -> AbstractSet[Key] | None:
        return self.filter.keys()

    def explain(self, post: Post) -> str:
        return self.filter.explain(post)

    @property
    def needs(self) -> AbstractSet[str]:
        return self.filter.needs if self._filter is not None else frozenset()

    def children(self) -> Iterator[Parameters]:
        if self._filter is not None:
            yield self._filter

    def fingerprint(self) -> str:
        return self.filter.fingerprint()
