"""What happens to a service where it runs: the disk fills, the database turns read-only, is
restarted or killed, the clock is wrong, the stream sends anything. Real processes, real databases,
a real stream. Nothing is lost, nothing doubled, and the message says what to do.

"Nothing lost" is always the same question: does the store hold what it holds after all events
were read once, in order, with no trouble?
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from _streams import LIKE, POST, commit, end, like_record, post_record, server, v2
from storing import contents, order
from test_run import Process, answers, free_port

from feedkit.config import load_config
from feedkit.event import Frame
from feedkit.ingest import Ingest
from feedkit.sources.decode import BadFrame, wanted_collections
from feedkit.sources.jetstream_wire import jetstream_frame
from feedkit.store import StoreError, open_store

SLOW = bool(os.environ.get("FEEDKIT_SLOW"))
slow = pytest.mark.skipif(not SLOW, reason="slow; set FEEDKIT_SLOW=1")
PUBLISHER = "did:plc:alice234567abcdefghijkl2"
AUTHORS = [f"did:plc:{'abcdefghijkl'[n] * 24}" for n in range(12)]
SECOND, HOUR = 1_000_000, 3_600_000_000  # microseconds
DIGITS = "234567abcdefghijklmnopqrstuvwxyz"


# ---- a network with a past


def tid(number):
    digits = ""
    for _ in range(13):
        number, digit = divmod(number, 32)
        digits = DIGITS[digit] + digits
    return digits


def moment(us):
    text = datetime.fromtimestamp(us / SECOND, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def events(number, *, until=0, text="", first=1, seed=5):
    """So many messages of Jetstream, of the last seconds before `until` (µs since 1970; now), as
    (sequence number, message): posts, likes of them, both taken back, posts written anew,
    accounts that come and go."""
    rnd = random.Random(seed)
    until = until or time.time_ns() // 1000
    posts, likes, made = [], [], []

    def say(kind, **fields):
        seq = first + len(made)
        at = until - (number - len(made)) * 1000
        made.append((seq, v2(kind, seq=seq, time=moment(at), **fields)))

    def write(did, rkey, operation, record=...):
        collection = LIKE if rkey.startswith("3l") else POST
        rev = tid(1 << 60 | first + len(made))
        say("commit", did=did,
            **commit(record, collection, rkey=rkey, rev=rev, operation=operation))  # fmt: skip

    while len(made) < number:
        what, who = rnd.random(), rnd.choice(AUTHORS)
        at = moment(until - (number - len(made)) * 1000)
        if what < 0.4 or not posts:
            posts.append((who, f"3m{tid(first + len(made))[2:]}"))
            words = rnd.choice(("hello", "good bye"))
            record = post_record(text=f"{words} {len(made)} {text}"[:3000], createdAt=at)
            write(*posts[-1], "create", record)
        elif what < 0.8:
            subject, rkey = rnd.choice(posts[-50:])
            likes.append((who, f"3l{tid(first + len(made))[2:]}"))
            write(*likes[-1], "create", like_record(f"at://{subject}/{POST}/{rkey}"))
        elif what < 0.87 and likes:
            write(*likes.pop(rnd.randrange(len(likes))), "delete")
        elif what < 0.92:
            write(*posts.pop(rnd.randrange(len(posts))), "delete")
        elif what < 0.97:
            record = post_record(text=f"hello again {len(made)}", createdAt=at)
            write(*rnd.choice(posts), "update", record)
        else:
            active = rnd.random() < 0.6
            state = {} if active else {"status": rnd.choice(("deactivated", "takendown"))}
            say("account", did=who, active=active, **state)
    return made


class Network:
    """A server of a stream that knows its past: who asks by a cursor gets everything from there,
    at `rate` messages a second (0: as fast as they go), then nothing more."""

    def __init__(self, messages, rate=0):
        self.messages, self.rate, self.sent = messages, rate, 0

    @property
    def last(self):
        return self.messages[-1][0]

    def asked(self, connection):
        """Where in `messages` the client wants to begin."""
        query = parse_qs(urlsplit(connection.request.path).query)
        cursor = int(query.get("cursor", ["0"])[0])
        return 0 if cursor >= 10**15 else bisect_left(self.messages, (cursor, b""))

    def __call__(self, connection):
        self.send(connection, self.asked(connection))
        end(connection, "stay")

    def send(self, connection, start, stop=None):
        for number, (_, message) in enumerate(self.messages[start:stop], start):
            connection.send(message, text=True)
            self.sent = max(self.sent, number + 1)
            if self.rate and number % 20 == 0:
                time.sleep(20 / self.rate)


# ---- a service on it


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("FEEDKIT_CONFIG", "FEEDKIT_LOG", "DATABASE_URL", "PORT", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


class Service:
    """A configuration, its store, and its commands as processes."""

    def __init__(self, folder, stream, store=""):
        self.folder, self.stream = folder, stream
        self.url = store or f"sqlite:///{folder}/feedkit.db"
        self.config = folder / "config.yaml"
        self.config.write_text(
            f"""
