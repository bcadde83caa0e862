"""status: how the service fares, on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from feedkit.cli.group import cli, count, load, open_checked, with_config
from feedkit.duration import roughly
from feedkit.wording import size_text

if TYPE_CHECKING:
    from feedkit.heartbeat.figures import Figures
    from feedkit.status import Status
    from feedkit.store.overview import Trouble

_HEAD = ("feed", "posts", "last hour", "newest", "ranked", "asked for", "waiting")


@cli.command(short_help="How the service fares, and what is wrong.")
@with_config
@click.option("--json", "as_json", is_flag=True, help="All figures, as JSON.")
def status(config: Path, as_json: bool) -> int:
    """How the service fares, from what its processes say in the store: the stream, gaps, feeds,
    accounts, jobs, the store itself. Needs no process to run.

    Exit code 1 if something is wrong: the stream is silent or more than a minute behind, nobody
    reads it or a shard of it, the jobs do not run, one of them fails or hangs, or something of the
    last day was missed and is not filled.
    """
    from feedkit import status as found
    from feedkit.times import micros

    service = load(config)
    with open_checked(service) as store:
        said = found.status(service, store, micros(datetime.now(UTC)))
    if as_json:
        click.echo(json.dumps(found.as_json(said), indent=2, ensure_ascii=False))
    else:
        for line in _lines(said, store.place):
            click.echo(line)
    return 1 if said.problems else 0


def _lines(said: Status, place: str) -> Iterator[str]:
    yield from _streams(said)
    yield from _feeds(said)
    seen = said.seen
    yield from _trouble("lists and handles", seen.account_sets)
    yield from _trouble("viewers of the last hour", seen.viewers)
    yield from _jobs(said)
    for one in seen.web:
        asked = sum(sum(feed.answers.values()) for feed in one.figures.feeds.values())
        used = _memory(one.figures.memory)
        yield f"web {one.beat.name}: {count(asked, 'page')} asked for, {used}"
        yield from _errors(one.figures)
    free = "" if said.free is None else f"; {size_text(said.free)} free on its disk"
    held = f"{size_text(seen.bytes)}, " if seen.bytes else ""  # some databases do not say
    yield f"store {place}: {held}{count(said.stats.posts, 'post')}{free}"
    yield ""
    for problem in said.problems:
        yield f"✗ {problem}"
    if not said.problems:
        yield "✓ nothing is wrong"


def _streams(said: Status) -> Iterator[str]:
    for stream in said.seen.streams:
        if not stream.clock:
            yield f"{stream.name}: nothing was read yet"
            continue
        line = f"{stream.name}: {_span(stream.lag)} behind"
        if stream.reader and stream.reader.alive:
            figures = stream.reader.figures
            line += f", {figures.rate:,.0f} events/s, {_memory(figures.memory)}"
        yield line
        if not stream.reader:
            continue
        figures = stream.reader.figures
        if figures.skipped:
            yield f"  {count(figures.skipped, 'record')} could not be used"
        yield from _errors(figures)
        for feed, plugin, times in figures.slow:
            yield f"  feeds.{feed}: {plugin} was slow {count(times, 'time')}"
    for gap in said.seen.gaps:
        since = _moment(gap.from_us) if gap.from_us else "?"
        what = f"gap: {since} to {_moment(gap.to_us)}: {gap.reason}"
        yield f"{what}; `feedkit backfill --gaps` fills it"


def _feeds(said: Status) -> Iterator[str]:
    seen = said.seen
    rows: list[tuple[str, ...]] = [_HEAD]
    for name, state in sorted(seen.feeds.items()):
        stats = said.stats.feeds.get(name)
        rows.append(
            (
                name,
                f"{stats.hits if stats else 0:,}",
                f"{said.hits.get(name, 0):,}",
                *(_ago(seen.at, at) for at in (state.newest, state.ranked_at, state.asked_at)),
                f"{seen.pending.get(name, 0):,}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield ""
    for name, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        yield "  ".join([name.ljust(widths[0]), *cells])
    yield ""
    for word, number in seen.words.items():
        if number:
            yield f"hydrators are still asked for {word} of {count(number, 'post')}"


def _trouble(what: str, trouble: Trouble) -> Iterator[str]:
    if not trouble.all:
        return
    yield f"{what}: {trouble.all:,}, {trouble.waiting:,} not known yet, {trouble.failing:,} failing"
    for name, problem in trouble.problems.items():
        yield f"  {name}: {problem}"


def _jobs(said: Status) -> Iterator[str]:
    process = said.seen.jobs
    if process is None:
        return
    for name, job in sorted(process.figures.jobs.items()):
        line = f"job {name}: {_ago(said.seen.at, job.ended_at)} ago, in {job.last:.2f} s"
        line += f", {job.failures:,} of {job.runs:,} runs failed" if job.failures else ""
        line += f", still at work {count(job.overdue, 'time')} when due" if job.overdue else ""
        yield line
    for name, counts in sorted(process.figures.hydrators.items()):
        failed = f", {counts['failures']:,} calls failed" if counts.get("failures") else ""
        yield f"hydrator {name}: {counts.get('posts', 0):,} posts{failed}"
    yield from _errors(process.figures)


def _errors(figures: Figures) -> Iterator[str]:
    for feed, plugin, times in figures.errors:
        where = f"feeds.{feed}: " if feed else ""
        yield f"  {where}{plugin} failed {count(times, 'time')}"


def _ago(now: int, at: int) -> str:
    return _span((now - at) / 1_000_000) if at else "never"


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if 0 <= seconds < 10 else roughly(seconds)


def _moment(us: int) -> str:
    return datetime.fromtimestamp(us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _memory(number: int) -> str:
    return f"{size_text(number)} of memory"
