"""The keys of a configuration: names, types, limits, defaults and what they mean.

Declared once, like a plugin's parameters: these classes give the checks, docs/config.md and the
JSON Schema. What a checked configuration is turned into stands in `feedkit.settings`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from feedkit.addresses import post_or_feed
from feedkit.config.names import (
    Account,
    Description,
    Did,
    DisplayName,
    Hostname,
    Label,
    ServiceURL,
    SocketURL,
    StoreURL,
)  # fmt: skip
from feedkit.config.sizes import Size
from feedkit.parameters import Parameters
from feedkit.plugin import Filter, Hydrator, Ranker, Selector
from feedkit.rankers import Newest
from feedkit.settings import STREAMS as STREAM_URLS
from feedkit.settings import Example, FeedConfig, Network, Service, Stream
from feedkit.viewing import ViewerFilter

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


class ServiceKeys(Parameters):
    """Who serves the feeds."""

    hostname: Hostname = Field(description="where the app reaches this service, over https")
    publisher: Account = Field(description="handle or DID of the account that owns the feeds")
    did: Did | None = Field(None, description="the service's DID, if it is not did:web:HOSTNAME")


class StoreKeys(Parameters):
    """The database, and how large it may grow."""

    url: StoreURL = Field(Service.store, description="its address")
    max: Size | None = Field(
        None,
        description="what it may hold, such as 2GB: where it holds more, the oldest posts go, "
        "whatever `keep` says",
    )
    rankings: timedelta = Field(
        Service.store_rankings, ge=timedelta(minutes=1), le=DAY,
        description="how long a ranking is kept after the next one, for those who scroll through "
        "it; then they go on in the newest",
    )  # fmt: skip


class _StreamKeys(Parameters):
    url: SocketURL = Field(description="where it is, ws:// or wss://")
    backoff: timedelta = Field(
        timedelta(seconds=Stream.backoff), ge=timedelta(milliseconds=10), le=DAY,
        description="the wait before the first new try after the connection broke; it doubles …",
    )  # fmt: skip
    backoff_cap: timedelta = Field(
        timedelta(seconds=Stream.backoff_cap), ge=timedelta(milliseconds=10), le=DAY,
        description="… up to this",
    )  # fmt: skip
    idle: timedelta = Field(
        timedelta(seconds=Stream.idle), ge=SECOND, le=DAY,
        description="how long a silent connection is believed to live",
    )  # fmt: skip


class Jetstream(_StreamKeys):
    """Jetstream (version 2): the network's events as JSON, little to receive."""

    url: SocketURL = Field(STREAM_URLS["jetstream"], description="where it is, ws:// or wss://")
    compress: bool = Field(Stream.compress, description="ask for zstd, a third of the bytes")


class Firehose(_StreamKeys):
    """The firehose of a relay or of one PDS: signed commits, everything there is."""

    url: SocketURL = Field(
        STREAM_URLS["firehose"],
        description="where it is, ws:// or wss://",
    )


STREAMS: dict[str, type[Jetstream] | type[Firehose]] = {
    "jetstream": Jetstream,
    "firehose": Firehose,
}


class NetworkKeys(Parameters):
    """The services of the AT Protocol that feedkit asks; others for private networks."""

    plc: ServiceURL = Field(Network.plc, description="the PLC directory, for DIDs")
    appview: ServiceURL = Field(Network.appview, description="the public AppView, for handles")


class FeedKeys(Parameters):
    """One feed."""

    filter: Filter = Field(description="which posts belong")
    rank: Ranker = Field(Newest(), description="in which order they come")
    select: tuple[Selector, ...] = Field(
        (), description="what is done to the ranked list, in order"
    )
    viewer: tuple[ViewerFilter, ...] = Field(
        (), description="which of its posts whom are shown: viewer filters, all of which must keep"
    )
    signed_out: str = Field(
        FeedConfig.signed_out,
        description="what somebody gets who is not signed in, or whose follows are not known yet: "
        "`everyone` (the feed without its viewer filters), `refuse`, or the name of another feed",
    )
    when_empty: Annotated[str, AfterValidator(post_or_feed)] = Field(
        FeedConfig.when_empty,
        description="what is shown where nothing is left to be shown: the address of a post, or "
        "the name of another feed",
    )
    display_name: DisplayName = Field(
        "", description="the name in the app, at most 24 characters; else the record key"
    )
    description: Description = Field(
        FeedConfig.description, description="what the app tells about it, at most 300 characters"
    )
    avatar: str = Field(
        FeedConfig.avatar, description="a PNG or JPEG file beside the configuration, up to 1 MB"
    )
    content_mode: Literal["unspecified", "video"] = Field(
        "unspecified", description="`video`: the app shows the feed as full-screen videos"
    )
    accepts_interactions: bool = Field(
        FeedConfig.accepts_interactions, description="the app offers «show more/less like this»"
    )
    labels: tuple[Label, ...] = Field(
        FeedConfig.labels, max_length=10, description="self-labels of the feed, such as porn"
    )
    publisher: Account | None = Field(
        None, description="handle or DID of the feed's owner, if it is not the service's publisher"
    )
    served: bool = Field(FeedConfig.served, description="`no`: collected, but not offered")
    refresh: timedelta = Field(
        FeedConfig.refresh, ge=SECOND, le=DAY, description="how often the feed is ranked anew"
    )
    keep: timedelta = Field(
        FeedConfig.keep, ge=timedelta(minutes=1), le=timedelta(days=3660),
        description="how long its posts are stored",
    )  # fmt: skip
    keep_most: int = Field(
        FeedConfig.keep_most, ge=100, le=10_000_000,
        description="how many of its newest posts are stored",
    )  # fmt: skip
    depth: int = Field(
        FeedConfig.depth,
        ge=1,
        le=2000,
        description="how many of its newest posts are ranked; for one viewer at most 1000",
    )
    missing: bool = Field(
        FeedConfig.missing,
        description="whether it takes posts that its filter cannot decide, because a hydrator "
        "could not find out what it needs",
    )
    examples: dict[Literal["in", "out"], tuple[str | Example, ...]] = Field(
        {},
        description="posts that it must keep (`in`) and must not keep (`out`), for `feedkit test`: "
        "texts, or mappings as below",
    )
    order: tuple[str | Example, ...] = Field(
        (),
        description="posts that must come out in this order, for `feedkit test`: ranked and "
        "selected, whether the filter would keep them or not",
    )


class FileKeys(Parameters):
    """The whole file."""

    service: ServiceKeys = Field(description="who serves the feeds")
    store: StoreURL = Field(
        Service.store,
        description="the database; what DATABASE_URL says, if this is not set. Or a mapping with "
        "`url` and `max`, see below",
    )
    stream: Jetstream | Firehose = Field(
        Jetstream(), description="where the network's events come from"
    )
    network: NetworkKeys | None = Field(None, description="the services of the AT Protocol to ask")
    filters: dict[str, Filter] = Field({}, description="names for parts used more than once")
    defaults: FeedKeys | None = Field(None, description="keys for every feed without its own")
    all_feeds: Filter | None = Field(None, description="a filter that every feed's posts must pass")
    hydrators: tuple[Hydrator, ...] = Field(
        (), description="hydrators with parameters; the others that are needed run as they are"
    )
    feeds: dict[str, FeedKeys] = Field({}, description="the feeds, by record key")
