"""Which page a request for a skeleton asks for, and whether all who ask for it get the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

from feedkit.web.backstage import Scope
from feedkit.web.languages import preferred

MOST_QUERIES = 2_000  # whose meaning is remembered: about 1 kB each
LONGEST_QUERY = 1_000  # bytes of a query that may be remembered
_NAMES = ("feed", "limit", "cursor")
_LANGUAGE = b"accept-language"

Key = tuple[str, ...]


class Asked(NamedTuple):
    """`feed`: the name of the feed that is asked for; "": none of ours, since names come from
    outside. `key` names the page; None where it is not one that all may share."""

    feed: str
    key: Key | None


NOTHING = Asked("", None)


class Queries:
    """What queries mean. `shared`: the feeds whose pages are the same for everybody, each with
    whether they depend on the languages that are asked for. `served`: all that are."""

    def __init__(self, shared: Mapping[str, bool], served: Collection[str] = ()) -> None:
        self._shared = dict(shared)
        self._names = {*shared, *served}
        self._known: dict[bytes, Asked] = {}

    def __call__(self, scope: Scope) -> Asked:
        """What the request `scope` (ASGI) asks for."""
        query = scope["query_string"]
        asked = self._known.get(query)
        if asked is None:
            asked = self._read(query)
            if len(query) <= LONGEST_QUERY:
                if len(self._known) >= MOST_QUERIES:
                    self._known.clear()
                self._known[query] = asked
        if asked.key is not None and self._shared[asked.feed]:
            said = b",".join(value for name, value in scope["headers"] if name == _LANGUAGE)
            return Asked(asked.feed, (*asked.key, *preferred(said.decode("latin-1"))))
        return asked

    def _read(self, query: bytes) -> Asked:
        try:
            given = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
        except (UnicodeDecodeError, ValueError):
            return NOTHING
        values = {name: [v for n, v in given if n == name] for name in _NAMES}
        if not values["feed"]:
            return NOTHING
        name = values["feed"][-1].rpartition("/")[2]
        if name not in self._names:
            return NOTHING
        if name not in self._shared or any(len(several) > 1 for several in values.values()):
            return Asked(name, None)
        # What is absent differs from what is empty.
        return Asked(name, tuple("".join(f"={v}" for v in some) for some in values.values()))
