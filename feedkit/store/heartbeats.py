"""What each process last said of itself, so that every other one can tell.

A row for each process that reads a stream (`ingest`, by the stream's name), for the one that does
the `jobs`, and for each `web` process. Who starts anew takes over the row of the one before.
"""

from __future__ import annotations

from typing import NamedTuple

from feedkit.store.database import Database

SECOND = 1_000_000  # µs
WEB_KEPT = 600 * SECOND  # there may be fewer web processes from now on …
AWAY = 86_400 * SECOND  # … and of another host's we know less surely that it is gone
KEPT = 7 * 86_400 * SECOND
_KEEP = (
    "INSERT INTO heartbeats (kind, name, host, pid, started_at, at, figures) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET "
    "host = excluded.host, pid = excluded.pid, started_at = excluded.started_at, "
    "at = excluded.at, figures = excluded.figures"
)


class Beat(NamedTuple):
    """One process. Times are microseconds since 1970, by its own clock; `figures` is JSON, see
    `feedkit.heartbeat.figures`."""

    kind: str
    name: str
    host: str
    pid: int
    started_at: int
    at: int
    figures: str


class Heartbeats:
    """The heartbeats in the store."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def all(self) -> list[Beat]:
        """Every process that was heard of, in the order of kind and name."""
        return [
            Beat(*row)
            for row in self._db.rows(
                "SELECT kind, name, host, pid, started_at, at, figures FROM heartbeats "
                "ORDER BY kind, name"
            )
        ]

    def save(self, beat: Beat) -> tuple[str, int, int] | None:
        """Keep a beat in place of the last one; whose that was: host, pid, at. Those that were
        not heard of for long are forgotten; what other hosts said only as far as they agree about
        the time, lest one machine's wrong clock forget them all."""
        with self._db.transaction():
            before = self._db.rows(
                "SELECT host, pid, at FROM heartbeats WHERE kind = ? AND name = ?",
                (beat.kind, beat.name),
            )
            self._db.run(_KEEP, beat)
            newest = "SELECT max(at) FROM heartbeats WHERE host <> ?"
            others = self._db.rows(newest, (beat.host,))[0][0]
            now = beat.at if others is None else min(beat.at, others)
            self._db.run(
                "DELETE FROM heartbeats WHERE at < ? OR (kind = 'web' AND at < ?) "
                "OR (kind = 'web' AND at < ? AND host = ?)",
                (now - KEPT, now - AWAY, beat.at - WEB_KEPT, beat.host),
            )
        return tuple(before[0]) if before else None

    def take_name(self, beat: Beat, silent_since: int) -> bool:
        """Keep `beat` under its name, if that is free, this process's own, or of one that was not
        heard of since `silent_since`; whether it was kept. In one statement: many start at the same
        time."""
        free = (
            "WHERE heartbeats.at < ? "
            "OR (heartbeats.host = excluded.host AND heartbeats.pid = excluded.pid)"
        )
        return bool(self._db.run(f"{_KEEP} {free}", (*beat, silent_since)))

    def forget(self, kind: str, name: str) -> None:
        """Remove the row of a process that ends for good."""
        self._db.run("DELETE FROM heartbeats WHERE kind = ? AND name = ?", (kind, name))
