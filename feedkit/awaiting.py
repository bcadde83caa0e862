"""What a verdict still waits for: the words of hydrators that have not answered yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from feedkit.plugin import Filter
from feedkit.post import Post


class Wanted(frozenset[str]):
    """The feeds that want a post or may turn out to; those in `undecided` cannot say before they
    know these words. Where every feed could decide, a plain frozenset will do."""

    undecided: Mapping[str, frozenset[str]]

    def __new__(cls, decided: Iterable[str], undecided: Mapping[str, frozenset[str]]) -> Wanted:
        made = super().__new__(cls, (*decided, *undecided))
        made.undecided = undecided
        return made


def decided(feeds: frozenset[str]) -> frozenset[str]:
    """Those of `feeds` that want the post for certain."""
    return feeds.difference(feeds.undecided) if isinstance(feeds, Wanted) else feeds


def undecided(feeds: frozenset[str]) -> Mapping[str, frozenset[str]]:
    """Those of `feeds` that wait, each with the words that it waits for."""
    return feeds.undecided if isinstance(feeds, Wanted) else {}


def knows(post: Post, words: Iterable[str]) -> bool:
    """Whether a hydrator has found all of `words` for `post`."""
    return all(post.features.get(word) is not None for word in words)


def awaited(filter: Filter, post: Post) -> frozenset[str]:
    """The words that `filter`, which is undecided, needs and nobody has looked for yet."""
    return frozenset(word for word in _open(filter, post) if word not in post.features)


def given_up(filter: Filter, post: Post) -> bool:
    """Whether `filter` is undecided because a hydrator found nothing."""
    return any(word in post.features for word in _open(filter, post))


def _open(filter: Filter, post: Post) -> Iterable[str]:
    """The words without a value that keep `filter` from deciding."""
    if filter.decide(post) is not None:
        return
    if own := [word for word in filter.needs if post.features.get(word) is None]:
        yield from own
        return  # what stands in it may be about another post
    for part in filter.children():
        if isinstance(part, Filter):
            yield from _open(part, post)
