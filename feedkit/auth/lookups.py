"""Look-ups in threads of their own: one for each DID at a time, few at once, and no request waits
longer than it said it would, even while the system's resolver hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future


class Full(Exception):
    """Too many requests wait already; this says nothing of the DID."""


class TooLong(Exception):
    """The look-up is not done in time."""


class Lane:
    """At most `most` look-ups at once, and at most `waiting` requests that wait for one: strangers
    who name slow hosts may hold no more of a server's threads than that."""

    def __init__(self, most: int, waiting: int) -> None:
        self.running = threading.BoundedSemaphore(most)
        self.waiting = threading.BoundedSemaphore(waiting)


class Lookups:
    """`look_up(did)` does the work, in a time of its own, keeps what it finds, and raises
    nothing."""

    def __init__(self, look_up: Callable[[str], None]) -> None:
        self._look_up = look_up
        self._under_way: dict[str, Future[None]] = {}
        self._lock = threading.Lock()

    def wait(self, did: str, lane: Lane, longest: float, may_start: Callable[[], bool]) -> None:
        """Return when a look-up of `did` is done: one that is under way, or a new one if
        `may_start` says so, which is asked only then. Raises `Full` at once, or `TooLong` after
        `longest` seconds."""
        deadline = time.monotonic() + longest
        if not lane.waiting.acquire(blocking=False):
            raise Full("too many requests wait for keys")
        try:
            with self._lock:
                future = self._under_way.get(did)
                leads = future is None
                if future is None:
                    if not may_start():
                        return
                    future = self._under_way[did] = Future()
            if leads:
                self._start(did, lane, future, deadline)
            future.result(timeout=max(deadline - time.monotonic(), 0.0))
        except TimeoutError:
            raise TooLong("it took too long") from None
        finally:
            lane.waiting.release()

    def _start(self, did: str, lane: Lane, future: Future[None], deadline: float) -> None:
        if not lane.running.acquire(timeout=max(deadline - time.monotonic(), 0.0)):
            self._done(did, future, TooLong("too many keys are being looked up"))
            return

        def run() -> None:
            try:
                self._look_up(did)
            finally:
                lane.running.release()
                self._done(did, future, None)

        try:
            threading.Thread(target=run, name=f"look up {did}", daemon=True).start()
        except RuntimeError as error:  # the system gives no more threads
            lane.running.release()
            self._done(did, future, TooLong(str(error)))

    def _done(self, did: str, future: Future[None], problem: TooLong | None) -> None:
        with self._lock:
            self._under_way.pop(did, None)
        if problem is None:
            future.set_result(None)
        else:
            future.set_exception(problem)
