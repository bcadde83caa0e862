"""What `feedkit test` tries: the examples of each feed, the contract of each plugin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feedkit.settings import FeedConfig, Service


def failures(
    service: Service, feeds: Sequence[FeedConfig], plugins: bool
) -> Iterator[tuple[str, str | None]]:
    """(what was tried, the problem or None) for every example, then for every user plugin."""
    from feedkit.testing.examples import contracts, examples

    for feed in feeds:
        for case in examples(feed):
            yield f"{feed.name}: {case.name}", case.problem()
    for case in contracts(service) if plugins else ():
        yield case.name, case.problem()
