"""Many posts at once, and which of them are by whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from itertools import chain, islice
from typing import overload

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


class Joined(Sequence[Post]):
    """The first few of some posts, and others after these, without a copy of the first."""

    def __init__(self, posts: Posts, first: int, others: Sequence[Post]) -> None:
        self.posts, self.first, self.others = posts, min(first, len(posts)), others

    def __len__(self) -> int:
        return self.first + len(self.others)

    def __iter__(self) -> Iterator[Post]:
        return chain(islice(self.posts, self.first), self.others)

    @overload
    def __getitem__(self, place: int) -> Post: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Post]: ...
    def __getitem__(self, place: int | slice) -> Post | Sequence[Post]:
        if isinstance(place, slice):
            return list(self)[place]
        if place < 0:
            place += len(self)
        if 0 <= place < self.first:
            return self.posts[place]
        if place < 0:
            raise IndexError(place)
        return self.others[place - self.first]


def places_by(posts: Sequence[Post], authors: AbstractSet[str]) -> list[int]:
    """The places in `posts`, from 0, of those by `authors`; in no order."""
    if isinstance(posts, Joined):
        first = posts.first
        places = [place for place in places_by(posts.posts, authors) if place < first]
        return places + [first + place for place in places_by(posts.others, authors)]
    if isinstance(posts, Posts) and len(authors) < len(posts):
        known = posts.by_author
        return [place for author in authors for place in known.get(author, ())]
    return [place for place, post in enumerate(posts) if post.author in authors]
