"""backfill: fill feeds from the past."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from feedkit.cli.group import (
    Mistake,
    cli,
    count,
    feed_called,
    load,
    log_to_stderr,
    open_checked,
    with_config,
)
from feedkit.cli.processes import stop_on_signal

if TYPE_CHECKING:
    from feedkit.backfill import Filling, Outcome
    from feedkit.backfill.views import Ask
    from feedkit.settings import Service, Stream

log = logging.getLogger(__name__)

SAID_EVERY = 30.0  # seconds between two lines of progress in a log
STEPS = 1000  # of a progress bar

OnProgress = Callable[[float, str], None]


class _Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> timedelta:
        from feedkit.duration import parse_duration

        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@cli.command(short_help="Fill feeds from the past.")
@with_config
@click.argument("feeds", nargs=-1, metavar="[FEED]...")
@click.option("--all", "every", is_flag=True, help="All feeds of the configuration.")
@click.option("--stream", "span", type=_Duration(), help="From the stream of so long: 24h.")
@click.option("--authors", is_flag=True, help="From the authors that the feeds' filters name.")
@click.option(
    "--author", "accounts", multiple=True, metavar="ACCOUNT",
    help="From this account, or those on this list or in this starter pack; may be repeated.",
)  # fmt: skip
@click.option("--search", "words", help="From the network's search; needs an app password.")
@click.option(
    "--archive", "archived", type=_Duration(), metavar="DURATION",
    help="From the stream's archive, of so long: 7d; needs a key, and is metered by bytes.",
)  # fmt: skip
@click.option(
    "--gaps", is_flag=True,
    help="What ingest has missed, for all feeds; what the stream has forgotten, from the archive.",
)  # fmt: skip
@click.option(
    "--dry-run", is_flag=True, help="With --gaps or --archive: say what would be done, and end."
)
@click.option("--jetstream", metavar="URL", help="The Jetstream to read, if `stream:` is none.")
def backfill(
    config: Path, feeds: tuple[str, ...], every: bool, span: timedelta | None, authors: bool,
    accounts: tuple[str, ...], words: str | None, archived: timedelta | None, gaps: bool,
    dry_run: bool, jetstream: str | None,
) -> int:  # fmt: skip
    """Fill feeds with posts from the past, beside a running ingest: those that the feeds' filters
    want, and that are not older than the feeds keep them.

    Likes and reposts that these posts got before are not counted. Interrupted, it goes on where
    it was when it is run again with the same words. --search asks as service.publisher, with the
    app password in $FEEDKIT_APP_PASSWORD; --archive wants a key in
    $FEEDKIT_ARCHIVE_KEY, and --gaps takes it if it is there. --author takes
    handles, DIDs, and the addresses of lists and starter packs (at://…, or bsky.app links).

    Start ingest with a new feed first: what arrives after the backfill has caught up is its
    business. Where ingest reads another stream than the one that is read here, a backfill goes on
    for a minute or two behind that.
    """
    from feedkit.backfill import Filling, NotPossible, Stopped
    from feedkit.backfill.naming import accounts_named

    others = bool(span or authors or accounts or words)
    _check(feeds, every, others or bool(archived), gaps, dry_run, bool(archived) and not others)
    key = _key() if archived else ""
    log_to_stderr()
    stop = stop_on_signal()
    service = load(config)
    names = list(feeds) if feeds else list(service.feeds)
    for name in names:
        feed_called(service, name)
    stream = _stream(service, jetstream)
    try:
        with (
            _asking(service, bool(words), stop) as ask,
            open_checked(service) as store,
            _progress() as on_progress,
        ):

            def filling() -> Filling:
                return Filling(service, store, names, stream, stop, on_progress)

            if gaps:
                return _gaps(filling(), dry_run)
            shown = ", ".join(sorted(names)[:5]) + (" …" if len(names) > 5 else "")
            if span:
                _tell(shown, "the stream", filling().from_stream(span))
            if archived:
                _archive(filling(), shown, archived, key, dry_run)
            if authors or accounts:
                dids = accounts_named(service, accounts, stop)
                _tell(shown, "authors", filling().from_authors(dids, named=authors))
            if words and ask:
                _tell(shown, "the search", filling().from_search(words, ask))
    except NotPossible as error:
        raise Mistake(str(error)) from error
    except Stopped:
        log.info("stopped; run it again to go on")
        return 1
    return 0


def _check(
    feeds: tuple[str, ...], every: bool, sources: bool, gaps: bool, dry_run: bool, archive: bool
) -> None:
    if gaps:
        if feeds or every or sources:
            raise click.UsageError("--gaps is for all feeds, and goes alone")
    elif dry_run and not archive:
        raise click.UsageError("--dry-run goes with --gaps, or with --archive alone")
    elif bool(feeds) == every:
        raise click.UsageError("name the feeds to be filled, or write --all")
    elif not sources:
        raise click.UsageError(
            "say from where: --stream 24h, --archive 7d, --authors, --author ACCOUNT, or "
            "--search WORDS"
        )


def _stream(service: Service, jetstream: str | None) -> Stream:
    """The Jetstream to be read."""
    from dataclasses import replace

    from feedkit.settings import STREAMS

    stream = service.stream
    if jetstream:
        if not jetstream.startswith(("ws://", "wss://")):
            raise Mistake(f"--jetstream {jetstream}: write an address that begins with wss://")
        return replace(stream, kind="jetstream", url=jetstream)
    if stream.kind == "jetstream":
        return stream
    if stream.url == STREAMS["firehose"]:
        return replace(stream, kind="jetstream", url=STREAMS["jetstream"])
    raise Mistake(
        f"{service.path}: stream: {stream.url} cannot be rewound to a time; name the Jetstream of "
        "the same network with --jetstream"
    )


def _tell(feeds: str, source: str, outcome: Outcome) -> None:
    for problem in outcome.problems:
        click.echo(f"left out: {problem}", err=True)
    if outcome.cut:
        click.echo(
            f"{source} does not go back so far; it was read from its oldest on, "
            f"{_moment(outcome.began)}",
            err=True,
        )
    click.echo(f"{feeds}: {count(outcome.hits, 'post')} more, from {source}")


def _key(needed: bool = True) -> str:
    """The archive's key; empty where there is none and none is `needed`."""
    from feedkit.backfill.asking import KEY

    key = os.environ.get(KEY, "").strip()
    if not key and needed:
        raise Mistake(
            f"--archive: the archive is metered by bytes and opens only to who has a key; put one "
            f"into {KEY} (https://bsky.network/account gives them), or use --stream, which needs "
            "none"
        )
    if not (key.isascii() and key.isprintable()):
        raise Mistake(f"{KEY}: there are characters in it that no key has; write it anew")
    return key


def _archive(filling: Filling, feeds: str, span: timedelta, key: str, dry_run: bool) -> None:
    from feedkit.backfill.archiving import Archived
    from feedkit.wording import size_text

    archived = Archived(filling, key)
    if not dry_run:
        _tell(feeds, "the archive", archived.fill(span))
        click.echo(f"{size_text(archived.fetched, 1)} were fetched from the archive", err=True)
        return
    planned = archived.plan(span)
    parts = [count(planned.segments, "whole segment")] if planned.segments else []
    if planned.blocks:
        parts.append(f"{count(planned.blocks, 'block')} of {count(planned.parted, 'segment')}")
    since = _moment(planned.since)
    most = f", {size_text(planned.bytes, 1)} at most" if parts else ""
    begun = "goes on with what was begun: " if planned.begun else ""
    click.echo(
        f"{feeds}: {begun}{' and '.join(parts) or 'nothing to fetch from the archive'}{most}, "
        f"from {since} on; then the stream"
    )


def _gaps(filling: Filling, dry_run: bool) -> int:
    from feedkit.backfill import gaps

    key = _key(needed=False)
    report = gaps.look(filling, bool(key)) if dry_run else gaps.fill(filling, key)
    for line in report.said:
        click.echo(line)
    for line in report.warned:
        click.echo(line, err=True)
    return 0 if dry_run or not report.lost else 1


def _moment(us: int) -> str:
    from feedkit.sources.syntax import moment

    return moment(us).isoformat(" ", "seconds")


@contextmanager
def _asking(service: Service, wanted: bool, stop: threading.Event) -> Iterator[Ask | None]:
    """Questions to the network, signed in as the publisher, and with patience."""
    if not wanted:
        yield None
        return
    from feedkit.backfill.searching import patiently
    from feedkit.publish.errors import PublishError
    from feedkit.publish.publishers import PASSWORD, find_publishers, variable
    from feedkit.publish.repo import Repo

    own = variable(service.publisher)
    password = (os.environ.get(own) or os.environ.get(PASSWORD) or "").strip()
    if not password:
        raise Mistake(
            f"--search: the network searches only for who is signed in; put an app password of "
            f"{service.publisher} into {PASSWORD} or {own}, or use --stream, which needs none"
        )
    try:
        publisher = find_publishers([service.publisher], service.network)[service.publisher]
        with Repo(publisher) as repo:
            repo.sign_in(password)
            yield patiently(repo.ask, PublishError, stop)
    except PublishError as error:
        raise Mistake(str(error)) from error


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """A bar on a terminal; else a line in the log every now and then."""
    if not sys.stderr.isatty():
        said = time.monotonic()

        def say(done: float, place: str) -> None:
            nonlocal said
            if place and time.monotonic() - said > SAID_EVERY:
                said = time.monotonic()
                log.info("backfill: %.0f %%, at %s", done * 100, place)

        yield say
        return
    with click.progressbar(
        length=STEPS, file=sys.stderr, label="backfill", item_show_func=lambda place: place or ""
    ) as bar:

        def move(done: float, place: str) -> None:
            bar.update(max(round(done * STEPS) - bar.pos, 0), place)

        yield move
