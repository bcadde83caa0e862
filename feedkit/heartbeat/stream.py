"""How the reading of a stream fares: what it says of itself, and when that is worth a warning."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from feedkit.duration import roughly
from feedkit.heartbeat.figures import Ingesting, blamed
from feedkit.heartbeat.pulse import EVERY, Pulse, now_us
from feedkit.logs import worth_saying
from feedkit.store import Store

log = logging.getLogger(__name__)

SECOND = 1_000_000  # µs
LATE = 60 * SECOND  # a stream that is further behind, or silent for longer, is worth a warning
LONGEST = 300  # characters of a problem
GAINS = 1 * SECOND  # a lag that is less by this at the next look shrinks


class Reader(Protocol):
    """What is asked of the ingest. `clock`: the time of the newest event; the counts go up.
    `waiting`: for whom it waits before it reads, or nothing."""

    @property
    def counts(self) -> Counter[str]: ...
    @property
    def matches(self) -> Counter[str]: ...
    @property
    def clock(self) -> int: ...
    @property
    def waiting(self) -> str: ...
    @property
    def errors(self) -> Mapping[tuple[str, str], int]: ...
    @property
    def slow(self) -> Mapping[tuple[str, str], int]: ...


class StreamPulse:
    """The heartbeat of an ingest, and its warnings. `sometimes` is called by the ingest whenever it
    has a moment, a few times a second at least, also while nothing arrives."""

    def __init__(
        self, store: Store, source: str, reader: Reader, problem: Callable[[], str] = str
    ) -> None:
        """`problem`: why there is no connection, or nothing."""
        self.source, self._reader, self._problem = source, reader, problem
        self._pulse = Pulse(store, "ingest", source, self._figures)
        self._next = 0.0
        self._batches = 0
        self._arrived_at = now_us()
        self._lag: int | None = None
        self._counts: Counter[str] = Counter()  # of looks in a row, by what was wrong
        self._said = (time.monotonic(), 0)
        self._rate = 0.0
        self._lost = False

    def sometimes(self) -> None:
        """Note whether something arrived; every ten seconds look how it stands, and say so. At
        once where the connection is lost or there again."""
        if self._reader.counts["batches"] != self._batches:
            self._batches = self._reader.counts["batches"]
            self._arrived_at = now_us()
        lost = bool(self._problem())
        if time.monotonic() >= self._next or lost != self._lost:
            self._lost = lost
            self._next = time.monotonic() + EVERY
            self.look(now_us())
            self._pulse.beat()

    def look(self, now: int) -> None:
        """Warn where the stream is silent, late, or ahead of our clock at `now`."""
        clock = self._reader.clock
        silence, lag = now - self._arrived_at, now - clock if clock else 0
        if whom := self._reader.waiting:
            if silence > LATE and self._worth_saying("waiting"):
                log.warning(
                    "%s: has been waiting for %s for %s, and reads nothing until then; are all "
                    "shards started, and those of another number stopped?",
                    self.source, whom, roughly(silence / SECOND),
                )  # fmt: skip
            return
        shrinks, self._lag = self._lag is None or lag <= self._lag - GAINS, lag
        if silence > LATE:
            if self._worth_saying("silent"):
                log.warning(
                    "%s: nothing has arrived for %s; the feeds get no new posts. Does the "
                    "stream's server work, and can this machine reach it? `feedkit doctor` looks",
                    self.source, roughly(silence / SECOND),
                )  # fmt: skip
            return
        self._over("waiting", "it waits no longer")
        self._over("silent", "it is no longer silent")
        if lag > LATE and shrinks:
            if self._worth_saying("catching up"):
                log.info("%s: catching up, %s behind", self.source, roughly(lag / SECOND))
        elif lag > LATE:
            if self._worth_saying("late"):
                log.warning(
                    "%s: what is read is %s old, and that gets no less; new posts come late to "
                    "the feeds. Is the machine, the database or a filter too slow, or the "
                    "machine's clock wrong? `feedkit status` shows more",
                    self.source, roughly(lag / SECOND),
                )  # fmt: skip
        else:
            self._over("late", "what is read is new again")
            self._over("catching up", "caught up")
        if lag >= -LATE:
            self._over("clock", "the clocks agree again")
        elif self._worth_saying("clock"):
            log.warning(
                "%s: the stream's clock is %s ahead of this machine's; set this machine's (by NTP)",
                self.source, roughly(-lag / SECOND),
            )  # fmt: skip

    def _worth_saying(self, what: str) -> bool:
        self._counts[what] += 1
        return worth_saying(self._counts[what])

    def _over(self, what: str, said: str) -> None:
        if self._counts.pop(what, 0):
            log.info("%s: %s", self.source, said)

    def _figures(self) -> Ingesting:
        reader = self._reader
        counts = reader.counts
        now, (then, before) = time.monotonic(), self._said
        if now - then > 1:
            self._rate = (counts["events"] - before) / (now - then)
            self._said = now, counts["events"]
        return Ingesting(
            clock=reader.clock,
            arrived_at=self._arrived_at,
            rate=round(self._rate, 1),
            events=counts["events"],
            posts=counts["posts"],
            hits=counts["hits"],
            skipped=counts["skipped"],
            problem=self._problem()[:LONGEST],
            waiting=reader.waiting,
            feeds=dict(reader.matches),
            errors=blamed(reader.errors),
            slow=blamed(reader.slow),
        )
