"""Places in a list of posts, in the words of `why`."""

from __future__ import annotations

from collections.abc import Sequence

from feedkit.post import Post


def place_of(post: Post, posts: Sequence[Post]) -> int | None:
    """Where `post` stands in `posts`, from 1; None where it does not."""
    for place, other in enumerate(posts, 1):
        if other.uri == post.uri:
            return place
    return None


def nth(number: int) -> str:
    """`1st`, `2nd`, `11th`."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"{number:,}{ending or 'th'}"