service: {{hostname: feeds.example.com, publisher: "{PUBLISHER}"}}
store: "{self.url}"
stream: {{jetstream: {{url: "{stream}/xrpc/network.bsky.jetstream.subscribeEvents",
  compress: no, idle: 2s, backoff: 0.05s, backoff_cap: 0.2s}}}}
feeds:
  words: {{filter: {{keywords: [hello]}}, keep: 2h}}
  best: {{filter: everything, rank: gravity, refresh: 1s, keep: 2h}}
"""
        )
        with self.store() as store:
            store.migrate()

    def store(self):
        return open_store(self.url)

    def start(self, *line, prefix=()):
        return Command(self.folder, *line, prefix=prefix)

    def source(self):
        return f"jetstream {self.stream}/xrpc/network.bsky.jetstream.subscribeEvents"

    def cursor(self):
        """How far the stream was read; None where the store does not say."""
        with suppress(StoreError), self.store() as store:
            return (store.cursor(self.source()) or (0, 0))[0]
        return None

    def contents(self):
        with self.store() as store:
            return contents(store)

    def ranked_at(self, feed="best"):
        """When a feed was last ranked, µs since 1970; 0: never."""
        with self.store() as store:
            found = store.latest_version(feed)
        return found.created_at if found else 0

    def many(self, feed):
        """How many posts a feed has."""
        with self.store() as store:
            return len(order(store, feed))

    def untroubled(self, messages):
        """What a store holds that has read `messages` with no trouble."""
        service = load_config(self.config)
        with open_store(f"sqlite:///{self.folder}/untroubled.db") as store:
            store.migrate()
            source = Straight(messages, service.engagement)
            Ingest(service, store).run(source, threading.Event())
            return contents(store)

    def read_all(self, network, most=30):
        """Run `feedkit ingest` until all is stored."""
        with self.start("ingest") as ingest:
            ingest.until(lambda: self.cursor() == network.last, "end of the stream", most)
            assert ingest.stop() == 0
        return ingest.said


class Straight:
    """Messages as they are, without a connection and its troubles."""

    name = "straight"

    def __init__(self, messages, engagement):
        self._messages, self._wanted = messages, wanted_collections(engagement)

    def frames(self, cursor, time, stop):
        for seq, message in self._messages:
            try:
                frame = jetstream_frame(message, self._wanted)
            except BadFrame:
                continue
            yield Frame(seq, frame.time, frame.events)


class Command(Process):
    """A command as a process, perhaps started by another one; each has a log of its own."""

    def __init__(self, folder, *line, prefix=()):
        self.output = Path(tempfile.mkstemp(f"-{line[0]}.log", dir=logs(folder))[1])
        self._file = self.output.open("w")
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "feedkit", *line],
            cwd=folder, start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=self._file, stderr=subprocess.STDOUT,
        )  # fmt: skip


def logs(folder):
    made = folder / "logs"
    made.mkdir(exist_ok=True)
    return made


@contextmanager
def serving(service, prefix=()):
    port = free_port()
    with service.start("serve", "--port", str(port), "--workers", "1", prefix=prefix) as process:
        process.port = port
        process.until(lambda: answers(port), "answer")
        yield process
        assert "Traceback" not in process.said


def page(process, feed, cursor=""):
    """The posts of a feed as it is served, all pages of it."""
    uri = f"at://{PUBLISHER}/app.bsky.feed.generator/{feed}"
    found = []
    while True:
        answer = httpx.get(
            f"http://127.0.0.1:{process.port}/xrpc/app.bsky.feed.getFeedSkeleton",
            params={"feed": uri, "limit": 100, "cursor": cursor},
        )
        assert answer.status_code == 200, answer.text
        assert "x-feedkit-stale" not in answer.headers
        found += [item["post"] for item in answer.json()["feed"]]
        cursor = answer.json().get("cursor")
        if not cursor:
            return found


def ends_with(process, says, code=1):
    """It ends by itself, and its last line says why."""
    assert process.ended() == code, process.said
    last = process.said.splitlines()[-1]
    assert says in last, process.said
    assert "Traceback" not in process.said


# ---- a full disk


@pytest.fixture
def small(folder):
    """A file system of 8 MB."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("a small file system needs root, and Linux")
    made = folder / "small"
    made.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", str(made)],
        capture_output=True, text=True,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield made
    finally:
        subprocess.run(["umount", "--lazy", str(made)], check=True)


