"""One database, SQLite or PostgreSQL, behind the few calls that the store needs.

SQL is written once, with `?` for parameters; `Database.each` and `Database.matching` are what
both databases say differently: look many keys up in one statement. The keys are one parameter,
JSON, so the statement stays the same text and is prepared once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any
from zlib import crc32

import msgspec
import peewee

from feedkit.store.errors import StoreError
from feedkit.store.faults import DRIVER_ERRORS, explain, is_locked

log = logging.getLogger(__name__)

# Any fixed numbers do: they name feedkit's advisory locks within a PostgreSQL database.
_WRITERS, _MIGRATION = 0x66656564, 0x66656565
_COPIED = 20  # rows from which on COPY takes less than a statement for each, bench/postgresql.py
LOCK_TIMEOUT = 5.0  # seconds that a writer waits for another one
_WAIT_UNSAID = 1.0  # seconds that a migration waits for an SQLite file before it says so


class Database:
    """A database and how to speak to it. One connection for each thread, opened at first use."""

    def __init__(
        self, driver: peewee.Database, dialect: str, place: str, local_settings: str = ""
    ) -> None:
        self.driver: Any = driver  # peewee is only partly typed
        self.dialect = dialect
        self.place = place  # its address without the password, for messages
        self._local_settings = local_settings  # what a transaction begins with behind a pooler
        self._dropped = threading.local()

    @property
    def sqlite(self) -> bool:
        return self.dialect == "sqlite"

    @property
    def pooled(self) -> bool:
        """Whether a pooler lends connections to the server for a transaction only, as far as the
        address or a connection has shown it."""
        return bool(getattr(self.driver, "pooled", False))

    @property
    def texts(self) -> str:
        """A query for the texts in one parameter, `as_json`."""
        if self.sqlite:
            return "SELECT value FROM json_each(?)"
        return "SELECT json_array_elements_text(?::json)"

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a statement gives. Outside a transaction one that was dropped by the
        server since the last call is opened again."""
        try:
            with self._explained():
                return self._fetch(sql, params)
        except StoreError:
            if not self._dropped.now:
                raise
        with self._explained():
            return self._fetch(sql, params)

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows it changed."""
        with self._explained():
            cursor = self.driver.execute_sql(translate(self.dialect, sql), params)
            return int(cursor.rowcount)

    def execute(self, query: peewee.Query) -> list[tuple[Any, ...]]:
        """Run a query built with `feedkit.store.models`."""
        sql, params = self.driver.get_sql_context().sql(query).query()
        with self._explained():
            cursor = self.driver.execute_sql(sql, params)
            return cursor.fetchall() if cursor.description else []

    def first(self, query: peewee.Query) -> Any:
        """The first row of a query, or None."""
        return next(iter(self.execute(query)), None)

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each of `rows`."""
        if rows := list(rows):
            with self._explained():
                self.driver.cursor().executemany(translate(self.dialect, sql), rows)

    def add(self, table: str, columns: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert `rows` into `columns` (names with commas) of `table`."""
        if self.sqlite or len(rows) < _COPIED:
            marks = ", ".join("?" * (columns.count(",") + 1))
            self.many(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)
            return
        with (
            self._explained(),
            self.driver.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)

    def insert(
        self, head: str, rows: Sequence[Sequence[Any]], tail: str = ""
    ) -> list[tuple[Any, ...]]:
        """Insert `rows` in their order, and what RETURNING in `tail` gives."""
        found: list[tuple[Any, ...]] = []
        step = max(1, 10_000 // len(rows[0])) if rows else 1  # SQLite takes 32,766 parameters
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            values = ",".join([f"({','.join('?' * len(some[0]))})"] * len(some))
            params = [value for row in some for value in row]
            with self._explained():
                found += self._fetch(f"{head} VALUES {values} {tail}", params, returns=bool(tail))
        return found

    def each(
        self,
        what: str,
        table: str,
        column: str,
        values: Collection[Any],
        tail: str = "",
        params: Sequence[Any] = (),
    ) -> list[tuple[Any, ...]]:
        """`what` of the rows of `table` whose `column` is one of `values` (all text or all
        integers). `tail` may add `AND` …, or a limit; `params` are for it."""
        if not values:
            return []
        source = self.among(table, column, "text" if _are_texts(values) else "bigint")
        return self.rows(f"SELECT {what} FROM {source} {tail}", (as_json(values), *params))

    def among(self, table: str, column: str, kind: str = "bigint") -> str:
        """What stands after FROM for the rows of `table` whose `column`, a text or a bigint, is one
        of the values in one parameter, `as_json`; `AND` … may follow."""
        if self.sqlite:  # measured: half the time of IN (SELECT …)
            return f"json_each(?) AS k CROSS JOIN {table} ON {column} = k.value"
        # Measured: a quarter of the time that psycopg takes to send an array.
        keys = f"SELECT json_array_elements_text(?::json)::{kind}"
        return f"{table} WHERE {column} = ANY (ARRAY({keys}))"

    def matching(
        self, what: str, table: str, columns: Mapping[str, str], rows: Collection[tuple[Any, ...]],
        most: int = 1,
    ) -> list[tuple[Any, ...]]:  # fmt: skip
        """`what` of the row of `table` for each of `rows`, where the `columns` (name → type) have
        these values; of up to `most` rows each, where there may be several."""
        if not rows:
            return []
        if self.sqlite:
            same = " AND ".join(
                f"{name} = json_extract(k.value, '$[{n}]')" for n, name in enumerate(columns)
            )
            sql = f"SELECT {what} FROM json_each(?) AS k CROSS JOIN {table} ON {same}"
        else:  # LATERAL with a limit: by index, however few rows the planner takes the table for
            same = " AND ".join(
                f"{name} = (k.value->>{n})::{kind}"
                for n, (name, kind) in enumerate(columns.items())
            )
            sql = (
                "SELECT found.* FROM json_array_elements(?::json) AS k(value) CROSS JOIN LATERAL "
                f"(SELECT {what} FROM {table} WHERE {same} LIMIT {most}) AS found"
            )
        return self.rows(sql, (as_json(rows),))

    @contextmanager
    def writing(self, source: str = "") -> Iterator[None]:
        """A transaction that no other writer disturbs.

        With `source` given: the ingest of that source. On PostgreSQL ingests of several sources
        (shards) write at the same time, each source by one process at a time; everything else
        that writes posts waits for them and they for it.
        """
        with self.transaction():
            if not self.sqlite and source:
                self._fetch(
                    "SELECT pg_advisory_xact_lock_shared(?), pg_advisory_xact_lock(?, ?)",
                    (_WRITERS, _WRITERS, lock_number(source)),
                )
            elif not self.sqlite:
                self._fetch("SELECT pg_advisory_xact_lock(?)", (_WRITERS,))
            yield

    @contextmanager
    def migrating(self) -> Iterator[None]:
        """A transaction in which one process alone changes the tables. Waits for another one that
        does: what that one makes of a large store takes as long as it takes."""
        with self._explained(), ExitStack() as held:
            if self.sqlite:
                self._wait_for_file(held)
            else:
                held.enter_context(self.driver.atomic())
                self._fetch("SET LOCAL statement_timeout = 0")
                self._fetch("SET LOCAL lock_timeout = 0")
                if not self._fetch("SELECT pg_try_advisory_xact_lock(?)", (_MIGRATION,))[0][0]:
                    self._say_it_waits()
                    self._fetch("SELECT pg_advisory_xact_lock(?)", (_MIGRATION,))
                self._fetch("SET LOCAL lock_timeout = 60000")  # of the tables, which others may use
            yield

    def _say_it_waits(self) -> None:
        log.warning(
            "store %s: another process changes its tables, or has them locked; this one waits "
            "until that ends",
            self.place,
        )

    def _wait_for_file(self, held: ExitStack) -> None:
        """Begin, in `held`, a transaction that has an SQLite file for itself."""
        said = False
        try:
            self._fetch(f"PRAGMA busy_timeout = {_WAIT_UNSAID * 1000:.0f}")
            while True:
                try:
                    held.enter_context(self.driver.atomic("EXCLUSIVE"))
                    return
                except peewee.OperationalError as error:
                    if not is_locked(error):
                        raise
                    if not said:
                        said = True
                        self._say_it_waits()
        finally:
            self._fetch(f"PRAGMA busy_timeout = {LOCK_TIMEOUT * 1000:.0f}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction that touches no posts: on PostgreSQL it waits for no writer."""
        with self._explained(), self.driver.atomic(*(("IMMEDIATE",) if self.sqlite else ())):
            if self.pooled:
                self._fetch(self._local_settings)
            yield

    def give_back(self, pages: int) -> None:
        """Give so many of SQLite's free pages back to the disk, in a transaction."""
        with self._explained():
            # A script: Python 3.11 leaves any other statement without columns after one page.
            self.driver.connection().executescript(f"PRAGMA incremental_vacuum({pages})")

    def close(self) -> None:
        """Close this thread's connection."""
        if not self.driver.is_closed():
            self.driver.close()

    def _fetch(
        self, sql: str, params: Sequence[Any] = (), returns: bool = True
    ) -> list[tuple[Any, ...]]:
        cursor = self.driver.execute_sql(translate(self.dialect, sql), params)
        return cursor.fetchall() if returns and cursor.description else []

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except StoreError:
            self._drop_if_broken()
            raise
        except DRIVER_ERRORS as error:
            self._drop_if_broken()
            raise explain(error, self.place) from error

    def _drop_if_broken(self) -> None:
        """Let go of a connection that the server has closed, so that the next call opens one."""
        self._dropped.now = False
        if self.sqlite or self.driver.is_closed() or self.driver.in_transaction():
            return
        if self.driver.connection().closed:
            self._dropped.now = True
            self.driver.close()


def lock_number(name: str) -> int:
    """The number, of PostgreSQL's type integer, that stands for `name` in an advisory lock. Not by
    `hashtext`, which is none of the functions that PostgreSQL documents, so others lack it."""
    return (crc32(name.encode()) ^ 1 << 31) - (1 << 31)


def _are_texts(values: Collection[Any]) -> bool:
    return isinstance(next(iter(values)), str)


def as_json(values: Collection[Any]) -> str:
    """Many values as one parameter."""
    return msgspec.json.encode(list(values)).decode()


@lru_cache(maxsize=512)
def translate(dialect: str, sql: str) -> str:
    """`sql` with the driver's sign for a parameter."""
    return sql if dialect == "sqlite" else sql.replace("?", "%s")
