"""Rankers by what the viewer likes. For somebody who is not signed in, or likes nothing, the newest
posts come first."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from heapq import nlargest

from feedkit.duration import duration_text
from feedkit.plugin import Field, Ranker, Sought, Term
from feedkit.post import CoLike, Liked, Post, Request, Viewer
from feedkit.posts import places_by
from feedkit.rankers.votes import age_hours, happened
from feedkit.times import Period


class Affinity(Ranker):
    """Posts by authors whose posts the viewer likes, the fresh ones first:
    sign(a) · log2(1 + |a|) · ½ ^ (age / fade), where a is the sum of ½ ^ (age of it / half_life)
    over each like for a post of the author, `more` times for each «show more like this» and
    minus `less` times for each «show less like this».

    Posts by others come after these, newest first, and those by authors of whom the viewer wants
    to see less at the end. Only likes for posts of this service's feeds are known. Of a large feed
    the newest posts are ranked; where fewer than three are by the twenty authors with most points,
    also older ones: the newest three of each, as they were up to a minute ago.

    Source: EdgeRank (Facebook, f8 2010), affinity · weight · decay; the numbers are feedkit's own.

    ```yaml
    affinity: {half_life: 7d, fade: 24h}
    ```
    """

    half_life: Period = Field(
        default=timedelta(days=7), description="the time in which a like loses half its weight"
    )
    fade: Period = Field(
        default=timedelta(hours=24), description="the time in which a post loses half its score"
    )
    more: float = Field(
        default=3.0, ge=0, le=1000, description="how many likes a «show more like this» weighs"
    )
    less: float = Field(
        default=3.0, ge=0, le=1000, description="how many likes a «show less like this» takes away"
    )

    @property
    def needs(self) -> AbstractSet[str]:
        wishes = {"viewer.more": self.more, "viewer.less": self.less}
        # Likes of the viewer are known only where likes are followed.
        return {"likes", "viewer.likes", *(need for need, weight in wishes.items() if weight)}

    def score(self, post: Post, request: Request) -> float:
        return self.score_many([post], request)[0]

    def score_many(self, posts: Sequence[Post], request: Request) -> list[float]:
        liking = {author: _damped(points) for author, points in self._liking(request).items()}
        scores = [0.0] * len(posts)  # most are by authors who are not known
        for place in places_by(posts, liking.keys()):
            post = posts[place]
            scores[place] = liking[post.author] * self._fresh(post, request)
        return scores

    def seeks(self, viewer: Viewer) -> Sought:
        weights = self._weights(viewer, lambda liked: 1.0)
        liked = [author for author, points in weights.items() if points > 0]
        return Sought(authors=frozenset(nlargest(_AUTHORS, liked, key=weights.__getitem__)))

    def _liking(self, request: Request) -> Mapping[str, float]:
        """What the viewer's likes and wishes come to, by author."""
        if request.viewer is None:
            return {}
        return self._weights(
            request.viewer, lambda liked: _left(request.now, liked.at, self.half_life)
        )

    def _weights(self, viewer: Viewer, left: Callable[[Liked], float]) -> Mapping[str, float]:
        points: dict[str, float] = defaultdict(float)
        given = ((1.0, viewer.likes), (self.more, viewer.more), (-self.less, viewer.less))
        for weight, several in given:
            for liked in several:
                points[liked.author] += weight * left(liked)
        return points

    def _fresh(self, post: Post, request: Request) -> float:
        return _left(request.now, post.sort_at, self.fade)

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        viewer, points = request.viewer, self._liking(request).get(post.author, 0.0)
        told = "nobody is signed in"
        if viewer is not None:
            likes, more, less = (
                sum(liked.author == post.author for liked in several)
                for several in (viewer.likes, viewer.more, viewer.less)
            )
            told = f"{points:.4g} from {happened(likes, 'likes')}, {more} more, {less} less"
        age = f"½ ^ ({age_hours(post, request.now):.3g} h / {duration_text(self.fade)})"
        fresh = self._fresh(post, request)
        return (Term("affinity", _damped(points), told), Term("age", fresh, age, "×"))


