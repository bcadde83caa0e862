"""record, backtest: what would another configuration make of the same events?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from feedkit.cli.group import (
    Mistake,
    cli,
    config_was_named,
    count,
    feed_called,
    load,
    log_to_stderr,
    with_config,
)
from feedkit.cli.processes import stop_on_signal
from feedkit.cli.replaying import unhydrated
from feedkit.plugin import COUNTS

if TYPE_CHECKING:
    from feedkit.backtest import Difference

_TOLD = 10  # posts listed of those that enter, and of those that leave


@cli.command(short_help="Write a stretch of the live stream to a file.")
@with_config
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--minutes", type=click.FloatRange(0, 60 * 24 * 3, min_open=True), default=5,
    show_default=True, help="How long.",
)  # fmt: skip
@click.option("--url", help="A Jetstream; else the configuration's stream.")
@click.option(
    "--everything", is_flag=True,
    help="Likes and reposts, too, where no feed needs them yet: for trying rankings.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace FILE if it is there.")
def record(
    config: Path, file: Path, minutes: float, url: str | None, everything: bool, overwrite: bool
) -> None:
    """Write Jetstream's messages to FILE, a JSON line each, for replay and backtest.

    FILE is compressed if its name ends in .gz or .zst. Recorded is what the configuration's feeds
    need: posts, and likes and reposts if a ranking asks for them; without a configuration, all of
    these. FILE appears when the recording is complete; until then it is FILE.part, and the same
    command goes on with it after an interruption. The firehose cannot be recorded: it is binary.
    """
    from feedkit.recording import CannotRecord
    from feedkit.recording import record as recorded
    from feedkit.settings import Stream

    log_to_stderr()
    stream, engagement = Stream(), frozenset(COUNTS)
    if config.exists() or config_was_named():
        service = load(config)
        stream = service.stream
        engagement = engagement if everything else service.engagement
    if url:
        stream = replace(stream, kind="jetstream", url=_socket_url(url))
    if file.exists() and not overwrite:
        raise Mistake(f"{file}: exists already; name another file, or say --overwrite")
    length = timedelta(minutes=minutes)
    stop = stop_on_signal()
    try:
        done = recorded(file, stream, engagement, length, stop, _progress(length))
    except CannotRecord as error:
        raise Mistake(f"{file}: {error}") from None
    except OSError as error:
        raise Mistake(f"{error.filename or file}: cannot be written: {error.strerror}") from None
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    told = f"{count(done.messages, 'message')}, {_clock(done.span)} of the stream"
    if done.gaps:
        told += f", with {count(done.gaps, 'gap')} (see above)"
    if done.finished:
        click.echo(f"{file}: {told}")
    else:
        click.echo(f"{file}.part: {told}; the same command goes on with it", err=True)
        raise click.exceptions.Exit(130)


@cli.command(short_help="Compare two configurations on recorded events.")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--against", type=click.Path(path_type=Path), required=True, metavar="OTHER",
    help="The configuration as it is now.",
)  # fmt: skip
@click.option(
    "--on", "on", required=True, multiple=True, metavar="FILE…",
    help="Recorded events, see record; several files in order of time.",
)  # fmt: skip
@click.argument("files", nargs=-1)
@click.option("--feed", "feeds", multiple=True, help="Only this feed. May be given several times.")
@click.option(
    "--page", type=click.IntRange(1, 2000), default=30, show_default=True,
    help="How many places are compared.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="As JSON, with every post.")
def backtest(
    config: Path, against: Path, on: tuple[str, ...], files: tuple[str, ...],
    feeds: tuple[str, ...], page: int, as_json: bool,
) -> None:  # fmt: skip
    """Say what changes if CONFIG takes the place of OTHER, tried on recorded events: which posts
    enter and leave each feed, and how the first places move.

    Both go through the very matcher, store and ranking that serve; the clock is the last event's.
    """
    from feedkit import backtest as tests

    log_to_stderr()
    new, old = load(config), load(against)
    for name in feeds:
        if name not in old.feeds:
            feed_called(new, name)
    recorded = (*on, *files)
    sides = []
    for service in (old, new):
        try:
            sides.append(tests.replayed(service, recorded))
        except OSError as error:
            raise Mistake(f"{error.filename}: cannot be read: {error.strerror}") from None
    if words := unhydrated(new):
        click.echo(f"{words}; posts that depend on it are left out, or come last", err=True)
    before, after = sides
    if not after.events and not before.events:
        raise Mistake(f"{', '.join(recorded)}: no event in it can be used")
    differences = [d for d in tests.compare(before, after, page) if not feeds or d.feed in feeds]
    if as_json:
        click.echo(json.dumps(tests.as_json(after, differences), indent=2, ensure_ascii=False))
        return
    click.echo(f"{count(after.events, 'event')} until {after.now:%Y-%m-%d %H:%M:%S} UTC")
    for difference in differences:
        click.echo("\n" + "\n".join(_lines(difference, page)))


def _lines(found: Difference, page: int) -> Iterator[str]:
    """A feed's table."""
    if found.before is None or found.after is None:
        there = "new: " if found.before is None else "gone: it kept "
        yield f"{found.feed}: {there}{count(found.after or found.before or 0, 'post')}"
        return
    counts = f"{found.feed}: {found.before:,} → {count(found.after, 'post')}"
    if found.same:
        yield f"{counts}, nothing changes"
        return
    yield f"{counts}, {len(found.entered):,} enter, {len(found.left):,} leave"
    for mark, posts in (("+", found.entered), ("-", found.left)):
        for uri, text in posts[:_TOLD]:
            yield f"  {mark} {_short(text) or uri}"
        if len(posts) > _TOLD:
            yield f"  {mark} … and {len(posts) - _TOLD:,} more (--json lists all)"
    moved = [move for move in found.moves if move.before != move.after]
    if not moved:
        yield f"  the first {page} places stay as they are"
        return
    both = [abs(m.before - m.after) for m in found.moves if m.before and m.after]
    by = f"; those shown by both move by {sum(both) / len(both):.1f} on average" if both else ""
    yield f"  {len(moved)} posts of the first {page} places change{by}"
    yield "  before  after"
    for move in moved:
        yield f"  {move.before or '·':>6}  {move.after or '·':>5}  {_short(move.text) or move.uri}"


def _short(text: str) -> str:
    return text if len(text) <= 70 else text[:69] + "…"


def _progress(length: timedelta) -> Callable[[int, timedelta], None]:
    shown = sys.stderr.isatty()

    def progress(messages: int, span: timedelta) -> None:
        if shown:
            told = f"{_clock(span)} of {_clock(length)}, {count(messages, 'message')}"
            click.echo(f"\r\033[K{told}", nl=False, err=True)

    return progress


def _clock(length: timedelta) -> str:
    """`1:05` for a minute and five seconds."""
    seconds = round(length.total_seconds())
    return f"{seconds // 60}:{seconds % 60:02}"


def _socket_url(url: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from feedkit.config.names import SocketURL

    try:
        return TypeAdapter(SocketURL).validate_python(url)
    except ValidationError as error:
        said = str(error.errors()[0].get("ctx", {}).get("error") or error.errors()[0]["msg"])
        raise Mistake(f"--url: {said}") from None
