"""Who does the jobs: one process at a time, by a lock that ends with its owner, however that ends.

PostgreSQL: an advisory lock of a session, on a connection of its own. SQLite: the lock on a file
beside the store, which the operating system lets go of; SQLite itself holds it, as that knows how
on every system.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Any

from feedkit.store.database import Database, lock_number
from feedkit.store.errors import StoreError
from feedkit.store.faults import DRIVER_ERRORS, explain, is_locked

_JOBS = 0x66656567  # with the schema's name it stands for the jobs of one store
# The server learns within 10 s that the owner's machine is gone.
_ALIVE = (
    "SELECT set_config(name, CASE name WHEN 'tcp_keepalives_idle' THEN '4' "
    "WHEN 'tcp_keepalives_interval' THEN '2' WHEN 'tcp_keepalives_count' THEN '3' ELSE '0' END, "
    "{local}) FROM pg_settings WHERE name IN ('tcp_keepalives_idle', 'tcp_keepalives_interval', "
    "'tcp_keepalives_count', 'idle_session_timeout', 'idle_in_transaction_session_timeout', "
    "'transaction_timeout')"
)


class Ownership:
    """The right to do the jobs of a store. Any thread may use it, one at a time."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._connection: Any = None

    def acquire(self) -> bool:
        """Whether the jobs are this process's, from now on if nobody else does them. Raises
        `StoreError` where that cannot be found out."""
        if self._connection is None:
            try:
                self._connection = self._lock_file() if self._db.sqlite else self._session()
            except DRIVER_ERRORS as error:
                raise explain(error, self._db.place) from error
        return self._connection is not None

    def held(self) -> bool:
        """Whether the jobs still are this process's."""
        if self._connection is None:
            return False
        try:
            self._connection.execute("SELECT 1").fetchone()
        except DRIVER_ERRORS:
            self.release()
        return self._connection is not None

    def release(self) -> None:
        """Let somebody else do the jobs."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*DRIVER_ERRORS):
                connection.close()

    def _session(self) -> Any:
        # A transaction that is never ended keeps its connection also behind a pooler that lends
        # them for a transaction; it has seen nothing, so it holds up no vacuum.
        connection = self._db.driver.connect_anew()
        pooled = self._db.pooled
        got = False
        try:
            connection.autocommit = not pooled
            connection.execute(_ALIVE.format(local=str(pooled).lower()))
            kind = "xact_" if pooled else ""
            # Without parameters: with them the server would keep the snapshot of the last answer.
            (schema,) = connection.execute("SELECT current_schema()").fetchone()
            number = lock_number(schema or "")
            row = connection.execute(
                f"SELECT pg_try_advisory_{kind}lock({_JOBS}, {number})"
            ).fetchone()
            got = bool(row and row[0])
        finally:
            if not got:
                connection.close()
        return connection if got else None

    def _lock_file(self) -> Any:
        path = f"{self._db.driver.database}-jobs"
        try:
            connection = sqlite3.connect(
                path, timeout=0, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise StoreError(
                f"store {self._db.place}: the file {path}, by which one process does the jobs, "
                f"cannot be opened ({error}); give feedkit's user the right to write there"
            ) from error
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            connection.close()
            if is_locked(error):
                return None
            raise StoreError(
                f"store {self._db.place}: the file {path}, by which one process does the jobs, "
                f"cannot be locked ({error}); give feedkit's user the right to write it"
            ) from error
        return connection
