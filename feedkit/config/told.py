"""What the app tells only if it is asked: feeds that need it must ask."""

from __future__ import annotations

from collections.abc import Mapping

from feedkit.config.problems import Problems
from feedkit.config.written import Written
from feedkit.needs import needs_of
from feedkit.plugin import Plugin
from feedkit.settings import FeedConfig

NEEDS = {
    "viewer.seen": "which posts were seen",
    "viewer.less": "of what readers want less",
    "viewer.more": "of what readers want more",
}


def check_told(
    written: Mapping[str, Written], feeds: Mapping[str, FeedConfig | None], problems: Problems
) -> None:
    """Report feeds with plugins that look at nothing but what was seen or wished, and do not let
    the app tell it."""
    for name, feed in feeds.items():
        if feed is None or feed.accepts_interactions:
            continue
        parts = [part for root in (feed.rank, *feed.select, *feed.viewer) for part in root.walk()]
        for part in parts:
            needs = needs_of([part]) if isinstance(part, Plugin) else frozenset()
            if needs and needs <= NEEDS.keys():
                what = NEEDS[min(needs)]
                message = (
                    f"{part.yaml_name()} must know {what}, which the app tells: add "
                    "accepts_interactions: yes"
                )
                problems.add(written[name].place, f"feeds.{name}", message)
                break
