"""What the configuration says of a feed, as fields of its app.bsky.feed.generator record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import libipld
from atproto_client.utils.facet_detection import detect_facets, detect_mentions

from feedkit.config.names import graphemes
from feedkit.publish.errors import PublishError
from feedkit.settings import FeedConfig

COLLECTION = "app.bsky.feed.generator"
Record = dict[str, Any]

_CONTENT_MODE = "app.bsky.feed.defs#contentMode"
_FACET = "app.bsky.richtext.facet#"
_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_MOST_BYTES = 1_000_000
# What the lexicon takes for a URI; one that it does not take makes it refuse the whole record.
_URI = re.compile(r"\w+:(?://)?[^\s/]\S*", re.ASCII)


@dataclass(frozen=True)
class Picture:
    """A picture's file, its CID (that of its bytes, as a blob has it), kind and size in bytes."""

    file: Path
    cid: str
    kind: str
    size: int

    def blob(self) -> Record:
        """The picture as a field of a record."""
        return {
            "$type": "blob",
            "ref": {"$link": self.cid},
            "mimeType": self.kind,
            "size": self.size,
        }


def read_picture(file: Path) -> tuple[Picture, bytes]:
    """The picture in `file`, and its bytes. Raises `PublishError`; `feedkit check` has seen the
    file, but files change."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise PublishError(f"the picture {file} cannot be read: {error.strerror}") from error
    kind = next((kind for start, kind in _KINDS.items() if data.startswith(start)), "")
    if not kind:
        raise PublishError(f"the picture {file} is neither a PNG nor a JPEG file")
    if len(data) > _MOST_BYTES:
        raise PublishError(
            f"the picture {file} has {len(data):,} bytes, Bluesky takes {_MOST_BYTES:,}; make it "
            "smaller: 1000 × 1000 pixels are enough"
        )
    return Picture(file, blob_cid(data), kind, len(data)), data


def blob_cid(data: bytes) -> str:
    """The CID of a blob of these bytes: version 1, raw, SHA-256 (atproto.com/specs/data-model)."""
    return str(libipld.encode_cid(b"\x01\x55\x12\x20" + sha256(data).digest()))


def handles_in(text: str) -> set[str]:
    """The handles that `text` mentions, in lower case."""
    return {found.handle.lower() for found in detect_mentions(text)}


def facets(text: str, dids: Mapping[str, str]) -> list[Record]:
    """The links, hashtags and mentions in `text`, at offsets in bytes of UTF-8, in order and
    without overlaps. `dids`: those of the handles; a mention of another stays plain text."""
    found: list[tuple[int, int, Record]] = []
    for facet in detect_facets(text):
        (feature,) = facet.features
        uri, tag = getattr(feature, "uri", None), getattr(feature, "tag", None)
        if uri is not None and _URI.fullmatch(uri):
            made = {"$type": f"{_FACET}link", "uri": uri}
        elif tag is not None and graphemes(tag) <= 64 and len(tag.encode()) <= 640:
            made = {"$type": f"{_FACET}tag", "tag": tag}
        else:
            continue
        found.append((facet.index.byte_start, facet.index.byte_end, made))
    for mention in detect_mentions(text):
        did = dids.get(mention.handle.lower())
        if did:
            made = {"$type": f"{_FACET}mention", "did": did}
            found.append((mention.byte_start, mention.byte_end, made))
    found.sort(key=lambda one: one[:2])
    kept: list[Record] = []
    free = 0
    for start, end, feature in found:
        if start >= free:
            kept.append({"index": {"byteStart": start, "byteEnd": end}, "features": [feature]})
            free = end
    return kept


def wanted(
    feed: FeedConfig, did: str, dids: Mapping[str, str], picture: Picture | None, new: bool
) -> Record:
    """The fields that the record of `feed` must have; None: it must not have this one. Fields
    that are not there the configuration does not name: they stay as they are.

    `did`: the service's; `dids`: by handle, for mentions; `new`: whether there is no record yet.
    """
    made: Record = {"did": did}

    def say(key: str, field: str, value: Any) -> None:
        if new or key in feed.named:
            made[field] = value or None

    say("display_name", "displayName", feed.display_name)
    say("description", "description", feed.description)
    say("description", "descriptionFacets", facets(feed.description, dids))
    say("avatar", "avatar", picture and picture.blob())
    say("accepts_interactions", "acceptsInteractions", feed.accepts_interactions)
    mode = feed.content_mode
    say(
        "content_mode",
        "contentMode",
        "" if mode == "unspecified" else f"{_CONTENT_MODE}{mode.capitalize()}",
    )
    labels = {
        "$type": "com.atproto.label.defs#selfLabels",
        "values": [{"val": label} for label in dict.fromkeys(feed.labels)],
    }
    say("labels", "labels", feed.labels and labels)
    return made
