"""The tables: made once, in order, agreeing with the models, on both databases."""

from __future__ import annotations

import multiprocessing
import os
import queue
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import peewee
import pytest

from feedkit.store import SchemaError, Store, open_store
from feedkit.store.migrations import MIGRATIONS
from feedkit.store.models import MODELS
from feedkit.store.schema import NEWEST


def test_migrating_twice_does_nothing_more(store_url: str) -> None:
    with open_store(store_url) as store:
        assert store.migrate() == [f"{number:04} {name}" for number, name, _ in MIGRATIONS]
        store.check_schema()
        store.sync_feeds({"red": "1"})
        assert store.migrate() == []
        assert store.stats().feeds.keys() == {"red"}


def test_the_numbers_go_up(store: Store) -> None:
    numbers = [number for number, _, _ in MIGRATIONS]
    assert numbers == list(range(1, len(numbers) + 1))
    assert store.db.rows("SELECT max(version) FROM schema_versions") == [(NEWEST,)]


def _migrate(url: str, start, done) -> None:  # type: ignore[no-untyped-def]
    with open_store(url) as store:
        start.wait()
        done.put(store.migrate())


def test_two_processes_at_once(store_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    start, done = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_migrate, args=(store_url, start, done)) for _ in range(2)]
    for worker in workers:
        worker.start()
    results = sorted(done.get(timeout=30) for _ in workers)
    for worker in workers:
        worker.join()
    assert [len(result) for result in results] == [0, len(MIGRATIONS)]


