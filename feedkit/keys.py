"""The keys by which the matcher finds the filters that a post may concern."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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


class KeySet(AbstractSet[Key]):
    """Keys, of which some are all members of a large set: ("author", DID) for each DID on a list.

    `few` are keys as usual; `many` says (kind, members), of kinds whose values are compared as
    they are: "author", "mention". The members are neither copied nor compared, so that a thousand
    filters with one list cost no more than one. `|` keeps them apart too.
    """

    def __init__(
        self, few: Iterable[Key] = (), many: Iterable[tuple[str, frozenset[str]]] = ()
    ) -> None:
        self.few = frozenset(few)
        self.many = tuple({(kind, id(members)): (kind, members) for kind, members in many}.values())

    def __or__(self, other: AbstractSet[Key]) -> KeySet:  # type: ignore[override]
        if isinstance(other, KeySet):
            return KeySet(self.few | other.few, self.many + other.many)
        return KeySet(self.few | other, self.many)

    __ror__ = __or__

    def __contains__(self, key: object) -> bool:
        if key in self.few:
            return True
        return isinstance(key, tuple) and any(
            key == (kind, key[-1]) and key[-1] in members for kind, members in self.many
        )

    def __iter__(self) -> Iterator[Key]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __bool__(self) -> bool:
        return bool(self.few) or any(members for _, members in self.many)

    def __repr__(self) -> str:
        many = "".join(f" | {len(members):,} of {kind!r}" for kind, members in self.many)
        return f"{set(self.few) or '{}'}{many}"

    def _all(self) -> frozenset[Key]:
        return self.few.union(*([(kind, m) for m in members] for kind, members in self.many))

    @classmethod
    def _from_iterable(cls, it: Iterable[Key]) -> frozenset[Key]:  # type: ignore[override]
        return frozenset(it)  # what `&`, `-` give


def wrong_keys(keys: object) -> str:
    """Why these are no keys that `Filter.keys` may return, or nothing."""
    if keys is None:
        return ""
    if not isinstance(keys, AbstractSet):
        return f"keys() returned {type(keys).__name__}, not a set of (kind, value), nor None"
    for key in keys.few if isinstance(keys, KeySet) else keys:
        if not (isinstance(key, tuple) and len(key) == 2 and isinstance(key[1], str)):
            return f"keys() returned {key!r}, which is not (kind, value)"
        if key[0] not in _COMMONNESS:
            return f"keys() returned {key!r}; the kinds are {', '.join(_COMMONNESS)}"
    return ""


def commonness(keys: AbstractSet[Key]) -> float:
    """A guess at how many posts have one of these keys: long literals are rare, so of a
    conjunction the part with the rarest keys goes into the look-up."""
    if isinstance(keys, KeySet):
        return commonness(keys.few) + sum(
            _COMMONNESS.get(kind, 1000.0) * len(members) for kind, members in keys.many
        )
    return sum(
        _COMMONNESS.get(kind, 1000.0)
        * (4.0 ** (4 - min(len(value), 12)) if kind in ("text", "word") else 1)
        for kind, value in keys
    )
