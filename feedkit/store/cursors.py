"""How far streams were read: by one ingest each, or by several shards with a cursor each.

The cursors that are there say who reads a stream: `NAME` alone, or `NAME 1/2` and `NAME 2/2`. Who
takes over, with another number of shards, puts its cursors in the place of the others in one
transaction; an ingest that finds its cursor gone has been replaced, and may write no more.
"""

from __future__ import annotations

from collections.abc import Iterable

from feedkit.sharding import Shard
from feedkit.store.database import Database
from feedkit.store.errors import StoreError

Place = tuple[int, int]  # a cursor, and the stream's clock there
_NOTHING = -1  # the cursor of a shard that has not read anything yet


class Superseded(StoreError):
    """Others read this stream now, by another number of shards."""


def names(source: str, shard: Shard | None) -> list[str]:
    """The names of the cursors of `source` where `shard` and its like read it."""
    return shard.all_named(source) if shard else [source]


def others(db: Database, source: str, shard: Shard | None) -> dict[str, Place]:
    """The cursors of those that read `source` with another number of shards."""
    ours = names(source, shard)
    return {name: place for name, place in _all(db, source).items() if name not in ours}


def take_over(db: Database, source: str, shard: Shard | None) -> None:
    """Put the cursors of `shard` and its like in the place of all others of `source`, at the
    lowest of these, so that nothing is lost; what was read already comes twice and counts once.
    Does nothing where they are there already, and nobody else's."""
    ours = names(source, shard)
    with db.writing():
        known = _all(db, source)
        if known.keys() == set(ours):
            return
        old = [place for name, place in known.items() if name not in ours]
        place = _lowest(old or known.values()) or (_NOTHING, 0)
        db.many("DELETE FROM cursors WHERE source = ?", [(name,) for name in known])
        if shard or old:
            db.many(
                "INSERT INTO cursors (source, cursor, time) VALUES (?, ?, ?)",
                [(name, *place) for name in ours],
            )


def begin(db: Database, source: str, shard: Shard, cursor: int, time: int) -> None:
    """Let all shards begin at `cursor` that have not read anything yet."""
    with db.writing():
        db.many(
            "UPDATE cursors SET cursor = ?, time = ? WHERE source = ? AND cursor = ?",
            [(cursor, time, name, _NOTHING) for name in names(source, shard)],
        )


def cursor(db: Database, source: str) -> Place | None:
    """How far `source` was read; by the shard that is last, where there are shards."""
    known = _all(db, source)
    return _lowest([known[source]] if source in known else known.values())


def move(db: Database, source: str, cursor: int, time: int, shard: Shard | None) -> None:
    """Note that `source` was read up to `cursor`; in the transaction that stores what came until
    there. Raises `Superseded`."""
    if db.run(
        "UPDATE cursors SET cursor = ?, time = CASE WHEN ? > 0 THEN ? ELSE time END "
        "WHERE source = ?",
        (cursor, time, time, source),
    ):
        return
    if shard or _all(db, source):
        reader = f"the shard {shard}" if shard else "this ingest"
        raise Superseded(
            f"store {db.place}: {reader} reads the stream no longer: others do, by another number "
            "of shards; start this one as one of theirs (--shard), or not at all"
        )
    db.run("INSERT INTO cursors (source, cursor, time) VALUES (?, ?, ?)", (source, cursor, time))


def live_clock(db: Database) -> int:
    """The time of the newest event read from a live stream, where it is read by shards that of
    the one which is last; microseconds since 1970, 0 before the first one."""
    times: dict[str, int] = {}
    for source, time in db.rows("SELECT source, time FROM cursors WHERE source <> 'replay'"):
        stream = " ".join(source.split(" ")[:2])  # without the shard
        if time:
            times[stream] = min(time, times.get(stream, time))
    return max(times.values(), default=0)


def _lowest(places: Iterable[Place]) -> Place | None:
    return min((place for place in places if place[0] != _NOTHING), default=None)


def _all(db: Database, source: str) -> dict[str, Place]:
    return {
        name: (cursor, time)
        for name, cursor, time in db.rows("SELECT source, cursor, time FROM cursors")
        if name == source or name.startswith(f"{source} ")
    }
