"""What the events of a batch mean: the pure part of the store, no database in it.

`touched` says what a batch needs to know, the store loads that into a `State`, `fold` carries the
batch out on it, and the store writes what has changed. The rules are those of docs/invariants.md;
the same events give the same state wherever a batch is cut.
"""

from __future__ import annotations

from msgspec import Struct, field

from feedkit.event import AccountChanged, Disengaged, Engaged, PostDeleted, PostWritten
from feedkit.post import Post
from feedkit.store.touched import Batch, Record, engages, own_records, record_of
from feedkit.times import micros


class Kept(Struct, eq=False):
    """A stored post, as far as a batch needs to know it. `id` is 0 until it is written; `post` and
    `feeds` are set when the batch writes its content; counts are what the batch adds to them."""

    id: int
    uri: str = ""
    author: str = ""
    rev: str = ""
    seen: int = 0
    sort_at: int = 0
    gone: bool = False
    post: Post | None = None
    feeds: frozenset[str] = frozenset()
    counts: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    fans: set[tuple[int, str]] = field(default_factory=set)  # (kind, actor) that count already


class Tombstone(Struct, frozen=True):
    rev: str
    at: int
    deleted: bool


class Engagement(Struct, eq=False):
    post: Kept
    counted: bool
    stored: bool  # before the batch
    at: int = 0  # when it came; not known of what was stored before the batch


class Applied(Struct):
    """What a batch did, in posts, engagement records and accounts."""

    stored: int = 0
    updated: int = 0
    removed: int = 0
    stale: int = 0  # commits not newer than what is stored
    engaged: int = 0
    disengaged: int = 0
    accounts: int = 0


class State(Struct):
    """What the store holds of all that a batch touches; after `fold`, what it must hold."""

    wanted: dict[str, int]  # the kinds of engagement that are followed
    # When the number of shards changes they read a long stretch again, of which some of them had
    # stored the posts and others had not yet counted what these engage with. So a stale post still
    # engages, a stale deletion undoes that, and what is older than its post does not count, as it
    # did not when the post was not there yet.
    sharded: bool = False
    posts: dict[str, Kept] = field(default_factory=dict)
    tombstones: dict[str, Tombstone] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    # One record has one post; more of them for a while, where shards have read different parts of
    # the stream and its key was used again.
    records: dict[Record, list[Engagement]] = field(default_factory=dict)
    # What has changed:
    written: list[Kept] = field(default_factory=list)
    removed: list[Kept] = field(default_factory=list)
    undone: list[tuple[Record, int]] = field(default_factory=list)  # with the post's id
    counted: dict[int, Kept] = field(default_factory=dict)  # by id(): counts changed
    buried: set[str] = field(default_factory=set)  # URIs whose tombstone changed
    changed: dict[str, str] = field(default_factory=dict)  # states of accounts
    applied: Applied = field(default_factory=Applied)


def fold(state: State, batch: Batch) -> None:
    """Carry out the events of `batch`, in order, on `state`."""
    posts, wanted = state.posts, state.wanted
    for event, feeds in batch:
        kind = type(event)
        if kind is Engaged:
            post = posts.get(event.subject)  # type: ignore[union-attr]
            if post is not None and event.kind in wanted and _in_time(state, post, event.time):  # type: ignore[union-attr]
                _engaged(state, event, post)  # type: ignore[arg-type]
        elif kind is PostWritten:
            _written(state, event, feeds)  # type: ignore[arg-type]
        elif kind is Disengaged:
            if event.kind in wanted:  # type: ignore[union-attr]
                _undo(state, record_of(event.uri, wanted[event.kind]))  # type: ignore[union-attr]
        elif kind is PostDeleted:
            _deleted(state, event)  # type: ignore[arg-type]
        elif kind is AccountChanged:
            _account(state, event)  # type: ignore[arg-type]


def _engaged(state: State, event: Engaged, post: Kept) -> None:
    kind = state.wanted[event.kind]
    record = event.actor, event.uri.rpartition("/")[2], kind
    fan = kind, event.actor
    if not _live(state, record):
        # A second like by the same actor does not count, but is remembered: were it forgotten, a
        # replay that begins between the two would count it, once the first has been taken back.
        _count(state, record, post, event.time, counted=fan not in post.fans)
        post.fans.add(fan)


