"""The feeds that selectors mix in must be there, and the same for everybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from feedkit.config.problems import Place, Problems, did_you_mean, shorten
from feedkit.parameters import Parameters
from feedkit.plugin import Selector
from feedkit.settings import FeedConfig


def check_mixes(
    made: Mapping[str, Iterable[tuple[Parameters, Place, str]]],
    feeds: Mapping[str, FeedConfig | None],
    problems: Problems,
) -> None:
    """Report selectors that mix in what they cannot. `made`: all plugins with place and path, by
    what they belong to. What stands under `defaults:` is looked at in the feeds that have it."""
    told: set[tuple[Place, str]] = set()
    for owner, plugins in made.items():
        if not owner.startswith("feeds."):
            continue
        for plugin, place, path in plugins:
            for name in sorted(plugin.mixes) if isinstance(plugin, Selector) else ():
                message = _wrong(name, owner.removeprefix("feeds."), feeds)
                if message and (place, message) not in told:
                    told.add((place, message))
                    problems.add(place, path, f"{plugin.yaml_name()}: {message}")


def _wrong(name: str, into: str, feeds: Mapping[str, FeedConfig | None]) -> str:
    if name not in feeds:
        others = [other for other in feeds if other != into]
        return f"no feed is called {shorten(name)}{did_you_mean(name, others)}"
    if name == into:
        return "a feed cannot be mixed into itself; name another one"
    other = feeds[name]
    if other is not None and other.personal:
        return f"the feed {name} is personal; name one that is the same for everybody"
    return ""
