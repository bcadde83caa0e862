"""What `feedkit test` tries: the examples of each feed, the contract of each plugin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feedkit.explain import explain
from feedkit.post import Post
from feedkit.settings import FeedConfig, Service


def failures(
    service: Service, feeds: Sequence[FeedConfig], plugins: bool
) -> Iterator[tuple[str, str | None]]:
    """(what was tried, the problem or None) for every example, then for every user plugin."""
    for feed in feeds:
        for wanted, texts in ((True, feed.examples.inside), (False, feed.examples.outside)):
            for text in texts:
                side = "in" if wanted else "out"
                yield f"{feed.name}: {side}: {_short(text)}", _try(feed, text, wanted)
    if plugins:
        yield from _contracts(service)


def _try(feed: FeedConfig, text: str, wanted: bool) -> str | None:
    verdict = explain(feed.filter, Post(uri="at://did:plc:example/app.bsky.feed.post/x", text=text))
    if (verdict.verdict is True) == wanted:
        return None
    return "\n".join((f"{feed.place}: should be {'in' if wanted else 'out'}", *verdict.lines()))


def _contracts(service: Service) -> Iterator[tuple[str, str | None]]:
    from feedkit.testing import check_plugin

    seen = set()
    for feed in service.feeds.values():
        for root in (feed.filter, feed.rank, *feed.select):
            for plugin in root.walk():
                if type(plugin).__module__.startswith("feedkit.") or plugin in seen:
                    continue
                seen.add(plugin)
                try:
                    check_plugin(plugin)
                except AssertionError as error:
                    yield f"plugin {plugin!r}", str(error)
                else:
                    yield f"plugin {plugin!r}", None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"
