"""show, why: look at feeds and posts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from feedkit.cli.group import Mistake, cli, feed_called, load, open_checked, with_config

if TYPE_CHECKING:
    from feedkit.post import Post, Viewer
    from feedkit.settings import FeedConfig, Service
    from feedkit.store import Store
    from feedkit.why import Explanation

_TEXT = 90  # characters of a post that `show` prints


@cli.command(short_help="Print the first page of a feed.")
@with_config
@click.argument("feed")
@click.option(
    "--limit", type=click.IntRange(1, 100), default=30, show_default=True, help="How many posts."
)
@click.option("--json", "as_json", is_flag=True, help="The skeleton, as it is served.")
@click.option("--viewer", metavar="DID_OR_HANDLE", help="The page as this viewer gets it.")
def show(config: Path, feed: str, limit: int, as_json: bool, viewer: str | None) -> None:
    """Print the first page of FEED, as everybody gets it or as --viewer does.

    Whom a viewer follows is found out by the jobs, a few seconds after they were first asked about,
    here or in the app.
    """
    from feedkit.serving import Asker, serve
    from feedkit.skeleton import page

    service = load(config)
    chosen = feed_called(service, feed)
    did = None if viewer is None else _did(service, viewer)
    with open_checked(service) as store:
        if did is None:
            found = page(store, chosen, limit, "", datetime.now(UTC))
        else:
            now = datetime.now(UTC)
            known = _known(service, store, did, [chosen], now)[chosen.name]
            asker = Asker(now, did, lambda: known)
            found = serve(store, service.feeds, chosen, limit, "", asker)
        if as_json:
            click.echo(json.dumps({"feed": [{"post": item.uri} for item in found.items]}, indent=2))
            return
        for place, item in enumerate(found.items, 1):
            stored = store.find_post(item.uri)
            mark = "pinned  " if item.pinned else ""
            line = "(not stored)" if stored is None else _line(stored.post)
            click.echo(f"{place:3}  {mark}{line}\n     {item.uri}")
    if not found.items and did is not None and chosen.personal:
        click.echo(f"{feed} has nothing to show to {viewer}")
    elif not found.items:
        click.echo(f"{feed} is empty so far; `feedkit run` follows the network and fills it")


def _did(service: Service, viewer: str) -> str:
    """The DID of a viewer. Raises `Mistake` and `Unresolved`."""
    from feedkit.identity import resolve

    did = resolve(viewer, service.network)
    if did.startswith("at://"):
        raise Mistake(f"--viewer {viewer}: is no account; give a DID or a handle")
    return did


def _known(
    service: Service, store: Store, did: str, feeds: list[FeedConfig], now: datetime
) -> dict[str, Viewer | None]:
    """What each of the feeds would know of the viewer; says where that is not enough."""
    from feedkit.viewers import Viewers

    viewers = Viewers(service, store)
    known = {
        feed.name: viewers.load(did, feed.viewer_needs, now) if feed.personal else None
        for feed in feeds
    }
    unknown = [feed.name for feed in feeds if feed.personal and known[feed.name] is None]
    if unknown:
        click.echo(
            f"{', '.join(unknown)}: whom {did} follows, or who follows them, is not known yet; the "
            "jobs (`feedkit worker` or `feedkit jobs`) find it out now, so ask again in a few "
            "seconds. Until then they get what those get who are not signed in",
            err=True,
        )
    return known


def _line(post: Post) -> str:
    text = _text(post)
    return (
        f"{post.sort_at:%Y-%m-%d %H:%M} UTC  ♥ {post.likes}  ↻ {post.reposts}  "
        f"{text if len(text) <= _TEXT else text[: _TEXT - 1] + '…'}"
    )


def _text(post: Post) -> str:
    return " ".join(post.text.split()) or "(no text)"


@cli.command(short_help="Say why a post is in a feed, or not.")
@with_config
@click.argument("post", required=False)
@click.argument("feed", required=False)
@click.option("--text", help="Explain a text instead of a post.")
@click.option("--lang", multiple=True, help="A language that the text declares; may be repeated.")
@click.option("--viewer", metavar="DID_OR_HANDLE", help="Explain what this viewer gets.")
def why(
    config: Path, post: str | None, feed: str | None, text: str | None, lang: tuple[str, ...],
    viewer: str | None,
) -> None:  # fmt: skip
    """Say why POST is in FEED or not, filter by filter, and where it stands there: the terms of
    its score, and what each selector did with it. Without FEED, for every feed.

    POST is an at:// URI (with a DID or a handle) or a bsky.app link. One that is not stored is
    fetched from the network. ✓ means that a filter keeps the post, ✗ that it does not, ? that
    this is not known yet. With --viewer also what the viewer filters say, and the place is the one
    in the order of that viewer.
    """
    if text is None and post is None:
        raise click.UsageError("name a post, or give a text: --text TEXT")
    if text is None and lang:
        raise click.UsageError("--lang belongs to --text; a post says its languages itself")
    if text is not None and feed is not None:
        raise click.UsageError("name a post or give --text, not both")
    if text is not None and viewer is not None:
        raise click.UsageError("--viewer belongs to a post; name one")
    service = load(config)
    if text is not None:
        from feedkit.testing.posts import post as made
        from feedkit.why import explain_post

        for chosen in _feeds(service, post):
            _tell(explain_post(service, chosen, made(text, langs=lang)))
        return
    feeds = _feeds(service, feed)
    did = None if viewer is None else _did(service, viewer)
    with open_checked(service) as store:
        _why_stored_or_not(service, store, str(post), feeds, did)


def _feeds(service: Service, name: str | None) -> list[FeedConfig]:
    return [feed_called(service, name)] if name else list(service.feeds.values())


def _why_stored_or_not(
    service: Service, store: Store, pasted: str, feeds: list[FeedConfig], did: str | None
) -> None:
    from feedkit.identity import fetch_post, resolve_post
    from feedkit.post import Request
    from feedkit.why import explain_stored, not_stored

    uri = resolve_post(pasted, service.network)
    stored = store.find_post(uri)
    if stored is None:
        click.echo(f"{uri}\n{not_stored(store, uri)}")
        post = fetch_post(uri, service.network)
        click.echo(f"{_text(post)}\nthe network has it; today the filters say of it:")
    else:
        post = stored.post
        click.echo(f"{uri}\n{_text(post)}")
    now = datetime.now(UTC)
    known = _known(service, store, did, feeds, now) if did is not None else {}
    for feed in feeds:
        request = Request(now=now, viewer=known.get(feed.name))
        _tell(explain_stored(service, store, feed, uri, post, request))


def _tell(explanation: Explanation) -> None:
    click.echo("\n".join(["", *explanation.lines()]))
