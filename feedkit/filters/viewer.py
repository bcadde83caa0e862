"""Filters by who asks: whom the viewer follows, what they have seen, what they want less of. A new
one is a class here and a name in `VIEWER_FILTERS`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from feedkit.plugin import Field
from feedkit.post import Liked, Post, Viewer
from feedkit.posts import places_by
from feedkit.times import Period
from feedkit.viewing import ViewerFilter


class Follows(ViewerFilter):
    """Posts by those whom the viewer follows, and, as in the app's Following, the viewer's own.
    At most the newest 10,000 follows are known, as they were up to six hours ago.

    ```yaml
    follows: {own: false}
    ```
    """

    own: bool = Field(default=True, description="whether the viewer's own posts are shown too")

    @property
    def needs(self) -> AbstractSet[str]:
        return {"viewer.follows"}

    def keep(self, post: Post, viewer: Viewer) -> bool:
        return post.author in viewer.follows or (self.own and post.author == viewer.did)

    def keep_many(self, posts: Sequence[Post], viewer: Viewer) -> list[bool]:
        theirs = self.authors(viewer)
        return [post.author in theirs for post in posts]

    def authors(self, viewer: Viewer) -> AbstractSet[str]:
        return _with_own(viewer.follows, viewer, self.own)


class Followers(ViewerFilter):
    """Posts by those who follow the viewer: at most the newest 10,000 are known, as they were up to
    six hours ago.

    ```yaml
    followers
    ```
    """

    own: bool = Field(default=False, description="whether the viewer's own posts are shown too")

    @property
    def needs(self) -> AbstractSet[str]:
        return {"viewer.followers"}

    def keep(self, post: Post, viewer: Viewer) -> bool:
        return post.author in viewer.followers or (self.own and post.author == viewer.did)

    def authors(self, viewer: Viewer) -> AbstractSet[str]:
        return _with_own(viewer.followers, viewer, self.own)


class Mutuals(ViewerFilter):
    """Posts by those who follow the viewer and whom the viewer follows back: of each at most the
    newest 10,000 are known, as they were up to six hours ago.

    ```yaml
    mutuals
    ```
    """

    own: bool = Field(default=False, description="whether the viewer's own posts are shown too")

    @property
    def needs(self) -> AbstractSet[str]:
        return {"viewer.follows", "viewer.followers"}

    def keep(self, post: Post, viewer: Viewer) -> bool:
        both = post.author in viewer.follows and post.author in viewer.followers
        return both or (self.own and post.author == viewer.did)

    def authors(self, viewer: Viewer) -> AbstractSet[str]:
        return _with_own(viewer.mutuals, viewer, self.own)


def _with_own(authors: AbstractSet[str], viewer: Viewer, own: bool) -> AbstractSet[str]:
    return authors | {viewer.did} if own else authors


class Mentioned(ViewerFilter):
    """Posts that mention the viewer.

    ```yaml
    mentioned
    ```
    """

    def keep(self, post: Post, viewer: Viewer) -> bool:
        return viewer.did in post.mentions

    def mentioned(self, viewer: Viewer) -> str:
        return viewer.did


class HideSeen(ViewerFilter):
    """Leaves out posts that the app says were on the viewer's screen, which it says only of feeds
    with `accepts_interactions: yes`. What is seen while somebody scrolls is gone when the feed is
    opened anew. The newest 5,000 of the last seven days are remembered.

    ```yaml
    hide_seen
    ```
    """

    @property
    def needs(self) -> AbstractSet[str]:
        return {"viewer.seen"}

    def keep(self, post: Post, viewer: Viewer) -> bool:
        return post.uri not in viewer.seen

    def keep_many(self, posts: Sequence[Post], viewer: Viewer) -> list[bool]:
        seen = viewer.seen
        return [post.uri not in seen for post in posts]


class HideRepliesToStrangers(ViewerFilter):
    """Leaves out replies to people whom the viewer does not follow. Replies to the viewer stay, and
    so do the viewer's own.

    ```yaml
    hide_replies_to_strangers
    ```
    """

    @property
    def needs(self) -> AbstractSet[str]:
        return {"viewer.follows"}

    def keep(self, post: Post, viewer: Viewer) -> bool:
        if not post.reply_parent or post.author == viewer.did:
            return True
        answered = post.reply_parent.removeprefix("at://").partition("/")[0]
        return answered == viewer.did or answered in viewer.follows


class NotInterested(ViewerFilter):
    """Leaves out posts of which the viewer asked to see less («show less like this»), and all posts
    of an author once that was asked of `after` different ones. A wish counts against what the
    author posts up to `within` after it. The app offers it for feeds with
    `accepts_interactions: yes`.

    Source: Graze hides an author after five.

    ```yaml
    not_interested: {after: 5, within: 90d}
    ```
    """

    after: int = Field(default=5, ge=1, description="after how many posts their author is hidden")
    within: Period = Field(default=timedelta(days=90), description="how long a wish counts")

    @property
    def needs(self) -> AbstractSet[str]:
        return {"viewer.less"}

    def keep(self, post: Post, viewer: Viewer) -> bool:
        return self.keep_many([post], viewer)[0]

    def keep_many(self, posts: Sequence[Post], viewer: Viewer) -> list[bool]:
        if not viewer.less:
            return [True] * len(posts)
        by_author = _by_author(viewer.less)
        kept = [True] * len(posts)
        for place in places_by(posts, by_author.keys()):
            kept[place] = self._bears(posts[place], by_author[posts[place].author])
        return kept

    def _bears(self, post: Post, wishes: Mapping[str, datetime]) -> bool:
        """Whether a post is shown in spite of these wishes for less of its author's."""
        if post.uri in wishes:
            return False
        # The author is hidden as long as the `after`-th wish, counted from the last, counts.
        return len(wishes) < self.after or (
            post.sort_at - sorted(wishes.values())[-self.after] > self.within
        )


def _by_author(wishes: tuple[Liked, ...]) -> Mapping[str, Mapping[str, datetime]]:
    """When a wish was last made of a post, by its author and URI."""
    by_author: dict[str, dict[str, datetime]] = defaultdict(dict)
    for wish in sorted(wishes, key=lambda wish: wish.at):
        by_author[wish.author][wish.uri] = wish.at
    return by_author


class AnyOf(ViewerFilter):
    """Posts that at least one of several viewer filters keeps.

    ```yaml
    any_of: [mutuals, mentioned]
    ```
    """

    filters: tuple[ViewerFilter, ...] = Field(
        min_length=1, description="the viewer filters, one of which must keep"
    )

    def keep(self, post: Post, viewer: Viewer) -> bool:
        return any(part.keep(post, viewer) for part in self.filters)

    def alternatives(self, viewer: Viewer) -> Sequence[tuple[AbstractSet[str] | None, str | None]]:
        return [pair for part in self.filters for pair in part.alternatives(viewer)]


class NoneOf(ViewerFilter):
    """Posts that none of several viewer filters keeps.

    ```yaml
    none_of: follows
    ```
    """

    filters: tuple[ViewerFilter, ...] = Field(
        min_length=1, description="the viewer filters, none of which may keep"
    )

    def keep(self, post: Post, viewer: Viewer) -> bool:
        return not any(part.keep(post, viewer) for part in self.filters)


VIEWER_FILTERS: tuple[type[ViewerFilter], ...] = (
    Follows, Followers, Mutuals, Mentioned, HideSeen, HideRepliesToStrangers, NotInterested,
    AnyOf, NoneOf,
)  # fmt: skip