def fill_up(folder, leave):
    """Take all but `leave` bytes of a file system; gives the file."""
    ballast = folder / "ballast"
    ballast.write_bytes(b"x" * max(shutil.disk_usage(folder).free - leave, 0))
    return ballast


FULL = "its disk is full; free some space, then start feedkit again"


def test_a_full_disk_ends_ingest_and_nothing_else(folder, small):
    network = Network(events(2_000, text="x" * 800))
    with server(network) as stream:
        service = Service(folder, stream.url, f"sqlite:///{small}/feedkit.db")
        with serving(service) as web:
            with service.start("jobs") as jobs:
                jobs.until(service.ranked_at, "ranking")
                ballast = fill_up(small, leave=1_200_000)
                with service.start("ingest") as ingest:
                    ends_with(ingest, FULL)
                before = service.cursor()
                assert 0 < before < network.last
                with service.start("ingest") as again:
                    ends_with(again, FULL)
                assert page(web, "words"), "who reads goes on"
                with service.store() as store:
                    assert page(web, "words") == order(store, "words")
                assert jobs.process.poll() is None, jobs.said
                ballast.unlink()
                service.read_all(network)
                jobs.until(lambda: len(page(web, "best")) == service.many("best"), "new ranking")
                assert jobs.stop() == 0
                assert "Traceback" not in jobs.said
            assert service.contents() == service.untroubled(network.messages)


def test_a_disk_without_a_single_byte(folder, small):
    """Then SQLite cannot even open what it has."""
    service = Service(folder, "ws://127.0.0.1:9", f"sqlite:///{small}/feedkit.db")
    ballast = fill_up(small, leave=0)
    with service.start("jobs", "--once") as jobs:
        ends_with(jobs, "its disk cannot be read or written; is it full? If not, check the disk")
    ballast.unlink()
    with service.start("jobs", "--once") as jobs:
        assert jobs.process.wait(20) == 0, jobs.said


# ---- a database that may only be read


def test_a_read_only_file_ends_ingest_and_nothing_else(folder):
    prefix = ()
    if os.geteuid() == 0:  # who may write whatever the rights say
        if not shutil.which("setpriv"):
            pytest.skip("root may write everything, and there is no setpriv to take that away")
        prefix = ("setpriv", "--bounding-set=-dac_override")
    place = folder / "store"
    place.mkdir()
    network = Network(events(1_000))
    with server(network) as stream:
        service = Service(folder, stream.url, f"sqlite:///{place}/feedkit.db")
        with serving(service, prefix) as web:
            page(web, "words")
            for path in place.iterdir():
                path.chmod(0o444)
            place.chmod(0o555)
            says = "it is read-only; give feedkit's user the right to write the file and its folder"
            with service.start("ingest", prefix=prefix) as ingest:
                ends_with(ingest, says)
            with service.start("jobs", "--once", prefix=prefix) as jobs:
                assert jobs.process.wait(20) == 1
            assert says in jobs.said
            assert "Traceback" not in jobs.said
            assert page(web, "words") == []
            with serving(service, prefix) as other:
                assert page(other, "words") == []
            place.chmod(0o755)
            for path in place.iterdir():
                path.chmod(0o644)
            service.read_all(network)
            with service.store() as store:
                assert page(web, "words") == order(store, "words") != []
        assert service.contents() == service.untroubled(network.messages)
