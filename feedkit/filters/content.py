"""Filters by what a post carries: media, links, labels."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Literal

from feedkit.addresses import Site, ascii_host, unicode_host
from feedkit.links import host_of, path_of
from feedkit.plugin import Field, Filter, Key
from feedkit.post import Post

Medium = Literal["image", "gallery", "video", "gif", "link"]

# The app's picker of moving pictures embeds them as link cards to these hosts.
_GIF_HOSTS = frozenset({"media.tenor.com", "static.klipy.com", "media.giphy.com"})


def media(post: Post) -> dict[Medium, int]:
    """How many of each kind of media `post` carries. A GIF is neither video nor link card,
    whichever of both the author's app made of it."""
    found: dict[Medium, int] = {}
    if post.images:
        found["image"] = len(post.images)
        if post.gallery:
            found["gallery"] = len(post.images)
    if post.video is not None:
        found["gif" if post.video.gif else "video"] = 1
    if post.external is not None:
        gif = host_of(post.external.uri) in _GIF_HOSTS
        found["gif" if gif else "link"] = 1
    return found


class HasMedia(Filter):
    """Posts with media: `image`, `gallery` (pictures posted as one), `video`, `gif`, `link` (a
    link card). Without a kind: any picture, video or GIF.

    ```yaml
    has_media: {kinds: image, least: 2}
    ```
    """

    kinds: frozenset[Medium] = Field(
        default=frozenset({"image", "video", "gif"}),
        min_length=1,
        description="image, gallery, video, gif, link: one of these must be there",
    )
    least: int = Field(default=1, ge=1, description="how many at least, of one kind")
    most: int | None = Field(default=None, ge=1, description="how many at most, of that kind")

    def match(self, post: Post) -> bool:
        return bool(self._found(post))

    def explain(self, post: Post) -> str:
        return ", ".join(f"{number} {kind}" for kind, number in self._found(post).items())

    def _found(self, post: Post) -> dict[Medium, int]:
        return {
            kind: number
            for kind, number in media(post).items()
            if kind in self.kinds
            and self.least <= number
            and (self.most is None or number <= self.most)
        }


class LinksTo(Filter):
    """Posts that link to one of these sites, in the text or by a link card. A site takes all its
    subdomains; with a path, only addresses below it.

    ```yaml
    links_to: [ebird.org, github.com/python]
    ```
    """

    sites: frozenset[Site] = Field(
        min_length=1, description="domain names; addresses pasted from a browser will do"
    )

    def match(self, post: Post) -> bool:
        return any(self._links(post, site) for site in self._forms)

    def keys(self) -> AbstractSet[Key]:
        return {("domain", host) for host, _ in self._forms}

    def explain(self, post: Post) -> str:
        found = [site for site in self._forms if self._links(post, site)]
        return ", ".join(sorted({unicode_host(host) + path for host, path in found}))

    @cached_property
    def _forms(self) -> frozenset[tuple[str, str]]:
        return hosts_and_paths(self.sites)

    def _links(self, post: Post, site: tuple[str, str]) -> bool:
        host, path = site
        if host not in post.domains:
            return False
        return not path or any(below(link, host, path) for link in post.links)


def hosts_and_paths(sites: Iterable[str]) -> frozenset[tuple[str, str]]:
    """(host, path) of each site; a host that is not ASCII in both of its spellings."""
    pairs = (site.partition("/") for site in sites)
    return frozenset(
        (form, slash + path)
        for host, slash, path in pairs
        for form in (ascii_host(host), unicode_host(host))
    )


def below(link: str, host: str, path: str) -> bool:
    """Whether `link` leads to `host` or a subdomain, and to `path` or below it."""
    linked = host_of(link)
    if linked != host and not linked.endswith(f".{host}"):
        return False
    # Without a slash at its end, /python must not take /pythonista.
    return f"{path_of(link)}/".startswith(f"{path}/")


class Labelled(Filter):
    """Posts that their author labelled, such as `porn`, `nudity`, `graphic-media`, `spoiler`.

    ```yaml
    not: {labelled: [porn, sexual, nudity, graphic-media]}
    ```
    """

    labels: frozenset[str] = Field(
        default=frozenset(), description="one of these labels; without: any label"
    )

    def match(self, post: Post) -> bool:
        if self.labels:
            return not self.labels.isdisjoint(post.labels)
        return bool(post.labels)

    def explain(self, post: Post) -> str:
        return ", ".join(sorted(post.labels & self.labels if self.labels else post.labels))
