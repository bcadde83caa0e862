"""A configuration, checked: the service with its feeds, or every problem at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from feedkit.config.build import Builder
from feedkit.config.discover import Found, discover
from feedkit.config.hydrators import check_needs, needed
from feedkit.config.keys import (
    STREAMS,
    FeedKeys,
    FileKeys,
    Firehose,
    Jetstream,
    NetworkKeys,
    StoreKeys,
)
from feedkit.config.links import Links
from feedkit.config.mixes import check_mixes
from feedkit.config.names import StoreURL, did_web, graphemes
from feedkit.config.ordinary import refusal
from feedkit.config.people import check_files
from feedkit.config.problems import ConfigError, Place, Problems
from feedkit.config.sizes import parse_size
from feedkit.config.standins import check_stand_ins
from feedkit.config.told import check_told
from feedkit.config.written import Written, all_feeds, read
from feedkit.config.yamltree import Broken, MappingNode, Node, Scalar
from feedkit.needs import needs_of
from feedkit.parameters import Parameters
from feedkit.plugin import Filter, Hydrator
from feedkit.settings import Examples, FeedConfig, Network, Service, Stream

_BY_HAND = ("stream", "filters", "defaults", "feeds")  # the keys that need more than a type
_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")  # how PNG and JPEG files begin
_IMAGE_MOST = 1_000_000  # bytes; the lexicon's limit


__all__ = ["ConfigError", "load_config"]


def load_config(path: Path, environ: Mapping[str, str] = os.environ) -> Service:
    """The service that the file at `path` describes, with the plugins and feeds in `feeds/`
    beside it. Raises `ConfigError` with everything that is wrong."""
    return _Loading(Path(path), environ).service()


class _StoreAlone(Parameters):
    store: StoreURL


class _Loading:
    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path, self.environ = path, environ
        self.folder = path.parent / "feeds"
        self.problems = Problems()
        self.filter_places: dict[str, Place] = {}  # of the feeds, by name

    def service(self) -> Service:
        root = read(self.path, self.problems, self.environ)
        found = discover(self.folder, self.problems)
        if not isinstance(root, MappingNode):
            raise ConfigError(self.problems)
        self.builder = Builder(
            {**found.plugins, "stream": STREAMS}, self.problems, self.names(root, found)
        )
        entries = {key: node for key, node in root.entries.items() if key not in _BY_HAND}
        kept = self.store(entries.pop("store", None), root.place)
        self.builder.owner = "all_feeds"
        head = self.builder.fill(
            FileKeys, MappingNode(root.place, entries, root.places), "the configuration", ""
        )
        self.builder.owner = ""
        parts = {
            name: self.builder.part(name, node.place, f"filters.{name}")
            for name, node in self.builder.named.items()
        }
        stream = self.stream(root)
        written = all_feeds(
            self.mapping(root, "feeds"), self.folder, found.feeds, self.problems, self.environ
        )
        defaults = self.defaults(root)
        common = head.all_feeds if head else None
        feeds = {feed.name: self.feed(feed, defaults, common) for feed in written.values()}
        self.link(parts, feeds)
        check_stand_ins(written, feeds, self.problems)
        check_told(written, feeds, self.problems)
        if not written and not self.problems:
            self.problems.add(
                Place(str(self.path), 1), "", "there is no feed; write one under feeds:"
            )
        hydrators = needed(
            found.plugins["hydrator"].values(),
            head.hydrators if head else None if "hydrators" in entries else (),
            frozenset().union(*(feed.hydrated for feed in feeds.values() if feed)),
            self.builder.made,
            self.problems,
        )
        self.refuse(feeds, hydrators)
        if self.problems or head is None or stream is None or kept is None:
            raise ConfigError(self.problems)
        network = head.network or NetworkKeys()
        return Service(
            hostname=head.service.hostname,
            publisher=head.service.publisher,
            did=head.service.did or did_web(head.service.hostname),
            feeds={name: feed for name, feed in feeds.items() if feed},
            store=kept.url,
            store_max=parse_size(kept.max) if kept.max else 0,
            store_rankings=kept.rankings,
            stream=stream,
            network=Network(network.plc, network.appview),
            filters={name: part for name, part in parts.items() if part},
            hydrators=hydrators,
            path=self.path,
        )

    def store(self, node: Node | None, place: Place) -> StoreKeys | None:
        """What stands under `store`: an address, or a mapping with it or without."""
        told = Scalar(place, self.environ.get("DATABASE_URL") or Service.store)
        if not isinstance(node, MappingNode):
            head = MappingNode(place, {"store": node or told}, {})
            keys = self.builder.fill(_StoreAlone, head, "the configuration", "")
            return StoreKeys(url=keys.store) if keys else None
        node = node.over(MappingNode(place, {"url": told}, {"url": place}))
        return self.builder.fill(StoreKeys, node, "store", "store")

    def mapping(self, root: MappingNode, key: str) -> MappingNode:
        """The mapping under `key`, empty where there is none."""
        node = root.entries.get(key)
        if isinstance(node, MappingNode):
            return node
        if node is not None and not isinstance(node, Broken):
            self.problems.add(node.place, key, f"{key} must be a mapping of names")
        return MappingNode(root.place, {}, {})

    def names(self, root: MappingNode, found: Found) -> dict[str, Node]:
        node = self.mapping(root, "filters")
        for name in node.entries.keys() & found.plugins["filter"].keys():
            message = f"{name!r} is the name of a filter already; call this part something else"
            self.problems.add(node.places[name], f"filters.{name}", message)
        return {n: part for n, part in node.entries.items() if n not in found.plugins["filter"]}

    def stream(self, root: MappingNode) -> Stream | None:
        node = root.entries.get("stream")
        if node is None:
            return Stream()
        keys = self.builder.plugin(node, "stream", "stream")
        if not isinstance(keys, (Jetstream, Firehose)):
            return None
        return Stream(
            kind=keys.yaml_name(),
            url=keys.url,
            compress=isinstance(keys, Jetstream) and keys.compress,
            backoff=keys.backoff.total_seconds(),
            backoff_cap=max(keys.backoff, keys.backoff_cap).total_seconds(),
            idle=keys.idle.total_seconds(),
        )

    def defaults(self, root: MappingNode) -> MappingNode:
        """The keys under `defaults`. What is wrong with them is said once, not for every feed."""
        node = self.mapping(root, "defaults")
        before = len(self.problems)
        filler = MappingNode(node.place, {"filter": Scalar(node.place, "everything")}, {})
        self.builder.owner = "defaults"
        self.builder.fill(FeedKeys, node.over(filler), "defaults", "defaults")
        return node if len(self.problems) == before else MappingNode(node.place, {}, {})

    def feed(
        self, written: Written, defaults: MappingNode, common: Filter | None
    ) -> FeedConfig | None:
        path = f"feeds.{written.name}"
        if isinstance(written.node, MappingNode):
            node: Node = written.node.over(defaults)
            # A missing key is missed at the feed's name.
            node = replace(node, place=written.place)
        else:
            node = written.node
        self.builder.owner = path
        keys = self.builder.fill(FeedKeys, node, "a feed", path)
        if keys is None or not isinstance(node, MappingNode):
            return None
        if not keys.display_name and graphemes(written.name) > 24:
            message = "its name is too long to be shown; give it a display_name"
            self.problems.add(written.place, path, message)
        self.filter_places[written.name] = node.entries["filter"].place
        if keys.avatar:
            self.check_avatar(keys.avatar, node.entries["avatar"].place, f"{path}.avatar")
        return FeedConfig(
            name=written.name,
            filter=keys.filter if common is None else keys.filter & common,
            rank=keys.rank,
            select=keys.select,
            display_name=keys.display_name or written.name,
            description=keys.description,
            avatar=keys.avatar,
            content_mode=keys.content_mode,
            accepts_interactions=keys.accepts_interactions,
            labels=keys.labels,
            publisher=keys.publisher or "",
            served=keys.served,
            refresh=keys.refresh,
            keep=keys.keep,
            keep_most=keys.keep_most,
            depth=keys.depth,
            missing=keys.missing,
            viewer=keys.viewer,
            signed_out=keys.signed_out,
            when_empty=keys.when_empty,
            examples=Examples(
                keys.examples.get("in", ()), keys.examples.get("out", ()), keys.order
            ),
            named=frozenset(keys.model_fields_set),
            place=f"{written.place.file}:{written.place.line}",
        )

    def check_avatar(self, avatar: str, place: Place, path: str) -> None:
        file = self.path.parent / avatar
        try:
            with file.open("rb") as image:
                head = image.read(_IMAGE_MOST + 1)
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or str(error)
            self.problems.add(place, path, f"the picture {str(file)!r} cannot be read: {said}")
            return
        if not head.startswith(_IMAGES):
            self.problems.add(place, path, f"{avatar!r} is neither a PNG nor a JPEG file")
        elif len(head) > _IMAGE_MOST:
            self.problems.add(place, path, f"{avatar!r} is larger than the 1 MB that Bluesky takes")

    def link(
        self, parts: Mapping[str, Filter | None], feeds: Mapping[str, FeedConfig | None]
    ) -> None:
        """Binds `same_as`, and looks at what only all of it together tells."""
        filters = {name: feed.filter if feed else None for name, feed in feeds.items()}
        links = Links(parts, filters, self.builder.made, self.builder.parts_in)
        links.bind(self.problems)
        plugins = [one for several in self.builder.made.values() for one in several]
        check_files(plugins, self.path.parent, self.problems)
        check_mixes(self.builder.made, feeds, self.problems)

    def refuse(self, feeds: Mapping[str, FeedConfig | None], hydrators: Iterable[Hydrator]) -> None:
        """Refuses filters that wait for ever, and those that take the whole firehose."""
        plugins = [one for several in self.builder.made.values() for one in several]
        check_needs(plugins, self.problems)
        provided = {word for hydrator in hydrators for word in hydrator.provides}
        for name, feed in feeds.items():
            if feed is None or needs_of([feed.filter]) - provided:
                continue  # what is not provided is a problem already
            why = refusal(feed.filter)
            if why:
                place = self.filter_places[name]
                self.problems.add(place, f"feeds.{name}.filter", why)
