"""What is remembered for a while, as much as fits."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class Cache(Generic[_Value]):
    """Values by key, up to `most` in weight: those go that were not asked for the longest. Times
    are microseconds, by whatever one clock. Safe for threads."""

    def __init__(self, most: int) -> None:
        self._most, self._weight = most, 0
        self._kept: OrderedDict[Hashable, tuple[_Value, int, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, now: int = 0, fresh: int = 0) -> _Value | None:
        """The value of `key`; with `fresh` only one that was put there less than so long ago."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or (fresh and not 0 <= now - kept[1] < fresh):
                return None
            self._kept.move_to_end(key)
            return kept[0]

    def put(self, key: Hashable, value: _Value, now: int, weight: int = 1) -> None:
        """Keep `value`, found `now`. One that is heavier than all of the cache is not kept."""
        with self._lock:
            if before := self._kept.pop(key, None):
                self._weight -= before[2]
            self._kept[key] = value, now, weight
            self._weight += weight
            while self._weight > self._most:
                _, (_, _, gone) = self._kept.popitem(last=False)
                self._weight -= gone
