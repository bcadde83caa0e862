"""What plugins say must be loaded for them: counts of engagement, who voted, and the words of
hydrators."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from feedkit.accounts import Accounts
from feedkit.parameters import Parameters

COUNTS = frozenset({"likes", "reposts", "replies", "quotes"})
VOTERS = "voters"  # `Post.votes`, of the kinds among COUNTS that the same plugin needs
STORED = COUNTS | {VOTERS}  # the needs that no hydrator provides

_OF_VIEWERS = {"viewer.likes": "likes", "viewer.co_likes": "likes"}  # read from what is counted


class Voters(NamedTuple):
    """Whose votes must be loaded: of these `kinds` (words of COUNTS), `by` these accounts (DIDs),
    None: by anybody."""

    kinds: frozenset[str]
    by: frozenset[str] | None = None


def needs_of(plugins: Iterable[Parameters]) -> frozenset[str]:
    """All that `plugins`, and those inside them, need."""
    return frozenset(
        need
        for plugin in plugins
        for part in plugin.walk()
        for need in getattr(part, "needs", ())  # sections of a configuration have none
    )


def counted(needs: Iterable[str]) -> frozenset[str]:
    """Which of COUNTS must be followed for `needs`."""
    return frozenset(_OF_VIEWERS.get(need, need) for need in needs) & COUNTS


def hydrated(plugins: Iterable[Parameters]) -> frozenset[str]:
    """The words that they need of hydrators. Those with a dot are about the viewer."""
    return frozenset(need for need in needs_of(plugins) - STORED if "." not in need)


def voters(plugins: Iterable[Parameters]) -> Voters | None:
    """Whose votes `plugins`, and those inside them, look at one by one; None: nobody's. Where all
    of them have a parameter `votes_from`, only votes by these accounts, as far as they are known at
    the moment."""
    asking = [
        (needs, getattr(part, "votes_from", None))
        for plugin in plugins
        for part in plugin.walk()
        if VOTERS in (needs := frozenset(getattr(part, "needs", ())))
    ]
    if not asking:
        return None
    kinds = frozenset(need for needs, _ in asking for need in needs & COUNTS)
    by: set[str] = set()
    for _, accounts in asking:
        if not isinstance(accounts, Accounts) or not accounts:
            return Voters(kinds)
        by |= accounts.known
    return Voters(kinds, frozenset(by))
