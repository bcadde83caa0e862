"""The contract of what puts a feed in order: rankers and selectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

from msgspec import Struct

from feedkit.base import Plugin
from feedkit.parameters import Parameters
from feedkit.post import Post, Request, Viewer


class Term(Struct, frozen=True):
    """A number that a score is made of, for `feedkit why`. `by`: how it joins the terms before
    it, from left to right. `because`: where the number comes from. `parts`: the terms that make
    up `value`, where it is worth taking apart."""

    name: str
    value: float
    because: str = ""
    by: Literal["+", "×", "÷"] = "+"
    parts: tuple[Term, ...] = ()


def total(terms: Sequence[Term]) -> float:
    """The number that `terms` make, from left to right; the first of them alone is itself."""
    result = 0.0
    for number, term in enumerate(terms):
        if number == 0 or term.by == "+":
            result += term.value
        else:
            result = result * term.value if term.by == "×" else result / term.value
    return result


def number_text(value: float) -> str:
    """A score as it is shown: at most six digits, but whole where it is large."""
    return f"{value:,.0f}" if 1e6 <= abs(value) < 1e15 else f"{value:.6g}"


def sentence(terms: Sequence[Term]) -> str:
    """`points 12 (12 likes × 1) ÷ age 8.3 ((1.2 h + 2) ^ 1.8)`: terms on one line."""
    words: list[str] = []
    for number, term in enumerate(terms):
        words += [term.by] if number else []
        because = f" ({term.because})" if term.because else ""
        words.append(f"{term.name} {number_text(term.value)}{because}")
    return " ".join(words)


class Sought(Struct, frozen=True):
    """Posts that a ranker wants to rank for a viewer though their feed has a thousand newer ones:
    these (at:// URIs, the best first), and the newest by these authors (DIDs), of up to forty the
    newest three of each."""

    uris: Sequence[str] = ()
    authors: AbstractSet[str] = frozenset()


class Ranker(Plugin):
    """Gives every candidate a number; the highest comes first, equal ones newest first.

    `score` runs when the feed is ranked; the clock is `request.now`. Needs are what it reads:
    `needs = {"likes"}`.
    """

    kind = "ranker"

    def score(self, post: Post, request: Request) -> float:
        """The post's number. Must be finite."""
        raise NotImplementedError(f"{type(self).__name__} has no score(self, post, request)")

    def score_many(self, posts: Sequence[Post], request: Request) -> list[float]:
        """`score` for the whole list at once, for rankers that compare posts."""
        return [self.score(post, request) for post in posts]

    def seeks(self, viewer: Viewer) -> Sought:
        """What is to be ranked for `viewer` beside the newest posts; at most half of what is. What
        of the viewer it reads stands in `needs`."""
        return Sought()

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        """What the post's score is made of, for `feedkit why`: terms whose `total` is the score;
        none if there is no more to say than the score."""
        return ()

    def explain_among(self, post: Post, posts: Sequence[Post], request: Request) -> Sequence[Term]:
        """`explain` for rankers that compare posts. `posts`: all that were scored, `post` too."""
        return self.explain(post, request)


class Pinned(Parameters):
    """A post put at a fixed place of the feed."""

    uri: str
    at: int  # 1 is the top


class Selector(Plugin):
    """Reorders or drops posts of the ranked list. Never invents one: a pin excepted, and the
    posts of the feeds that it `mixes`."""

    kind = "selector"

    @property
    def mixes(self) -> AbstractSet[str]:
        """Other feeds of the service whose posts it may show, too: `request.feeds` has them."""
        return frozenset()

    def select(self, posts: list[Post], request: Request) -> list[Post]:
        """The posts to show, best first, from `posts`, best first."""
        return posts

    def explain(
        self, post: Post, before: Sequence[Post], after: Sequence[Post], request: Request
    ) -> str:
        """Why `select`, which made `after` of `before`, moved or dropped `post`, or took it from
        another feed; for `feedkit why`. Empty if there is no more to say than the places."""
        return ""

    def pins(self, request: Request) -> Iterable[Pinned]:
        """Posts to put at fixed places of the feed, whatever was ranked; at its end where it is
        shorter. Asked for every page, with the time at which its first page was asked for."""
        return ()
