"""Selectors that put chosen posts at fixed places."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator

from feedkit.addresses import PostAddress
from feedkit.plugin import Field, Pinned, Selector
from feedkit.post import Request


def _zoned(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_zoned)]


class Pin(Selector):
    """Puts one post at a fixed place of the first page, whatever was ranked. Where the ranking
    has it too, it is shown only at that place; the posts from there on move down by one.

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
