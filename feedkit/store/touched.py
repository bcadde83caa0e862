"""What a batch of events is about: what the store must look up before it can fold them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from feedkit.event import AccountChanged, Disengaged, Engaged, Event, PostDeleted, PostWritten
from feedkit.post import Post

LIKE, REPOST, REPLY, QUOTE = range(4)
KINDS = {"like": LIKE, "repost": REPOST, "reply": REPLY, "quote": QUOTE}
NEEDS = {"likes": "like", "reposts": "repost", "replies": "reply", "quotes": "quote"}

Batch = Sequence[tuple[Event, frozenset[str]]]
Record = tuple[str, str, int]  # an engagement record: the actor's DID, the record key, the kind


class Touched(Struct):
    """What a batch is about."""

    posts: set[str] = field(default_factory=set)  # written or deleted
    subjects: set[str] = field(default_factory=set)  # engaged with
    wanted: set[str] = field(default_factory=set)  # written, and some feed wants it
    authors: set[str] = field(default_factory=set)  # of `wanted`
    undone: set[Record] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)  # accounts


def kinds_of(engagement: Iterable[str]) -> dict[str, int]:
    """The kinds that feeds need, from the names of the counts that they read."""
    return {NEEDS[need]: KINDS[NEEDS[need]] for need in engagement}


def record_of(uri: str, kind: int) -> Record:
    """The record at a URI, at://DID/COLLECTION/RKEY."""
    repo, _, rkey = uri.rpartition("/")
    return repo.split("/", 3)[2], rkey, kind


def touched(batch: Batch, wanted: dict[str, int]) -> Touched:
    """What must be loaded before `fold` can work on `batch`."""
    about = Touched()
    subject = about.subjects.add
    for event, feeds in batch:
        kind = type(event)
        if kind is Engaged:
            if event.kind in wanted:  # type: ignore[union-attr]
                subject(event.subject)  # type: ignore[union-attr]
        elif isinstance(event, PostWritten):
            post = event.post
            about.posts.add(post.uri)
            if feeds:
                about.wanted.add(post.uri)
                about.authors.add(post.author)
            if event.created:
                if post.reply_parent and "reply" in wanted:
                    subject(post.reply_parent)
                if post.quote and "quote" in wanted:
                    subject(post.quote)
        elif isinstance(event, Disengaged):
            if event.kind in wanted:
                about.undone.add(record_of(event.uri, wanted[event.kind]))
        elif isinstance(event, PostDeleted):
            about.posts.add(event.uri)
            about.undone |= own_records(event.uri, wanted)
        elif isinstance(event, AccountChanged) and event.state == "deleted":
            about.deleted.add(event.did)
    return about


def engagements(
    batch: Batch, wanted: dict[str, int], stored: Iterable[str]
) -> dict[Record, tuple[str, bool]]:
    """The engagement of `batch` with posts at the URIs `stored`: the subject of each record, and
    whether it counts but once for its actor (replies and quotes count each)."""
    found: dict[Record, tuple[str, bool]] = {}
    stored = set(stored)
    for event, _ in batch:
        if type(event) is Engaged:
            if event.subject in stored and event.kind in wanted:
                rkey = event.uri.rpartition("/")[2]
                found[event.actor, rkey, wanted[event.kind]] = event.subject, True
        elif type(event) is PostWritten and event.created:
            for record, subject in engages(event.post, wanted):
                if subject in stored:
                    found[record] = subject, False
    return found


def engages(post: Post, wanted: dict[str, int]) -> list[tuple[Record, str]]:
    """The engagement that a post is itself: as a reply, and as a quote."""
    found = []
    if post.reply_parent and "reply" in wanted:
        found.append((record_of(post.uri, REPLY), post.reply_parent))
    if post.quote and "quote" in wanted:
        found.append((record_of(post.uri, QUOTE), post.quote))
    return found


def own_records(uri: str, wanted: dict[str, int]) -> set[Record]:
    """The records that a post at `uri` may be, as a reply and as a quote."""
    return {record_of(uri, wanted[kind]) for kind in ("reply", "quote") if kind in wanted}
