"""Rankers by votes and age. Each formula names where it is published."""

from __future__ import annotations

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta

from feedkit.duration import duration_text
from feedkit.plugin import COUNTS, Field, Term
from feedkit.post import Post, Request
from feedkit.rankers.votes import Counting, Votes, age_hours, happened, hours_text, sunk_term
from feedkit.times import Period

_REDDIT_BEGAN = 1134028003  # seconds since 1970: 2005-12-08, from which Reddit counts
_BELOW_ALL = -1e12  # a score that no post reaches by votes


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

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        return (self.points_term(post), sunk_term(age_hours(post, request.now), self.gravity))


class RedditHot(Votes):
    """Reddit's hot ranking: sign(points) · log10(max(|points|, 1)) + seconds / pace. Ten times
    the points outweigh 12½ hours. A score never changes with the clock, only with votes.

    Source: reddit/r2/r2/lib/db/_sorts.pyx, `hot`; seconds count from 2005-12-08 07:46:43 UTC.

    ```yaml
    reddit_hot
    ```
    """

    pace: Period = Field(
        default=timedelta(seconds=45000), description="the time that ten times the points outweigh"
    )

    def score(self, post: Post, request: Request) -> float:
        return self._order(post) + self._time(post)

    def _order(self, post: Post) -> float:
        points = self.points(post)
        return math.copysign(math.log10(max(abs(points), 1)), points)

    def _time(self, post: Post) -> float:
        return (post.sort_at.timestamp() - _REDDIT_BEGAN) / self.pace.total_seconds()

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        points, hours = self.points_term(post), self.pace / timedelta(hours=1)
        return (
            Term("votes", self._order(post), f"log10 of {points.value:g} points: {points.because}"),
            Term("time", self._time(post), f"since 2005-12-08, in spans of {hours:.4g} h"),
        )


class HalfLife(Votes):
    """Votes that fade: points · ½ ^ (age / half_life).

    ```yaml
    half_life: 6h
    ```
    """

    half_life: Period = Field(
        default=timedelta(hours=6), description="the time in which points lose half their weight"
    )

    def score(self, post: Post, request: Request) -> float:
        return self.points(post) * self._left(age_hours(post, request.now))

    def _left(self, age: float) -> float:
        return math.pow(0.5, age / (self.half_life / timedelta(hours=1)))

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        age = age_hours(post, request.now)
        because = f"½ ^ ({hours_text(age)} / {duration_text(self.half_life)})"
        return (self.points_term(post), Term("age", self._left(age), because, "×"))


class Fading(Votes):
    """Votes that count less and less, and nothing at the end of a window:
    points · (1 - (age / window)²).

    Source: the newsflows feed generator.

    ```yaml
    fading: 48h
    ```
    """

    window: Period = Field(
        default=timedelta(hours=48), description="the age at which points count nothing"
    )

    def score(self, post: Post, request: Request) -> float:
        return self.points(post) * self._left(age_hours(post, request.now))

    def _left(self, age: float) -> float:
        part = age / (self.window / timedelta(hours=1))
        return max(0.0, 1 - part * part)

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        age = age_hours(post, request.now)
        because = f"1 - ({hours_text(age)} / {duration_text(self.window)})²"
        because += "" if self._left(age) else ", but not below 0"
        return (self.points_term(post), Term("age", self._left(age), because, "×"))


class Top(Votes):
    """The most points first, whatever their age; with a window, the posts that are older come
    after all others, newest first.

    ```yaml
    top: 7d
    ```
    """

    window: Period | None = Field(default=None, description="the age up to which posts compete")

    def score(self, post: Post, request: Request) -> float:
        age = age_hours(post, request.now)
        if self.window is not None and age > self.window / timedelta(hours=1):
            return _BELOW_ALL - age
        return max(self.points(post), _BELOW_ALL + 1)

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        score, age = self.score(post, request), age_hours(post, request.now)
        if self.window is None or score > _BELOW_ALL:
            return (Term("points", score, self.points_term(post).because),)
        return (Term("age", score, f"{hours_text(age)}, older than {duration_text(self.window)}"),)


class Conversation(Counting):
    """Posts that people talk about rather than tap on:
    talk · talk / (talk + likes + reposts + calm) / (hours + 2) ^ gravity,
    with talk = replies + quotes.

    The middle factor is the share of talk in all that happened to the post; `calm` keeps a post
    with one reply and no like from having it all. feedkit's own formula.

    ```yaml
    conversation: {gravity: 1.2}
    ```
    """

    gravity: float = Field(
        default=1.0, ge=0, le=10, description="how fast posts sink with age; 0: never"
    )
    calm: float = Field(
        default=10.0, gt=0, allow_inf_nan=False, description="likes that every post is given"
    )

    @property
    def needs(self) -> AbstractSet[str]:
        return self.counting(COUNTS)

    def score(self, post: Post, request: Request) -> float:
        talk, share = self._talk(post)
        return talk * share / math.pow(age_hours(post, request.now) + 2, self.gravity)

    def _talk(self, post: Post) -> tuple[int, float]:
        post = self.counted(post)
        talk = post.replies + post.quotes
        return talk, talk / (talk + post.likes + post.reposts + self.calm)

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        talk, share = self._talk(post)
        post = self.counted(post)
        told = {name: happened(getattr(post, name), name) for name in sorted(COUNTS)}
        taps = f"{told['likes']} + {told['reposts']}"
        return (
            Term("talk", talk, f"{told['replies']} + {told['quotes']}"),
            Term("share of talk", share, f"{talk} / ({talk} + {taps} + {self.calm:g})", "×"),
            sunk_term(age_hours(post, request.now), self.gravity),
        )
