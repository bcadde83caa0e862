"""From what a stream sends to events: what both wires share. The wires themselves are in
`jetstream_wire` (JSON) and `firehose_wire` (DAG-CBOR)."""

from __future__ import annotations

from typing import Any

from feedkit.event import (
    AccountChanged,
    Disengaged,
    Engaged,
    Engagement,
    Event,
    PostDeleted,
    PostWritten,
)
from feedkit.sources.records import POST, BadRecord, post_from_record
from feedkit.sources.syntax import (
    is_did,
    is_post_uri,
    is_record_uri,
    is_tid,
    tid_time,
)

LIKE, REPOST = "app.bsky.feed.like", "app.bsky.feed.repost"
KINDS: dict[str, Engagement] = {LIKE: "like", REPOST: "repost"}


class BadFrame(ValueError):
    """A message that is not one of the stream's; the message says why."""


class StreamNotice(Exception):
    """The server speaks of the stream itself. `final`: it ends the connection."""

    def __init__(self, name: str, message: str, final: bool) -> None:
        super().__init__(f"{name}: {message}" if message else name)
        self.name = name
        self.message = message
        self.final = final


def wanted_collections(engagement: frozenset[str]) -> frozenset[str]:
    """The collections whose records are needed, if feeds need this of likes, reposts, replies
    and quotes. Replies and quotes are posts."""
    needed = {collection for collection, kind in KINDS.items() if f"{kind}s" in engagement}
    return frozenset(needed | {POST})


def check_cursor(number: Any) -> int:
    """`number` if the store can keep it and a stream can go on from it. Raises BadFrame."""
    if type(number) is not int or not 0 < number < 2**63:
        raise BadFrame("its sequence number is no number from 1 to 2^63")
    return number


def engaged(uri: str, did: str, collection: str, rev: str, subject: Any, time: int) -> Event | None:
    """The event of a like or repost record; None for one of a feed, a list, or anything that is
    no post. Raises BadRecord."""
    if not is_record_uri(uri):
        raise BadRecord("its account or record key is malformed")
    if not isinstance(subject, str):
        raise BadRecord("it does not say what it is for")
    if not is_post_uri(subject):
        return None
    return Engaged(uri, KINDS[collection], did, subject, time or tid_time(rev))


def written(
    uri: str, did: str, rkey: str, rev: str, cid: str, record: Any, time: int, created: bool
) -> Event:
    """The event of a post's record. Raises BadRecord."""
    _check(uri, rev)
    seen = time or tid_time(rev)
    return PostWritten(post_from_record(did, rkey, cid, record, seen), rev, created, seen)


def deleted(uri: str, collection: str, rev: str, time: int) -> Event:
    """The event of a record's deletion. Raises BadRecord."""
    if kind := KINDS.get(collection):
        if not is_record_uri(uri):
            raise BadRecord("its account or record key is malformed")
        return Disengaged(uri, kind)
    _check(uri, rev)
    return PostDeleted(uri, rev, time or tid_time(rev))


def account_changed(did: str, active: bool, status: str | None) -> Event:
    """The event of an account's state. Raises BadRecord.

    An account that is not active and does not say why, or says «active», is deactivated.
    """
    if not is_did(did):
        raise BadRecord("its account is malformed")
    if active:
        return AccountChanged(did, "active")
    status = (status or "").replace("\0", "")[:64]
    return AccountChanged(did, status if status not in ("", "active") else "deactivated")


def _check(uri: str, rev: str) -> None:
    if not is_record_uri(uri):
        raise BadRecord("its account or record key is malformed")
    if not is_tid(rev):
        raise BadRecord("its rev is malformed")