class CoLiked(Ranker):
    """Posts liked by people who like what the viewer likes, the recipe of «For You» feeds: the sum,
    over the likes of the last `window`, of
    shared / likes ^ selective · ½ ^ (age of the like / half_life), all of it divided by
    (1 + the post's likes) ^ modest. `shared`: how many of the posts that the viewer liked that
    person liked, too; `likes`: how many posts that person liked in all.

    What the viewer wrote or liked already, and what nobody of them liked, comes last, newest first.
    It is no machine learning, and looks at no text or picture; it knows only posts of this
    service's feeds and the likes for them that came while they were stored, so that it needs feeds
    that many people like something in, and a viewer who did. Of a large feed the newest posts are
    ranked; up to half of them give way to older ones, those that promise most. Whose
    likes are looked at: the newest 20 each of at most 150 people, found by the newest 100 of the
    viewer's likes of seven days, or of the longest `window` of the service.

    Source: spacecowboy's For You, as published (paths from like to like, each divided by a power
    of that person's likes, a half-life, a power of the post's popularity); window and half-life are
    those of Graze's co-likes. `selective: 0.5` makes it the cosine of two people's likes.

    ```yaml
    co_liked: {window: 7d, half_life: 24h}
    ```
    """

    window: Period = Field(
        default=timedelta(days=7), description="likes that are older do not count"
    )
    half_life: Period = Field(
        default=timedelta(hours=24), description="the time in which a like loses half its weight"
    )
    selective: float = Field(
        default=0.5, ge=0, le=2, description="how much less the likes count of who likes much; 0: "
        "everybody's count the same",
    )  # fmt: skip
    modest: float = Field(
        default=0.0, ge=0, le=2, description="how much what everybody likes sinks; 0: not at all"
    )

    @property
    def needs(self) -> AbstractSet[str]:
        return {"likes", "viewer.likes", "viewer.co_likes"}

    def score(self, post: Post, request: Request) -> float:
        return self.score_many([post], request)[0]

    def score_many(self, posts: Sequence[Post], request: Request) -> list[float]:
        viewer = request.viewer
        if viewer is None:
            return [0.0] * len(posts)
        liked = {one.uri for one in viewer.likes}
        return [
            0.0
            if post.uri in liked or post.author == viewer.did
            else self._sum(viewer.co_likes.get(post.uri, ()), request) / self._sunk(post)
            for post in posts
        ]

    def seeks(self, viewer: Viewer) -> Sought:
        shared = {
            uri: sum(like.shared / max(like.likes, 1) ** self.selective for like in likes)
            for uri, likes in viewer.co_likes.items()
        }
        return Sought(uris=nlargest(_POSTS, shared, key=shared.__getitem__))

    def _counted(self, likes: Iterable[CoLike], request: Request) -> list[CoLike]:
        return [like for like in likes if request.now - like.at <= self.window]

    def _sum(self, likes: Iterable[CoLike], request: Request) -> float:
        now, zero, half_life, power = request.now, timedelta(0), self.half_life, self.selective
        return math.fsum(  # in one piece: there may be thousands
            like.shared
            * 0.5 ** (max(now - like.at, zero) / half_life)
            / max(like.likes, like.shared, 1) ** power
            for like in self._counted(likes, request)
        )

    def _sunk(self, post: Post) -> float:
        return math.pow(1 + max(post.likes, 0), self.modest)

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        viewer = request.viewer
        if viewer is None:
            return (Term("co-likes", 0.0, "nobody is signed in"),)
        if post.author == viewer.did or _about(post, viewer.likes):
            own = "wrote" if post.author == viewer.did else "liked"
            return (Term("co-likes", 0.0, f"the viewer {own} it"),)
        likes = viewer.co_likes.get(post.uri, ())
        counted = self._counted(likes, request)
        told = f"{happened(len(counted), 'likes')}, {sum(like.shared for like in counted)} shared"
        terms = [Term("co-likes", self._sum(likes, request), told)]
        if self.modest:
            because = f"(1 + {happened(post.likes, 'likes')}) ^ {self.modest:g}"
            terms.append(Term("popularity", self._sunk(post), because, "÷"))
        return terms


_AUTHORS, _POSTS = 20, 500  # that are sought for a viewer
_NOTHING = timedelta(0)


def _about(post: Post, several: Iterable[Liked]) -> bool:
    return any(liked.uri == post.uri for liked in several)


def _left(now: datetime, at: datetime, half_life: timedelta) -> float:
    """What is left at `now` of something from `at`: 1 at first, ½ after `half_life`."""
    return math.pow(0.5, max(now - at, _NOTHING) / half_life)


def _damped(points: float) -> float:
    return math.copysign(math.log2(1 + abs(points)), points)
