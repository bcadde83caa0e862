"""`feedkit status`: how a service fares, and what is wrong with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from feedkit.duration import roughly
from feedkit.heartbeat.figures import Figures, Ingesting
from feedkit.overview import SECOND, Overview, Process, Stream, look
from feedkit.settings import Service
from feedkit.store import Store
from feedkit.store.overview import Trouble, hits_since
from feedkit.store.stats import Stats
from feedkit.times import moment

LATE = 60.0  # seconds that a stream may be behind
HOUR = 3600 * SECOND
DAY = 24 * HOUR
HANGS, TURNS = 600.0, 10  # a job hangs that takes longer than so many seconds, and of its turns


class Status(NamedTuple):
    """`hits`: posts of the last hour, by feed; `free`: bytes on the disk of an SQLite store, else
    None; `problems`: what is wrong, with what to do."""

    seen: Overview
    stats: Stats
    hits: dict[str, int]
    free: int | None
    problems: list[str]


def status(service: Service, store: Store, now: int) -> Status:
    """How `service` fares at `now`, µs since 1970. Counts what is stored, which takes a while
    where that is much. Raises `StoreError`."""
    seen = look(service, store, now)
    return Status(
        seen,
        store.stats(),
        hits_since(store.db, now - HOUR),
        _free(store),
        list(problems(seen)),
    )


def problems(seen: Overview) -> Iterator[str]:
    """What is wrong: «what; what to do»."""
    if not seen.streams:
        yield "nothing was read from the stream yet; start `feedkit worker`"
    for stream in seen.streams:
        yield from _stream(stream, seen.at)
    yield from _missed(seen)
    if seen.jobs is None:
        if seen.streams:
            yield "the jobs were never heard of; start `feedkit worker` (or `feedkit jobs`)"
    elif not seen.jobs.alive:
        yield (
            f"the jobs were last heard of {roughly(seen.jobs.silent)} ago; start `feedkit worker` "
            "(or `feedkit jobs`)"
        )
    else:
        for name, job in seen.jobs.figures.jobs.items():
            if job.failing:
                yield f"the job {name} failed {job.in_a_row}: {job.problem}"
            if job.running > max(HANGS, TURNS * job.every):
                yield (
                    f"the job {name} has been at work for {roughly(job.running)}; does what it "
                    "asks hang? If that goes on, start `feedkit worker` (or `feedkit jobs`) anew"
                )


def _stream(stream: Stream, now: int) -> Iterator[str]:
    reader = stream.reader
    if reader is not None and not reader.alive:
        yield (
            f"{stream.name}: who reads it was last heard of {roughly(reader.silent)} ago; start "
            "`feedkit worker` (or `feedkit ingest`)"
        )
        return
    problem = reader.figures.problem if reader else ""
    if reader is not None and (whom := reader.figures.waiting):
        if (silence := _silence(reader, now)) > LATE:
            yield (
                f"{stream.name}: has been waiting for {whom} for {roughly(silence)}, and reads "
                "nothing until then; start all shards, and stop those of another number"
            )
    elif reader is None and not stream.clock:
        yield f"{stream.name}: nothing was read yet, and nobody reads it: start `feedkit worker`"
    elif reader is not None and (silence := _silence(reader, now)) > LATE:
        because = f" ({problem})" if problem else ""
        yield (
            f"{stream.name}: nothing has arrived for {roughly(silence)}{because}; `feedkit doctor` "
            "looks whether its server can be reached"
        )
    elif reader is not None and problem and not reader.figures.events:
        yield (  # later it is no fault at once: a connection may break for a moment
            f"{stream.name}: was not reached yet: {problem}; is stream: right in the "
            "configuration? `feedkit doctor` looks"
        )
    elif stream.lag > LATE:
        yield (
            f"{stream.name}: what is stored is {roughly(stream.lag)} old; "
            + (
                "it comes late, or this machine's clock is wrong; see «late» in docs/operate.md"
                if reader
                else "nobody reads it: start `feedkit worker`"
            )
        )
    elif stream.clock > now + LATE * SECOND:
        yield (
            f"{stream.name}: its clock is {roughly((stream.clock - now) / SECOND)} ahead of this "
            "machine's; set this machine's (by NTP)"
        )


def _missed(seen: Overview) -> Iterator[str]:
    """What was missed in the last day and not filled since, once, whichever shards noted it. What
    the stream has forgotten stays open, and is not to be told of for ever."""
    stretches: list[tuple[int, int, str]] = []
    for gap in sorted(seen.gaps, key=lambda gap: (gap.from_us, gap.to_us)):
        if gap.to_us < seen.at - DAY:
            continue
        if stretches and gap.from_us <= stretches[-1][1]:
            begin, end, reason = stretches[-1]
            stretches[-1] = begin, max(end, gap.to_us), reason
        else:
            stretches.append((gap.from_us, gap.to_us, gap.reason))
    for begin, end, reason in stretches:
        yield (
            f"posts from {_time(begin) or 'the last visit'} to {_time(end)} may be missing in the "
            f"feeds: {reason}; `feedkit backfill --gaps` fetches them, as far as the stream still "
            "has them"
        )


def _silence(reader: Process[Ingesting], now: int) -> float:
    """Seconds since something arrived."""
    return max(now - reader.figures.arrived_at, 0) / SECOND


def _free(store: Store) -> int | None:
    if not store.db.sqlite:
        return None
    return shutil.disk_usage(Path(store.db.driver.database).resolve().parent).free


def as_json(said: Status) -> dict[str, Any]:
    """All of it, as `feedkit status --json` prints it. Times are ISO 8601, spans in seconds; null
    stands for never or unknown."""
    seen = said.seen
    return {
        "at": _time(seen.at),
        "problems": said.problems,
        "streams": [_stream_json(stream, seen.at) for stream in seen.streams],
        "gaps": [
            {"source": g.source, "from": _time(g.from_us), "to": _time(g.to_us), "reason": g.reason}
            for g in seen.gaps
        ],
        "feeds": {name: _feed_json(said, name) for name in seen.feeds},
        "accountSets": _trouble_json(seen.account_sets),
        "viewers": _trouble_json(seen.viewers),
        "jobs": None if seen.jobs is None else {
            "host": seen.jobs.beat.host,
            "silentSeconds": seen.jobs.silent,
            "jobs": {
                name: {
                    "runs": job.runs, "failures": job.failures, "failing": job.failing,
                    "problem": job.problem or None, "lastSeconds": job.last,
                    "overdue": job.overdue, "runningSeconds": job.running,
                    "endedAt": _time(job.ended_at),
                }
                for name, job in seen.jobs.figures.jobs.items()
            },
            "hydrators": seen.jobs.figures.hydrators,
            "errors": _errors(seen.jobs.figures),
        },
        "hydrationQueue": seen.words,
        "web": [
            {"name": one.beat.name, "requests": _requests(one.figures.feeds.values()),
             "memory": one.figures.memory, "front": one.figures.front,
             "errors": _errors(one.figures)}
            for one in seen.web
        ],
        "store": {
            "bytes": seen.bytes or None, "freeBytes": said.free, "posts": said.stats.posts,
            "hidden": said.stats.hidden, "engagements": said.stats.engagements,
        },
    }  # fmt: skip


def _stream_json(stream: Stream, now: int) -> dict[str, Any]:
    reader = stream.reader
    made: dict[str, Any] = {
        "source": stream.name,
        "clock": _time(stream.clock),
        "lagSeconds": stream.lag if stream.clock else None,
        "eventsPerSecond": reader.figures.rate if reader and reader.alive else 0.0,
    }
    if reader is not None:
        figures = reader.figures
        made |= {
            "host": reader.beat.host, "pid": reader.beat.pid,
            "heardOfSecondsAgo": reader.silent, "arrivedSecondsAgo": _silence(reader, now),
            "events": figures.events, "posts": figures.posts, "hits": figures.hits,
            "skipped": figures.skipped, "memory": figures.memory,
            "problem": figures.problem or None,
            "errors": _errors(figures),
            "slow": [list(one) for one in figures.slow],
        }  # fmt: skip
    return made


def _feed_json(said: Status, name: str) -> dict[str, Any]:
    state = said.seen.feeds[name]
    stats = said.stats.feeds.get(name)
    return {
        "posts": stats.hits if stats else 0,
        "lastHour": said.hits.get(name, 0),
        "newest": _time(state.newest),
        "rankedAt": _time(state.ranked_at),
        "askedAt": _time(state.asked_at),
        "pending": said.seen.pending.get(name, 0),
    }


def _trouble_json(trouble: Trouble) -> dict[str, Any]:
    return trouble._asdict()


def _errors(figures: Figures) -> list[list[str | int]]:
    """Feed, plugin, how often it failed."""
    return [list(one) for one in figures.errors]


def _requests(feeds: Any) -> int:
    return sum(sum(one.answers.values()) for one in feeds)


def _time(us: int) -> str | None:
    return moment(us).isoformat(timespec="seconds").replace("+00:00", "Z") if us else None
