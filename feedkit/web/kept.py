"""The last good pages of shared feeds, as many as fit."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from feedkit.web.asked import Key
from feedkit.web.backstage import Answer

MOST = 4_000_000  # bytes of pages
OBJECTS = 1_500  # bytes that the objects around a page take, about


class Kept(NamedTuple):
    """A page. `made`: the loop's time when it was asked for."""

    made: float
    answer: Answer


class Pages:
    """Pages by what is asked for; the least recently used are let go of first."""

    def __init__(self) -> None:
        self._pages: OrderedDict[Key, Kept] = OrderedDict()
        self.size = 0  # bytes

    def find(self, key: Key) -> Kept | None:
        """The page, if it is kept."""
        return self._pages.get(key)

    def used(self, key: Key) -> None:
        """Note that a page that is kept was served."""
        self._pages.move_to_end(key)

    def keep(self, key: Key, page: Kept) -> None:
        """Keep a page in place of what was kept for `key`."""
        before = self._pages.pop(key, None)
        if before is not None:
            self.size -= _size(key, before)
        self._pages[key] = page
        self.size += _size(key, page)
        while self.size > MOST:
            self.size -= _size(*self._pages.popitem(last=False))


def _size(key: Key, page: Kept) -> int:
    return sum(map(len, key)) + len(page.answer.body) + OBJECTS
