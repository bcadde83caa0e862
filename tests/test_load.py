"""100,000 events end in exactly the state of an independent oracle, whatever happens on the way.

Runs where `../shared/load` lies beside the project and FEEDKIT_SLOW is set, to 1 (some minutes) or
all (more of them); skipped elsewhere. FEEDKIT_LOAD may name a folder with the events, made by
`build_events.py FOLDER --rewind`.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from feedkit.config import load_config
from feedkit.ingest import Ingest
from feedkit.sources import open_source
from feedkit.sources.replay import Replay
from feedkit.store import StoreError, open_store

SHARED = Path(os.environ.get("FEEDKIT_SHARED") or Path(__file__).resolve().parents[2] / "shared")
LOAD = SHARED / "load"

pytestmark = [
    pytest.mark.skipif(not LOAD.exists(), reason=f"no load generator at {LOAD}"),
    pytest.mark.skipif(not os.environ.get("FEEDKIT_SLOW"), reason="slow; set FEEDKIT_SLOW=1"),
]

STREAMS = ["jetstream_v2", "jetstream_v1", "firehose"]
SERVICE = {
    "service": {"hostname": "feeds.example.com", "publisher": "did:plc:ewvi7nxzyoun6zhxrhs64oiz"},
    "defaults": {
        "display_name": "Test",
        "rank": {"gravity": {"likes": "1", "reposts": "1", "replies": "1", "quotes": "1"}},
    },
}
MATCHING = {
    "python": {"filter": {"keywords": "python"}},
    "neko": {"filter": {"keywords": "猫"}},
    "art": {"filter": {"any": [{"keywords": ["art", "#art"]}]}},
}
EVERYTHING = {"everything": {"filter": "everything"}}


@pytest.fixture(scope="module")
def load():
    """The folder with the events."""
    if os.environ.get("FEEDKIT_LOAD"):
        yield Path(os.environ["FEEDKIT_LOAD"])
        return
    with tempfile.TemporaryDirectory(prefix="feedkit-load-") as folder:
        build = [sys.executable, LOAD / "build_events.py", folder, "--rewind"]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        yield Path(folder)


@pytest.fixture
def server(request, load):
    """A server of one of the streams; the parameter is (file below the load folder, options)."""
    name, *options = request.param
    process = subprocess.Popen(
        [sys.executable, LOAD / "replay_server.py", "--port", str(free_port()), "--data", load / name,
         "--honour-cursor", *options],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert json.loads(process.stdout.readline())["ev"] == "ready"
    drain = threading.Thread(target=process.stdout.read)
    drain.start()
    port = process.args[process.args.index("--port") + 1]
    path = {
        "jetstream_v2": "/xrpc/network.bsky.jetstream.subscribeEvents",
        "jetstream_v1": "/subscribe",
        "firehose": "/xrpc/com.atproto.sync.subscribeRepos",
    }[Path(name).name]
    kind = "firehose" if name.endswith("firehose") else "jetstream"
    quick = {"backoff": "0.01s", "backoff_cap": "0.05s"}
    yield {kind: {"url": f"ws://127.0.0.1:{port}{path}", **quick}}
    process.kill()
    process.wait()
    drain.join()
    process.stdout.close()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def configured(folder, url, stream=None, feeds=MATCHING):
    path = folder / "config.yaml"
    stream = stream or {"jetstream": {"url": "ws://127.0.0.1:9/subscribe"}}
    path.write_text(json.dumps(SERVICE | {"store": url, "stream": stream, "feeds": feeds}), "utf-8")
    return path


def opened(path):
    service = load_config(path)
    store = open_store(service.store)
    store.migrate()
    return service, store


def rows_of(store, feed):
    """The feed's visible posts as the oracle lists them: newest first, then by URI."""
    rows = [
        [p.uri, round(p.sort_at.timestamp() * 1_000_000), p.likes, p.reposts, p.replies, p.quotes]
        for _, p in store.candidates(feed, 1_000_000)
    ]
    return sorted(rows, key=lambda row: (row[1], row[0]), reverse=True)


def check(store, load, feeds=MATCHING):
    expected = json.loads((load / "expected.json").read_text())
    if feeds is EVERYTHING:
        lines = ["\t".join(map(str, row)) + "\n" for row in rows_of(store, "everything")]
        assert len(lines) == expected["everything"]["count"]
        found = hashlib.sha256("".join(lines).encode()).hexdigest()
        assert found == expected["everything"]["tsv_sha256"]
        assert store.stats().hidden == expected["everything"]["hidden"]
        return
    for feed in feeds:
        rows, wanted = rows_of(store, feed), expected["feeds"][feed]["items"]
        assert rows == wanted, [
            pair for pair in zip(rows, wanted, strict=False) if pair[0] != pair[1]
        ][:3]


