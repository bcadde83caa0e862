"""One process does the jobs; another one takes over when that ends, however it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time

import pytest

from feedkit import Keywords, Newest
from feedkit.jobs import Jobs, do_jobs
from feedkit.jobs.owner import _while_owned
from feedkit.settings import FeedConfig, Service
from feedkit.store import StoreError, open_store

SAYS = ("another process does the jobs; this one stands by", "this one does them now")


def test_one_at_a_time(store):
    first, second = store.ownership(), store.ownership()
    assert first.acquire()
    assert first.acquire(), "asking again changes nothing"
    assert first.held()
    assert not second.acquire()
    assert not second.held()
    first.release()
    assert not first.held()
    acquired(second)
    second.release()


def acquired(one):
    """A pooler lets go of a connection a moment after its client."""
    until = time.monotonic() + 60
    while not one.acquire():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_stores_beside_each_other_have_owners_of_their_own(store, new_schema):
    other = open_store(new_schema())
    mine, theirs = store.ownership(), other.ownership()
    assert mine.acquire()
    assert theirs.acquire()
    mine.release()
    theirs.release()


def test_behind_a_pooler_a_transaction_holds_the_lock(new_schema):
    url = new_schema()
    with open_store(url + "&pgbouncer=true") as pooled, open_store(url) as plain:
        assert pooled.db.pooled
        pooled.migrate()
        one, two = pooled.ownership(), plain.ownership()
        assert one.acquire()
        held = plain.db.rows(
            "SELECT a.state, a.backend_xmin IS NULL FROM pg_locks AS l JOIN pg_stat_activity AS a "
            "ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted"
        )
        assert held == [("idle in transaction", True)], "it holds up no vacuum"
        assert not two.acquire()
        one.release()
        assert two.acquire()
        two.release()
        with pooled.db.writing():
            assert pooled.db.rows("SHOW lock_timeout") == [("5s",)]
        pooled.sync_feeds({"red": "1"})
        for _ in range(10):
            assert pooled.stats().feeds.keys() == {"red"}
        assert pooled.db.rows("SELECT count(*) FROM pg_prepared_statements") == [(0,)]


def test_an_owner_whose_connection_broke_knows_it(store):
    if store.db.sqlite:
        pytest.skip("a file has no connection")
    one, two = store.ownership(), store.ownership()
    assert one.acquire()
    store.db.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
        "AND granted AND pid <> pg_backend_pid()"
    )
    acquired(two)
    assert not one.held()
    stop = threading.Event()
    with _while_owned(one, stop) as over:
        assert over.wait(60), "another process has it: the jobs end here"
    two.release()
    acquired(one)
    with _while_owned(one, stop) as over:
        store.db.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
            "AND granted AND pid <> pg_backend_pid()"
        )
        assert not over.wait(2.5), "nobody else wants it: it is taken again"
        stop.set()
        assert over.wait(60)
    assert one.held()
    one.release()


def test_a_lock_that_cannot_be_made_is_told(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        store.migrate()
        (tmp_path / "store.db-jobs").mkdir()
        with pytest.raises(
            StoreError, match="by which one process does the jobs, cannot be opened"
        ):
            store.ownership().acquire()


def test_told_to_stop_a_stand_by_ends(store, caplog):
    caplog.set_level("INFO")
    owner = store.ownership()
    assert owner.acquire()
    service = Service("feeds.example.com", "did:plc:x", "did:web:x", {})
    stop = threading.Event()
    thread = threading.Thread(target=do_jobs, args=(service, store, stop))
    thread.start()
    until = time.monotonic() + 60
    while SAYS[0] not in caplog.text and time.monotonic() < until:
        time.sleep(0.05)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert caplog.text.count(SAYS[0]) == 1
    owner.release()


def test_when_the_owner_is_killed_the_stand_by_takes_over(store_url, tmp_path):
    path = tmp_path / "config.yaml"
    feed = {"filter": {"keywords": "heron"}, "rank": "gravity"}
    service = {"hostname": "feeds.example.com", "publisher": "did:plc:ewvi7nxzyoun6zhxrhs64oiz"}
    path.write_text(json.dumps({"service": service, "store": store_url, "feeds": {"birds": feed}}))
    with open_store(store_url) as store:
        store.migrate()
        running = []
        try:
            for name in ("one", "two"):
                log = tmp_path / f"{name}.log"
                with log.open("w") as output:
                    command = [sys.executable, "-m", "feedkit", "jobs", "--config", str(path)]
                    running.append((subprocess.Popen(command, stdout=output, stderr=output), log))
                if name == "one":
                    wait(lambda: store.latest_version("birds"))
            (one, first), (two, second) = running
            wait(lambda: SAYS[0] in second.read_text())
            assert SAYS[1] not in second.read_text()
            one.kill()
            one.wait()
            wait(lambda: SAYS[1] in second.read_text())
            assert SAYS[0] not in first.read_text()
            two.send_signal(signal.SIGTERM)
            assert two.wait(60) == 0
        finally:
            for process, _ in running:
                process.kill()
                process.wait()


def wait(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_feeds_are_named_by_whoever_runs(store):
    service = Service(
        "feeds.example.com", "did:plc:x", "did:web:x",
        {"birds": FeedConfig("birds", Keywords("a"), Newest())},
    )  # fmt: skip
    Jobs(service, store).decide_again()
    assert store.db.rows("SELECT name FROM feeds WHERE named_at > 0") == [("birds",)]
