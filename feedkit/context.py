"""What a hydrator may ask: the web, the network's API, the service's database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from feedkit.post import Post

if TYPE_CHECKING:
    import httpx

MOST_BYTES = 2_000_000  # of one answer from the web


class Tables(Protocol):
    """The service's database, for reading; the tables in it may be your own."""

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a statement gives, with `?` for parameters."""
        ...

    def each(
        self, what: str, table: str, column: str, values: Collection[Any],
        tail: str = "", params: Sequence[Any] = (),
    ) -> list[tuple[Any, ...]]:  # fmt: skip
        """The columns `what` of the rows of `table` whose `column` is one of `values`."""
        ...


class Context(Protocol):
    """Given to `Hydrator.hydrate`. Whatever raises here may be left to raise: feedkit tries the
    posts again."""

    @property
    def http(self) -> httpx.Client:
        """A client with time limits."""
        ...

    @property
    def database(self) -> Tables:
        """The service's database."""
        ...

    def api(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """What the public AppView answers to a query such as app.bsky.actor.getProfile. Raises
        LookupError where it says that there is no such thing, or not any more."""
        ...

    def posts(self, uris: Collection[str]) -> dict[str, Post]:
        """The posts at these at:// URIs, as the AppView has them; those it does not have are left
        out."""
        ...

    def fetch(self, url: str, most: int = MOST_BYTES) -> bytes:
        """What lies at `url`. Raises where that is more than `most` bytes."""
        ...
