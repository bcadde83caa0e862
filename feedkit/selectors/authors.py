"""Selectors that share the places among authors."""

from __future__ import annotations

from bisect import insort
from collections import Counter, defaultdict, deque
from collections.abc import Hashable, Sequence
from datetime import datetime, timedelta
from heapq import heappop, heappush

from feedkit.duration import duration_text
from feedkit.plugin import Field, Selector
from feedkit.post import Post, Request
from feedkit.selectors.places import nth, place_of
from feedkit.times import Period


class PerAuthor(Selector):
    """At most `most` posts of one author among any `window` that follow each other. A post that
    must wait stands at most `window` places below the one it was ranked for; where that is not
    enough, it is left out.

    ```yaml
    per_author: {most: 2, window: 10}
    ```
    """

    most: int = Field(default=2, ge=1, description="how many posts of one author")
    window: int = Field(
        default=10, ge=1, le=2000, description="among how many posts that follow each other"
    )

    def select(self, posts: list[Post], request: Request) -> list[Post]:
        return spread(posts, [post.author for post in posts], self.most, self.window)

    def explain(
        self, post: Post, before: Sequence[Post], after: Sequence[Post], request: Request
    ) -> str:
        was, now = place_of(post, before), place_of(post, after)
        if was is None or (now is not None and now <= was):
            return ""
        number = sum(other.author == post.author for other in before[:was])
        why = "had to wait" if now else f"would have to wait for more than {self.window} places"
        rule = f"at most {self.most} may stand among {self.window}"
        return f"the {nth(number)} of this author {why}: {rule}"


class AuthorDecay(Selector):
    """Posts of an author sink the further, the more of that author stand above them. The k-th of
    them (from 0) goes to place / (floor + (1 - floor) · decay^k), counted from 1, but never more
    than `furthest` places down. None is left out.

    Source: xai-org/x-algorithm, the author diversity multiplier, with decay 0.5, floor 0.25.

    ```yaml
    author_decay: {decay: 0.5, floor: 0.25}
    ```
    """

    decay: float = Field(default=0.5, gt=0, le=1, description="what each repeat multiplies by")
    floor: float = Field(default=0.25, gt=0, le=1, description="what the product never falls below")
    furthest: int = Field(default=30, ge=0, description="places a post sinks at most")

    def select(self, posts: list[Post], request: Request) -> list[Post]:
        seen: Counter[str] = Counter()
        places: list[float] = []
        for place, post in enumerate(posts, 1):
            places.append(min(place / self._share(seen[post.author]), place + self.furthest))
            seen[post.author] += 1
        return [posts[number] for number in sorted(range(len(posts)), key=places.__getitem__)]

    def _share(self, above: int) -> float:
        return self.floor + (1 - self.floor) * self.decay**above

    def explain(
        self, post: Post, before: Sequence[Post], after: Sequence[Post], request: Request
    ) -> str:
        was = place_of(post, before)
        above = sum(other.author == post.author for other in before[: (was or 1) - 1])
        if was is None or not above:
            return ""
        share = self._share(above)
        down = f"{was} / {share:.3g} = {was / share:.3g}"
        if was / share > was + self.furthest:
            down += f", but at most {self.furthest} places down"
        return f"the {nth(above + 1)} of this author: {down}"


class Throttle(Selector):
    """At most `most` posts of one author within any span of time of this length; the best ranked
    ones stay, the others are left out. None moves down.

    ```yaml
    throttle: {most: 2, period: 1d}
    ```
    """

    most: int = Field(default=2, ge=1, description="how many posts of one author")
    period: Period = Field(default=timedelta(days=1), description="in which time, such as 1d")

    def select(self, posts: list[Post], request: Request) -> list[Post]:
        kept: dict[str, list[datetime]] = defaultdict(list)
        chosen = []
        for post in posts:
            times = kept[post.author]
            insort(times, post.sort_at)
            if self._crowded(times, times.index(post.sort_at)):
                times.remove(post.sort_at)
            else:
                chosen.append(post)
        return chosen

    def explain(
        self, post: Post, before: Sequence[Post], after: Sequence[Post], request: Request
    ) -> str:
        if post in after:
            return ""
        rule = f"at most {self.most} of one author within {duration_text(self.period)}"
        return f"{rule}, and better ranked ones take up the room"

    def _crowded(self, times: list[datetime], number: int) -> bool:
        """Whether more than `most` of `times`, that of this number among them, are close."""
        first = max(0, number - self.most)
        return any(
            last - early < self.period
            for early, last in zip(
                times[first : number + 1], times[first + self.most :], strict=False
            )
        )


def spread(posts: list[Post], groups: Sequence[Hashable], most: int, window: int) -> list[Post]:
    """`posts` with at most `most` of one group in any `window` that follow each other. None moves
    down by more than `window` places: what would have to is left out."""
    shown: list[int] = []
    recent: Counter[Hashable] = Counter()  # groups among the last window - 1 shown
    waiting: dict[Hashable, deque[tuple[int, int]]] = defaultdict(deque)  # (post, last place)
    ready: list[tuple[int, int]] = []  # of those waiting, the ones that may be shown, best first

    def call(group: Hashable) -> None:
        """Let the first of a group that waits stand ready, if the group may be shown."""
        if waiting[group] and recent[group] < most:
            heappush(ready, waiting[group][0])

    def show(number: int) -> None:
        shown.append(number)
        recent[groups[number]] += 1
        if len(shown) >= window:
            left = groups[shown[len(shown) - window]]
            recent[left] -= 1
            call(left)

    def show_ready() -> None:
        while ready:
            number, last = heappop(ready)
            group = groups[number]
            if not waiting[group] or waiting[group][0][0] != number:
                continue  # it stood ready twice
            if last < len(shown):
                waiting[group].popleft()
                call(group)
            elif recent[group] < most:
                waiting[group].popleft()
                show(number)
                call(group)

    for number, group in enumerate(groups):
        show_ready()
        if recent[group] < most and not waiting[group]:
            show(number)
        else:
            waiting[group].append((number, len(shown) + window))
    show_ready()
    return [posts[number] for number in shown]
