"""The backfills that have begun: resumed, abandoned, forgotten. What they find is the business of
`feedkit.store.staging`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence

from feedkit.event import AccountChanged, Event
from feedkit.store import staging
from feedkit.store.database import Database
from feedkit.store.feeds import Decide
from feedkit.store.fold import fold
from feedkit.store.gaps import MissedStretch, mark_filled, open_gaps, shorten
from feedkit.store.staging import NO_FEEDS, SOURCE, Found, Live, Reached, Run
from feedkit.store.touched import touched
from feedkit.store.writing import load, write


class Backfills:
    """What backfills keep in the store. All times are microseconds since 1970."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def resume(self, name: str, now: int) -> Run | None:
        """The unfinished backfill of that name, from now on this process's."""
        owner = secrets.token_hex(8)
        with self._db.transaction():
            self._db.run(
                "UPDATE backfills SET owner = ?, touched_at = ? WHERE name = ?", (owner, now, name)
            )
            return self.find(name)

    def begin(self, name: str, since: int, now: int) -> Run:
        """A new backfill; one of that name must have been dropped."""
        with self._db.transaction():
            self._db.run(
                "INSERT INTO backfills (name, owner, since, cursor, time, place, settled, "
                "touched_at) VALUES (?, ?, ?, 0, 0, '', ?, ?)",
                (name, secrets.token_hex(8), since, False, now),
            )
            found = self.find(name)
        assert found is not None
        return found

    def find(self, name: str) -> Run | None:
        """The unfinished backfill of that name, whosever it is."""
        rows = self._db.rows(
            "SELECT id, name, owner, since, cursor, time, place, settled FROM backfills "
            "WHERE name = ?",
            (name,),
        )
        return Run(*rows[0])._replace(settled=bool(rows[0][7])) if rows else None

    def unknown_feeds(self, feeds: Collection[str]) -> list[str]:
        """Those of `feeds` that were never registered, if there are posts already; in order."""
        known = {name for (name,) in self._db.rows("SELECT name FROM feeds")}
        new = sorted(name for name in feeds if name not in known)
        return new if new and self._db.rows("SELECT 1 FROM posts LIMIT 1") else []

    def live(self) -> list[Live]:
        """How far the live streams were read."""
        return staging.live(self._db)

    def stage(
        self,
        run: Run,
        found: Sequence[Found],
        accounts: Mapping[str, str],
        reached: Reached,
        decide: Decide,
        filled: Collection[str],
        engagement: frozenset[str],
        now: int,
    ) -> int:
        """Store what was `found`; see `feedkit.store.staging.stage`."""
        return staging.stage(
            self._db, run, found, accounts, reached, decide, filled, engagement, now
        )

    def began(self, run: Run) -> int:
        """From when on the stream of `run` really was read; 0 while that is not known."""
        rows = self._db.rows("SELECT began FROM backfills WHERE id = ?", (run.id,))
        return int(rows[0][0]) if rows else 0

    def note_began(self, run: Run, began: int) -> None:
        """Note from when on the stream of `run` really was read."""
        self._db.run(
            "UPDATE backfills SET began = ? WHERE id = ? AND owner = ?",
            (began, run.id, run.owner),
        )

    def settle(self, run: Run, reached: Callable[[list[Live]], bool], now: int) -> bool:
        """Whether what was staged may be shown; see `feedkit.store.staging.settle`."""
        return staging.settle(self._db, run, reached, now)

    def settle_behind(self, run: Run, now: int) -> None:
        """Settle though the live streams are ahead: where accounts still disagree, these know
        better."""
        with self._db.writing():
            self._db.run("DELETE FROM backfill_accounts WHERE run_id = ?", (run.id,))
            staging.settle(self._db, run, lambda live: True, now)

    def disagreeing(self, run: Run) -> dict[str, str]:
        """The states here of those accounts of which `run` has read another state."""
        told = self._told(run)
        return {did: state for did, (state, other) in told.items() if state != other}

    def correct(self, run: Run, before: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Take over the states of those accounts that still disagree and are here what they were
        `before`: those that are not, the live stream has changed since, and it knows better.
        Returns these states, and the states here of those that disagree and were not in
        `before`."""
        with self._db.writing():
            told = {d: both for d, both in self._told(run).items() if both[0] != both[1]}
            wrong = {d: other for d, (state, other) in told.items() if state == before.get(d)}
            batch: list[tuple[Event, frozenset[str]]] = [
                (AccountChanged(*one), NO_FEEDS) for one in sorted(wrong.items())
            ]
            if batch:
                state = load(self._db, batch, {}, touched(batch, {}))
                fold(state, batch)
                write(self._db, state)
        return wrong, {d: state for d, (state, _) in told.items() if d not in before}

    def _told(self, run: Run) -> dict[str, tuple[str, str]]:
        """The accounts that `run` has read of: their state here, and the one that it knows."""
        states = dict(
            self._db.rows("SELECT did, state FROM backfill_accounts WHERE run_id = ?", (run.id,))
        )
        here = dict(self._db.each("a.did, a.state", "accounts AS a", "a.did", states))
        return {did: (here.get(did, "active"), state) for did, state in states.items()}

    def show(self, run: Run, feeds: Collection[str], decide: Decide) -> int | None:
        """Show some of what was staged; see `feedkit.store.staging.show`."""
        return staging.show(self._db, run, feeds, decide)

    def note_end(self, reached: Reached) -> None:
        """Where no stream was ever read: let the first one begin where the backfill ended."""
        if not self.live():
            self._db.run(
                "INSERT INTO cursors (source, cursor, time) VALUES (?, ?, ?) ON CONFLICT (source) "
                "DO UPDATE SET cursor = excluded.cursor, time = excluded.time",
                (SOURCE, reached.cursor, reached.time),
            )

    def drop(self, run: Run) -> None:
        """Forget a backfill, and the posts that it has staged."""
        while staging.drop_some(self._db, run.id):
            pass

    def open_gaps(self) -> list[MissedStretch]:
        """What was missed of the streams and not filled, in order."""
        return open_gaps(self._db)

    def mark_filled(self, gaps: Collection[int], now: int) -> None:
        """Note that these gaps were filled."""
        mark_filled(self._db, gaps, now)

    def shorten_gap(self, gap: int, to_us: int) -> None:
        """Note that a gap was filled from this time on."""
        shorten(self._db, gap, to_us)


def drop_abandoned(db: Database, before: int) -> bool:
    """Forget some of what backfills have staged that nobody went on with since `before`; whether
    there may be more."""
    old = db.rows("SELECT id FROM backfills WHERE touched_at < ? LIMIT 1", (before,))
    if old:
        staging.drop_some(db, old[0][0])
    return bool(old)
