"""show, why, replay: look at feeds, and fill them from recorded events."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from feedkit.cli.group import cli, load, log_to_stderr, open_checked, with_config

if TYPE_CHECKING:
    from feedkit.event import Frame
    from feedkit.settings import FeedConfig, Service


@cli.command()
@with_config
@click.argument("feed")
@click.option("--limit", type=click.IntRange(1, 100), default=30, show_default=True, help="Posts.")
@click.option("--json", "as_json", is_flag=True, help="The skeleton, as it is served.")
def show(config: Path, feed: str, limit: int, as_json: bool) -> None:
    """Print the first page of FEED."""
    from feedkit.skeleton import page

    service = load(config)
    chosen = _feed(service, feed)
    store = open_checked(service)
    found = page(store, chosen, limit, "", datetime.now(UTC))
    if as_json:
        click.echo(json.dumps({"feed": [{"post": item.uri} for item in found.items]}, indent=2))
        return
    for place, item in enumerate(found.items, 1):
        stored = store.find_post(item.uri)
        if stored is None:
            click.echo(f"{place:3}  pinned, not stored: {item.uri}")
            continue
        post = stored.post
        text = " ".join(post.text.split()) or "(no text)"
        click.echo(
            f"{place:3}  {post.sort_at:%Y-%m-%d %H:%M}  ♥ {post.likes}  ↻ {post.reposts}  "
            f"{text[:90]}{'…' if len(text) > 90 else ''}\n     {item.uri}"
        )
    if not found.items:
        click.echo(f"{feed} is empty so far")


@cli.command()
@with_config
@click.argument("post", required=False)
@click.argument("feed", required=False)
@click.option("--text", help="Try a text instead of a post.")
@click.option("--lang", multiple=True, help="Languages that the text declares.")
def why(config: Path, post: str | None, feed: str | None, text: str | None, lang: tuple[str]) -> None:
    """Say why POST is in FEED or not, filter by filter; without FEED, for every feed.

    POST is an at:// URI or a bsky.app link.
    """
    from feedkit.explain import MARKS, explain
    from feedkit.post import Post

    service = load(config)
    store = None
    if text is not None:
        feed = feed or post
        shown = Post(uri="at://did:plc:example/app.bsky.feed.post/text", text=text, langs=lang)
        inside: frozenset[str] = frozenset()
    elif post is None:
        raise click.UsageError("name a post, or give --text")
    else:
        from feedkit.identity import resolve

        uri = post if post.startswith("at://did:") else resolve(post, service.network)
        store = open_checked(service)
        stored = store.find_post(uri)
        if stored is None:
            raise click.ClickException(
                f"{uri} is not stored: no feed kept it, or it was deleted or came before the "
                "stream was read; try its text with --text"
            )
        shown, inside = stored.post, stored.feeds
        click.echo(f"{' '.join(shown.text.split()) or '(no text)'}\n{uri}")
        if stored.hidden:
            click.echo("hidden: its author's account is not active")
    chosen = [_feed(service, feed)] if feed else list(service.feeds.values())
    for config_ in chosen:
        verdict = explain(config_.filter, shown)
        click.echo(f"\n{config_.name} {MARKS[verdict.verdict]}")
        click.echo("\n".join(verdict.lines(1)))
        if store is not None and (config_.name in inside) != (verdict.verdict is True):
            click.echo("  stored otherwise: the filter has changed and will be decided again")


@cli.command()
@with_config
@click.argument("files", nargs=-1, required=True)
@click.option("--now", "to_now", is_flag=True, help="Move all times so that the last event is now.")
def replay(config: Path, files: tuple[str, ...], to_now: bool) -> None:
    """Fill the feeds from recorded FILES: Jetstream events, a JSON line each, plain, .gz or .zst;
    - reads standard input. Runs no jobs."""
    from feedkit.ingest import Ingest
    from feedkit.sources.replay import Replay

    log_to_stderr()
    service = load(config)
    store = open_checked(service)
    source = Replay(files, service.engagement)
    work = Ingest(service, store)
    shift = 0
    if to_now:
        last = max((frame.time for frame in source.frames(None, 0, threading.Event()) if frame),
                   default=0)  # fmt: skip
        shift = int(datetime.now(UTC).timestamp() * 1_000_000) - last
    work.run(_Shown(source, shift), threading.Event())
    store.close()
    click.echo(
        f"{work.counts['events']} events, {work.counts['posts']} posts, "
        f"{work.counts['hits']} hits in {len(service.feeds)} feeds"
    )


class _Shown:
    """A source with a progress line on a terminal, its times moved by `shift` microseconds."""

    def __init__(self, source: object, shift: int) -> None:
        self._source, self._shift = source, shift
        self.name: str = source.name  # type: ignore[attr-defined]

    def frames(self, cursor: int | None, time: int, stop: threading.Event) -> Iterator[Frame | None]:
        from feedkit.event import moved

        shown = sys.stderr.isatty()
        for number, frame in enumerate(self._source.frames(cursor, time, stop), 1):  # type: ignore[attr-defined]
            yield moved(frame, self._shift) if frame is not None and self._shift else frame
            if shown and number % 1000 == 0:
                click.echo(f"\r{number} events", nl=False, err=True)
        if shown:
            click.echo("\r", nl=False, err=True)


def _feed(service: Service, name: str) -> FeedConfig:
    from difflib import get_close_matches

    if name not in service.feeds:
        near = get_close_matches(name, service.feeds, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(service.feeds)}"
        raise click.ClickException(f"no feed is called {name!r}{hint}")
    return service.feeds[name]
