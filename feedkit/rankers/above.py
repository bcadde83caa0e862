"""Rankers that put some posts above the others that another ranker ranks, by who asks. For somebody
who is not signed in they leave the order to that ranker."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Self

from pydantic import model_validator

from feedkit.ordering import sentence
from feedkit.plugin import Field, Ranker, Sought, Term
from feedkit.post import Post, Request, Viewer
from feedkit.rankers.blend import by_rank
from feedkit.rankers.time import Newest

_ABOVE = 2.0  # more than a share of posts, which is 1 at most


class Above(Ranker):
    """A ranker that lifts some of the posts that another one ranks: above all others, each of both
    parts in the order of that ranker, or by a factor."""

    then: Ranker = Field(default=Newest(), description="the ranker that ranks both parts")
    factor: float | None = Field(
        default=None, gt=0, le=1000,
        description="what the scores are multiplied by instead; without, they come above all",
    )  # fmt: skip

    @model_validator(mode="after")
    def _has_points(self) -> Self:
        if self.factor is not None and isinstance(self.then, Newest):
            raise ValueError(
                "the scores of newest are times, which a factor only distorts; leave the factor "
                "out, or write half_life, gravity or top under then"
            )
        return self

    def lifts(self, post: Post, viewer: Viewer) -> str:
        """Why `post` is lifted; empty if it is not."""
        raise NotImplementedError(f"{type(self).__name__} has no lifts(self, post, viewer)")

    def score(self, post: Post, request: Request) -> float:
        return self.score_many([post], request)[0]

    def score_many(self, posts: Sequence[Post], request: Request) -> list[float]:
        scores = list(self.then.score_many(posts, request))
        viewer = request.viewer
        if viewer is None:
            return scores
        lifted = [bool(self.lifts(post, viewer)) for post in posts]
        if self.factor is None:
            shares = by_rank(scores)
            return [share + _ABOVE * up for share, up in zip(shares, lifted, strict=True)]
        return [
            (score * self.factor if score > 0 else score / self.factor) if up else score
            for score, up in zip(scores, lifted, strict=True)
        ]

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        return self.explain_among(post, [post], request)

    def explain_among(self, post: Post, posts: Sequence[Post], request: Request) -> Sequence[Term]:
        number = [other.uri for other in posts].index(post.uri)
        scores = list(self.then.score_many(posts, request))
        terms = tuple(self.then.explain_among(post, posts, request))
        name, score = self.then.yaml_name(), scores[number]
        if request.viewer is None:
            return (Term(name, score, "nobody is signed in", parts=terms),)
        why = self.lifts(post, request.viewer)
        if self.factor is None:
            made = f" = {sentence(terms)}" if terms else ""
            share = by_rank(scores)[number]
            told = f"beats {share:.1%} of the other {len(posts) - 1:,}, with {score:.6g}{made}"
            above = Term(self.yaml_name(), _ABOVE if why else 0.0, why or "not lifted")
            return (Term(name, share, told), above)
        own = Term(name, score, parts=terms)
        if not why:
            return (own, Term(self.yaml_name(), 1.0, "not lifted", "×"))
        return (own, Term(self.yaml_name(), self.factor, why, "×" if score > 0 else "÷"))


class FriendsFirst(Above):
    """Posts by those whom the viewer follows above all others; with a factor, their scores are
    multiplied by it (a negative score is divided). Of a large feed the newest posts are ranked;
    where fewer than three are by these people, also up to sixty older ones by them: of up to forty
    people the newest three of each, as they were up to a minute ago.

    ```yaml
    friends_first: {then: gravity, factor: 3}
    ```
    """

    @property
    def needs(self) -> AbstractSet[str]:
        return {"viewer.follows"}

    def lifts(self, post: Post, viewer: Viewer) -> str:
        return "the viewer follows its author" if post.author in viewer.follows else ""

    def seeks(self, viewer: Viewer) -> Sought:
        return Sought(authors=viewer.follows)


class UnseenFirst(Above):
    """Posts that the app has not shown to the viewer yet above those that it has; with a factor,
    the scores of the unseen ones are multiplied by it (a negative score is divided). The app tells
    what it has shown only of feeds with `accepts_interactions: yes`; known are the newest 5,000 of
    the last seven days.

    ```yaml
    unseen_first: {then: gravity}
    ```
    """

    @property
    def needs(self) -> AbstractSet[str]:
        return {"viewer.seen"}

    def lifts(self, post: Post, viewer: Viewer) -> str:
        return "" if post.uri in viewer.seen else "the viewer has not seen it yet"
