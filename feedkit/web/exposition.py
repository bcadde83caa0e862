"""The figures as Prometheus knows them. docs/operate.md lists them; a test compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

import feedkit
from feedkit.heartbeat.figures import BOUNDS, Figures, Serving
from feedkit.overview import SECOND, Overview, Process, Stream

Row = tuple[Iterable[str], float]  # the labels' values, and the figure


def families(seen: Overview) -> Iterator[Metric]:
    """All figures of a service."""
    yield from _about(True)
    yield from _streams(seen.streams)
    yield from _feeds(seen)
    yield from _jobs(seen)
    yield from _processes(seen)
    yield from requests({one.beat.name: one.figures for one in seen.web})
    size: list[Row] = [((), seen.bytes)] if seen.bytes else []
    yield _gauge("store_bytes", "bytes that the store takes", size)
    rows = [((table,), number) for table, number in seen.rows.items()]
    yield _gauge("store_rows", "rows, as the database estimates them", rows, "table")
    yield from _gaps(seen)
    for name, what, trouble in (
        ("account_sets", "lists, handles … of the configuration", seen.account_sets),
        ("viewers", "viewers of personal feeds, of the last hour", seen.viewers),
    ):
        yield _gauge(name, what, [((), trouble.all)])
        yield _gauge(f"{name}_waiting", "those not known yet", [((), trouble.waiting)])
        yield _gauge(f"{name}_failing", "those that failed at last", [((), trouble.failing)])


def without_store(own: Mapping[str, Serving]) -> Iterator[Metric]:
    """What can be said while the store cannot be read: figures of this process alone."""
    yield from _about(False)
    yield from requests(own)
    yield plugin_errors({("web", name): said for name, said in own.items()})


def requests(web: Mapping[str, Serving]) -> Iterator[Metric]:
    """The requests that web processes, by name, answered. A sum over them would fall where one
    ends, which counters must not; who comes next takes over its name, and begins at 0."""
    answers = CounterMetricFamily(
        "feedkit_requests", "requests for pages", labels=("process", "feed", "status")
    )
    took = HistogramMetricFamily(
        "feedkit_request_seconds", "how long pages took", labels=("process", "feed")
    )
    front = CounterMetricFamily(
        "feedkit_front", "what became of requests", labels=("process", "outcome")
    )
    for name, said in web.items():
        for outcome, number in said.front.items():
            front.add_metric((name, outcome), number)
        for feed, one in said.feeds.items():
            for status, number in one.answers.items():
                answers.add_metric((name, feed, str(status)), number)
            buckets, total = [], 0
            for bound, number in zip((*map(str, BOUNDS), "+Inf"), one.within, strict=True):
                total += number
                buckets.append((bound, float(total)))
            took.add_metric((name, feed), buckets, one.seconds)
    yield from (answers, took, front)


def _about(up: bool) -> Iterator[Metric]:
    yield _gauge("info", "the version of feedkit", [((feedkit.__version__,), 1)], "version")
    yield _gauge("store_up", "whether the store can be read", [((), up)])


def _streams(streams: list[Stream]) -> Iterator[Metric]:
    read = [(stream.name, one.figures) for stream in streams if (one := stream.reader)]
    yield _gauge(
        "stream_lag_seconds", "age of the newest event that is stored",
        [((one.name,), one.lag) for one in streams if one.clock], "source",
    )  # fmt: skip
    yield _gauge(
        "stream_clock_seconds", "time of the newest event that is stored, since 1970",
        [((one.name,), one.clock / SECOND) for one in streams if one.clock], "source",
    )  # fmt: skip
    yield _gauge(
        "events_per_second", "events read in the last seconds",
        [
            ((one.name,), one.reader.figures.rate if one.reader.alive else 0.0)
            for one in streams if one.reader
        ],
        "source",
    )  # fmt: skip
    for name in ("events", "posts", "hits", "skipped"):
        rows = [((source,), getattr(said, name)) for source, said in read]
        yield _counter(name, _COUNTED[name], rows, "source")
    matches = [((src, feed), n) for src, said in read for feed, n in said.feeds.items()]
    yield _counter("matches", "posts that feeds took", matches, "source", "feed")
    slow = [
        ((source, feed, plugin), number)
        for source, said in read
        for feed, plugin, number in said.slow
    ]
    yield _counter("plugin_slow", "how often filters took long", slow, "source", "feed", "plugin")


_COUNTED = {
    "events": "events read that may concern what is stored",
    "posts": "posts among these",
    "hits": "posts taken, once for each feed that takes them",
    "skipped": "records that could not be used",
}


def plugin_errors(processes: Mapping[tuple[str, str], Figures]) -> Metric:
    """How often plugins failed in processes, by their kind and name."""
    rows = [
        ((kind, name, feed, plugin), number)
        for (kind, name), said in processes.items()
        for feed, plugin, number in said.errors
    ]
    labels = ("kind", "name", "feed", "plugin")
    return _counter("plugin_errors", "how often plugins failed", rows, *labels)


def _gaps(seen: Overview) -> Iterator[Metric]:
    """By source: one outage is missed by each shard."""
    numbers = dict.fromkeys((stream.name for stream in seen.streams), 0)
    long = dict.fromkeys(numbers, 0)
    for gap in seen.gaps:
        numbers[gap.source] = numbers.get(gap.source, 0) + 1
        known = gap.to_us - gap.from_us if gap.from_us else 0
        long[gap.source] = long.get(gap.source, 0) + known
    rows: list[Row] = [((name,), number) for name, number in numbers.items()]
    yield _gauge("gaps", "stretches of the stream that were missed", rows, "source")
    rows = [((name,), us / SECOND) for name, us in long.items()]
    yield _gauge("gap_seconds", "how long these are together", rows, "source")


def _feeds(seen: Overview) -> Iterator[Metric]:
    def ages(field: str) -> list[Row]:
        at = {name: getattr(state, field) for name, state in seen.feeds.items()}
        return [((name,), max(seen.at - us, 0) / SECOND) for name, us in at.items() if us]

    yield _gauge("snapshot_age_seconds", "age of the newest ranking", ages("ranked_at"), "feed")
    yield _gauge("newest_post_age_seconds", "age of the newest post", ages("newest"), "feed")
    yield _gauge("asked_age_seconds", "since the feed was asked for", ages("asked_at"), "feed")
    sizes = [((name,), state.ranked) for name, state in seen.feeds.items() if state.ranked_at]
    yield _gauge("snapshot_posts", "posts in the newest ranking", sizes, "feed")
    waiting = [((name,), number) for name, number in seen.pending.items()]
    yield _gauge("pending_posts", "posts that wait for a hydrator", waiting, "feed")
    words = [((word,), number) for word, number in seen.words.items()]
    yield _gauge("hydration_queue", "posts of which a word is still asked", words, "word")


def _jobs(seen: Overview) -> Iterator[Metric]:
    jobs = seen.jobs.figures.jobs if seen.jobs else {}
    for name, what, field in (
        ("job_runs", "runs of jobs", "runs"),
        ("job_failures", "runs that failed", "failures"),
        ("job_seconds", "time that the runs took", "seconds"),
        ("job_overdue", "how often it was due while it was still at work", "overdue"),
    ):
        rows = [((job,), getattr(one, field)) for job, one in jobs.items()]
        yield _counter(name, what, rows, "job")
    for name, what, field in (
        ("job_last_seconds", "time that the last run took", "last"),
        ("job_failing", "how often in a row a job failed by now", "failing"),
        ("job_running_seconds", "how long the present run has been at work", "running"),
    ):
        rows = [((job,), getattr(one, field)) for job, one in jobs.items()]
        yield _gauge(name, what, rows, "job")
    ended = [
        ((job,), max(seen.at - one.ended_at, 0) / SECOND)
        for job, one in jobs.items() if one.ended_at
    ]  # fmt: skip
    yield _gauge("job_age_seconds", "since a job last ended", ended, "job")
    hydrators = seen.jobs.figures.hydrators if seen.jobs else {}
    counts = [((h, what), n) for h, counts in hydrators.items() for what, n in counts.items()]
    yield _counter("hydrator", "what hydrators did", counts, "hydrator", "what")


def _processes(seen: Overview) -> Iterator[Metric]:
    several: list[Process[Figures]] = [one.reader for one in seen.streams if one.reader]  # type: ignore[misc]
    several += [seen.jobs] if seen.jobs else []  # type: ignore[list-item]
    several += seen.web  # type: ignore[arg-type]
    kinds = [((one.beat.kind, one.beat.name), one) for one in several]
    yield plugin_errors({names: one.figures for names, one in kinds})
    labels = ("kind", "name")
    silent = [(names, one.silent) for names, one in kinds]
    yield _gauge("process_silent_seconds", "since a process was heard of", silent, *labels)
    memory = [(names, one.figures.memory) for names, one in kinds if one.figures.memory]
    yield _gauge("process_memory_bytes", "memory in use", memory, *labels)
    cpu = [(names, one.figures.cpu) for names, one in kinds]
    yield _counter("process_cpu_seconds", "time at work", cpu, *labels)
    started = [(names, one.beat.started_at / SECOND) for names, one in kinds]
    yield _gauge("process_start_seconds", "when it started, since 1970", started, *labels)


def _gauge(name: str, what: str, rows: Iterable[Row], *labels: str) -> Metric:
    made = GaugeMetricFamily(f"feedkit_{name}", what, labels=labels)
    for values, figure in rows:
        made.add_metric(tuple(values), float(figure))
    return made


def _counter(name: str, what: str, rows: Iterable[Row], *labels: str) -> Metric:
    made = CounterMetricFamily(f"feedkit_{name}", what, labels=labels)
    for values, figure in rows:
        made.add_metric(tuple(values), float(figure))
    return made
