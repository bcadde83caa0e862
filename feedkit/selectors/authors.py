"""Selectors that share the places among authors."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Hashable
from heapq import heappop, heappush

from feedkit.plugin import Field, Selector
from feedkit.post import Post, Request


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


def spread(posts: list[Post], groups: list[Hashable], most: int, window: int) -> list[Post]:
    """`posts` with at most `most` of one group in any `window` that follow each other. None moves
    down by more than `window` places: what would have to is left out. Linear but for a heap."""
    shown: list[int] = []
    recent: Counter[Hashable] = Counter()  # groups among the last window - 1 shown
    waiting: dict[Hashable, deque[tuple[int, int]]] = defaultdict(deque)  # (post, last place)
    ready: list[tuple[int, int, Hashable]] = []  # of those waiting, the ones that may be shown

    def call(group: Hashable) -> None:
        """Let the first of a group that waits stand ready, if the group may be shown."""
        if waiting[group] and recent[group] < most:
            number, last = waiting[group][0]
            heappush(ready, (number, last, group))

    def show(number: int) -> None:
        shown.append(number)
        recent[groups[number]] += 1
        if len(shown) >= window:
            left = groups[shown[len(shown) - window]]
            recent[left] -= 1
            call(left)

    def show_ready() -> None:
        while ready:
            number, last, group = heappop(ready)
            if not waiting[group] or waiting[group][0][0] != number:
                continue  # stood ready twice
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
