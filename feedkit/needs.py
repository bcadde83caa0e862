"""What plugins say must be loaded for them: counts of engagement, and the words of hydrators."""

from __future__ import annotations

from collections.abc import Iterable

from feedkit.parameters import Parameters

COUNTS = frozenset({"likes", "reposts", "replies", "quotes"})  # the needs that no hydrator provides


def needs_of(plugins: Iterable[Parameters]) -> frozenset[str]:
    """All that `plugins`, and those inside them, need."""
    return frozenset(
        need
        for plugin in plugins
        for part in plugin.walk()
        for need in getattr(part, "needs", ())  # sections of a configuration have none
    )


def hydrated(plugins: Iterable[Parameters]) -> frozenset[str]:
    """The words that they need of hydrators. Those with a dot are about the viewer."""
    return frozenset(need for need in needs_of(plugins) - COUNTS if "." not in need)
