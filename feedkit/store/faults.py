"""What a database driver's error means for the operator."""

from __future__ import annotations

import sqlite3
from typing import Any

import peewee

from feedkit.store.errors import Conflict, SchemaError, StoreError, Unavailable

try:
    import psycopg

    _PSYCOPG: tuple[type[Exception], ...] = (psycopg.Error,)
except ImportError:  # the extra `postgres` is not installed: a store of SQLite needs no driver
    _PSYCOPG = ()

# A value that cannot be written is refused by the driver (OverflowError: an integer beyond 64
# bits; ValueError: a lone surrogate, which UTF-8 has no bytes for).
DRIVER_ERRORS: tuple[type[Exception], ...] = (
    peewee.PeeweeException,
    sqlite3.Error,
    OverflowError,
    UnicodeError,
    *_PSYCOPG,
)

_MIGRATE = "its tables do not fit this version of feedkit; run `feedkit migrate`"
_FULL = "its disk is full; free some space, then start feedkit again"
_POOLED = (
    "a pooler before it lends connections for a transaction; write pgbouncer=true into the address"
)
_CROWDED = "the server has no connection left; lower the number of web processes"
_REFUSED = "it refuses the user or the password; check the address"
_READ_ONLY = "it is read-only; give feedkit's user the right to write the file and its folder"

# Part of SQLite's message → what to say.
_SQLITE: tuple[tuple[str, type[StoreError], str], ...] = (
    ("is locked", Unavailable, "another program holds its lock for too long; is a backup or an "
     "editor open on it? Close it, then try again"),
    ("readonly", StoreError, _READ_ONLY),
    ("disk is full", StoreError, _FULL),
    ("disk I/O", StoreError, "its disk cannot be read or written; is it full? If not, check the "
     "disk"),
    ("unable to open", Unavailable, "it cannot be opened; check that its folder exists and that "
     "feedkit's user may write there"),
    ("not a database", StoreError, "the file is not an SQLite database; check the path"),
    ("malformed", StoreError, "the file is damaged; restore a backup, or delete it to start anew"),
    ("no such table", SchemaError, _MIGRATE),
    ("no such column", SchemaError, _MIGRATE),
    ("has no column", SchemaError, _MIGRATE),
)  # fmt: skip

# The beginning of an SQLSTATE (appendix A of PostgreSQL's manual) → what to say.
_POSTGRESQL: tuple[tuple[str, type[StoreError], str], ...] = (
    ("42P01", SchemaError, _MIGRATE),
    ("42703", SchemaError, _MIGRATE),
    ("42501", StoreError, "feedkit's user may not do this; grant it the rights on the schema"),
    ("25006", StoreError, "the server is read-only; is this a replica? Connect to the primary"),
    ("53100", StoreError, "the server's disk is full; free some space, then start feedkit again"),
    ("53300", Unavailable, _CROWDED),
    ("26000", StoreError, _POOLED),
    ("42P05", StoreError, _POOLED),
    ("57014", Unavailable, "the server took too long to answer"),
    ("55P03", Unavailable, "another program holds a lock for too long"),
    ("40", Conflict, "another program changed the same rows at the same moment"),
    ("23505", Conflict, "another program wrote the same row at the same moment"),
    ("22", StoreError, "it refuses a value"),
    ("28", StoreError, _REFUSED),
    ("3D", StoreError, "the database does not exist; create it with `createdb`"),
    ("08", Unavailable, "the connection was lost"),
    ("57P", Unavailable, "the server is shutting down or starting"),
)  # fmt: skip


def explain(error: Exception, place: str) -> StoreError:
    """The error that feedkit reports in place of a driver's."""
    error = _first(error)
    if isinstance(error, StoreError):
        return error
    cause: Any = error
    while isinstance(cause, peewee.PeeweeException) and hasattr(cause, "orig"):
        cause = cause.orig  # peewee wraps what happens while connecting twice
    said = " ".join(str(cause).split())
    if isinstance(cause, (OverflowError, UnicodeError)) or type(cause).__name__ == "DataError":
        return StoreError(f"store {place}: it refuses a value ({said})")
    state = getattr(cause, "sqlstate", None)
    if state:
        for beginning, kind, meaning in _POSTGRESQL:
            if state.startswith(beginning):
                return kind(f"store {place}: {meaning} ({said})")
    elif isinstance(cause, sqlite3.Error):
        for part, kind, meaning in _SQLITE:
            if part in said:
                return kind(f"store {place}: {meaning} ({said})")
    elif isinstance(cause, _PSYCOPG) and isinstance(cause, psycopg.OperationalError):
        if any(words in said for words in _NO_CONNECTION):
            return Unavailable(f"store {place}: {_CROWDED} ({said})")
        for part, meaning in _CONNECTING:
            if part in said:
                return StoreError(f"store {place}: {meaning} ({said})")
        lost = "server closed the connection" in said
        meaning = "the connection was lost" if lost else "the server cannot be reached"
        return Unavailable(f"store {place}: {meaning} ({said})")
    return StoreError(f"store {place}: {said}")


def _first(error: Exception) -> Exception:
    """What went wrong first, where `error` is that it cannot be rolled back: where its disk is
    full, SQLite has rolled back already."""
    before: BaseException | None = error
    while before is not None and "cannot rollback" in str(before):
        before = before.__context__
    known = isinstance(before, (StoreError, *DRIVER_ERRORS))
    return before if known and isinstance(before, Exception) else error


# While a connection is made psycopg has no SQLSTATE, only the server's words, or the pooler's.
_NO_CONNECTION = ("too many c", "remaining connection slots", "no more connections allowed")
_CONNECTING = (
    # First of all: with sslmode=prefer a server that wants TLS says both.
    ("password authentication failed", _REFUSED),
    ("certificate verify failed", "its certificate is by no CA that sslrootcert trusts; write "
     "sslrootcert=FILE with the certificate of its CA, or sslrootcert=system if a public CA made "
     "it"),
    ("does not match host name", "its certificate is for another host name; write that name into "
     "the address, or sslmode=verify-ca, which does not look at names"),
    ("root certificate file", "the certificate of its CA cannot be read; write sslrootcert=FILE "
     "with a PEM file that is there, or sslrootcert=system if a public CA made it"),
    ("does not support SSL", "the server speaks no TLS, but the address asks for it; switch it on "
     "there, or take sslmode out if the network between is your own"),
    ("no encryption", "the server wants TLS, or does not let this user in from here; write "
     "sslmode=require into the address, or add the user to its pg_hba.conf"),
    ("no pg_hba.conf entry", "the server does not let this user in from here; add the user to its "
     "pg_hba.conf"),
    ("sslmode", "this sslmode cannot be; write require, or verify-full to know whom you speak to"),
    ("unsupported startup parameter", "the pooler takes no `options` in the address; take them "
     "out, and write ALTER ROLE … SET … in the database"),
    ("password", _REFUSED),
    ("does not exist", "the user or database does not exist; check the address"),
)  # fmt: skip


def is_locked(error: BaseException | None) -> bool:
    """Whether it was only that somebody else holds a lock, as the driver says."""
    while error is not None:
        if getattr(error, "sqlstate", None) == "55P03" or getattr(
            error, "sqlite_errorname", ""
        ).startswith("SQLITE_BUSY"):
            return True
        error = error.__cause__ or error.__context__
    return False
