"""The tree of a configuration: every value knows its place. Python values give the same tree.

All scalars are text: the type of the parameter converts, so `no`, `12:30` and `3.10` survive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feedkit.config.problems import Place


@dataclass(frozen=True, eq=False)
class Node:
    """A value and its place. `size`: how many nodes it is, itself included."""

    place: Place

    @property
    def size(self) -> int:
        return 1


@dataclass(frozen=True, eq=False)
class Broken(Node):
    """A value whose problem is reported already: whoever meets it keeps silent."""


@dataclass(frozen=True, eq=False)
class Scalar(Node):
    text: str


@dataclass(frozen=True, eq=False)
class Ready(Node):
    """A Python value that is no text, list or mapping: a plugin, a number, a duration."""

    value: Any


@dataclass(frozen=True, eq=False)
class Sequence(Node):
    items: tuple[Node, ...]
    size: int = 1


@dataclass(frozen=True, eq=False)
class MappingNode(Node):
    """`places` are those of the keys."""

    entries: Mapping[str, Node]
    places: Mapping[str, Place]
    size: int = 1

    def over(self, other: MappingNode) -> MappingNode:
        """The entries of `other`, with these laid over them."""
        return MappingNode(
            self.place, {**other.entries, **self.entries}, {**other.places, **self.places}
        )


def from_python(value: Any, place: Place) -> Node:
    """The tree of a Python value, all of it at one place."""
    if isinstance(value, str):
        return Scalar(place, value)
    if isinstance(value, Mapping):
        entries = {str(key): from_python(item, place) for key, item in value.items()}
        return MappingNode(place, entries, dict.fromkeys(entries, place))
    if isinstance(value, (list, tuple, set, frozenset)):
        return Sequence(place, tuple(from_python(item, place) for item in value))
    return Ready(place, value)
