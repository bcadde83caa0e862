"""The events of tests/test_load.py through several shards: the oracle's state, also when they are
killed at random, and when their number changes midway.

Runs where test_load runs, on PostgreSQL.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time

import pytest
from test_load import (  # noqa: F401 (fixtures)
    EVERYTHING,
    MATCHING,
    Cut,
    check,
    configured,
    load,
    opened,
    pytestmark,
    server,
)

from feedkit.ingest import Ingest
from feedkit.sharding import Shard
from feedkit.sources import open_source
from feedkit.sources.replay import Replay

__all__ = ["pytestmark"]


@pytest.fixture
def store_url(new_schema):
    return new_schema()


@pytest.mark.parametrize("feeds", [MATCHING, EVERYTHING], ids=["matching", "everything"])
@pytest.mark.parametrize(("number", "name"), [(2, "rewind/events.jsonl"), (3, "events.jsonl")])
def test_shards_side_by_side(store_url, load, tmp_path, number, name, feeds):  # noqa: F811
    path = configured(tmp_path, store_url, feeds=feeds)
    service, store = opened(path)
    failed = []

    def read(shard):
        try:
            ingest = Ingest(service, store, shard=shard)
            source = Replay([str(load / name)], service.engagement)
            source.name = shard.named(source.name)
            ingest.run(Cut(source, None, ingest), threading.Event())
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            store.close()

    shards = [Shard(n, number) for n in range(1, number + 1)]
    threads = [threading.Thread(target=read, args=(shard,)) for shard in shards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    check(store, load, feeds)
    store.close()


class Workers:
    """`feedkit ingest --shard` as processes, one for each shard."""

    def __init__(self, path, folder):
        self.path, self.folder, self.number = path, folder, 0
        self.running = {}

    def start(self, shard):
        with (self.folder / f"{shard.number}of{shard.of}.log").open("a") as log:
            self.running[shard] = subprocess.Popen(
                [sys.executable, "-m", "feedkit", "ingest", "--config", str(self.path),
                 *(["--shard", str(shard)] if shard.of > 1 else [])],
                stdout=log, stderr=log,
            )  # fmt: skip

    def change(self, number):
        """From now on so many."""
        for shard in list(self.running):
            self.kill(shard)
        for n in range(1, number + 1):
            self.start(Shard(n, number))

    def kill(self, shard):
        process = self.running.pop(shard)
        code = process.poll()
        assert code is None, f"shard {shard} ended by itself: {self.said()}"
        process.kill()
        process.wait()

    def said(self):
        return "\n".join(path.read_text()[-2000:] for path in self.folder.glob("*of*.log"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running.values():
            process.kill()
            process.wait()


def place(store, source):
    return store.cursor(source) or (0, 0)


@pytest.mark.parametrize(
    "server",
    [("jetstream_v2", "--rate", "3000"), ("rewind/jetstream_v2", "--rate", "3000")],
    indirect=True,
    ids=" ".join,
)
def test_killed_and_changed_in_number(store_url, load, tmp_path, server):  # noqa: F811
    path = configured(tmp_path, store_url, server)
    service, store = opened(path)
    source = open_source(service.stream, service.engagement).name
    expected = json.loads((load / "expected.json").read_text())
    first, end = expected["first_seq"], expected["last_seq"]["jetstream_v2"]
    rnd = random.Random(7)
    kills = changes = 0
    with Workers(path, tmp_path) as workers:
        workers.change(2)
        until = time.monotonic() + 300
        # Not 1: what an ingest alone reads again may count though it came before its post.
        numbers = [3, 4, 2]
        reached = -1
        while True:
            assert time.monotonic() < until, workers.said()
            time.sleep(rnd.uniform(0.5, 2))
            cursors = [place(store, shard.named(source) if shard.of > 1 else source)[0]
                       for shard in workers.running]  # fmt: skip
            if min(cursors) >= end:
                break
            if min(cursors) <= reached:
                continue  # killed at work, not at its start
            reached = min(cursors)
            if numbers and reached - first > expected["N"] * (4 - len(numbers)) / 5:
                workers.change(numbers.pop(0))
                changes += 1
            else:
                victim = rnd.choice(sorted(workers.running))
                workers.kill(victim)
                workers.start(victim)
                kills += 1
        for process in workers.running.values():
            process.terminate()
            assert process.wait(15) == 0, workers.said()
        workers.running.clear()
    assert changes == 3
    assert kills >= 8
    check(store, load)
    store.close()
