"""The keys by which the matcher finds the filters that a post may concern."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

# («word» | «text» | «tag» | «domain» | «author» | «mention» | «lang», the normalised value)
Key = tuple[str, str]

_COMMONNESS = {
    "author": 0.001,
    "mention": 0.002,
    "domain": 0.1,
    "tag": 0.1,
    "text": 1.0,
    "word": 0.5,
    "lang": 500.0,
}


def commonness(keys: AbstractSet[Key]) -> float:
    """A guess at how many posts have one of these keys: long literals are rare, so of a
    conjunction the part with the rarest keys goes into the look-up."""
    return sum(
        _COMMONNESS.get(kind, 1000.0)
        * (4.0 ** (4 - min(len(value), 12)) if kind in ("text", "word") else 1)
        for kind, value in keys
    )
