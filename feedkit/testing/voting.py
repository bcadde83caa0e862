"""Votes to try plugins with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta

from msgspec.structs import replace

from feedkit.post import EPOCH, Counts, Post, Vote
from feedkit.testing.posts import ALICE, NOW

_KINDS = {"likes": "like", "reposts": "repost", "replies": "reply", "quotes": "quote"}
_MOST = 60  # of a post
_VOTERS = 500


def voted(posts: Sequence[Post], kinds: AbstractSet[str], counting: bool = True) -> list[Post]:
    """`posts` with votes of these `kinds`: none, a few, many; by people who agree with others, or
    with nobody; old ones, new ones, from the future, and without a time. `counting`: their counts
    are no lower than that."""
    return [_voted(post, number, sorted(kinds), counting) for number, post in enumerate(posts)]


def _voted(post: Post, number: int, kinds: Sequence[str], counting: bool) -> Post:
    many = (0, 1, 7, _MOST)[number % 4] if kinds else 0
    votes = [_vote(number, place, _KINDS[kinds[place % len(kinds)]]) for place in range(many)]
    votes.sort(key=lambda vote: vote.at, reverse=True)
    post = replace(post, votes=tuple(votes))
    if not counting or post.counts is None:
        return post
    cast, counts = Counter(vote.kind for vote in votes), post.counts
    return replace(
        post,
        counts=Counts(*(max(getattr(counts, name), cast[kind]) for name, kind in _KINDS.items())),
    )


def _vote(number: int, place: int, kind: str) -> Vote:
    who = (number * number + 7 * place) % _VOTERS
    at = NOW + timedelta(minutes=5) - timedelta(minutes=number * place % 4000)
    return Vote(
        ALICE if place == 3 else f"did:plc:voter{who:019}", kind, at if place % 11 else EPOCH
    )
