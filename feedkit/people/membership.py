"""Whom the plugins' `Accounts` mean now: read from the store, bound to the plugins."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from time import monotonic

from feedkit.accounts import Authors, Source, accounts_in, bind
from feedkit.filters.boolean import AtLeastOf, SameAs
from feedkit.parameters import Parameters
from feedkit.plugin import All, Any, Not
from feedkit.settings import Service
from feedkit.store import Store

EVERY = 1.0  # seconds between two looks at the store
_OF_THE_SAME_POST = (All, Any, Not, AtLeastOf, SameAs)  # other filters may ask theirs of another
REST = 5.0  # times what the last change cost, before the next one is taken up


class Membership:
    """The accounts of a service's feeds, as this process knows them. Bound when it is made, if
    the store knows them by then, and by every `look` after that.

    `sources`: all that must be found out; where there are none, nothing is ever asked.
    """

    def __init__(self, service: Service, store: Store) -> None:
        self._store = store
        self._roots = {
            name: (feed.filter, feed.rank, *feed.select, *feed.viewer)
            for name, feed in service.feeds.items()
        }
        self._uses = {name: _sources(roots) for name, roots in self._roots.items()}
        self._uses = {name: sources for name, sources in self._uses.items() if sources}
        self.sources: frozenset[Source] = frozenset().union(*self._uses.values())
        self._keys = {source.key: source for source in self.sources}
        self._wide = {s for feed in service.feeds.values() for s in _wide(feed.filter)}
        self._deciding = {
            name: _sources([service.feeds[name].filter]) & sources
            for name, sources in self._uses.items()
        }
        self._found: dict[Source, frozenset[str]] = {}
        self._versions: dict[str, int] = {}
        self._version = -1
        self._next = 0.0
        self._lock = threading.Lock()  # the jobs are several threads
        self.look()

    def look(self) -> frozenset[str]:
        """Bind what has changed in the store; the names of the feeds that this concerns."""
        if not self.sources:
            return frozenset()
        with self._lock:
            return self._look()

    def _look(self) -> frozenset[str]:
        version = self._store.account_sets.version()
        if version == self._version:
            return frozenset()
        now = self._store.account_sets.versions(self._keys)
        newer = [key for key, number in now.items() if self._versions.get(key) != number]
        members = self._store.account_sets.members(newer)
        for key, dids in members.items():
            self._found[self._keys[key]] = dids
        changed = {self._keys[key] for key in members}
        concerned = frozenset(n for n, sources in self._uses.items() if sources & changed)
        for name in sorted(concerned):
            for root in self._roots[name]:
                bind(root, self._found)
        self._versions.update((key, now[key]) for key in members)
        self._version = version
        return concerned

    def look_sometimes(self) -> frozenset[str]:
        """`look`, but at most once a second, and after `changed_for` not before a rest."""
        if not self.sources or (now := monotonic()) < self._next:
            return frozenset()
        self._next = now + EVERY
        return self.look()

    def changed_for(self, seconds: float) -> None:
        """Say what it cost to take up a change, so that many changes do not take all time."""
        self._next = monotonic() + max(EVERY, REST * seconds)

    def unknown(self, feed: str) -> frozenset[Source]:
        """What the filter of a feed waits for."""
        return self._deciding.get(feed, frozenset()) - self._found.keys()

    def untried(self) -> frozenset[Source]:
        """What nobody has tried to find out yet."""
        tried = self._store.account_sets.states(self._keys)
        return frozenset(source for key, source in self._keys.items() if key not in tried)

    def wait(self, stop: threading.Event, seconds: float) -> frozenset[Source]:
        """Wait until everything was tried once, at most so long; what was not."""
        ends = monotonic() + seconds
        while self.sources and (left := self.untried()):
            if monotonic() > ends or stop.wait(0.2):
                return left
        self.look()
        return frozenset()

    def deciding(self, sources: Iterable[Source]) -> list[str]:
        """The feeds whose filters use one of `sources`."""
        some = frozenset(sources)
        return sorted(name for name, used in self._deciding.items() if used & some)

    def by_author_alone(self, source: Source) -> bool:
        """Whether no filter compares those whom `source` means with anything but the author."""
        return source not in self._wide


def _wide(filter: Parameters, same_post: bool = True) -> Iterator[Source]:
    """The sources of accounts that are compared with others than a post's own author."""
    for accounts in accounts_in(filter):
        if not (same_post and isinstance(accounts, Authors)):
            yield from accounts.sources
    for part in filter.children():
        yield from _wide(part, same_post and isinstance(filter, _OF_THE_SAME_POST))


def _sources(roots: Iterable[Parameters]) -> frozenset[Source]:
    return frozenset(
        source
        for root in roots
        for plugin in root.walk()
        for accounts in accounts_in(plugin)
        for source in accounts.sources
    )
