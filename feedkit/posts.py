"""Many posts at once, and which of them are by whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property

from feedkit.post import Post


class Posts(tuple[Post, ...]):
    """Posts that are ranked for many viewers. What is asked of each of them anew is found out once:
    to look at a thousand posts takes longer than the rest of a ranking, since they lie all over the
    memory."""

    @cached_property
    def by_author(self) -> Mapping[str, Sequence[int]]:
        """The places of their posts, from 0, by author."""
        places: dict[str, list[int]] = defaultdict(list)
        for place, post in enumerate(self):
            places[post.author].append(place)
        return dict(places)


def places_by(posts: Sequence[Post], authors: AbstractSet[str]) -> list[int]:
    """The places in `posts`, from 0, of those by `authors`; in no order."""
    if isinstance(posts, Posts) and len(authors) < len(posts):
        known = posts.by_author
        return [place for author in authors for place in known.get(author, ())]
    return [place for place, post in enumerate(posts) if post.author in authors]
