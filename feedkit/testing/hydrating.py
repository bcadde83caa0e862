"""The contract of hydrators: they are called, as the service would, and their answers looked at."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from pydantic import TypeAdapter

from feedkit.config.hydrators import fault
from feedkit.context import MOST_BYTES, Context, Tables
from feedkit.hydrate.caller import Caller, Late
from feedkit.hydrate.lane import WrongShape, one_each, told
from feedkit.plugin import Hydrator
from feedkit.post import Post
from feedkit.testing.failure import broken, show


def check_hydrator(plugin: Hydrator, posts: Sequence[Post], context: Context | None) -> None:
    """Raise `ContractBroken` if `plugin` breaks the contract of hydrators.

    It is asked about `posts` where everything is away, where nothing is known, and with `context`,
    if there is one. It may raise where it asked for something that is not there; what it answers
    must be right.
    """
    if said := fault(plugin):
        raise broken(plugin, said)
    around = _Around()
    caller = Caller(plugin, lambda: _lent(around), lambda: None)
    try:
        for there in ("away", "empty", context):
            if there is not None:
                around.there = there
                for start in range(0, len(posts), plugin.batch):
                    _check_batch(plugin, caller, around, posts[start : start + plugin.batch])
    finally:
        caller.close()


def _check_batch(plugin: Hydrator, caller: Caller, around: _Around, posts: Sequence[Post]) -> None:
    around.asked = False
    try:
        said = caller.call(list(posts), threading.Event())
    except Late as error:
        raise broken(plugin, f"hydrate has no answer: {error}") from None
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}"
        if not caller.loaded:
            raise broken(plugin, f"load raises {what}") from error
        if around.asked and isinstance(around.there, str):
            return  # as it should, where what it asks for is not there
        if len(posts) == 1:
            raise broken(plugin, f"hydrate raises {what}, for {show(posts[0])}") from error
        for post in posts:
            _check_batch(plugin, caller, around, [post])
        raise broken(plugin, f"hydrate raises {what}, for {len(posts)} posts at once") from error
    kinds = {word: TypeAdapter(kind) for word, kind in plugin.provides.items()}
    try:
        for post, answer in zip(posts, one_each(said, len(posts)), strict=True):
            try:
                dict(told(answer, kinds, plugin.provides))
            except WrongShape as error:
                raise WrongShape(f"{error}, for {show(post)}") from None
    except WrongShape as error:
        raise broken(plugin, str(error)) from None


@contextmanager
def _lent(around: _Around) -> Iterator[_Around]:
    yield around


class _Around:
    """The context that a hydrator is tried with. `there`: who answers; «away»: every question
    fails; «empty»: nothing is known of anything. `asked`: whether anything was asked."""

    def __init__(self) -> None:
        self.there: str | Context = "away"
        self.asked = False

    def _real(self) -> Context | None:
        """Who answers; None where the answer is that there is nothing."""
        self.asked = True
        if self.there == "away":
            raise ConnectionError("check_plugin tries what happens while everything is away")
        return None if isinstance(self.there, str) else self.there

    @property
    def http(self) -> httpx.Client:
        self.asked = True
        if not isinstance(self.there, str):
            return self.there.http
        return httpx.Client(transport=httpx.MockTransport(self._not_found))

    def _not_found(self, request: httpx.Request) -> httpx.Response:
        if self.there == "away":
            raise httpx.ConnectError("check_plugin tries what happens while everything is away")
        return httpx.Response(404)

    @property
    def database(self) -> Tables:
        self.asked = True
        return self if isinstance(self.there, str) else self.there.database

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        self._real()
        return []

    def each(
        self, what: str, table: str, column: str, values: Collection[Any],
        tail: str = "", params: Sequence[Any] = (),
    ) -> list[tuple[Any, ...]]:  # fmt: skip
        self._real()
        return []

    def api(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        real = self._real()
        return real.api(method, params) if real else {}

    def posts(self, uris: Collection[str]) -> dict[str, Post]:
        real = self._real()
        return real.posts(uris) if real else {}

    def fetch(self, url: str, most: int = MOST_BYTES) -> bytes:
        real = self._real()
        return real.fetch(url, most) if real else b""
