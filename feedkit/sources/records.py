"""A post's record, as anybody may have written it, as a `Post`. Both streams come through here.

What the lexicon requires must be there, else the network's own index refuses the record too and
a feed that listed it would have a hole. Everything optional is taken if it is good and left out
if it is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from libipld import encode_cid

from feedkit.links import domains_of, host_of, is_link
from feedkit.post import EPOCH, External, Image, Post, Video
from feedkit.sources.syntax import is_did, is_post_uri, moment, parse_moment
from feedkit.text import normalise

POST = "app.bsky.feed.post"
_POST_MAIN = f"{POST}#main"
_FACET = "app.bsky.richtext.facet"
_LINK, _TAG, _MENTION = f"{_FACET}#link", f"{_FACET}#tag", f"{_FACET}#mention"
LONGEST_TEXT = 3000  # bytes, app.bsky.feed.post
LONGEST_TAG = 640  # bytes, the same


class BadRecord(ValueError):
    """A record that is no post; the message says why."""


def post_from_record(did: str, rkey: str, cid: str, record: Any, seen_us: int) -> Post:
    """The post that `record` (decoded from JSON or DAG-CBOR) describes.

    `did`, `rkey` are checked by the caller. `seen_us`: when the network saw it, microseconds
    since 1970. Raises BadRecord.
    """
    if not isinstance(record, dict):
        raise BadRecord("there is no record")
    if record.get("$type") not in (POST, _POST_MAIN):
        raise BadRecord(f"its $type is not {POST}")
    text = record.get("text")
    if not isinstance(text, str):
        raise BadRecord("it has no text")
    if len(text) * 4 > LONGEST_TEXT and len(text.encode()) > LONGEST_TEXT:
        raise BadRecord(f"its text is longer than {LONGEST_TEXT:,} bytes")
    claimed = record.get("createdAt")
    if not isinstance(claimed, str):
        raise BadRecord("it does not say when it was created")
    seen = moment(seen_us)
    created = parse_moment(claimed)
    if created is None:
        created = seen
    elif created < EPOCH:
        created = EPOCH

    more: dict[str, Any] = {}
    links: list[str] = []
    tags = _tags(_list(record.get("tags")))
    mentions: set[str] = set()
    for feature in _features(_list(record.get("facets")), text):
        kind = feature.get("$type")
        if kind == _LINK:
            links.append(_text(feature.get("uri")))
        elif kind == _TAG:
            tags |= _tags([feature.get("tag")])
        elif kind == _MENTION:
            mentions.add(_text(feature.get("did")))
    if mentions:
        more["mentions"] = frozenset(filter(is_did, mentions))
    if isinstance(embed := record.get("embed"), dict):
        more.update(_embed(embed))
        if card := more.get("external"):
            links.append(card.uri)
    if links := [link for link in dict.fromkeys(links) if is_link(link)]:
        more["links"] = tuple(links)
        hosts = {host for link in links if (host := host_of(link))}
        more["domains"] = frozenset().union(*map(domains_of, hosts))
    if tags:
        more["tags"] = frozenset(tags)
    if isinstance(reply := record.get("reply"), dict):
        more["reply_parent"] = _post_uri(reply.get("parent"))
        more["reply_root"] = _post_uri(reply.get("root"))
    if isinstance(labels := record.get("labels"), dict):
        values = (_text(_dict(label).get("val")) for label in _list(labels.get("values")))
        more["labels"] = frozenset(value for value in values if value)
    # Bridgy Fed and Wafrn name the post on the other side.
    if original := record.get("bridgyOriginalUrl") or record.get("fediverseId"):
        original = _text(original)
        more["original_url"] = original if is_link(original) else ""
    return Post(
        uri=f"at://{did}/{POST}/{rkey}",
        author=did,
        cid=_text(cid),
        text=_text(text),
        langs=tuple(filter(None, map(_text, _list(record.get("langs"))))),
        created_at=created,
        seen_at=seen,
        sort_at=min(created, seen),
        **more,
    )


def _features(facets: list[Any], text: str) -> Iterator[dict[str, Any]]:
    """The features of the facets whose range is one: apps do not show the others. Offsets count
    the bytes of the text as its author wrote it."""
    raw = text.encode() if facets else b""
    for facet in facets:
        facet = _dict(facet)
        index = _dict(facet.get("index"))
        start, end = index.get("byteStart"), index.get("byteEnd")
        if type(start) is not int or type(end) is not int or not 0 <= start < end:
            continue
        if _inside(raw, start) or _inside(raw, end):
            continue
        yield from (feature for feature in _list(facet.get("features")) if type(feature) is dict)


def _inside(raw: bytes, offset: int) -> bool:
    """Whether `offset` falls into the middle of a character."""
    return offset < len(raw) and raw[offset] & 0xC0 == 0x80


def _embed(embed: dict[str, Any]) -> dict[str, Any]:
    """What a post carries, as fields of Post."""
    kind = embed.get("$type")
    if kind == "app.bsky.embed.images":
        return {"images": tuple(map(_image, filter(_is_dict, _list(embed.get("images")))))}
    if kind == "app.bsky.embed.gallery":
        items = tuple(map(_image, filter(_is_dict, _list(embed.get("items")))))
        return {"images": items, "gallery": True}
    if kind == "app.bsky.embed.video":
        gif = embed.get("presentation") == "gif"
        return {"video": Video(*_media(embed, embed.get("video")), gif)}
    if kind == "app.bsky.embed.external":
        card = _dict(embed.get("external"))
        uri, title, description = (_text(card.get(k)) for k in ("uri", "title", "description"))
        return {"external": External(uri if is_link(uri) else "", title, description)}
    if kind == "app.bsky.embed.record":
        return {"quote": _post_uri(embed.get("record"))}
    if kind == "app.bsky.embed.recordWithMedia":
        media = _dict(embed.get("media"))
        found = {} if media.get("$type") == kind else _embed(media)
        return found | {"quote": _post_uri(_dict(embed.get("record")).get("record"))}
    return {}


def _image(item: dict[str, Any]) -> Image:
    return Image(*_media(item, item.get("image")))


def _media(item: dict[str, Any], blob: Any) -> tuple[str, str, str, int, int]:
    """alt, cid, mime, width, height. Old blobs are `{cid, mimeType}` or the CID alone."""
    if isinstance(blob, dict):
        cid = _cid(blob.get("ref", blob.get("cid")))
        mime = _text(blob.get("mimeType"))
    else:
        cid, mime = _cid(blob), ""
    ratio = _dict(item.get("aspectRatio"))
    return _text(item.get("alt")), cid, mime, _size(ratio.get("width")), _size(ratio.get("height"))


def _cid(ref: Any) -> str:
    """A blob's CID: bytes in DAG-CBOR, `{"$link": …}` in JSON."""
    if isinstance(ref, bytes):
        try:
            return encode_cid(ref)
        except ValueError:
            return ""
    return _text(ref.get("$link") if isinstance(ref, dict) else ref)


def _size(pixels: Any) -> int:
    return pixels if type(pixels) is int and 0 < pixels < 2**31 else 0


def _tags(values: list[Any]) -> set[str]:
    found = set()
    for value in values:
        if tag := _text(value):
            if len(tag) > LONGEST_TAG:
                continue
            tag = normalise(tag).strip().removeprefix("#")
            if tag:
                found.add(tag)
    return found


def _post_uri(ref: Any) -> str:
    """The URI of a reference to a post; references to lists, feeds, packs and nonsense are ""."""
    uri = ref.get("uri") if isinstance(ref, dict) else None
    return uri if isinstance(uri, str) and is_post_uri(uri) else ""


def _text(value: Any) -> str:
    """`value` if it is text, without NUL: PostgreSQL cannot store one."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "") if "\0" in value else value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)
