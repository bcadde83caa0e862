"""What happens on the network, as far as feeds care. Sources make these; the store folds them.

`gc=False`: an event cannot hold itself, so the garbage collector need not look at it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from feedkit.post import Post

Engagement = Literal["like", "repost", "reply", "quote"]


class PostWritten(Struct, frozen=True, gc=False):
    """A post was created, or its record was replaced (`created` is False)."""

    post: Post
    rev: str
    created: bool
    time: int  # microseconds since 1970, the event's own time


class PostDeleted(Struct, frozen=True, gc=False):
    """A post's record was removed by its author."""

    uri: str
    rev: str
    time: int


class Engaged(Struct, frozen=True, gc=False):
    """A like or repost record `uri` by `actor` (DID) of the post `subject` (at:// URI).

    Replies and quotes are posts themselves: they are read off `PostWritten`.
    """

    uri: str
    kind: Engagement
    actor: str
    subject: str
    time: int  # microseconds since 1970, the event's own time


class Disengaged(Struct, frozen=True, gc=False):
    """A like or repost record was removed; the event does not say of which post."""

    uri: str
    kind: Engagement


class AccountChanged(Struct, frozen=True, gc=False):
    """An account's state as the network hosts it. A state that we do not know hides like
    `suspended`."""

    did: str
    state: str


Event = PostWritten | PostDeleted | Engaged | Disengaged | AccountChanged


class Frame(Struct, frozen=True, gc=False):
    """All events of one message of a stream. A commit with several records is one frame.

    `cursor`: where the stream goes on after this frame (a sequence number, or for Jetstream v1
    a time in microseconds). `time`: microseconds since 1970, 0 where the message has none.
    `skipped`: records of it that could not be used, as (at:// URI or "", reason).
    """

    cursor: int
    time: int
    events: tuple[Event, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()


def moved(frame: Frame, shift: int) -> Frame:
    """`frame` as if it had happened `shift` microseconds later."""
    later = timedelta(microseconds=shift)
    events: list[Event] = []
    for event in frame.events:
        if isinstance(event, PostWritten):
            post = event.post
            post = replace(
                post,
                created_at=post.created_at + later,
                seen_at=post.seen_at + later,
                sort_at=post.sort_at + later,
            )
            event = replace(event, post=post, time=event.time + shift)
        elif isinstance(event, (PostDeleted, Engaged)):
            event = replace(event, time=event.time + shift)
        events.append(event)
    return replace(frame, time=frame.time + shift, events=tuple(events))
