"""What a checked configuration says. Made by `feedkit.config`, read by everything above it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from feedkit.filters.text import Language
from feedkit.needs import Voters, counted, hydrated, needs_of, voters
from feedkit.parameters import Parameters
from feedkit.plugin import All, Field, Filter, Hydrator, Ranker, Selector
from feedkit.viewing import ViewerFilter

EVERYONE, REFUSE = "everyone", "refuse"  # what the signed-out get


STREAMS = {  # where each kind of stream is, unless the configuration says otherwise
    "jetstream": "wss://jetstream.us-east.bsky.network/xrpc/network.bsky.jetstream.subscribeEvents",
    "firehose": "wss://bsky.network/xrpc/com.atproto.sync.subscribeRepos",
}


@dataclass(frozen=True)
class Stream:
    """Where events come from. `kind`: jetstream or firehose; `url`: ws:// or wss://, without one
    that of the kind in `STREAMS`."""

    kind: str = "jetstream"
    url: str = ""
    compress: bool = True
    backoff: float = 1.0  # seconds before the first new try; doubles …
    backoff_cap: float = 60.0  # … up to this many seconds
    idle: float = 60.0  # seconds without a message after which the connection counts as dead

    def __post_init__(self) -> None:
        if not self.url:
            object.__setattr__(self, "url", STREAMS[self.kind])


@dataclass(frozen=True)
class Network:
    """The services of the AT Protocol that feedkit asks; others for private networks."""

    plc: str = "https://plc.directory"
    appview: str = "https://public.api.bsky.app"


class ExampleVote(Parameters):
    """Somebody who voted for a made-up post."""

    by: str = Field(description="the account: a DID where `votes_from` asks for one, else any name")
    kind: Literal["like", "repost", "reply", "quote"] = Field("like", description="what it did")
    age: timedelta = Field(timedelta(0), ge=timedelta(0), description="how long ago")


class Example(Parameters):
    """A post made up for a test: only what matters of it is written, the rest it does not have.
    Hashtags and links in the text count as they do in the app."""

    text: str = Field("", description="what it says")
    author: str = Field(
        "", description="its author: a DID where a filter asks for one, else any name"
    )
    age: timedelta = Field(
        timedelta(0), ge=timedelta(0), description="how old it is when the feed is ranked"
    )
    langs: tuple[str, ...] = Field((), description="the languages that it declares")
    tags: tuple[str, ...] = Field((), description="hashtags beside the text")
    links: tuple[str, ...] = Field((), description="addresses that it links to, beside the text's")
    labels: tuple[str, ...] = Field((), description="its self-labels")
    mentions: tuple[str, ...] = Field((), description="DIDs of the accounts that it mentions")
    images: tuple[str, ...] = Field(
        (), description='the descriptions of its pictures, "" where there is none'
    )
    video: str | None = Field(None, description='the description of its video; "" is one without')
    gif: bool = Field(False, description="whether it has a GIF")
    link_card: str = Field("", description="the address of its link card")
    quote: str = Field("", description="the at:// address of the post that it quotes")
    reply_to: str = Field("", description="the at:// address of the post that it answers")
    original_url: str = Field(
        "", description="the address of the post on the other side of a bridge"
    )
    features: dict[str, Any] = Field(
        {}, description="what hydrators know of it, by word; values as JSON"
    )
    likes: int = Field(0, ge=0, description="how often it was liked (for `order`)")
    reposts: int = Field(0, ge=0, description="how often it was reposted (for `order`)")
    replies: int = Field(0, ge=0, description="how often it was answered (for `order`)")
    quotes: int = Field(0, ge=0, description="how often it was quoted (for `order`)")
    votes: tuple[str | ExampleVote, ...] = Field(
        (),
        description="who voted for it (for `order`): accounts that liked it, or "
        "`{by: …, kind: repost, age: 2h}`; they count among its likes, reposts …",
    )


@dataclass(frozen=True)
class Examples:
    """Posts that a feed must keep, must not keep, and must show in this order; a text stands for
    a post that says just that. `feedkit test` tries them."""

    inside: tuple[str | Example, ...] = ()
    outside: tuple[str | Example, ...] = ()
    order: tuple[str | Example, ...] = ()


@dataclass(frozen=True)
class FeedConfig:
    """One feed. `place` is where it was written, file:line. `depth` is how many of its newest
    posts are ranked. `keep` is how long its posts are stored, `keep_most` how many. `missing`:
    whether it takes the posts that it cannot decide because a hydrator found nothing."""

    name: str
    filter: Filter
    rank: Ranker
    select: tuple[Selector, ...] = ()
    display_name: str = ""
    description: str = ""
    avatar: str = ""
    content_mode: str = "unspecified"
    accepts_interactions: bool = False
    labels: tuple[str, ...] = ()
    publisher: str = ""  # empty: the service's
    served: bool = True
    refresh: timedelta = timedelta(seconds=60)
    keep: timedelta = timedelta(days=7)
    keep_most: int = 100_000
    depth: int = 2000
    missing: bool = False
    viewer: tuple[ViewerFilter, ...] = ()
    signed_out: str = EVERYONE  # or REFUSE, or the name of a feed
    when_empty: str = ""  # at://…, the name of a feed, or nothing
    examples: Examples = Examples()
    # The keys that the configuration names for it, those under `defaults:` too.
    named: frozenset[str] = field(default=frozenset(), compare=False)
    place: str = ""

    @cached_property
    def needs(self) -> frozenset[str]:
        return needs_of((self.filter, self.rank, *self.select, *self.viewer))

    @cached_property
    def viewer_needs(self) -> frozenset[str]:
        """What of the viewer it needs: «viewer.follows» …"""
        return frozenset(need for need in self.needs if need.startswith("viewer."))

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The languages that all of its posts declare, as far as its filter says so."""
        parts = self.filter.filters if isinstance(self.filter, All) else (self.filter,)
        found = [p.languages for p in parts if isinstance(p, Language) and not p.undeclared]
        return tuple(sorted(frozenset.intersection(*found))) if found else ()

    @property
    def by_language(self) -> bool:
        """Whether its pages depend on the languages that the app asks for."""
        return "request.languages" in self.needs

    @property
    def personal(self) -> bool:
        """Whether each viewer gets pages of their own."""
        return bool(self.viewer or self.viewer_needs)

    @cached_property
    def hydrated(self) -> frozenset[str]:
        """The words of hydrators that it needs."""
        return hydrated((self.filter, self.rank, *self.select))

    @cached_property
    def recipe(self) -> str:
        """A text that changes when it is to be ranked or selected in another way."""
        return ";".join(part.fingerprint() for part in (self.rank, *self.select)) + f";{self.depth}"

    @cached_property
    def ranks_by(self) -> frozenset[str]:
        """The words of hydrators that its ranker and selectors need."""
        return hydrated((self.rank, *self.select))

    @cached_property
    def scored_by(self) -> frozenset[str]:
        """The words of hydrators that its ranker needs."""
        return hydrated((self.rank,))

    @cached_property
    def seekers(self) -> tuple[Ranker, ...]:
        """The rankers in it that may seek posts for a viewer."""
        parts = (part for part in self.rank.walk() if isinstance(part, Ranker))
        return tuple(part for part in parts if type(part).seeks is not Ranker.seeks)

    @property
    def mixes(self) -> frozenset[str]:
        """The other feeds whose posts its selectors may show."""
        return frozenset(name for selector in self.select for name in selector.mixes)

    @property
    def voters(self) -> Voters | None:
        """Whose votes its ranker and selectors look at one by one, as far as it is known now."""
        return voters((self.rank, *self.select))