class Cut:
    """A source whose batches are cut at random, and that ends at the last event."""

    def __init__(self, source, end, ingest=None):
        self.name, self._source, self._end, self._ingest = source.name, source, end, ingest
        self._rnd = random.Random(11)

    def frames(self, cursor, time, stop):
        for frame in self._source.frames(cursor, time, stop):
            if self._ingest is not None:
                self._ingest.batch_events = int(2 ** self._rnd.uniform(0, 11))
            yield frame
            if frame is not None and any(
                getattr(getattr(event, "post", None), "uri", "") == self._end
                for event in frame.events
            ):
                stop.set()


def end_uri(load):
    return json.loads((load / "expected.json").read_text())["end_uri"]


@pytest.mark.parametrize("feeds", [MATCHING, EVERYTHING], ids=["matching", "everything"])
@pytest.mark.parametrize("name", ["events.jsonl", "rewind/events.jsonl"])
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
def test_replayed(store_url, load, tmp_path, name, feeds, cut):
    if not cut and os.environ["FEEDKIT_SLOW"] != "all":
        pytest.skip("whole batches: set FEEDKIT_SLOW=all")
    service, store = opened(configured(tmp_path, store_url, feeds=feeds))
    ingest = Ingest(service, store)
    source = Replay([str(load / name)], service.engagement)
    ingest.run(Cut(source, None, ingest) if cut else source, threading.Event())
    check(store, load, feeds)
    store.close()


SERVED = [
    *[(stream,) for stream in STREAMS],
    *[(f"rewind/{stream}",) for stream in STREAMS],
    *[(stream, "--drop-after", "700") for stream in STREAMS],
]


SOMETIMES = (
    "sqlite-jetstream_v2", "postgresql-jetstream_v1", "sqlite-firehose", "postgresql-firehose",
    "sqlite-rewind/jetstream_v2", "postgresql-rewind/firehose", "sqlite-rewind/jetstream_v1",
)  # fmt: skip


@pytest.mark.parametrize("server", SERVED, indirect=True, ids=" ".join)
def test_received(store_url, load, tmp_path, server, request):
    together = request.node.callspec.id
    if not together.startswith(SOMETIMES) and os.environ["FEEDKIT_SLOW"] != "all":
        pytest.skip("the other stores and streams: set FEEDKIT_SLOW=all")
    service, store = opened(configured(tmp_path, store_url, server))
    source = open_source(service.stream, service.engagement)
    Ingest(service, store).run(Cut(source, end_uri(load)), threading.Event())
    check(store, load)
    store.close()


KILLED = [
    ("jetstream_v2", "--rate", "6000"),
    ("firehose", "--rate", "6000"),
    ("rewind/jetstream_v2", "--rate", "6000"),
    ("jetstream_v1", "--rate", "6000"),
]
BRIEFLY = ("sqlite-jetstream_v2", "postgresql-firehose")


@pytest.mark.parametrize("server", KILLED, indirect=True, ids=" ".join)
def test_killed_fifty_times(store_url, load, tmp_path, server, request):
    together = request.node.callspec.id.partition(" ")[0]
    if together not in BRIEFLY and os.environ["FEEDKIT_SLOW"] != "all":
        pytest.skip("the other stores and streams: set FEEDKIT_SLOW=all")
    path = configured(tmp_path, store_url, server)
    service, store = opened(path)
    rnd = random.Random(5)
    command = [sys.executable, "-m", "feedkit", "ingest", "--config", str(path)]
    source = open_source(service.stream, service.engagement).name
    reached = set()
    for kill in range(50):
        with running(command) as process:
            before = where(store, source)
            # a random moment of its work, not of its start
            while where(store, source) == before and process.poll() is None:
                if done(store, load):
                    break
                time.sleep(0.01)
            time.sleep(rnd.uniform(0, 0.25))
            assert process.poll() is None, f"ingest ended by itself after {kill} kills"
        reached.add(where(store, source))
    assert len(reached) >= 30, "most kills were after the end"
    with running(command) as process:
        until = time.monotonic() + 120
        while not done(store, load):
            assert time.monotonic() < until, "the last event did not come"
            time.sleep(0.05)
        process.terminate()
        assert process.wait(15) == 0
    check(store, load)
    store.close()


@contextmanager
def running(command):
    """The command as a process that is killed at the end."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def where(store, source):
    try:
        return store.cursor(source)
    except StoreError:  # the process that was killed may still hold its lock for a moment
        return None


def done(store, load):
    return store.find_post(end_uri(load)) is not None