def _in_time(state: State, post: Kept, time: int) -> bool:
    return not state.sharded or time >= post.seen


def _live(state: State, record: Record) -> list[Engagement]:
    return [known for known in state.records.get(record, ()) if not known.post.gone]


def _count(state: State, record: Record, post: Kept, at: int, counted: bool) -> None:
    state.records[record] = [Engagement(post, counted, False, at)]
    if counted:
        post.counts[record[2]] += 1
        state.counted[id(post)] = post
        state.applied.engaged += 1


def _undo(state: State, record: Record) -> None:
    for known in _live(state, record):
        state.records.pop(record, None)
        if known.stored:
            state.undone.append((record, known.post.id))
        if known.counted:
            post, kind = known.post, record[2]
            post.counts[kind] -= 1
            post.fans.discard((kind, record[0]))
            state.counted[id(post)] = post
            state.applied.disengaged += 1


def _written(state: State, event: PostWritten, feeds: frozenset[str]) -> None:
    post, rev = event.post, event.rev
    kept, grave = state.posts.get(post.uri), state.tombstones.get(post.uri)
    # A post that left all feeds may come back as it is: its feeds may have changed since.
    if (kept is not None and rev <= kept.rev) or (
        grave is not None
        and (rev < grave.rev or (grave.deleted and rev == grave.rev and event.time <= grave.at))
    ):
        state.applied.stale += 1
        if not state.sharded:
            return
    elif feeds and state.accounts.get(post.author) == "deleted":
        _bury(state, post.uri, Tombstone(rev, event.time, deleted=True))
    elif feeds:
        _store(state, event, feeds, kept)
        if grave is not None:
            _bury(state, post.uri, None)
    elif kept is not None or grave is not None:
        if kept is not None:
            _remove(state, kept)
        _bury(state, post.uri, Tombstone(rev, event.time, deleted=False))
    if event.created:
        for record, subject in engages(post, state.wanted):
            parent = state.posts.get(subject)
            if (
                parent is not None
                and not _live(state, record)
                and _in_time(state, parent, event.time)
            ):
                _count(state, record, parent, event.time, counted=True)


def _store(state: State, event: PostWritten, feeds: frozenset[str], kept: Kept | None) -> None:
    post = event.post
    if kept is None:
        kept = Kept(0, post.uri, post.author, seen=event.time)
        state.posts[post.uri] = kept
        state.applied.stored += 1
    else:
        state.applied.updated += 1
    if kept.post is None:
        state.written.append(kept)
    kept.rev, kept.post, kept.feeds = event.rev, post, feeds
    kept.sort_at = min(micros(post.created_at), kept.seen)


def _remove(state: State, kept: Kept) -> None:
    """Forget a post, and with it the engagement that it got."""
    kept.gone = True
    state.posts.pop(kept.uri, None)
    state.applied.removed += 1
    if kept.id:
        state.removed.append(kept)


def _bury(state: State, uri: str, grave: Tombstone | None) -> None:
    if grave is None:
        del state.tombstones[uri]
    else:
        state.tombstones[uri] = grave
    state.buried.add(uri)


def _deleted(state: State, event: PostDeleted) -> None:
    kept, grave = state.posts.get(event.uri), state.tombstones.get(event.uri)
    # No commit writes and deletes one record, so equal revs mean a broken server, and the later
    # event counts.
    if (grave is not None and event.rev <= grave.rev) or (
        kept is not None and (event.rev, event.time) <= (kept.rev, kept.seen)
    ):
        state.applied.stale += 1
        if state.sharded:
            _undo_own(state, event.uri)
        return
    if kept is not None:
        _remove(state, kept)
    if kept is not None or grave is not None:
        _bury(state, event.uri, Tombstone(event.rev, event.time, deleted=True))
    _undo_own(state, event.uri)


def _undo_own(state: State, uri: str) -> None:
    for record in own_records(uri, state.wanted):
        _undo(state, record)


def _account(state: State, event: AccountChanged) -> None:
    state.applied.accounts += 1
    state.accounts[event.did] = state.changed[event.did] = event.state
    if event.state == "deleted":
        for kept in [k for k in state.posts.values() if k.author == event.did]:
            _remove(state, kept)
