"""The store: whether it can be read and written, its room, and what is in it for each feed."""

from __future__ import annotations

import shutil
from pathlib import Path

from feedkit.doctor.verdict import Verdict, bad, good, split
from feedkit.doctor.visit import Visit
from feedkit.store import StoreError
from feedkit.store.schema import NEWEST
from feedkit.wording import listed, size_text

ROOM = 500_000_000  # bytes that must be free: a few hours of a busy service and its WAL


def database(visit: Visit) -> Verdict:
    """It can be reached, and its tables are those of this feedkit."""
    try:
        store = visit.opened()
        if store.db.sqlite:
            mode = store.db.rows("PRAGMA journal_mode")[0][0]
            if mode != "wal":
                return bad(
                    f"store {store.place}: its journal is {mode!r}, so requests wait for the "
                    "ingest and it for them",
                    "run `feedkit migrate`, which sets it to WAL",
                )
        version = store.db.rows(
            "SELECT sqlite_version()" if store.db.sqlite else "SHOW server_version"
        )[0][0]
    except StoreError as error:
        return split(error)
    kind = "SQLite" if store.db.sqlite else "PostgreSQL"
    return good(f"{store.place}: {kind} {version}, tables of version {NEWEST}")


def writing(visit: Visit) -> Verdict:
    """It takes a change (one that changes nothing)."""
    store = visit.store()
    try:
        with store.db.transaction():
            store.db.run("UPDATE feeds SET asked_at = asked_at WHERE id < 0")
    except StoreError as error:
        return split(error)
    return good("it can be written")


def disk(visit: Visit) -> Verdict:
    """There is room on the disk of an SQLite file."""
    store = visit.store()
    path = Path(store.db.driver.database)
    free = shutil.disk_usage(path.parent).free
    size = sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*") if one.is_file())
    said = f"{size_text(free)} free beside a database of {size_text(size)}"
    if free < ROOM:
        return bad(
            said,
            f"free at least {size_text(ROOM)}, or keep posts for less time (`keep:`); a full disk "
            "stops the ingest",
        )
    return good(said)


def posts(visit: Visit) -> Verdict:
    """Every feed has posts."""
    filled = visit.filled()
    names = [feed.name for feed in visit.feeds]
    if unknown := [name for name in names if name not in filled]:
        return bad(
            f"the store does not know {listed(unknown)}",
            "start `feedkit worker` with this configuration, or restart it",
        )
    if empty := [name for name in names if not filled[name]]:
        return bad(f"no posts in {listed(empty)}", filling(visit, empty[0]))
    return good(f"all {len(names)} feeds have posts" if len(names) > 1 else "there are posts")


def filling(visit: Visit, name: str) -> str:
    """How a feed comes to posts."""
    known = (
        f"`feedkit backfill {name} --stream 24h` fills it from the past, or "
        if visit.backfill
        else ""
    )
    return (
        f"{known}wait until somebody writes what it takes; `feedkit why --text 'such a post' "
        f"{name}` tries its filter"
    )
