"""replay: fill the feeds from recorded events."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from feedkit.cli.group import (
    Mistake,
    cli,
    count,
    load,
    log_to_stderr,
    open_checked,
    with_config,
)

if TYPE_CHECKING:
    from feedkit.event import Frame
    from feedkit.settings import Service
    from feedkit.sources.replay import Replay

_SHOWN_EVERY = 1000  # frames


@cli.command(short_help="Fill the feeds from recorded events.")
@with_config
@click.argument("files", nargs=-1, required=True)
@click.option("--now", "to_now", is_flag=True, help="Move all times so that the last event is now.")
def replay(config: Path, files: tuple[str, ...], to_now: bool) -> int:
    """Fill the feeds from recorded FILES: Jetstream events, a JSON line each, plain, .gz or .zst;
    - reads standard input. Runs no jobs.

    Lines that are no events are named and passed over; if no line is one, the exit code is 1.
    """
    from feedkit.ingest import Ingest
    from feedkit.sources.replay import Replay

    if to_now and "-" in files:
        raise click.UsageError("--now reads the events twice, which standard input cannot")
    log_to_stderr()
    service = load(config)
    for name in files:
        _check_readable(name)
    with open_checked(service) as store:
        shift = _shift(Replay(files, service.engagement)) if to_now else 0
        source = _Shown(Replay(files, service.engagement), shift)
        work = Ingest(service, store)
        work.run(source, threading.Event())
    click.echo(
        f"{count(work.counts['events'], 'event')}, {count(work.counts['posts'], 'post')}, "
        f"{count(work.counts['hits'], 'hit')} in {count(len(service.feeds), 'feed')}"
        + (f"; {count(source.skipped, 'record')} left out" if source.skipped else "")
        + (f"; {count(source.bad, 'line')} not understood" if source.bad else "")
    )
    if words := unhydrated(service):
        click.echo(f"{words}; feedkit jobs does it later")
    if source.bad and not source.frames_seen:
        click.echo(
            f"{', '.join(files)}: no line is an event; each must be one of Jetstream, in JSON",
            err=True,
        )
        return 1
    return 0


def unhydrated(service: Service) -> str:
    """Which feeds need what only hydrators find out, where these are not asked; else nothing."""
    waiting = {name: feed.hydrated for name, feed in service.feeds.items() if feed.hydrated}
    words = ", ".join(sorted(frozenset().union(*waiting.values())))
    return f"{', '.join(waiting)}: no hydrator was asked for {words}" if waiting else ""


def _check_readable(name: str) -> None:
    """All files are looked at before the first event is stored."""
    try:
        if name != "-":
            Path(name).open("rb").close()
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise Mistake(f"{name}: cannot be read: {said}; nothing was replayed") from error


def _shift(source: Replay) -> int:
    """Microseconds from the last event to now. What is wrong with lines is said by the pass that
    stores them."""
    log = logging.getLogger("feedkit.sources.replay")
    log.disabled = True
    try:
        frames = source.frames(None, 0, threading.Event())
        last = max((frame.time for frame in frames if frame), default=0)
    finally:
        log.disabled = False
    return int(datetime.now(UTC).timestamp() * 1_000_000) - last if last else 0


class _Shown:
    """A replay with a progress line on a terminal, its times moved by `shift` microseconds.
    What it skips it has said itself, with file and line, so that ingest need not."""

    def __init__(self, source: Replay, shift: int) -> None:
        self._source, self._shift = source, shift
        self.name = source.name
        self.skipped = self.frames_seen = 0

    @property
    def bad(self) -> int:
        return self._source.bad

    def frames(
        self, cursor: int | None, time: int, stop: threading.Event
    ) -> Iterator[Frame | None]:
        from feedkit.event import moved

        shown = sys.stderr.isatty()
        for frame in self._source.frames(cursor, time, stop):
            if frame is not None:
                self.frames_seen += 1
                self.skipped += len(frame.skipped)
                frame = moved(frame, self._shift) if self._shift else frame
                frame = replace(frame, skipped=()) if frame.skipped else frame
            yield frame
            if shown and self.frames_seen % _SHOWN_EVERY == 0:
                click.echo(f"\r{self.frames_seen:,} messages", nl=False, err=True)
        if shown:
            click.echo("\r\x1b[K", nl=False, err=True)
