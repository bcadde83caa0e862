"""What plugins see: a post, who asks, and when. Frozen, pure data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NoReturn

from msgspec import Struct, convert, to_builtins
from msgspec.structs import fields

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOTHING: Mapping[str, Any] = MappingProxyType({})


class CountsUnknown(AttributeError):
    """A filter asked for the likes of a post that has just arrived."""


class FeatureUnknown(KeyError):
    """A plugin read a word that no hydrator was asked for."""

    def __str__(self) -> str:
        return str(self.args[0])


class Features(dict[str, Any]):
    """What hydrators found out of a post, by word. A word that is not there raises
    `FeatureUnknown`."""

    def __missing__(self, word: str) -> Any:
        raise FeatureUnknown(
            f'features has no {word!r}; add needs = {{"{word}"}} to the plugin that reads it, '
            "so that a hydrator is asked"
        )


UNKNOWN: Mapping[str, Any] = MappingProxyType(Features())


class Image(Struct, frozen=True, gc=False):
    """One picture of a post. `cid` names its blob; sizes are pixels, 0 where not declared."""

    alt: str = ""
    cid: str = ""
    mime: str = ""
    width: int = 0
    height: int = 0


class Video(Struct, frozen=True, gc=False):
    """The video of a post. `cid` names its blob; sizes are pixels, 0 where not declared."""

    alt: str = ""
    cid: str = ""
    mime: str = ""
    width: int = 0
    height: int = 0
    gif: bool = False


class External(Struct, frozen=True, gc=False):
    """The link card of a post."""

    uri: str
    title: str = ""
    description: str = ""


class Counts(Struct, frozen=True, gc=False):
    """How often a post was liked, reposted, answered and quoted, as far as feedkit follows it."""

    likes: int = 0
    reposts: int = 0
    replies: int = 0
    quotes: int = 0


class Vote(Struct, frozen=True, gc=False):
    """A like, repost, reply or quote of a post, `kind` says which, by `actor` (DID), at the time
    `at` that the network saw it; 1970 where feedkit did not note the time yet."""

    actor: str
    kind: str
    at: datetime


class Post(Struct, frozen=True, kw_only=True, gc=False):
    """A post, in the words of the app.bsky.feed.post lexicon. Nothing in it is ever missing:
    what a post does not have is an empty text, tuple or set; only `video` and `external` are
    None where there is none.

    `author`, `mentions`: DIDs. `quote`, `reply_parent`, `reply_root`: at:// URIs.
    `tags`, `labels`, `langs`: as declared by the author; tags without `#`, case-folded.
    `links`: http(s) URLs of the text's facets and of the link card. `domains`: their hosts
    without `www.`, and every domain above (`docs.python.org` gives `python.org` too).
    `created_at`: what the author's app claims (`seen_at` where it claims nonsense); `seen_at`:
    when the network saw it; `sort_at`: the earlier of both, what everything is ordered by.
    `original_url`: where the post was written, of one that a bridge brought.
    `features`: what hydrators found out. `votes`: the newest first, only when a feed is ranked by
    a plugin with `needs = {"likes", "voters"}`, and of the kinds only that it needs; not all of
    them where there are very many.
    """

    uri: str
    author: str = ""
    cid: str = ""
    text: str = ""
    langs: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    links: tuple[str, ...] = ()
    domains: frozenset[str] = frozenset()
    mentions: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    images: tuple[Image, ...] = ()
    gallery: bool = False
    video: Video | None = None
    external: External | None = None
    quote: str = ""
    reply_parent: str = ""
    reply_root: str = ""
    original_url: str = ""
    created_at: datetime = EPOCH
    seen_at: datetime = EPOCH
    sort_at: datetime = EPOCH
    counts: Counts | None = None
    features: Mapping[str, Any] = UNKNOWN
    votes: tuple[Vote, ...] = ()

    def __hash__(self) -> int:
        return hash(self.uri)

    @property
    def likes(self) -> int:
        return self.counts.likes if self.counts is not None else self._unknown("likes")

    @property
    def reposts(self) -> int:
        return self.counts.reposts if self.counts is not None else self._unknown("reposts")

    @property
    def replies(self) -> int:
        return self.counts.replies if self.counts is not None else self._unknown("replies")

    @property
    def quotes(self) -> int:
        return self.counts.quotes if self.counts is not None else self._unknown("quotes")

    def _unknown(self, name: str) -> NoReturn:
        raise CountsUnknown(
            f"a post has no {name} when it arrives, so a filter cannot ask for them; "
            "use the selector at_least, which looks when the feed is ranked"
        )


def as_mapping(post: Post) -> dict[str, Any]:
    """What `post` says of itself, in values that JSON knows; without counts and features."""
    left_out = ("counts", "features", "votes")
    return {
        field.name: to_builtins(value)
        for field in fields(Post)
        if field.name not in left_out and (value := getattr(post, field.name)) != field.default
    }


def from_mapping(mapping: Mapping[str, Any]) -> Post:
    """The reverse of `as_mapping`."""
    return convert(mapping, Post)


class Liked(Struct, frozen=True, gc=False):
    """A post that the viewer liked, or asked for more or less of. `author`: a DID."""

    uri: str
    author: str
    at: datetime


class CoLike(Struct, frozen=True, gc=False):
    """A like, at the time `at`, by somebody who liked `shared` of the posts that the viewer
    liked, and `likes` posts that are stored in all."""

    actor: str
    at: datetime
    shared: int
    likes: int


class Viewer(Struct, frozen=True, kw_only=True, gc=False):
    """Who is asking for a feed. Of all but `did` only that is there which the feed's plugins
    need: `needs = {"viewer.follows"}`, and so on.

    `follows`, `followers`: DIDs. `likes`: of stored posts, newest first. `seen`: the URIs of posts
    that the app says were shown. `more`, `less`: what the viewer asked for more or less of, newest
    first. `co_likes`: by URI, likes of those who like what the viewer likes.
    """

    did: str
    follows: frozenset[str] = frozenset()
    followers: frozenset[str] = frozenset()
    likes: tuple[Liked, ...] = ()
    seen: frozenset[str] = frozenset()
    more: tuple[Liked, ...] = ()
    less: tuple[Liked, ...] = ()
    co_likes: Mapping[str, tuple[CoLike, ...]] = MappingProxyType({})

    @property
    def mutuals(self) -> frozenset[str]:
        """Those who follow the viewer and are followed back (DIDs). Needs both."""
        return self.follows & self.followers


class Request(Struct, frozen=True, kw_only=True, gc=False):
    """What a ranker or selector may know of the moment: the clock, who asks (None: anyone), and
    which languages the app asks for (BCP 47, lower case, the preferred first). `feeds`: the posts
    of the feeds that selectors mix in, best first, by the feed's name."""

    now: datetime
    viewer: Viewer | None = None
    languages: tuple[str, ...] = ()
    feeds: Mapping[str, Sequence[Post]] = NOTHING
