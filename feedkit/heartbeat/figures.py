"""What the processes say of themselves. Counts are since the process started; times are
microseconds since 1970."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct, field

from feedkit.store.heartbeats import Beat

Blamed = tuple[str, str, int]  # feed ("": none in particular), plugin, how often


class Figures(Struct, kw_only=True, omit_defaults=True):
    """What every process says. `memory`: bytes in use, 0 where that cannot be read; `cpu`:
    seconds of work; `errors`: how often plugins failed."""

    memory: int = 0
    cpu: float = 0.0
    errors: list[Blamed] = field(default_factory=list)


class Ingesting(Figures, kw_only=True, omit_defaults=True):
    """A reader of the stream. `clock`: the time of the newest event; `arrived_at`: when something
    last arrived, by this machine's clock. `rate`: events a second since the last beat. `feeds`:
    matches by feed. `problem`: why there is no connection, or nothing; `waiting`: for whom it waits
    before it reads, or nothing."""

    clock: int = 0
    arrived_at: int = 0
    rate: float = 0.0
    events: int = 0
    posts: int = 0
    hits: int = 0
    skipped: int = 0
    problem: str = ""
    waiting: str = ""
    feeds: dict[str, int] = field(default_factory=dict)
    slow: list[Blamed] = field(default_factory=list)


class Job(Struct, omit_defaults=True):
    """One job. `failing`: how often in a row it failed, and why (`problem`); `seconds`: of all
    runs; `last`: of the last one, which ended at `ended_at` (0: none yet); `overdue`: how often it
    was due while it was still at work. `every`: seconds from one run to the next, 0 if not known;
    `running`: for how many seconds the present one has been at work, 0 if there is none."""

    runs: int = 0
    failures: int = 0
    failing: int = 0
    problem: str = ""
    seconds: float = 0.0
    last: float = 0.0
    ended_at: int = 0
    overdue: int = 0
    every: float = 0.0
    running: float = 0.0

    @property
    def in_a_row(self) -> str:
        """How often it failed, in words."""
        return "once" if self.failing == 1 else f"{self.failing} times in a row"


class Working(Figures, kw_only=True, omit_defaults=True):
    """The jobs, by name, and what the hydrators did, see `feedkit.hydrate.lane`."""

    jobs: dict[str, Job] = field(default_factory=dict)
    hydrators: dict[str, dict[str, int]] = field(default_factory=dict)


# Seconds: a page that is remembered, one from the store, a slow one, one that is given up.
BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Requests(Struct, omit_defaults=True):
    """The requests for one feed. `answers`: by HTTP status; `within`: how many took up to each of
    `BOUNDS`, and more than the last; `seconds`: all together."""

    answers: dict[int, int] = field(default_factory=dict)
    within: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0


class Serving(Figures, kw_only=True, omit_defaults=True):
    """A web process. `feeds`: requests for pages, by feed, "" for what is no feed of ours; `front`:
    what became of all requests, see `feedkit.web.front`."""

    feeds: dict[str, Requests] = field(default_factory=dict)
    front: dict[str, int] = field(default_factory=dict)


KINDS: dict[str, type[Figures]] = {"ingest": Ingesting, "jobs": Working, "web": Serving}
_STATM = Path("/proc/self/statm")


def read(beat: Beat) -> Figures | None:
    """What a beat says; None where another version of feedkit said it in another way."""
    try:
        return msgspec.json.decode(beat.figures, type=KINDS[beat.kind])
    except (KeyError, msgspec.MsgspecError):
        return None


def blamed(counts: Mapping[tuple[str, str], int]) -> list[Blamed]:
    """Counts by feed and plugin, as JSON can hold them."""
    return [(feed, plugin, number) for (feed, plugin), number in sorted(counts.items())]


def memory() -> int:
    """The bytes of memory that this process uses; 0 where there is no /proc."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


def measure(figures: Figures) -> None:
    """Fill in what every process says."""
    figures.memory, figures.cpu = memory(), time.process_time()
