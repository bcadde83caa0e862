"""Whom the lists, handles … of the configuration mean: kept, compared, handed to every process.

A set is changed by the jobs alone; ingest and web look at `version` and read what is newer. Who
came or went is kept with the set until stored posts have been decided again, so that no end of a
process loses it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from feedkit.store.database import Database

_SETS = "account_sets AS s"
EVERYBODY = "*"  # in `undecided`: the set was not known before, so every post may change


class State(NamedTuple):
    """How it stands with a set. Times are microseconds since 1970; `resolved_at` 0: not known
    yet. `problem`: why the last try failed, or nothing."""

    resolved_at: int
    due_at: int
    problem: str


class Undecided(NamedTuple):
    """A set that changed: `everything` must be decided again, or the posts that concern `dids`."""

    key: str
    version: int
    changed_at: int  # microseconds since 1970
    everything: bool
    dids: frozenset[str]


class AccountSets:
    """The sets in the store, by key."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def version(self) -> int:
        """A number that goes up whenever a set changes; 0 before the first one."""
        return int(self._db.rows("SELECT coalesce(max(version), 0) FROM account_sets")[0][0])

    def versions(self, keys: Collection[str]) -> dict[str, int]:
        """The versions of those of the sets that are known."""
        return dict(
            self._db.each("s.key, s.version", _SETS, "s.key", keys, "AND s.resolved_at > 0")
        )

    def members(self, keys: Collection[str]) -> dict[str, frozenset[str]]:
        """Who is in those of the sets that are known."""
        rows = self._db.each("s.key, s.members", _SETS, "s.key", keys, "AND s.resolved_at > 0")
        return {key: frozenset(_lines(members)) for key, members in rows}

    def states(self, keys: Collection[str]) -> dict[str, State]:
        """How it stands with the sets that were tried at least once."""
        what = "s.key, s.resolved_at, s.due_at, s.problem"
        return {row[0]: State(*row[1:]) for row in self._db.each(what, _SETS, "s.key", keys)}

    def save(
        self, key: str, members: frozenset[str], now: int, due_at: int, problem: str = ""
    ) -> tuple[int, int]:
        """Keep what was found out; how many came and went."""
        db = self._db
        found = db.rows(
            "SELECT resolved_at, undecided, members FROM account_sets WHERE key = ?", (key,)
        )
        known = bool(found and found[0][0])
        before = frozenset(_lines(found[0][2])) if known else frozenset()
        if known and before == members:
            db.run(
                "UPDATE account_sets SET resolved_at = ?, due_at = ?, problem = ? WHERE key = ?",
                (now, due_at, problem, key),
            )
            return 0, 0
        with db.writing():  # the version must be the highest, also once it is committed
            version = self.version() + 1
            undecided = EVERYBODY
            if known and found[0][1] != EVERYBODY:
                undecided = _joined((*_lines(found[0][1]), *(members ^ before)))
            db.run(
                "INSERT INTO account_sets "
                "(key, version, changed_at, resolved_at, due_at, problem, undecided, members) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
                "version = excluded.version, changed_at = excluded.changed_at, "
                "resolved_at = excluded.resolved_at, due_at = excluded.due_at, "
                "problem = excluded.problem, undecided = excluded.undecided, "
                "members = excluded.members",
                (key, version, now, now, due_at, problem, undecided, _joined(members)),
            )
        return len(members - before), len(before - members)

    def failed(self, key: str, problem: str, due_at: int) -> None:
        """Note that a set could not be found out, and keep what was known of it."""
        self._db.run(
            "INSERT INTO account_sets "
            "(key, version, changed_at, resolved_at, due_at, problem, undecided, members) "
            "VALUES (?, 0, 0, 0, ?, ?, '', '') ON CONFLICT (key) DO UPDATE SET "
            "due_at = excluded.due_at, problem = excluded.problem",
            (key, due_at, problem),
        )

    def undecided(self, keys: Collection[str]) -> list[Undecided]:
        """The sets that changed since stored posts were decided by them, the oldest first."""
        rows = self._db.each(
            "s.version, s.key, s.changed_at, s.undecided", _SETS, "s.key", keys,
            "AND s.undecided <> ''",
        )  # fmt: skip
        return [
            Undecided(key, version, at, text == EVERYBODY, frozenset(_lines(text)) - {EVERYBODY})
            for version, key, at, text in sorted(rows)
        ]

    def decided(self, changes: Iterable[Undecided]) -> None:
        """Stored posts are decided by these sets, unless one has changed again meanwhile."""
        self._db.many(
            "UPDATE account_sets SET undecided = '' WHERE key = ? AND version = ?",
            [(change.key, change.version) for change in changes],
        )

    def forget(self, keep: Collection[str], before: int) -> int:
        """Remove the sets that nobody has asked for since `before`, but never one of `keep`, nor
        the one with the highest version, lest a version be used twice. How many."""
        old = self._db.rows(
            "SELECT key FROM account_sets WHERE resolved_at < ? AND due_at < ? "
            "AND version < (SELECT max(version) FROM account_sets)",
            (before, before),
        )
        gone = [(key,) for (key,) in old if key not in keep]
        self._db.many("DELETE FROM account_sets WHERE key = ?", gone)
        return len(gone)


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []


def _joined(dids: Iterable[str]) -> str:
    return "\n".join(sorted(set(dids)))
