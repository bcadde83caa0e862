"""Rankers made of others."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import model_validator

from feedkit.ordering import number_text, sentence
from feedkit.parameters import Parameters
from feedkit.plugin import Field, Filter, Ranker, Term
from feedkit.post import Post, Request
from feedkit.rankers.time import Newest


class BlendPart(Parameters):
    """One of the rankers of a blend."""

    ranker: Ranker = Field(description="the ranker")
    weight: float = Field(default=1.0, allow_inf_nan=False, description="its weight")


class Blend(Ranker):
    """Several rankers at once: the sum of their scores, each brought to 0…1 first, times weights.

    `scale: rank` brings a score to the share of posts that it beats (ties count half), so that
    one post with a million likes does not flatten all others; `scale: range` to
    (score - lowest) / (highest - lowest), all 0 if all are equal.

    ```yaml
    blend:
      - {ranker: newest, weight: 1}
      - {ranker: {top: {reposts: 2}}, weight: 3}
    ```
    """

    parts: tuple[BlendPart, ...] = Field(min_length=1, description="rankers with their weights")
    scale: Literal["rank", "range"] = Field(
        default="rank", description="how scores become comparable: rank or range"
    )

    def score(self, post: Post, request: Request) -> float:
        return self.score_many([post], request)[0]

    def score_many(self, posts: Sequence[Post], request: Request) -> list[float]:
        total = [0.0] * len(posts)
        scaled = by_rank if self.scale == "rank" else by_range
        for part in self.parts:
            for number, value in enumerate(scaled(part.ranker.score_many(posts, request))):
                total[number] += part.weight * value
        return total

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        return self.explain_among(post, [post], request)

    def explain_among(self, post: Post, posts: Sequence[Post], request: Request) -> Sequence[Term]:
        return [self._term(part, post, posts, request) for part in self.parts]

    def _term(self, part: BlendPart, post: Post, posts: Sequence[Post], request: Request) -> Term:
        number = [other.uri for other in posts].index(post.uri)
        scores = part.ranker.score_many(posts, request)
        terms = part.ranker.explain_among(post, posts, request)
        made = sentence(terms) if terms else number_text(scores[number])
        if self.scale == "rank":
            scaled = by_rank(scores)[number]
            told = f"beats {scaled:.1%} of the other {len(posts) - 1:,}"
        else:
            scaled = by_range(scores)[number]
            told = f"from {number_text(min(scores))} to {number_text(max(scores))}"
        return Term(
            part.ranker.yaml_name(),
            part.weight * scaled,
            parts=(
                Term("weight", part.weight),
                Term(self.scale, scaled, f"{told}, with {made}", "×"),
            ),
        )


def by_rank(scores: Sequence[float]) -> list[float]:
    """For each score the share of the others that it beats; a tie is half a win."""
    if len(scores) < 2:
        return [0.0] * len(scores)
    ordered = sorted(scores)
    return [
        (bisect_left(ordered, score) + bisect_right(ordered, score) - 1) / 2 / (len(scores) - 1)
        for score in scores
    ]


def by_range(scores: Sequence[float]) -> list[float]:
    """For each score its place between the lowest, 0, and the highest, 1."""
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    # Halved, the difference of the two largest floats is still one.
    half = high / 2 - low / 2
    return [(score / 2 - low / 2) / half if half else 0.0 for score in scores]


class Boost(Ranker):
    """Another ranker, whose score is multiplied for the posts that a filter keeps; a factor below
    1 sinks them. A negative score is divided, so that a boost always lifts.

    ```yaml
    boost:
      ranker: gravity
      filter: {alt_text: all}
      factor: 1.5
    ```
    """

    ranker: Ranker = Field(description="the ranker whose scores are changed")
    filter: Filter = Field(description="which posts are lifted")
    factor: float = Field(default=2.0, gt=0, le=1000, description="by how much")

    @model_validator(mode="after")
    def _has_points(self) -> Self:
        if isinstance(self.ranker, Newest):
            raise ValueError(
                "the scores of newest are times, which a factor only distorts; "
                "boost half_life, gravity or top instead"
            )
        return self

    def score(self, post: Post, request: Request) -> float:
        return self._changed(post, self.ranker.score(post, request))

    def score_many(self, posts: Sequence[Post], request: Request) -> list[float]:
        scores = self.ranker.score_many(posts, request)
        return [self._changed(post, score) for post, score in zip(posts, scores, strict=True)]

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        return self.explain_among(post, [post], request)

    def explain_among(self, post: Post, posts: Sequence[Post], request: Request) -> Sequence[Term]:
        number = [other.uri for other in posts].index(post.uri)
        score = self.ranker.score_many(posts, request)[number]
        parts = tuple(self.ranker.explain_among(post, posts, request))
        own = Term(self.ranker.yaml_name(), score, parts=parts)
        name, verdict = self.filter.yaml_name(), self.filter.decide(post)
        if verdict is not True:
            said = "does not match" if verdict is False else "cannot say yet"
            return (own, Term("boost", 1.0, f"none: {name} {said}", "×"))
        found = self.filter.explain(post)
        matched = f"{name} matches{f': {found}' if found else ''}"
        return (own, Term("boost", self.factor, matched, "×" if score > 0 else "÷"))

    def _changed(self, post: Post, score: float) -> float:
        if self.filter.decide(post) is not True:
            return score
        return score * self.factor if score > 0 else score / self.factor
