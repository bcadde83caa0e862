"""Those who ask for personal feeds, and whom they follow: noted by the web processes, found out by
the jobs, who alone ask the network.

A viewer who does not ask any more is asked for once more at most, and then sleeps until they do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from feedkit.store.database import Database
from feedkit.store.hurry import hurried

SECOND = 1_000_000  # µs
SLEEPS = 1 << 62  # `due_at` of those who do not ask
AWAY = 600 * SECOND  # for so long somebody counts as still here
DAY = 86_400 * SECOND  # nobody is due later than that, or our clock was wrong
ROWS = 300  # viewers removed in one transaction, each with two sets


class StoredViewers:
    """The viewers in the store, by DID. Times are microseconds since 1970. The sets are named
    `follows` and `followers`; nobody's are known before the jobs have asked for them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def known(self, did: str) -> dict[str, int]:
        """Which sets of a viewer are known, and since when: another time means other members."""
        return dict(
            self._db.rows("SELECT name, known_at FROM viewer_sets WHERE viewer = ?", (did,))
        )

    def members(self, did: str, names: Collection[str]) -> dict[str, tuple[int, frozenset[str]]]:
        """Those of the sets that are known: since when, and who is in them."""
        rows = self._db.each(
            "s.name, s.known_at, s.members", "viewer_sets AS s", "s.name", names,
            "AND s.viewer = ?", (did,),
        )  # fmt: skip
        return {name: (at, frozenset(text.split("\n") if text else ())) for name, at, text in rows}

    def asked(self, did: str, now: int, missing: bool) -> None:
        """Note that a viewer asked. `missing`: something is needed that is not known; then it is
        due at once, but for what has failed: that has a time of its own. Raises `Unavailable`
        where another writer is in the way: the next request notes it."""
        with hurried(self._db):
            self._note_asked(did, now, missing)

    def _note_asked(self, did: str, now: int, missing: bool) -> None:
        self._db.run(
            "INSERT INTO viewers (did, asked_at, tried_at, due_at, known, tries, problem) "
            "VALUES (?, ?, 0, ?, ?, 0, '') ON CONFLICT (did) DO UPDATE SET "
            "asked_at = excluded.asked_at, "
            "known = CASE WHEN excluded.known THEN viewers.known ELSE excluded.known END, "
            "due_at = CASE WHEN viewers.due_at > excluded.due_at + ? OR (NOT excluded.known "
            "AND viewers.tries = 0 AND viewers.due_at > excluded.due_at) "
            "THEN excluded.due_at ELSE viewers.due_at END",
            (did, now, now, not missing, DAY),
        )

    def due(self, now: int, limit: int) -> list[str]:
        """Whose sets are to be asked for: first those who wait for them, the longest first, then
        those whose sets are old. At most `limit`."""
        found: list[str] = []
        for known in (False, True):
            rows = self._db.rows(
                "SELECT did, asked_at, tried_at FROM viewers WHERE known = ? AND due_at <= ? "
                "ORDER BY due_at, did LIMIT ?",
                (known, now, limit),
            )
            asleep = [row for row in rows if row[1] < min(row[2], now - AWAY)]
            self._db.many(
                "UPDATE viewers SET due_at = ? WHERE did = ? AND asked_at = ?",
                [(SLEEPS, did, asked_at) for did, asked_at, _ in asleep],
            )
            found += [row[0] for row in rows if row not in asleep]
        return found[:limit]

    def save(
        self, did: str, sets: Mapping[str, Collection[str]], now: int, due_at: int | None,
        problem: str = "",
    ) -> None:  # fmt: skip
        """Keep what was found out of a viewer; `problem`: what is to be said of it, or nothing.
        `due_at` None: that is not all, and the rest comes now, or stays due."""
        with self._db.transaction():
            self._db.many(
                "INSERT INTO viewer_sets (viewer, name, known_at, members) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (viewer, name) DO UPDATE SET known_at = excluded.known_at, "
                "members = excluded.members",
                [(did, name, now, "\n".join(dids)) for name, dids in sets.items()],
            )
            if due_at is not None:
                self._db.run(
                    "UPDATE viewers SET known = ?, tries = 0, tried_at = ?, due_at = ?, "
                    "problem = ? WHERE did = ?",
                    (True, now, due_at, problem, did),
                )

    def failed(self, did: str, now: int, due_at: int, problem: str) -> None:
        """Note that nothing could be found out of a viewer; what was known of them is kept."""
        self._db.run(
            "UPDATE viewers SET tries = tries + 1, tried_at = ?, due_at = ?, problem = ? "
            "WHERE did = ?",
            (now, due_at, problem, did),
        )

    def tries(self, did: str) -> int:
        """How often in a row nothing could be found out of a viewer."""
        found = self._db.rows("SELECT tries FROM viewers WHERE did = ?", (did,))
        return int(found[0][0]) if found else 0


def forget_viewers(db: Database, before: int) -> int:
    """Remove some of those who have not asked since `before`; how many, 0 once there are none."""
    with db.transaction():
        old = db.rows("SELECT did FROM viewers WHERE asked_at < ? LIMIT ?", (before, ROWS))
        db.many("DELETE FROM viewer_sets WHERE viewer = ?", old)
        db.many("DELETE FROM viewers WHERE did = ?", old)
    return len(old)
