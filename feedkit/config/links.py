"""`same_as`: once everything is built, each reference gets the filter it names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from feedkit.config.problems import Place, Problems, did_you_mean, shorten
from feedkit.filters.boolean import SameAs
from feedkit.parameters import Parameters
from feedkit.plugin import Filter

Reference = tuple[SameAs, Place, str]


class Links:
    """What names stand for: a part named under `filters:`, else a feed. None where that exists,
    but could not be built. `made`: the plugins, with place and path, by what they belong to;
    `parts_in`: the named parts, by what they are used in."""

    def __init__(
        self,
        parts: Mapping[str, Filter | None],
        feeds: Mapping[str, Filter | None],
        made: Mapping[str, Iterable[tuple[Parameters, Place, str]]],
        parts_in: Mapping[str, Iterable[str]],
    ) -> None:
        self.filters = {f"feeds.{name}": filter for name, filter in feeds.items()}
        self.filters |= {f"filters.{name}": filter for name, filter in parts.items()}
        self.targets = {name: f"feeds.{name}" for name in feeds}
        self.targets |= {name: f"filters.{name}" for name in parts}
        self.references: dict[str, list[Reference]] = {
            owner: [(one, place, path) for one, place, path in plugins if isinstance(one, SameAs)]
            for owner, plugins in made.items()
        }
        self.parts_in = {owner: list(inside) for owner, inside in parts_in.items()}
        for name in feeds:  # what all feeds have in common stands in each
            self.parts_in.setdefault(f"feeds.{name}", []).append("all_feeds")

    def bind(self, problems: Problems) -> None:
        """Binds every reference that leads somewhere; unknown names and rings are problems."""
        done: set[int] = set()
        rings: set[frozenset[str]] = set()
        for link, place, path in chain.from_iterable(self.references.values()):
            if id(link) in done:
                continue
            done.add(id(link))
            if link.name not in self.targets:
                hint = did_you_mean(link.name, self.targets)
                message = f"no filter or feed is called {shorten(link.name)}{hint}"
                problems.add(place, path, message)
                continue
            target = self.targets[link.name]
            ring = self._ring(link, target)
            filter = self.filters[target]
            if not ring and filter is not None:
                link.bind(filter)
            elif ring and frozenset(ring) not in rings:
                rings.add(frozenset(ring))
                names = " → ".join([*ring, ring[0]])
                problems.add(place, path, f"same_as leads round in a ring: {names}")

    def _ring(self, link: SameAs, target: str) -> list[str]:
        """The names from `target` to where `link` itself stands again, if it does."""
        ways = [[target]]
        seen: set[str] = set()
        while ways:
            way = ways.pop(0)
            here = way[-1]
            if here in seen:
                continue
            seen.add(here)
            for other, _, _ in self.references.get(here, ()):
                if other is link:
                    return [name for name in way if name != "all_feeds"]
                if other.name in self.targets:
                    ways.append([*way, self.targets[other.name]])
            ways += [[*way, inside] for inside in self.parts_in.get(here, ())]
        return []
