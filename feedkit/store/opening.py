"""From the address of a store to a database. Opens no connection."""

from __future__ import annotations

import sqlite3
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

import peewee

from feedkit.store.database import LOCK_TIMEOUT, Database
from feedkit.store.errors import StoreError

_FORMS = "write sqlite:///feedkit.db or postgresql://user:password@host/database"

# KiB that SQLite keeps for a connection. Each thread of a web process has one; what they read is
# in the system's cache.
CACHE, CACHE_SERVING = 65_536, 512


def open_database(url: str, timeout: float | None = None) -> Database:
    """The database at `url`; `timeout` (seconds) bounds every statement, for the processes that
    answer requests. Raises `StoreError` for an address that cannot be one."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return _sqlite(rest, timeout)
    if scheme in ("postgres", "postgresql"):
        return _postgresql("postgresql://" + rest, timeout)
    raise StoreError(f"store {redact(url)!r}: feedkit knows no such kind of store; {_FORMS}")


def redact(url: str) -> str:
    """`url` without its password, for messages."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "sqlite":
            return url
        login, at, where = parts.netloc.rpartition("@")
        user = login.partition(":")[0]
        return f"{parts.scheme}://{user}{at}{where}{parts.path}"
    except ValueError:
        return url.partition("://")[0] + "://…"


def _sqlite(rest: str, timeout: float | None) -> Database:
    path = unquote(rest[1:]) if rest.startswith("/") else ""
    if not path:
        raise StoreError(
            f"store 'sqlite://{rest}': no file is named; {_FORMS} (three slashes for a path from "
            "here, four for one from the root)"
        )
    if path == ":memory:":
        raise StoreError(
            "store 'sqlite:///:memory:': every thread and process would see a store of its own; "
            "name a file"
        )
    if sqlite3.sqlite_version_info < (3, 35):
        raise StoreError(
            f"this Python comes with SQLite {sqlite3.sqlite_version}, but feedkit needs 3.35 or "
            "newer; install a newer Python"
        )
    if Path(path).is_dir():
        raise StoreError(f"store sqlite:///{path}: this is a folder; name a file in it")
    busy = LOCK_TIMEOUT if timeout is None else min(timeout, LOCK_TIMEOUT)
    driver = peewee.SqliteDatabase(
        path,
        timeout=busy,
        # NORMAL in WAL: a power cut may lose the last transactions, whole and in order; the
        # cursor is in them, so the stream is read again from there.
        pragmas={
            "synchronous": "normal",
            "cache_size": -CACHE if timeout is None else -CACHE_SERVING,
            "temp_store": "memory",
            "wal_autocheckpoint": 4000,
        },
    )
    return Database(driver, "sqlite", f"sqlite:///{path}")


class _Postgresql(peewee.PostgresqlDatabase):
    """`pooled`: a pooler such as PgBouncer lends connections to the server for a transaction only;
    None: the first connection shows it. `bound`: the statement that sets the timeout for what comes
    with it, where there is one."""

    settings: Mapping[str, object] = MappingProxyType({})
    pooled: bool | None = None
    bound = ""

    def execute_sql(self, sql: str, params: Sequence[object] | None = None) -> Any:
        """Run a statement. Behind a pooler one outside a transaction takes its timeout along, in
        one message: a transaction of its own, for which the pooler lends one connection."""
        driver: Any = super()  # peewee is only partly typed
        if self.pooled is None:
            driver.connection()
        if not self.pooled or not self.bound or driver.in_transaction():
            return driver.execute_sql(sql, params)
        from psycopg import ClientCursor  # writes the parameters into the text

        # Measured: a pipeline, which would leave that to the server, takes twice the time.
        cursor = ClientCursor(driver.connection())
        text = sql.replace("%s", "(%s)")  # `-1::bigint` is -(1::bigint)
        cursor.execute(f"{self.bound};\n{text}", params or ())
        cursor.nextset()
        return cursor

    def _initialize_connection(self, conn: Any) -> None:
        if self.pooled is None:  # a pooler makes numbers up for its clients to cancel by
            number = conn.execute("SELECT pg_backend_pid()").fetchone()[0]
            self.pooled = number != conn.info.backend_pid
        if self.pooled:  # what a session has would be another client's with the next statement
            conn.prepare_threshold = None
        else:
            conn.execute(_set(self.settings, local=False))

    def connect_anew(self) -> Any:
        """A connection that belongs to no thread."""
        made = self._connect()  # type: ignore[attr-defined]
        self._initialize_connection(made)
        return made


def _postgresql(url: str, timeout: float | None) -> Database:
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise StoreError(
            f"store {redact(url)}: PostgreSQL needs its driver; "
            "install it with `pip install 'atproto-feedkit[postgres]'`"
        ) from error
    try:
        url, pooled = _pooled(url)
        given = conninfo_to_dict(url)
    except ProgrammingError as error:
        raise StoreError(f"store {redact(url)}: the address cannot be read; {_FORMS}") from error
    options: dict[str, Any] = {
        "application_name": "feedkit",
        "connect_timeout": 10,
        # A server that is gone without a word is noticed after half a minute.
        "tcp_user_timeout": 30_000,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    if timeout is not None:
        options["connect_timeout"] = max(2, round(timeout))  # libpq knows whole seconds, from 2 on
        options["tcp_user_timeout"] = round(timeout * 1000)
    driver = _Postgresql(
        url,
        prefer_psycopg3=True,
        **{name: value for name, value in options.items() if name not in given} | _trusting(given),
    )
    driver.pooled = pooled
    driver.settings = {
        "statement_timeout": round((timeout or 0) * 1000),
        "lock_timeout": round(LOCK_TIMEOUT * 1000),
        # What `synchronous` = NORMAL is to SQLite: a crash of the server may lose the last
        # transactions, whole and in order, with the cursor that stands in them.
        "synchronous_commit": "off",
    }
    if timeout is not None:
        only = {"statement_timeout": driver.settings["statement_timeout"]}
        driver.bound = _set(only, local=True)
    return Database(driver, "postgresql", redact(url), _set(driver.settings, local=True))


def _set(settings: Mapping[str, object], local: bool) -> str:
    calls = (f"set_config('{name}', '{value}', {local})" for name, value in settings.items())
    return f"SELECT {', '.join(calls)}"


def _pooled(url: str) -> tuple[str, bool | None]:
    """The address without `pgbouncer=…`, which is no parameter of PostgreSQL's, and what that said:
    true, false, or nothing."""
    address, _, query = url.partition("?")
    parameters = [part for part in query.split("&") if part]
    rest = [part for part in parameters if part.partition("=")[0] != "pgbouncer"]
    said = [part.partition("=")[2] for part in parameters if part not in rest]
    if said and said[-1] not in ("true", "false"):
        raise StoreError(
            f"store {redact(url)}: pgbouncer={said[-1]} says nothing; write true where connections "
            "are lent for a transaction, false where for a session"
        )
    return address + ("?" + "&".join(rest) if rest else ""), said[-1] == "true" if said else None


def _trusting(given: Mapping[str, Any]) -> dict[str, Any]:
    """For `sslrootcert=system` the file of the certificates that this machine trusts: the driver's
    wheel has an OpenSSL of its own, which looks where no system has them."""
    file = ssl.get_default_verify_paths().cafile
    if (
        file is None
        or given.get("sslrootcert") != "system"
        or given.get("sslmode", "verify-full") != "verify-full"  # the driver refuses it
    ):
        return {}
    return {"sslrootcert": file, "sslmode": "verify-full"}
