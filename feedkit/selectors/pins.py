"""Selectors that put chosen posts at fixed places."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from feedkit.addresses import PostAddress
from feedkit.chance import fraction
from feedkit.parameters import Parameters
from feedkit.plugin import Field, Pinned, Selector
from feedkit.post import Request
from feedkit.times import Moment, Period, turn


class Pin(Selector):
    """Puts one post at a fixed place of the feed, whatever was ranked; at its end, where that is
    shorter. Where the ranking has it too, it is shown only at that place; the posts from there on
    move down by one. Of several pins at one place the first has it, the next follow.

    ```yaml
    pin:
      post: at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3l3qo2vuowo2b
      at: 1
      until: 2027-01-31
    ```
    """

    post: PostAddress = Field(description="the post's at:// address, or its bsky.app page")
    at: int = Field(default=1, ge=1, le=100, description="the place, from 1, the top")
    until: Moment | None = Field(
        default=None, description="when it goes: a date or a time, UTC unless it names a zone"
    )

    def pins(self, request: Request) -> Iterable[Pinned]:
        if self.until is None or request.now < self.until:
            yield Pinned(uri=self.post, at=self.at)


class RotatedPost(Parameters):
    """A post that takes turns with others."""

    post: PostAddress = Field(description="the post's at:// address, or its bsky.app page")
    weight: float = Field(
        default=1.0, gt=0, allow_inf_nan=False, description="how often, against the others"
    )


class Rotate(Selector):
    """Several posts take turns at one place of the feed. Each turn lasts `every`; which post has it
    is drawn by weight; with `one_in: 10`, nine of ten turns show none. The posts from that place on
    move down by one.

    ```yaml
    rotate:
      posts:
        - {post: at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3l3qo2vuowo2b}
        - {post: at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3l6oveex3ii2l, weight: 2}
      at: 3
      one_in: 2
    ```
    """

    posts: tuple[RotatedPost, ...] = Field(min_length=1, description="the posts, with weights")
    at: int = Field(default=1, ge=1, le=100, description="the place, from 1, the top")
    one_in: int = Field(default=1, ge=1, description="of how many turns one shows a post")
    every: Period = Field(default=timedelta(minutes=15), description="how long a turn lasts")

    def pins(self, request: Request) -> Iterable[Pinned]:
        now = turn(request.now, self.every)
        seed = self.posts[0].post
        if fraction("rotate", seed, now) * self.one_in >= 1:
            return
        drawn = fraction("rotated", seed, now) * sum(post.weight for post in self.posts)
        for rotated in self.posts:
            drawn -= rotated.weight
            if drawn < 0:
                break
        yield Pinned(uri=rotated.post, at=self.at)