@dataclass(frozen=True)
class Service:
    """A checked configuration: one service with its feeds, by record key."""

    hostname: str
    publisher: str  # a handle or a DID
    did: str  # did:web:HOSTNAME unless the configuration says otherwise
    feeds: Mapping[str, FeedConfig]
    store: str = "sqlite:///feedkit.db"
    store_max: int = 0  # bytes; 0: no limit
    store_rankings: timedelta = timedelta(hours=1)  # how long one that was replaced is kept
    stream: Stream = field(default_factory=Stream)
    network: Network = field(default_factory=Network)
    filters: Mapping[str, Filter] = field(default_factory=dict)
    hydrators: tuple[Hydrator, ...] = ()  # those that the feeds need
    path: Path = Path("config.yaml")

    @cached_property
    def engagement(self) -> frozenset[str]:
        """Which of likes, reposts, replies, quotes some feed needs."""
        return counted(need for feed in self.feeds.values() for need in feed.needs)

    @cached_property
    def feed_filters(self) -> Mapping[str, Filter]:
        """The filter of each feed."""
        return {name: feed.filter for name, feed in self.feeds.items()}

    @cached_property
    def keeps_missing(self) -> frozenset[str]:
        """The feeds that take posts of which a hydrator found nothing."""
        return frozenset(name for name, feed in self.feeds.items() if feed.missing)

    @cached_property
    def keep(self) -> timedelta:
        """How long the feed that keeps its posts longest keeps them."""
        return max((feed.keep for feed in self.feeds.values()), default=timedelta(0))
