"""The keys of a configuration: names, types, limits, defaults and what they mean.

Declared once, like a plugin's parameters: these classes give the checks, docs/config.md and the
JSON Schema. What a checked configuration is turned into stands in `feedkit.settings`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from feedkit.parameters import Parameters
from feedkit.plugin import Filter, Ranker, Selector
from feedkit.rankers import Newest
from feedkit.settings import FeedConfig, Network, Service, Stream

# https://atproto.com/specs/handle, …/did, …/record-key
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HANDLE = re.compile(rf"(?:{_LABEL}\.)+[a-zA-Z](?:[a-zA-Z0-9-]{{0,61}}[a-zA-Z0-9])?")
_DID = re.compile(r"did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]")
_RECORD_KEY = re.compile(r"[A-Za-z0-9._:~-]{1,512}")
_LOCALHOST = re.compile(r"localhost(:\d{1,5})?")
_STORES = ("sqlite", "postgres", "postgresql")


def is_handle(text: str) -> bool:
    return len(text) <= 253 and _HANDLE.fullmatch(text) is not None


def is_did(text: str) -> bool:
    return len(text) <= 2048 and _DID.fullmatch(text) is not None


def is_record_key(text: str) -> bool:
    return _RECORD_KEY.fullmatch(text) is not None and text not in (".", "..")


def did_web(hostname: str) -> str:
    """The did:web of a host; a port is written %3A in it."""
    return "did:web:" + hostname.replace(":", "%3A")


def _hostname(text: str) -> str:
    name = text.strip().lower()
    if "://" in name or "/" in name:
        host = urlsplit(name if "://" in name else f"//{name}").hostname or "feeds.example.com"
        raise ValueError(f"must be the host name alone, without https:// or a path: {host}")
    if not is_handle(name) and not _LOCALHOST.fullmatch(name):
        raise ValueError(f"must be a host name such as feeds.example.com, not {text[:80]!r}")
    return name


def _account(text: str) -> str:
    name = text.strip().removeprefix("@")
    if not is_handle(name) and not is_did(name):
        raise ValueError(
            f"must be a handle such as alice.example.com, or a DID such as "
            f"did:plc:ewvi7nxzyoun6zhxrhs64oiz, not {text[:80]!r}"
        )
    return name if is_did(name) else name.lower()


def _did(text: str) -> str:
    if not is_did(text):
        raise ValueError(f"must be a DID such as did:web:feeds.example.com, not {text[:80]!r}")
    return text


def _url(text: str, schemes: tuple[str, ...]) -> str:
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in schemes and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable:
        example = f"{schemes[-1]}://example.com"
        raise ValueError(f"must be an address such as {example}, not {text[:80]!r}")
    return text.strip()


def _socket(text: str) -> str:
    return _url(text, ("ws", "wss"))


def _service(text: str) -> str:
    return _url(text, ("http", "https")).rstrip("/")


def _store(text: str) -> str:
    scheme = text.partition(":")[0]
    if scheme not in _STORES or not text.startswith(f"{scheme}://"):
        # What comes after the scheme may hold a password.
        raise ValueError(
            "must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME, "
            f"not {scheme[:20]!r} and what follows it"
        )
    return text


def graphemes(text: str) -> int:
    """How many characters a reader sees."""
    if text.isascii():
        return len(text)
    import regex  # type: ignore[import-untyped] # takes 10 ms, and few need it

    return len(regex.findall(r"\X", text))


def _text(what: str, most: int, most_bytes: int) -> AfterValidator:
    def check(text: str) -> str:
        text = text.strip()
        if graphemes(text) > most or len(text.encode()) > most_bytes:
            raise ValueError(
                f"Bluesky takes {most} characters for {what}, this has {graphemes(text)}"
                if graphemes(text) > most
                else f"Bluesky takes {most_bytes} bytes for {what}, this has {len(text.encode())}"
            )
        return text

    return AfterValidator(check)


def _label(text: str) -> str:
    if not text or len(text.encode()) > 128:
        raise ValueError("a label has 1 to 128 bytes")
    return text


Account = Annotated[str, AfterValidator(_account)]
SocketURL = Annotated[str, AfterValidator(_socket)]
ServiceURL = Annotated[str, AfterValidator(_service)]
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


class ServiceKeys(Parameters):
    """Who serves the feeds."""

    hostname: Annotated[str, AfterValidator(_hostname)] = Field(
        description="where the app reaches this service, over https"
    )
    publisher: Account = Field(description="handle or DID of the account that owns the feeds")
    did: Annotated[str, AfterValidator(_did)] | None = Field(
        None, description="the service's DID, if it is not did:web:HOSTNAME"
    )


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

    url: SocketURL = Field(Stream.url, description="where it is, ws:// or wss://")
    compress: bool = Field(Stream.compress, description="ask for zstd, a third of the bytes")


class Firehose(_StreamKeys):
    """The firehose of a relay or of one PDS: signed commits, everything there is."""

    url: SocketURL = Field(
        "wss://bsky.network/xrpc/com.atproto.sync.subscribeRepos",
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
    display_name: Annotated[str, _text("a name", 24, 240)] = Field(
        "", description="the name in the app, at most 24 characters; else the record key"
    )
    description: Annotated[str, _text("a description", 300, 3000)] = Field(
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
    labels: tuple[Annotated[str, AfterValidator(_label)], ...] = Field(
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
    depth: int = Field(
        FeedConfig.depth, ge=1, le=2000, description="how many of its newest posts are ranked"
    )
    examples: dict[Literal["in", "out"], tuple[str, ...]] = Field(
        {},
        description="texts that it must keep (`in`) and must not keep (`out`), for `feedkit test`",
    )


class FileKeys(Parameters):
    """The whole file."""

    service: ServiceKeys = Field(description="who serves the feeds")
    store: Annotated[str, AfterValidator(_store)] = Field(
        Service.store, description="the database; what DATABASE_URL says, if this is not set"
    )
    stream: Jetstream | Firehose = Field(
        Jetstream(), description="where the network's events come from"
    )
    network: NetworkKeys | None = Field(None, description="the services of the AT Protocol to ask")
    filters: dict[str, Filter] = Field({}, description="names for parts used more than once")
    defaults: FeedKeys | None = Field(
        None, description="keys for every feed that does not have its own"
    )
    all_feeds: Filter | None = Field(None, description="a filter that every feed's posts must pass")
    feeds: dict[str, FeedKeys] = Field({}, description="the feeds, by record key")
