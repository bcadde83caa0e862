"""Posts from the past, brought in beside the live stream.

A post that is found is stored at once but has no hits yet: it is *staged*, nobody sees it, and from
then on the live fold deletes and updates it like any other. When the backfill has read the stream
up to where the live cursor is, every deletion that the live stream saw before the post was stored
has been read too; only then are staged posts decided and shown. So nothing deleted comes back, not
even for a moment. The last states of accounts wait likewise: older ones would undo
newer ones.

A backfill moves no cursor of a stream; how far it is stands in its own row, in the transaction that
stores what it has found, so that a killed one goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from feedkit.event import AccountChanged, Event, PostWritten
from feedkit.store.database import Database
from feedkit.store.errors import StoreError
from feedkit.store.feeds import CONTENT, Decide, decide_rows
from feedkit.store.fold import Kept, State, fold
from feedkit.store.touched import kinds_of, touched
from feedkit.store.writing import load, remove_posts, write

SOURCE = "backfill"  # as whose cursor the end is noted where no stream has one
OLDEST_REV = "2222222222222"  # the first TID: every rev of a real commit is newer
AT_ONCE = 200  # posts shown or dropped in one transaction
NO_FEEDS: frozenset[str] = frozenset()


class Run(NamedTuple):
    """A backfill that has begun, see `feedkit.store.backfill_models.Backfill`."""

    id: int
    name: str
    owner: str
    since: int
    cursor: int
    time: int
    place: str
    settled: bool


class Found(Struct, frozen=True):
    """An event from the past. Of a post: whether it may be added (`within`), the feeds to be
    filled that want it (`wanted`), and all feeds that do. A post of which no rev is known has an
    empty one."""

    event: Event
    within: bool = False
    wanted: frozenset[str] = NO_FEEDS
    feeds: frozenset[str] = NO_FEEDS


class Reached(NamedTuple):
    """How far a backfill has come: of the stream, and (`place`) of another source."""

    cursor: int
    time: int
    place: str


class Live(NamedTuple):
    """How far a stream was read into the store."""

    source: str
    cursor: int
    time: int


class Taken(StoreError):
    """Another process goes on with this backfill."""


def live(db: Database) -> list[Live]:
    """How far the live streams were read."""
    rows = db.rows(
        "SELECT source, cursor, time FROM cursors WHERE source NOT IN ('replay', ?)", (SOURCE,)
    )
    return [Live(*row) for row in rows]


def stage(
    db: Database,
    run: Run,
    found: Sequence[Found],
    accounts: Mapping[str, str],
    reached: Reached,
    decide: Decide,
    filled: Collection[str],
    engagement: frozenset[str],
    now: int,
) -> int:
    """Store what was `found`, in order, and how far the backfill came with it. A post that is
    visible already is decided again at once, as regards the feeds `filled`. Returns how many
    posts these feeds have more by that."""
    wanted = kinds_of(engagement)
    batch = [(one.event, one.feeds) for one in found]
    with db.writing():
        _touch(db, run, reached, now)
        state = load(db, batch, wanted, touched(batch, wanted))
        staged = _staged(db, [kept.id for kept in state.posts.values()])
        steps, again = _steps(found, state, staged)
        fold(state, steps)
        hidden = [k for k in state.written if not k.gone and (not k.id or k.id in staged)]
        for kept in hidden:
            kept.feeds = NO_FEEDS
        write(db, state)
        there = {kept.id for kept in again if not kept.gone and kept.id}
        db.many(
            "INSERT INTO backfill_posts (run_id, post_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
            [(run.id, n) for n in sorted({kept.id for kept in hidden} | (there & staged))],
        )
        more = _decide(db, there - staged, filled, decide)
        db.many(
            "INSERT INTO backfill_accounts (run_id, did, state) VALUES (?, ?, ?) "
            "ON CONFLICT (run_id, did) DO UPDATE SET state = excluded.state",
            [(run.id, *item) for item in accounts.items()],
        )
    return more


def settle(db: Database, run: Run, reached: Callable[[list[Live]], bool], now: int) -> bool:
    """If the live streams are not farther than what was `reached`, take the states of accounts
    for theirs, and say that staged posts may be shown. In one transaction, so that no ingest
    comes between."""
    with db.writing():
        if not reached(live(db)):
            return False
        states = db.rows("SELECT did, state FROM backfill_accounts WHERE run_id = ?", (run.id,))
        known = dict(db.each("a.did, a.state", "accounts AS a", "a.did", dict(states)))
        batch: list[tuple[Event, frozenset[str]]] = [
            (AccountChanged(did, state), NO_FEEDS)
            for did, state in states
            if known.get(did, "active") != state
        ]
        state = load(db, batch, {}, touched(batch, {}))
        fold(state, batch)
        write(db, state)
        db.run("DELETE FROM backfill_accounts WHERE run_id = ?", (run.id,))
        if not db.run(
            "UPDATE backfills SET settled = ?, touched_at = ? WHERE id = ? AND owner = ?",
            (True, now, run.id, run.owner),
        ):
            raise _taken(run)
    return True


def show(db: Database, run: Run, feeds: Collection[str], decide: Decide) -> int | None:
    """Decide the next staged posts, as regards `feeds`, and show those that these want; how
    many hits that gave. None: there are no more, and the backfill is forgotten."""
    with db.writing():
        ids = _next(db, run.id)
        more = _decide(db, ids, feeds, decide)
        db.many(
            "DELETE FROM backfill_posts WHERE run_id = ? AND post_id = ?",
            [(run.id, number) for number in ids],
        )
        if not ids:
            db.run("DELETE FROM backfills WHERE id = ?", (run.id,))
    return more if ids else None


def _touch(db: Database, run: Run, reached: Reached, now: int) -> None:
    if not db.run(
        "UPDATE backfills SET cursor = ?, time = ?, place = ?, touched_at = ? "
        "WHERE id = ? AND owner = ?",
        (*reached, now, run.id, run.owner),
    ):
        raise _taken(run)


def _next(db: Database, run: int) -> list[int]:
    rows = db.rows(
        "SELECT post_id FROM backfill_posts WHERE run_id = ? ORDER BY post_id LIMIT ?",
        (run, AT_ONCE),
    )
    return [number for (number,) in rows]


def _staged(db: Database, ids: Iterable[int]) -> set[int]:
    """Those of the posts that only backfills know of."""
    ids = set(ids)
    staged = {n for (n,) in db.each("b.post_id", "backfill_posts AS b", "b.post_id", ids)}
    return staged - {n for (n,) in db.each("h.post_id", "hits AS h", "h.post_id", staged)}


def _decide(db: Database, posts: Collection[int], feeds: Collection[str], decide: Decide) -> int:
    """Decide posts as regards `feeds`; how many hits these have more by that."""
    ids = dict(db.each("f.name, f.id", "feeds AS f", "f.name", feeds))
    asked = set(ids.values())

    def hits() -> int:
        rows = db.each("h.feed_id", "hits AS h", "h.post_id", posts)
        return len([feed for (feed,) in rows if feed in asked])

    before = hits()
    rows = db.each(CONTENT, "posts AS p", "p.id", posts)
    decide_rows(db, rows, asked, ids, decide)
    return hits() - before


def drop_some(db: Database, run: int) -> bool:
    """Forget some of what a backfill has staged, and in the end itself; whether there is more."""
    with db.writing():
        rows = db.rows(
            "SELECT post_id FROM backfill_posts WHERE run_id = ? ORDER BY post_id LIMIT ?",
            (run, AT_ONCE),
        )
        ids = {number for (number,) in rows}
        used = {
            number
            for table in ("hits", "pending")
            for (number,) in db.each("t.post_id", f"{table} AS t", "t.post_id", ids)
        }
        others = db.each(
            "b.post_id", "backfill_posts AS b", "b.post_id", ids, "AND b.run_id <> ?", (run,)
        )
        remove_posts(db, sorted(ids - used - {number for (number,) in others}))
        db.many(
            "DELETE FROM backfill_posts WHERE run_id = ? AND post_id = ?",
            [(run, number) for number in ids],
        )
        if not ids:
            db.run("DELETE FROM backfill_accounts WHERE run_id = ?", (run,))
            db.run("DELETE FROM backfills WHERE id = ?", (run,))
    return bool(ids)


def _steps(
    found: Sequence[Found], state: State, staged: Collection[int]
) -> tuple[list[tuple[Event, frozenset[str]]], list[Kept]]:
    """What the fold gets, and the stored posts that it will find to be no news, which the feeds to
    be filled may want all the same. A post that is visible goes by all feeds, any other by those
    that are filled."""
    steps: list[tuple[Event, frozenset[str]]] = []
    again: list[Kept] = []
    for one in found:
        event, feeds = one.event, one.feeds
        if isinstance(event, PostWritten):
            uri = event.post.uri
            kept, grave = state.posts.get(uri), state.tombstones.get(uri)
            if not event.rev:
                known = grave.rev if grave and not grave.deleted else OLDEST_REV
                event = replace(event, rev=known)
            if kept is None:
                feeds = one.wanted if one.within else NO_FEEDS
            elif kept.id in staged:
                feeds = one.wanted
            if kept is not None and one.within and one.wanted and event.rev <= kept.rev:
                again.append(kept)
        steps.append((event, feeds))
    return steps, again


def _taken(run: Run) -> Taken:
    return Taken(
        f"backfill {run.name}: it is another process's now; wait for that one, or run this again"
    )
