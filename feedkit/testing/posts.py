"""Posts, viewers and requests in one line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from feedkit.duration import parse_duration
from feedkit.post import Counts, External, Image, Post, Request, Video, Viewer
from feedkit.sources.links import domains_of, host_of
from feedkit.text import normalise

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)  # a Thursday noon: the clock of every test
ALICE = "did:plc:aliceaaaaaaaaaaaaaaaaaaa"  # the author of a post that names none
BOB = "did:plc:bobbbbbbbbbbbbbbbbbbbbbb"

_numbers = itertools.count(1)
_TAG = re.compile(r"(?<![\w#＃])[#＃]((?!\d+\b)\w+)")
_LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]]")


def post(
    text: str = "",
    *,
    age: str | timedelta = "0s",
    tags: str | Iterable[str] = (),
    links: str | Iterable[str] = (),
    langs: str | Iterable[str] = (),
    labels: str | Iterable[str] = (),
    mentions: str | Iterable[str] = (),
    images: int | str | Iterable[str | Image] = (),
    video: bool | str | Video = False,
    gif: bool = False,
    link_card: str | External | None = None,
    quote: Post | str = "",
    reply_to: Post | str = "",
    likes: int | None = None,
    reposts: int | None = None,
    replies: int | None = None,
    quotes: int | None = None,
    **more: Any,
) -> Post:
    """A post. What is not given, it does not have; `more` are fields of `Post`.

    `#tags` and links in `text` are taken as the author's app would. `age`: how long before
    `NOW` it was sorted, such as 20m, 2h, 3d. `images`: their descriptions, or how many without.
    `video`: True, its description, or a `Video`. `link_card`: an address, or an `External`.
    `quote`, `reply_to`: a post or its address. Without `likes`, `reposts`, `replies` or `quotes`
    it has no counts, as when it arrives: filters never see any.
    """
    author = more.setdefault("author", ALICE)
    more.setdefault("uri", f"at://{author}/app.bsky.feed.post/{next(_numbers):013d}")
    sort_at = NOW - (age if isinstance(age, timedelta) else parse_duration(age))
    for name in ("created_at", "seen_at", "sort_at"):
        more.setdefault(name, sort_at)
    card = External(uri=link_card) if isinstance(link_card, str) else link_card
    addresses = [*_several(links), *_LINK.findall(text), *([card.uri] if card else [])]
    hosts = filter(None, map(host_of, addresses))
    more.setdefault("domains", frozenset().union(*map(domains_of, hosts)))
    if isinstance(reply_to, Post):
        more.setdefault("reply_parent", reply_to.uri)
        more.setdefault("reply_root", reply_to.reply_root or reply_to.uri)
    elif reply_to:
        more.setdefault("reply_parent", reply_to)
        more.setdefault("reply_root", reply_to)
    if video or gif:
        shown = (
            video if isinstance(video, Video) else Video(video if isinstance(video, str) else "")
        )
        more["video"] = Video(shown.alt, shown.cid, shown.mime, shown.width, shown.height, gif)
    if any(count is not None for count in (likes, reposts, replies, quotes)):
        more["counts"] = Counts(likes or 0, reposts or 0, replies or 0, quotes or 0)
    return Post(
        text=text,
        langs=_several(langs),
        tags=frozenset(
            normalise(tag).removeprefix("#") for tag in (*_several(tags), *_TAG.findall(text))
        ),
        links=tuple(dict.fromkeys(addresses)),
        mentions=frozenset(_several(mentions)),
        labels=frozenset(_several(labels)),
        images=_images(images),
        external=card,
        quote=quote.uri if isinstance(quote, Post) else quote,
        **more,
    )


def viewer(did: str = BOB) -> Viewer:
    """Somebody who asks for a feed."""
    return Viewer(did=did)


def request(now: datetime = NOW, viewer: Viewer | None = None) -> Request:
    """The moment at which a feed is ranked, by default the one from which `age` counts."""
    return Request(now=now, viewer=viewer)


def _several(values: str | Iterable[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _images(images: int | str | Iterable[str | Image]) -> tuple[Image, ...]:
    if isinstance(images, int):
        return (Image(),) * images
    given = (images,) if isinstance(images, str) else images
    return tuple(image if isinstance(image, Image) else Image(alt=image) for image in given)
