"""A process says now and then how it fares, in the store."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable

import msgspec

from feedkit.heartbeat.figures import Figures, measure
from feedkit.logs import worth_saying
from feedkit.store import Store, StoreError
from feedkit.store.heartbeats import Beat

log = logging.getLogger(__name__)

EVERY = 10.0  # seconds
SILENT = 60.0  # seconds after which a process that says nothing is taken for gone


class Pulse:
    """Says `figures()` for a process of this `kind` and `name`, every `EVERY` seconds at most.
    What goes wrong with that is logged, and stops nothing."""

    def __init__(self, store: Store, kind: str, name: str, figures: Callable[[], Figures]) -> None:
        self._store, self._kind, self.name, self._figures = store, kind, name, figures
        self._host, self._pid, self._started_at = socket.gethostname(), os.getpid(), now_us()
        self._next = 0.0
        self._failures = self._rivals = 0

    def sometimes(self) -> None:
        """`beat`, if it is time."""
        if time.monotonic() >= self._next:
            self.beat()

    def beat(self) -> None:
        """Say how this process fares, now."""
        self._next = time.monotonic() + EVERY
        try:
            self._say()
        except StoreError as error:
            self._failures += 1
            if worth_saying(self._failures):
                log.warning(
                    "cannot say in the store how this process fares, %d times so far: %s",
                    self._failures, error,
                )  # fmt: skip

    def _say(self) -> None:
        before = self._store.heartbeats.save(self.last())
        if before is not None and before[:2] != (self._host, self._pid):
            self._another(*before)

    def last(self) -> Beat:
        """What this process says now."""
        figures = self._figures()
        measure(figures)
        said = msgspec.json.encode(figures).decode()
        return Beat(
            self._kind, self.name, self._host, self._pid, self._started_at, now_us(), said
        )  # fmt: skip

    def until(self, stop: threading.Event) -> None:
        """Beat until `stop` is set, and once more then; closes this thread's connection."""
        while not stop.is_set():
            self.beat()
            stop.wait(EVERY)
        self.beat()
        self._store.close()

    def end(self) -> None:
        """Take back what was said: nobody of this name will come again."""
        try:
            self._store.heartbeats.forget(self._kind, self.name)
        except StoreError as error:
            log.debug("the heartbeat stays behind: %s", error)

    def _another(self, host: str, pid: int, at: int) -> None:
        """The last beat of this name was another process's: the one before this one, once."""
        if at > self._started_at:
            self._rivals += 1
            if worth_saying(self._rivals):
                log.warning(
                    "process %d on %s is also at work as %s %s; stop one of them",
                    pid, host, self._kind, self.name,
                )  # fmt: skip


def now_us() -> int:
    return time.time_ns() // 1000
