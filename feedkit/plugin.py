"""The contract: what a filter, a ranker, a selector, a hydrator and a feed are.

Derive from one of these in `feeds/*.py`; feedkit finds the class by itself, and its name in YAML
is the class name in snake case. Parameters are annotated fields; see docs/plugins.md.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import ClassVar

from pydantic import Field as Field

from feedkit.accounts import NotKnownYet
from feedkit.base import Plugin
from feedkit.context import Context
from feedkit.keys import Key, commonness
from feedkit.needs import COUNTS, STORED, needs_of
from feedkit.ordering import Pinned, Ranker, Selector, Sought, Term
from feedkit.post import Post


class WrongType(TypeError):
    """A plugin returned something that its contract does not allow."""


class Filter(Plugin):
    """Says of one post whether it belongs.

    `match` must be pure: no clock, network, randomness or global state, so that a post gets the
    same verdict when it arrives, when a feed is rebuilt, and in `feedkit why`.
    """

    kind = "filter"

    def match(self, post: Post) -> bool:
        """Whether `post` belongs. Must return True or False."""
        raise NotImplementedError(f"{type(self).__name__} has no match(self, post)")

    def keys(self) -> AbstractSet[Key] | None:
        """«A post with none of these cannot match», or None: «ask me about every post».

        Keys: ("word", a whole word of the post's text, alt texts or link card), ("text", a literal
        anywhere in these), ("tag", …), ("domain", …), ("author", DID), ("mention", DID),
        ("lang", …).
        Literals are compared normalised and anywhere, so a key may be found where `match` then
        says no; never the other way round.
        """
        return None

    def match_many(self, posts: Sequence[Post]) -> list[bool]:
        """`match` for several posts at once, where that is cheaper."""
        return [self.match(post) for post in posts]

    def decide(self, post: Post) -> bool | None:
        """The verdict that everything uses: True, False, or None while what the filter needs, or
        whom its `Accounts` mean, has not been found out yet. Raises `WrongType` where `match`
        returns no bool."""
        if needs := self.needs:
            if not needs <= post.features.keys():
                return None
            if any(post.features[word] is None for word in needs):
                return self.when_missing()
        try:
            verdict = self.match(post)
        except NotKnownYet:
            return None
        if verdict is True or verdict is False:
            return verdict
        raise WrongType(
            f"{type(self).__name__}.match returned {type(verdict).__name__}, not True or False; "
            "wrap it in bool(…)"
        )

    def when_missing(self) -> bool | None:
        """The verdict where a hydrator found nothing for a word in `needs`. None: what the feed
        says under `missing:`, of its filter as a whole."""
        return None

    def explain(self, post: Post) -> str:
        """What in `post` made the filter match, for `feedkit why`; empty if there is no more to
        say than the verdict."""
        return ""

    def __and__(self, other: Filter) -> Filter:
        return All(filters=(*_parts(All, self), *_parts(All, other)))

    def __or__(self, other: Filter) -> Filter:
        return Any(filters=(*_parts(Any, self), *_parts(Any, other)))

    def __invert__(self) -> Filter:
        return Not(filter=self)


def too_early(filter: Filter) -> str:
    """What `filter` needs that no post has when it arrives, with the remedy, or nothing."""
    if wrong := needs_of([filter]) & STORED:
        return (
            f"needs {', '.join(sorted(wrong))}, which no post has when it arrives; use the "
            "selector at_least, which looks when the feed is ranked"
        )
    if wrong := frozenset(need for need in needs_of([filter]) if "." in need):
        return (
            f"needs {', '.join(sorted(wrong))}, and nobody asks for a feed when a post arrives; "
            "derive it from ViewerFilter"
        )
    return ""


class All(Filter):
    """Posts that every one of several filters keeps.

    ```yaml
    all:
      - keywords: [linux, debian]
      - language: en
    ```
    """

    filters: tuple[Filter, ...] = Field(
        min_length=1, description="the filters, all of which must match"
    )

    def match(self, post: Post) -> bool:
        return self.decide(post) is True

    def decide(self, post: Post) -> bool | None:
        verdict: bool | None = True
        for part in self.filters:
            said = part.decide(post)
            if said is False:
                return False
            if said is None:
                verdict = None
        return verdict

    def keys(self) -> AbstractSet[Key] | None:
        choices = [keys for part in self.filters if (keys := part.keys()) is not None]
        return min(choices, key=commonness, default=None)


class Any(Filter):
    """Posts that at least one of several filters keeps.

    ```yaml
    any:
      - hashtags: [birds]
      - links_to: [ebird.org]
    ```
    """

    filters: tuple[Filter, ...] = Field(
        min_length=1, description="the filters, one of which must match"
    )

    def match(self, post: Post) -> bool:
        return self.decide(post) is True

    def decide(self, post: Post) -> bool | None:
        verdict: bool | None = False
        for part in self.filters:
            said = part.decide(post)
            if said is True:
                return True
            if said is None:
                verdict = None
        return verdict

    def keys(self) -> AbstractSet[Key] | None:
        keys: AbstractSet[Key] = frozenset()
        for part in self.filters:
            some = part.keys()
            if some is None:
                return None
            keys |= some
        return keys


class Not(Filter):
    """Posts that a filter does not keep.

    ```yaml
    not: reply
    ```
    """

    filter: Filter = Field(description="the filter that must not match")

    def match(self, post: Post) -> bool:
        return self.decide(post) is True

    def decide(self, post: Post) -> bool | None:
        said = self.filter.decide(post)
        return None if said is None else not said

    def __invert__(self) -> Filter:
        return self.filter


def _parts(kind: type[All] | type[Any], part: Filter) -> tuple[Filter, ...]:
    return part.filters if isinstance(part, kind) else (part,)


class Hydrator(Plugin):
    """Finds out what a post does not carry: a model's score, its author's followers.

    `provides`: the words that it knows about, each with the type of its value, as JSON can hold
    it: `provides = {"bird": float}`. A filter or ranker with `needs = {"bird"}` then reads
    `post.features["bird"]`. Only posts are looked at whose place in a feed depends on it.
    """

    kind = "hydrator"

    provides: ClassVar[Mapping[str, typing.Any]] = {}
    batch: ClassVar[int] = 25  # how many posts one call gets at most
    deadline: ClassVar[float] = 30.0  # seconds after which the answer of a call comes too late
    tries: ClassVar[int] = 5  # how often a post is asked for before it is given up
    backoff: ClassVar[float] = 10.0  # seconds before the second try; four times as long each time

    def load(self) -> None:
        """Called once in a process, before the first post: read the model."""

    def hydrate(self, posts: Sequence[Post], context: Context) -> list[dict[str, typing.Any]]:
        """For each of `posts`, in order, what is known of it, by word. None: there is nothing to
        be known. A word left out is asked for again later, as are all posts if this raises."""
        raise NotImplementedError(f"{type(self).__name__} has no hydrate(self, posts, context)")


class Feed:
    """A complete feed in Python. A plain class: its attributes are the settings that a feed has
    in YAML, and go through the same checks. `name` is the record key, the class name in snake
    case if it is not given.

    ```python
    class Skies(Feed):
        display_name = "Skies"
        filter = Hashtags(["clouds", "sunset"]) & HasMedia("image")
        rank = Newest()
    ```
    """

    name: str = ""


__all__ = [
    "COUNTS", "All", "Any", "Context", "Feed", "Field", "Filter", "Hydrator", "Key",
    "Not", "Pinned", "Plugin", "Ranker", "Selector", "Sought", "Term", "WrongType", "commonness",
    "needs_of",
]  # fmt: skip
