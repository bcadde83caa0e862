"""A hydrator in a thread of its own, so that one that never returns holds up nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from queue import SimpleQueue
from time import monotonic
from typing import Any

from feedkit.context import Context
from feedkit.plugin import Hydrator
from feedkit.post import Post

LOADING = 600.0  # seconds that a hydrator may take to read its model
_LOOK = 0.05  # seconds between two looks whether we are told to stop


class Late(Exception):
    """A hydrator has not answered in time. Whatever it says later is not listened to."""


class Stopped(Exception):
    """We were told to stop while a hydrator was at work."""


class _Call:
    def __init__(self, posts: Sequence[Post]) -> None:
        self.posts = posts
        self.began: float | None = None  # loading comes before
        self.done = threading.Event()
        self.answer: Any = None
        self.error: BaseException | None = None


class Caller:
    """Calls one hydrator, one call at a time. `at_end` runs in its thread when that ends.
    `loaded`: whether it has read its model."""

    def __init__(
        self,
        hydrator: Hydrator,
        open_context: Callable[[], AbstractContextManager[Context]],
        at_end: Callable[[], None],
    ) -> None:
        self._hydrator, self._open_context, self._at_end = hydrator, open_context, at_end
        self._calls: SimpleQueue[_Call | None]
        self._thread: threading.Thread | None = None
        self._last: _Call | None = None
        self.loaded = False

    def call(self, posts: Sequence[Post], stop: threading.Event) -> Any:
        """What the hydrator says of `posts`. Raises what it raises; `Late` where it takes too
        long, or has not come back from an earlier call; `Stopped` once `stop` is set."""
        if self._last is not None and not self._last.done.is_set():
            raise Late("it has not come back from an earlier call")
        if self._thread is None:
            name = f"hydrator {self._hydrator.yaml_name()}"
            self._calls = SimpleQueue()
            self._thread = threading.Thread(
                target=self._work, args=(self._calls,), name=name, daemon=True
            )
            self._thread.start()
        call = self._last = _Call(posts)
        self._calls.put(call)
        asked = monotonic()
        while not call.done.wait(_LOOK):
            if stop.is_set():
                raise Stopped
            if call.began is None:
                if monotonic() - asked > LOADING:
                    raise Late(f"load() took more than {LOADING:.0f} s")
            elif monotonic() - call.began > self._hydrator.deadline:
                raise Late(f"it took more than {self._hydrator.deadline:g} s")
        if call.error is not None:
            raise call.error
        return call.answer

    def close(self) -> None:
        """End the thread, unless the hydrator keeps it: then it ends with the process."""
        if self._thread is not None:
            self._calls.put(None)
            if self._last is None or self._last.done.is_set():
                self._thread.join()
        self._thread = None

    def _work(self, calls: SimpleQueue[_Call | None]) -> None:
        self.loaded = False
        try:
            with self._open_context() as context:
                while (call := calls.get()) is not None:
                    try:
                        if not self.loaded:
                            self._hydrator.load()
                            self.loaded = True
                        call.began = monotonic()
                        call.answer = self._hydrator.hydrate(call.posts, context)
                    except BaseException as error:  # sys.exit() in a plugin is no reason to end
                        call.error = error
                    call.done.set()
        finally:
            self._at_end()
