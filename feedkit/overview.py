"""How a service fares, from what the store says: the figures of `/metrics` and `feedkit status`.
What is asked of the store stays cheap, however much is in it."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from feedkit.heartbeat import SILENT
from feedkit.heartbeat.figures import Figures, Ingesting, Serving, Working, read
from feedkit.settings import Service
from feedkit.store import Store, overview
from feedkit.store.gaps import MissedStretch, open_gaps
from feedkit.store.heartbeats import Beat
from feedkit.store.overview import FeedState, Trouble

SECOND = 1_000_000  # µs
HERE = 3600 * SECOND  # for so long a viewer who asked counts

F = TypeVar("F", bound=Figures)


class Process(NamedTuple, Generic[F]):
    """A process that was heard of: who, and what it last said; `silent`: since when it has not
    been heard of, seconds."""

    beat: Beat
    figures: F
    silent: float

    @property
    def alive(self) -> bool:
        """Whether it was heard of just now."""
        return self.silent <= SILENT


class Stream(NamedTuple):
    """A stream, or a shard of one. `clock`: the time of the newest event that is stored, µs since
    1970, 0 before the first one; `lag`: seconds since then."""

    name: str
    clock: int
    lag: float
    reader: Process[Ingesting] | None


class Overview(NamedTuple):
    """How it stands at `at`, µs since 1970. `words`: of how many posts hydrators are still asked
    for each word; `pending`: posts that wait for that, by feed; `bytes`: that the store takes, 0
    where that cannot be read; `rows`: estimates, by table."""

    at: int
    streams: list[Stream]
    jobs: Process[Working] | None
    web: list[Process[Serving]]
    feeds: dict[str, FeedState]
    pending: dict[str, int]
    words: dict[str, int]
    gaps: list[MissedStretch]
    account_sets: Trouble
    viewers: Trouble
    bytes: int
    rows: dict[str, int]


def look(service: Service, store: Store, now: int) -> Overview:
    """How `service` fares at `now`, µs since 1970. Raises `StoreError`."""
    db = store.db
    readers: dict[str, Process[Ingesting]] = {}
    jobs: Process[Working] | None = None
    web: list[Process[Serving]] = []
    for beat in store.heartbeats.all():
        figures, silent = read(beat), max(now - beat.at, 0) / SECOND
        if isinstance(figures, Ingesting):
            readers[beat.name] = Process(beat, figures, silent)
        elif isinstance(figures, Working):
            jobs = Process(beat, figures, silent)
        elif isinstance(figures, Serving):
            web.append(Process(beat, figures, silent))
    known = overview.feed_states(db)
    pending = overview.pending(db)
    return Overview(
        now,
        _streams(overview.clocks(db), readers, now),
        jobs,
        [one for one in web if one.alive],
        {name: known.get(name, FeedState(0, 0, 0, 0)) for name in service.feeds},
        {name: number for name, number in pending.items() if name in service.feeds},
        overview.asked_words(db, frozenset().union(*(h.provides for h in service.hydrators))),
        open_gaps(db),
        overview.account_sets(db),
        overview.viewers(db, now - HERE),
        overview.size(db),
        overview.estimated_rows(db),
    )


def _streams(
    clocks: dict[str, int], readers: dict[str, Process[Ingesting]], now: int
) -> list[Stream]:
    """The stream that is read now, by one ingest or several shards. Others, which were read before
    the configuration named this one, are left out."""
    clocks = dict.fromkeys((name for name, one in readers.items() if one.alive), 0) | clocks
    newest = max(clocks, key=lambda name: (_last(name, clocks, readers), name), default="")
    return [
        Stream(name, clock, max(now - clock, 0) / SECOND if clock else 0.0, readers.get(name))
        for name, clock in sorted(clocks.items())
        if _without_shard(name) == _without_shard(newest)
    ]


def _last(name: str, clocks: dict[str, int], readers: dict[str, Process[Ingesting]]) -> int:
    """When the stream was last read, as well as that is known."""
    return max(clocks[name], readers[name].beat.at if name in readers else 0)


def _without_shard(name: str) -> str:
    return " ".join(name.split(" ")[:2])
