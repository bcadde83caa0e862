"""Which records `unpublish` means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from feedkit.config.problems import did_you_mean, shorten
from feedkit.identity import resolve
from feedkit.publish.errors import PublishError
from feedkit.publish.plan import Stored
from feedkit.publish.publishers import Publisher, find_publishers, publisher_of
from feedkit.publish.records import COLLECTION
from feedkit.publish.repo import Repo
from feedkit.settings import Service


class Target(NamedTuple):
    """A record that shall go, and where it is."""

    repo: Repo
    name: str
    stored: Stored


class Targets:
    """Looks for records in the repositories of the service's publishers. `opened`: makes the
    `Repo` of a publisher, and closes it some day. All methods raise `PublishError`."""

    def __init__(self, service: Service, opened: Callable[[Publisher], Repo]) -> None:
        self._service, self._opened = service, opened
        names = [service.publisher, *(publisher_of(f, service) for f in service.feeds.values())]
        self._publishers = find_publishers(names, service.network)
        self._repos: dict[str, tuple[Repo, dict[str, Stored]]] = {}  # by DID

    def all(self) -> Iterator[Target]:
        """Every record of this service."""
        for repo, records in self._everywhere():
            for name, stored in records.items():
                if stored.value.get("did") == self._service.did:
                    yield Target(repo, name, stored)

    def chosen(self, names: Iterable[str]) -> list[Target]:
        """The records of the feeds called so, by name, at:// URI or link. A feed of the
        configuration that has no record is left out."""
        found = {
            (target.repo.publisher.did, target.name): target
            for name in names
            for target in (self._at(name) if "://" in name else self._called(name))
        }
        return list(found.values())

    def _at(self, written: str) -> Iterator[Target]:
        uri = resolve(written, self._service.network)
        did, _, path = uri.removeprefix("at://").partition("/")
        collection, _, name = path.partition("/")
        if collection != COLLECTION or not name:
            raise PublishError(
                f"{shorten(written)} is no feed; write at://DID/{COLLECTION}/NAME, or its bsky.app "
                "link"
            )
        known = {one.did: one for one in self._publishers.values()}
        publisher = known.get(did) or find_publishers([did], self._service.network)[did]
        repo, records = self._repo(publisher)
        if name not in records:
            raise PublishError(f"{publisher.name} has no feed {name} (any more)")
        yield Target(repo, name, records[name])

    def _called(self, name: str) -> Iterator[Target]:
        feed = self._service.feeds.get(name)
        if feed is not None:
            owner = self._publishers[publisher_of(feed, self._service)]
            places = [self._repo(owner)]
        else:
            places = list(self._everywhere())
        others = []
        for repo, records in places:
            stored = records.get(name)
            if stored is None:
                continue
            if stored.value.get("did") != self._service.did:
                others.append((repo, stored))
                continue
            yield Target(repo, name, stored)
            return
        if others:
            repo, stored = others[0]
            uri = f"at://{repo.publisher.did}/{COLLECTION}/{name}"
            raise PublishError(
                f"{uri} belongs to the service {str(stored.value.get('did'))[:100]!r}, this is "
                f"{self._service.did}; `feedkit unpublish {uri}` deletes it all the same"
            )
        if feed is None:
            known = {*self._service.feeds, *(one for _, some in places for one in some)}
            raise PublishError(
                f"{self._service.path}: no feed is called {shorten(name)}, and no publisher has a "
                f"record of it{did_you_mean(name, known)}"
            )

    def _everywhere(self) -> Iterator[tuple[Repo, dict[str, Stored]]]:
        for publisher in {one.did: one for one in self._publishers.values()}.values():
            yield self._repo(publisher)

    def _repo(self, publisher: Publisher) -> tuple[Repo, dict[str, Stored]]:
        if publisher.did not in self._repos:
            repo = self._opened(publisher)
            self._repos[publisher.did] = (repo, repo.records())
        return self._repos[publisher.did]
