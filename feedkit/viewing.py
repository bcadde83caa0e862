"""Filters that look at who asks; and all kinds of plugins that there are."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

from feedkit.plugin import Filter, Hydrator, Plugin, Ranker, Selector
from feedkit.post import Post, Viewer


class ViewerFilter(Plugin):
    """Says of one post whether it is for this viewer. It is asked when somebody who is signed in
    opens the feed; `needs` says what of the viewer it reads: `needs = {"viewer.follows"}`."""

    kind = "viewer_filter"

    def keep(self, post: Post, viewer: Viewer) -> bool:
        """Whether `post` is shown to `viewer`. Must return True or False."""
        raise NotImplementedError(f"{type(self).__name__} has no keep(self, post, viewer)")

    def keep_many(self, posts: Sequence[Post], viewer: Viewer) -> list[bool]:
        """`keep` for several posts at once, where that is cheaper: it is asked about a thousand."""
        return [self.keep(post, viewer) for post in posts]

    def authors(self, viewer: Viewer) -> AbstractSet[str] | None:
        """«It keeps posts of these authors (DIDs) only», or None: of anybody. The store looks for
        them before the newest posts are taken, so that rare authors are not missed."""
        return None

    def mentioned(self, viewer: Viewer) -> str | None:
        """«It keeps posts only in which this DID stands», or None. As `authors`."""
        return None

    def alternatives(self, viewer: Viewer) -> Sequence[tuple[AbstractSet[str] | None, str | None]]:
        """What `authors` and `mentioned` say; several such pairs where a post that fits one of
        them may be kept."""
        return [(self.authors(viewer), self.mentioned(viewer))]


Kind = Literal["filter", "viewer_filter", "ranker", "selector", "hydrator"]
KINDS: dict[str, type[Plugin]] = {
    "filter": Filter, "viewer_filter": ViewerFilter, "ranker": Ranker, "selector": Selector,
    "hydrator": Hydrator,
}  # fmt: skip


def kind_text(kind: str) -> str:
    """What messages call a kind of plugin."""
    return kind.replace("_", " ")