def test_the_command(store_url: str, tmp_path: Path) -> None:
    """`feedkit migrate`, by three at once, once more, and over the tables of a newer feedkit."""
    (tmp_path / "config.yaml").write_text(
        "service: {hostname: feeds.birds.club, publisher: alice.birds.club}\n"
        "store: ${DATABASE_URL}\nfeeds: {birds: {filter: {keywords: heron}}}\n"
    )
    environ = {k: v for k, v in os.environ.items() if k != "FEEDKIT_CONFIG"}

    def command() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "feedkit", "migrate"], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environ | {"DATABASE_URL": store_url, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip

    several = [command() for _ in range(3)]
    said = [one.communicate(timeout=120) for one in several]
    assert [one.returncode for one in several] == [0, 0, 0], said
    made = sorted(out.count("migrated: ") for out, _ in said)
    assert made == [0, 0, len(MIGRATIONS)], said
    with open_store(store_url) as store:
        store.check_schema()
        store.db.run("INSERT INTO schema_versions VALUES (99, 'from the future', 0)")
    later = command()
    out, err = later.communicate(timeout=120)
    assert (later.returncode, out) == (1, "")
    assert re.fullmatch(r"store .*: a newer feedkit made its tables .*; upgrade feedkit\n", err)


def test_several_connections_at_once(store_url: str) -> None:
    start, done = threading.Barrier(4), queue.Queue[list[str]]()
    workers = [threading.Thread(target=_migrate, args=(store_url, start, done)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(len(done.get_nowait()) for _ in workers) == [0, 0, 0, len(MIGRATIONS)]


def test_one_waits_as_long_as_another_one_works(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Here a moment; nothing ends it where it takes minutes."""
    done = queue.Queue[list[str]]()
    start = threading.Barrier(2)
    worker = threading.Thread(target=_migrate, args=(store_url, start, done))
    says = "another process changes its tables, or has them locked; this one waits until that ends"
    with open_store(store_url) as first:
        if first.db.sqlite:
            first.db.rows("PRAGMA journal_mode = wal")
        with first.db.migrating():
            if not first.db.sqlite:
                assert first.db.rows("SHOW lock_timeout") == [("1min",)], (
                    "for others' locks on tables"
                )
            worker.start()
            start.wait()
            until = time.monotonic() + 30
            while says not in caplog.text and time.monotonic() < until:
                time.sleep(0.05)
            if not first.db.sqlite:
                limits = first.db.rows(
                    "SELECT l.pid FROM pg_locks AS l WHERE l.locktype = 'advisory' AND NOT l.granted"
                )
                assert limits, "it waits for the lock, without an end"
            time.sleep(1.5)
            assert done.empty()
    worker.join(30)
    assert len(done.get_nowait()) == len(MIGRATIONS)
    assert caplog.text.count(says) == 1


def test_a_migration_that_fails_leaves_nothing(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (*MIGRATIONS, (NEWEST + 1, "broken", ("CREATE TABLE extra (a INTEGER)", "NONSENSE")))
    monkeypatch.setattr("feedkit.store.schema.MIGRATIONS", broken)
    with open_store(store_url) as store:
        with pytest.raises(Exception, match="syntax"):
            store.migrate()
        with pytest.raises(SchemaError, match="has no tables yet"):
            store.check_schema()


def test_rankings_stay_when_their_table_is_made_anew(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(store_url) as store:
        monkeypatch.setattr("feedkit.store.schema.MIGRATIONS", MIGRATIONS[:13])
        store.migrate()
        store.sync_feeds({"red": "1"})
        ids = list(range(1, 1200))
        versions = [store.save_version("red", who, ids, 1) for who in ("", "did:plc:ann")]
        monkeypatch.undo()
        assert store.migrate() == ["0014 chunks"]
        assert [store.version_slice(version, 240, 500) for version in versions] == [
            ids[240:740]
        ] * 2
        store.check_schema()


def test_no_tables_yet(store_url: str) -> None:
    with open_store(store_url) as store:
        with pytest.raises(SchemaError, match="it has no tables yet; run `feedkit migrate`"):
            store.check_schema()
        with pytest.raises(SchemaError, match="run `feedkit migrate`"):
            store.newest("red", None, 5)


def test_older_tables(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedkit.store.schema.NEWEST", NEWEST + 1)
    with pytest.raises(SchemaError, match=f"this feedkit needs {NEWEST + 1}; run `feedkit migr"):
        store.check_schema()


def test_tables_of_a_newer_feedkit(store: Store) -> None:
    store.db.run("INSERT INTO schema_versions VALUES (99, 'from the future', 0)")
    for refused in (store.check_schema, store.migrate):
        with pytest.raises(SchemaError, match=r"a newer feedkit made .* upgrade feedkit"):
            refused()


# How a model's field types are declared in the databases.
TYPES = {
    peewee.BigAutoField: {"INTEGER", "bigint"},
    peewee.BigIntegerField: {"BIGINT", "bigint"},
    peewee.IntegerField: {"INTEGER", "integer"},
    peewee.SmallIntegerField: {"SMALLINT", "smallint"},
    peewee.BooleanField: {"INTEGER", "boolean"},
    peewee.TextField: {"TEXT", "text"},
    peewee.BlobField: {"BLOB", "bytea"},
}


def test_models_and_tables_agree(store: Store) -> None:
    driver = store.db.driver
    tables = set(driver.get_tables()) - {"schema_versions", "sqlite_sequence"}
    assert tables == {model._meta.table_name for model in MODELS}
    for model in MODELS:
        name = model._meta.table_name
        columns = {column.name: column for column in driver.get_columns(name)}
        assert columns.keys() == model._meta.columns.keys(), name
        for field in model._meta.sorted_fields:
            column = columns[field.column_name]
            assert column.data_type in TYPES[type(field)], f"{name}.{field.name}"
            if not column.primary_key:
                assert column.null == field.null, f"{name}.{field.name} may be null"
        key = model._meta.primary_key
        keys = list(key.field_names) if isinstance(key, peewee.CompositeKey) else [key.name]
        assert set(driver.get_primary_keys(name)) == set(keys), name


def test_models_and_indexes_agree(store: Store) -> None:
    for model in MODELS:
        name = model._meta.table_name
        key = model._meta.primary_key
        keys = list(key.field_names) if isinstance(key, peewee.CompositeKey) else [key.name]
        declared = {
            (tuple(fields), unique)
            for fields, unique in (
                *model._meta.indexes,
                *(((f.name,), f.unique) for f in model._meta.sorted_fields if f.unique or f.index),
            )
            if list(fields) != keys
        }
        made = {
            (tuple(index.columns), bool(index.unique))
            for index in store.db.driver.get_indexes(name)
            if list(index.columns) != keys
        }
        assert made == declared, name


def test_the_order_of_the_hits_key_is_that_of_pages(store: Store) -> None:
    if store.db.sqlite:
        (sql,) = store.db.rows("SELECT sql FROM sqlite_master WHERE name = 'hits'")[0]
    else:
        (sql,) = store.db.rows("SELECT indexdef FROM pg_indexes WHERE indexname = 'hits_pkey'")[0]
    assert re.search(r"\(feed_id, sort_at, post_id\)", sql)
