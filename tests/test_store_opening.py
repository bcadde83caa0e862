"""Addresses of stores, and what is said when a store cannot do what it was asked."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from storing import ALL, apply, order, uri, us, written

from feedkit.store import Store, StoreError, Unavailable, open_store
from feedkit.store.opening import redact


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "knows no such kind of store; write sqlite:///feedkit.db or postgresql://"),
        ("feedkit.db", "knows no such kind of store"),
        ("mysql://me:secret@db/feeds", "knows no such kind of store"),
        ("sqlite://feedkit.db", "no file is named"),
        ("sqlite:///", "no file is named"),
        ("sqlite:///:memory:", "name a file"),
        ("sqlite:////", "this is a folder; name a file in it"),
        ("postgresql://me:secret@db:port/feeds", "cannot be read|refuses|reached"),
        ("postgresql://me:secret@db/feeds?nonsense=1", "the address cannot be read"),
    ],
)
def test_addresses_that_cannot_be_one(url: str, says: str) -> None:
    with pytest.raises(StoreError, match=says) as error, open_store(url) as store:
        store.check_schema()
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://me:secret@db:5432/feeds", "postgres://me@db:5432/feeds"),
        ("postgres://me:s@cret@db/feeds?password=x", "postgres://me@db/feeds"),
        ("postgres:///feeds?password=secret", "postgres:///feeds"),
        ("sqlite:///feedkit.db", "sqlite:///feedkit.db"),
        ("postgres://[bad", "postgres://…"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_opening_connects_to_nothing(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/a/b/c.db")
    open_store("postgresql://nobody@198.51.100.1/feeds")
    assert not any(tmp_path.iterdir())


def test_the_path_may_have_escapes(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/a%20b.db") as store:
        store.migrate()
    assert (tmp_path / "a b.db").exists()


def test_postgres_is_another_word_for_postgresql(new_schema: Callable[[], str]) -> None:
    with open_store(new_schema().replace("postgresql://", "postgres://", 1)) as store:
        store.migrate()
        assert store.db.dialect == "postgresql"


def test_the_driver_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'atproto-feedkit\[postgres\]'"):
        open_store("postgresql://db/feeds")


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    began = time.monotonic()
    store = open_store(f"postgresql:///feeds?host={tmp_path}", timeout=2)
    with pytest.raises(Unavailable, match="the server cannot be reached"):
        store.newest("red", None, 5)
    assert time.monotonic() - began < 4


def test_a_database_that_is_not_there(postgresql: str) -> None:
    store = open_store(postgresql.replace("/postgres?", "/nothing?"))
    with pytest.raises(StoreError, match="does not exist; check the address") as error:
        store.check_schema()
    assert not isinstance(error.value, Unavailable)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/nowhere/feedkit.db")
    with pytest.raises(StoreError, match="check that its folder exists"):
        store.migrate()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("These are my notes. " * 100)
    says = "the file is not an SQLite database; check the path"
    with open_store(f"sqlite:///{tmp_path}/notes.txt") as store, pytest.raises(StoreError) as error:
        store.migrate()
    assert says in str(error.value)


@pytest.fixture
def filled(store: Store) -> Iterator[Store]:
    store.sync_feeds({"red": "1"})
    apply(store, written("p", "red", rev="1"))
    yield store
    assert order(store, "red")[-1] == uri("p"), "what was there is lost"


sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
postgres = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
MORE = [written(f"q{n}", "red", rev="1", text="x" * 2000) for n in range(200)]


@sqlite
def test_a_full_disk(filled: Store) -> None:
    """Stood in for by the most pages that SQLite may use: its error is the same."""
    filled.db.run("PRAGMA max_page_count = 60")
    with pytest.raises(StoreError, match="its disk is full; free some space"):
        filled.apply(MORE, "test", 1, us(1), ALL)
    filled.db.run("PRAGMA max_page_count = 100000")
    assert order(filled, "red") == [uri("p")]
    assert filled.cursor("test") == (0, us(0))


@sqlite
def test_a_store_that_is_locked(filled: Store, store_url: str) -> None:
    other = sqlite3.connect(store_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with open_store(store_url, timeout=0.2) as store:
            assert order(store, "red") == [uri("p")]  # who reads does not wait
            with pytest.raises(Unavailable, match="another program holds its lock"):
                store.apply(MORE, "test", 1, us(1), ALL, stop=lambda: True)
            other.execute("ROLLBACK")
            store.apply(MORE[:1], "test", 1, us(1), ALL)
    finally:
        other.close()


@sqlite
def test_a_read_only_file(filled: Store) -> None:
    filled.db.run("PRAGMA query_only = 1")  # root may write read-only files; this stops root too
    with pytest.raises(StoreError, match="it is read-only; give feedkit's user the right"):
        filled.apply(MORE, "test", 1, us(1), ALL)


@sqlite
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_without_permission(filled: Store, store_url: str) -> None:
    path = Path(store_url.removeprefix("sqlite:///"))
    filled.close()
    path.chmod(0o400)
    with open_store(store_url) as store, pytest.raises(StoreError, match="it is read-only"):
        store.apply(MORE, "test", 1, us(1), ALL)


@postgres
def test_a_server_that_may_only_be_read(filled: Store) -> None:
    filled.db.run("SET default_transaction_read_only = on")
    with pytest.raises(StoreError, match="the server is read-only; is this a replica"):
        filled.apply(MORE, "test", 1, us(1), ALL)
    filled.db.run("SET default_transaction_read_only = off")
    filled.apply(MORE, "test", 1, us(1), ALL)


@postgres
def test_a_value_that_postgresql_has_no_room_for(filled: Store) -> None:
    with pytest.raises(StoreError, match="it refuses a value"):
        filled.apply([written("nul\0", "red", rev="1")], "test", 1, us(1), ALL)
    assert filled.cursor("test") == (0, us(0))


def _cut(store: Store, store_url: str) -> None:
    """End the server's side of the store's connection, as a restart of the server does."""
    ((number,),) = store.db.rows("SELECT pg_backend_pid()")
    with open_store(store_url) as other:
        other.db.run("SELECT pg_terminate_backend(?, 5000)", (number,))


@postgres
def test_a_dropped_connection_is_made_anew_for_readers(filled: Store, store_url: str) -> None:
    for _ in range(2):
        _cut(filled, store_url)
        assert order(filled, "red") == [uri("p")]


@postgres
def test_a_dropped_connection_ends_a_batch_and_the_next_one_goes_on(
    filled: Store, store_url: str
) -> None:
    _cut(filled, store_url)
    with pytest.raises(Unavailable, match=re.compile("shutting down|connection")):
        filled.apply(MORE[:1], "test", 1, us(1), ALL)
    filled.apply(MORE[:1], "test", 1, us(1), ALL)
    assert filled.cursor("test") == (1, us(1))


@postgres
def test_a_connection_dropped_within_a_batch_leaves_nothing(
    filled: Store, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import feedkit.store.writing as writing

    inner = writing._write_hits

    def cut_then_write(db, written):  # type: ignore[no-untyped-def]
        _cut(filled, store_url)
        inner(db, written)

    monkeypatch.setattr(writing, "_write_hits", cut_then_write)
    with pytest.raises(Unavailable):
        filled.apply(MORE[:1], "test", 1, us(1), ALL)
    monkeypatch.undo()
    assert order(filled, "red") == [uri("p")]
    assert filled.cursor("test") == (0, us(0))
    filled.apply(MORE[:1], "test", 1, us(1), ALL)


@postgres
def test_a_slow_answer_is_given_up(filled: Store, store_url: str) -> None:
    with open_store(store_url, timeout=0.2) as store:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="the server took too long to answer"):
            store.db.rows("SELECT pg_sleep(5)")
        assert time.monotonic() - began < 2
        assert order(store, "red") == [uri("p")]


@postgres
def test_a_migration_takes_as_long_as_it_takes(store_url: str) -> None:
    with open_store(store_url, timeout=0.001) as store, store.db.migrating():
        store.db.rows("SELECT pg_sleep(0.05)")


def test_each_thread_has_a_connection_of_its_own(filled: Store) -> None:
    seen, problems = [], []

    def read() -> None:
        try:
            with filled:
                seen.append(order(filled, "red"))
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert seen == [[uri("p")]] * 4


def test_writers_wait_for_one_another(store: Store, store_url: str) -> None:
    """Two ingests of one source, by accident, and a job: nothing is counted twice or lost."""
    store.sync_feeds({"red": "1"})
    apply(store, written("p", "red", rev="1"))
    problems: list[Exception] = []

    def write(number: int) -> None:
        try:
            with open_store(store_url) as mine:
                for n in range(15):
                    post = written(f"p{number % 2}-{n}", "red", rev="1")
                    if number == 2:
                        mine.redecide({"red": "1"}, lambda post: {"red"})
                    else:
                        mine.apply([post], "test", n, us(n), ALL)
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in (0, 1, 2, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert len(order(store, "red")) == 31
