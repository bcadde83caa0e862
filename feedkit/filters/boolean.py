"""Filters that stand for others. `All`, `Any` and `Not` are in plugin.py."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from pydantic import PrivateAttr

from feedkit.parameters import Parameters
from feedkit.plugin import Field, Filter, Key
from feedkit.post import Post


class Everything(Filter):
    """All posts of the network: over two million a day. For feeds that a `viewer` or `candidates`
    narrows; a filter that would keep everything by accident is refused.

    ```yaml
    everything
    ```
    """

    def match(self, post: Post) -> bool:
        return True


class SameAs(Filter):
    """Posts that a filter kept elsewhere keeps: one under `filters:`, or the filter of another
    feed. The bare name does the same, unless a built-in has it.

    ```yaml
    same_as: advert
    ```
    """

    name: str = Field(description="the name under `filters:`, or of a feed")

    _filter: Filter | None = PrivateAttr(default=None)

    def bind(self, filter: Filter) -> None:
        """Say which filter is meant. Raises `ValueError` if that one means this one again."""
        if any(part is self for part in filter.walk()):
            raise ValueError(f"{self.name!r} means itself, by way of same_as: {self.name}")
        self._filter = filter

    @property
    def filter(self) -> Filter:
        """The filter that is meant."""
        if self._filter is None:
            raise LookupError(
                f"same_as: {self.name} stands for a filter of the configuration; outside of one, "
                "use that filter itself, or bind(filter)"
            )
        return self._filter

    def match(self, post: Post) -> bool:
        return self.filter.match(post)

    def decide(self, post: Post) -> bool | None:
        return self.filter.decide(post)

    def keys(self) -> AbstractSet[Key] | None:
        return self.filter.keys()

    def explain(self, post: Post) -> str:
        return self.filter.explain(post)

    @property
    def needs(self) -> AbstractSet[str]:
        return self.filter.needs if self._filter is not None else frozenset()

    def children(self) -> Iterator[Parameters]:
        if self._filter is not None:
            yield self._filter

    def fingerprint(self) -> str:
        return self.filter.fingerprint()
