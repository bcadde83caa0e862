"""What is shown instead of a feed: `signed_out` and `when_empty` must name something there is."""

from __future__ import annotations

from collections.abc import Mapping

from feedkit.config.problems import Problems, did_you_mean, shorten
from feedkit.config.written import Written
from feedkit.config.yamltree import MappingNode
from feedkit.settings import EVERYONE, REFUSE, FeedConfig


def check_stand_ins(
    written: Mapping[str, Written], feeds: Mapping[str, FeedConfig | None], problems: Problems
) -> None:
    """Report stand-ins that are not there, or are personal themselves."""
    for name, feed in feeds.items():
        if feed is None:
            continue
        if feed.signed_out not in (EVERYONE, REFUSE):
            _check(feed, "signed_out", feed.signed_out, written[name], feeds, problems)
        if feed.when_empty and "://" not in feed.when_empty:
            _check(feed, "when_empty", feed.when_empty, written[name], feeds, problems)


def _check(
    feed: FeedConfig, key: str, name: str, written: Written,
    feeds: Mapping[str, FeedConfig | None], problems: Problems,
) -> None:  # fmt: skip
    place = written.place
    if isinstance(written.node, MappingNode) and key in written.node.entries:
        place = written.node.entries[key].place
    path = f"feeds.{feed.name}.{key}"
    if name not in feeds:
        also = "everyone, refuse" if key == "signed_out" else "the at:// address of a post"
        hint = did_you_mean(name, feeds) or f"; write {also}, or the name of a feed"
        message = f"no feed is called {shorten(name)}{hint}"
        problems.add(place, path, message)
    elif name == feed.name:
        problems.add(place, path, "a feed cannot stand in for itself")
    elif (other := feeds[name]) is not None and other.personal:
        message = f"the feed {name} is personal itself; name one that is the same for everybody"
        problems.add(place, path, message)
