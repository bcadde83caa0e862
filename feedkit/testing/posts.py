"""Posts, viewers and requests in one line."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from feedkit.duration import parse_duration
from feedkit.links import domains_of, host_of
from feedkit.post import (
    CoLike,
    Counts,
    External,
    Features,
    Image,
    Liked,
    Post,
    Request,
    Video,
    Viewer,
    Vote,
)  # fmt: skip
from feedkit.text import normalise

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)  # a Thursday noon: the clock of every test
ALICE = "did:plc:aliceaaaaaaaaaaaaaaaaaaa"  # the author of a post that names none
BOB = "did:plc:bobbbbbbbbbbbbbbbbbbbbbb"

Wishes = Iterable[Post | str] | Mapping[Post | str, str | timedelta]

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
    votes: str | Iterable[str | Vote] = (),
    **more: Any,
) -> Post:
    """A post. What is not given, it does not have; `more` are fields of `Post`.

    `#tags` and links in `text` are taken as the author's app would. `age`: how long before
    `NOW` it was sorted, such as 20m, 2h, 3d. `images`: their descriptions, or how many without.
    `video`: True, its description, or a `Video`. `link_card`: an address, or an `External`.
    `quote`, `reply_to`: a post or its address. `votes`: who liked it, or `vote(…)`; they count
    among its likes, reposts …. Without any of `likes`, `reposts`, `replies`, `quotes` and `votes`
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
    given_votes = (votes,) if isinstance(votes, str) else votes
    cast = [one if isinstance(one, Vote) else vote(one) for one in given_votes]
    if cast or any(count is not None for count in (likes, reposts, replies, quotes)):
        of = Counter(one.kind for one in cast)
        given = {"like": likes, "repost": reposts, "reply": replies, "quote": quotes}
        more["counts"] = Counts(*(max(count or 0, of[kind]) for kind, count in given.items()))
        more["votes"] = tuple(sorted(cast, key=lambda one: one.at, reverse=True))
    if "features" in more:
        more["features"] = Features(more["features"])
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


def vote(by: str, kind: str = "like", age: str | timedelta = "0s") -> Vote:
    """A vote by the account `by`: a like, repost, reply or quote, so long before `NOW`."""
    return Vote(by, kind, NOW - (age if isinstance(age, timedelta) else parse_duration(age)))


def viewer(
    did: str = BOB,
    *,
    follows: str | Iterable[str] = (),
    followers: str | Iterable[str] = (),
    likes: Wishes = (),
    seen: Iterable[Post | str] = (),
    more: Wishes = (),
    less: Wishes = (),
    co_likes: Mapping[Post | str, CoLike | Iterable[CoLike]] | None = None,
) -> Viewer:
    """Somebody who asks for a feed. What is not given, they do not have.

    Posts may be given as their addresses. `likes`, `more`, `less`: posts that were liked, or of
    which more or less was asked for, at `NOW`; as a mapping, each with how long ago that was, such
    as `{one: "2h", other: "3d"}`. `co_likes`: likes for a post by those who like the same.
    """
    return Viewer(
        did=did,
        follows=frozenset(_several(follows)),
        followers=frozenset(_several(followers)),
        likes=_wishes(likes),
        seen=frozenset(map(_address, seen)),
        more=_wishes(more),
        less=_wishes(less),
        co_likes={
            _address(liked): (likes,) if isinstance(likes, CoLike) else tuple(likes)
            for liked, likes in (co_likes or {}).items()
        },
    )


def _address(liked: Post | str) -> str:
    return liked.uri if isinstance(liked, Post) else liked


def _wishes(several: Wishes) -> tuple[Liked, ...]:
    ages = several if isinstance(several, Mapping) else dict.fromkeys(several, timedelta(0))
    wishes = [
        Liked(
            _address(liked),
            liked.author if isinstance(liked, Post) else liked.split("/")[2],
            NOW - (age if isinstance(age, timedelta) else parse_duration(age)),
        )
        for liked, age in ages.items()
    ]
    return tuple(sorted(wishes, key=lambda wish: wish.at, reverse=True))


def request(
    now: datetime = NOW, viewer: Viewer | None = None, languages: str | Iterable[str] = ()
) -> Request:
    """The moment at which a feed is ranked, by default the one from which `age` counts; with who
    asks, and the languages that the app asks for."""
    return Request(now=now, viewer=viewer, languages=_several(languages))


def _several(values: str | Iterable[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _images(images: int | str | Iterable[str | Image]) -> tuple[Image, ...]:
    if isinstance(images, int):
        return (Image(),) * images
    given = (images,) if isinstance(images, str) else images
    return tuple(image if isinstance(image, Image) else Image(alt=image) for image in given)
