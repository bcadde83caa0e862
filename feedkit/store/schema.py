"""The version of the tables: bringing it up to date, and refusing to work with another one."""

from __future__ import annotations

import time

from feedkit.store.database import LOCK_TIMEOUT, Database
from feedkit.store.errors import SchemaError, Unavailable
from feedkit.store.migrations import DIALECTS, MIGRATIONS

NEWEST = MIGRATIONS[-1][0]


def migrate(db: Database) -> list[str]:
    """Bring the tables up to date; the names of the migrations that this took. Safe to call twice,
    and by several processes at once: one works, the others wait and find nothing left to do."""
    if db.sqlite:
        _use_wal(db)
    with db.migrating():
        db.run(
            "CREATE TABLE IF NOT EXISTS schema_versions "
            "(version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)"
        )
        done = _version(db)
        _refuse_newer(db, done)
        applied = []
        for version, name, statements in MIGRATIONS:
            if version <= done:
                continue
            for statement in statements:
                db.run(statement.format(**DIALECTS[db.dialect]))
            db.run(
                "INSERT INTO schema_versions (version, name, applied_at) VALUES (?, ?, ?)",
                (version, name, time.time_ns() // 1000),
            )
            applied.append(f"{version:04} {name}")
    return applied


def _use_wal(db: Database) -> None:
    """Write ahead, so that readers never wait for the writer; the file remembers it. The change
    needs the file for itself and, unlike everything else, does not wait for it."""
    until = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            db.rows("PRAGMA auto_vacuum = incremental")  # heeded by a file that has no table yet
            db.rows("PRAGMA journal_mode = wal")
            return
        except Unavailable as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def check_schema(db: Database) -> None:
    """Raise `SchemaError` unless the tables are those of this version of feedkit."""
    if db.sqlite:
        found = db.rows("SELECT 1 FROM sqlite_master WHERE name = 'schema_versions'")
    else:
        found = db.rows("SELECT 1 WHERE to_regclass('schema_versions') IS NOT NULL")
    if not found:
        raise SchemaError(f"store {db.place}: it has no tables yet; run `feedkit migrate`")
    version = _version(db)
    _refuse_newer(db, version)
    if version < NEWEST:
        raise SchemaError(
            f"store {db.place}: its tables are of version {version}, this feedkit needs {NEWEST}; "
            "run `feedkit migrate`"
        )


def _version(db: Database) -> int:
    return int(db.rows("SELECT coalesce(max(version), 0) FROM schema_versions")[0][0])


def _refuse_newer(db: Database, version: int) -> None:
    if version > NEWEST:
        raise SchemaError(
            f"store {db.place}: a newer feedkit made its tables (version {version}; this one "
            f"knows {NEWEST}); upgrade feedkit"
        )
