"""The Procfile as it stands, with two web processes and two sharded workers on PostgreSQL: the
events of tests/test_load.py end in the oracle's state though each worker is killed ten times, a
reader notices nothing of a web process that is restarted, and the jobs run once each.

honcho starts the formation, and ends all of it when one process ends; so what restarts them is
supervisor, with the configuration that honcho makes of the same Procfile. Runs where test_load runs.
"""

from __future__ import annotations

import getpass
import http.client
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import NamedTuple

import pytest
from _project import ROOT, installed
from test_load import (  # noqa: F401 (fixtures)
    MATCHING,
    SERVICE,
    check,
    load,
    pytestmark,
    server,
)

from feedkit.config import load_config
from feedkit.sharding import Shard
from feedkit.sources import open_source
from feedkit.store import open_store

__all__ = ["pytestmark"]

REFRESH = 2  # seconds
KILLS = 10  # of each worker
FORMATION = "release=0,web=2,worker=2"
SKELETON = "/xrpc/app.bsky.feed.getFeedSkeleton?limit=30&feed=at://{}/app.bsky.feed.generator/{}"
SELECTOR = '''
import os
import sys
import time

from feedkit import Selector


class Noted(Selector):
    """Leaves the posts as they are, and notes which process ranks them."""

    feed: str

    def select(self, posts, request):
        with open("ranked.log", "a") as log:
            log.write(f"{time.time_ns()} {os.getpid()} {self.feed} {' '.join(sys.argv[1:2])}\\n")
        return posts
'''
# Who did the jobs when: each beat of a process takes the place of the last one.
AUDIT = """
CREATE TABLE beats (number bigserial, kind text, pid bigint, at bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO beats (kind, pid, at) VALUES (NEW.kind, NEW.pid, NEW.at); RETURN NEW;
END $$;
CREATE TRIGGER noting AFTER INSERT OR UPDATE ON heartbeats FOR EACH ROW EXECUTE FUNCTION note();
"""


class Answer(NamedTuple):
    """`began`, `ended`: time.monotonic(); `web`: 0 or 1; `said`: a status, or what went wrong."""

    began: float
    ended: float
    web: int
    said: str


class Readers:
    """Ask both web processes all the time. Where one fails the other is asked at once, as a proxy
    before them would."""

    def __init__(self, port):
        self.port = port
        self.answers, self.unanswered = [], []
        self._stop = threading.Event()
        publisher = SERVICE["service"]["publisher"]
        self._paths = [SKELETON.format(publisher, feed) for feed in MATCHING]
        self._paths.append("/xrpc/app.bsky.feed.describeFeedGenerator")
        self._threads = [threading.Thread(target=self._ask_all, args=(n,)) for n in (0, 1)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def ask(self, web, path):
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port + web, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            said = str(answer.status)
        except (OSError, http.client.HTTPException) as error:
            said = type(error).__name__
        finally:
            connection.close()
        return Answer(began, time.monotonic(), web, said)

    def _ask_all(self, web):
        for path in itertools.cycle(self._paths):
            if self._stop.wait(0.02):
                return
            answer = self.ask(web, path)
            self.answers.append(answer)
            if answer.said != "200":
                again = self.ask(1 - web, path)
                if again.said != "200":
                    self.unanswered.append((answer, again))


class Formation:
    """The processes of the Procfile under supervisor, by the names that honcho gave them."""

    def __init__(self, folder, env):
        self.folder, self._env = folder, env
        self._conf = folder / "supervisor" / "supervisord.conf"
        self._log = folder / "supervisor" / "supervisord.log"

    def export(self, honcho):
        logs = self.folder / "supervisor" / "logs"
        logs.mkdir(parents=True)
        subprocess.run(
            [*honcho, "export", "-c", FORMATION, "-a", "birds", "-u", getpass.getuser(),
             "-s", shutil.which("sh"), "-l", str(logs), "supervisord", str(self._conf.parent)],
            cwd=self.folder, env=self._env, check=True, capture_output=True,
        )  # fmt: skip
        self._conf.write_text(
            f"[supervisord]\nnodaemon=true\nlogfile={self._log}\n"
            f"pidfile={self.folder / 'pid'}\n[include]\nfiles=birds.conf\n"
        )

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(self._conf)],
            cwd=self.folder, env=self._env, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(60)
        # supervisor tells only the shell in which honcho's export puts each process.
        for group in map(int, re.findall(r"spawned: '.+' with pid (\d+)", self._log.read_text())):
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def pid(self, name):
        """The process that supervisor started last under this name."""
        started = re.findall(rf"spawned: '{name}' with pid (\d+)", self._log.read_text())
        return int(started[-1]) if started else 0

    def family(self, name):
        """That process and all below it, by the commands that they run."""
        import psutil

        found = {}
        try:
            first = psutil.Process(self.pid(name))
            for one in [first, *first.children(recursive=True)]:
                words = one.cmdline()
                if "feedkit" in words:
                    found[words[words.index("feedkit") + 1]] = one.pid
        except psutil.NoSuchProcess:
            return {}
        return found

    def starts(self, name):
        return self._log.read_text().count(f"spawned: '{name}' ")

    def said(self):
        files = sorted((self.folder / "supervisor").rglob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text()[-3000:]}" for file in files)

    def logs(self):
        logs = (self.folder / "supervisor" / "logs").glob("*.log")
        return "\n".join(file.read_text() for file in logs)


def adjacent_ports():
    """The first of two ports that nobody listens on."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def until(condition, seconds, said):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, said()
        time.sleep(0.05)


@pytest.fixture
def project(tmp_path, new_schema, server):  # noqa: F811
    """A folder with the project's Procfile, and what a host would set in its environment."""
    pytest.importorskip("honcho")
    pytest.importorskip("supervisor")
    folder = tmp_path / "birds"
    (folder / "feeds").mkdir(parents=True)
    (folder / "feeds" / "noted.py").write_text(SELECTOR)
    shutil.copy(ROOT / "Procfile", folder)
    feeds = {
        name: {**feed, "select": [{"noted": name}], "refresh": f"{REFRESH}s", "keep": "3660d"}
        for name, feed in MATCHING.items()
    }
    config = SERVICE | {"store": "${DATABASE_URL}", "stream": server, "feeds": feeds}
    (folder / "config.yaml").write_text(json.dumps(config), "utf-8")
    port = adjacent_ports() - 100  # honcho leaves a hundred to each line, release is the first
    settings = {
        "DATABASE_URL": new_schema(), "PORT": str(port), "WEB_CONCURRENCY": "1",
        "FEEDKIT_SHARDS": "2", "FEEDKIT_LOG": "INFO",
    }  # fmt: skip
    (folder / ".env").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
    env = installed(tmp_path)
    for name in ("FEEDKIT_LOG", "WEB_CONCURRENCY", "DYNO", "FEEDKIT_SHARD"):
        env.pop(name, None)
    return folder, settings, env


@contextmanager
def started_by_honcho(honcho, folder, env):
    with (folder / "honcho.log").open("w") as log:
        process = subprocess.Popen(
            [*honcho, "start", "-c", FORMATION], cwd=folder, env=env, stdout=log,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@pytest.mark.parametrize(
    "server", [("jetstream_v2", "--rate", "1500")], indirect=True, ids=" ".join
)
def test_two_web_and_two_workers_killed_ten_times_each(project, load, request):  # noqa: F811
    folder, settings, env = project
    honcho = [sys.executable, "-m", "honcho"]
    began = time.monotonic()
    subprocess.run([*honcho, "start", "release"], cwd=folder, env=env, check=True, timeout=120)
    service = load_config(folder / "config.yaml", settings)
    store = open_store(service.store)
    request.addfinalizer(store.close)
    store.check_schema()
    audit(settings["DATABASE_URL"])
    source = open_source(service.stream, service.engagement).name
    expected = json.loads((load / "expected.json").read_text())
    first, end = expected["first_seq"], expected["last_seq"]["jetstream_v2"]

    def place(number):
        return (store.cursor(Shard(number, 2).named(source)) or (0, 0))[0]

    def told():
        return (folder / "honcho.log").read_text()[-5000:]

    readers = Readers(int(settings["PORT"]) + 100)
    with started_by_honcho(honcho, folder, env) as process:
        until(lambda: process.poll() is None and min(place(1), place(2)) > first + 2000, 120, told)
        until(lambda: {readers.ask(web, "/ready").said for web in (0, 1)} == {"200"}, 60, told)
    assert "Traceback" not in told()
    assert max(place(1), place(2)) < end

    formation = Formation(folder, env)
    formation.export(honcho)
    restarted = {}
    with formation:
        until(lambda: {readers.ask(web, "/ready").said for web in (0, 1)} == {"200"}, 120,
              formation.said)  # fmt: skip
        with readers:
            with ThreadPoolExecutor(2) as pool:
                killing = [
                    pool.submit(and_close, store, killed, formation, n, place, end) for n in (1, 2)
                ]
                for web, how in enumerate((signal.SIGTERM, signal.SIGKILL)):
                    time.sleep(5)
                    restarted[web] = how, *restart(formation, web, how, readers)
                kills = sum((one.result() for one in killing), Counter())
            until(lambda: min(place(1), place(2)) >= end, 300, formation.said)
            until(lambda: all(formation.family(f"worker-{n}") for n in (1, 2)), 30, formation.said)
            time.sleep(2 * REFRESH)
    took = time.monotonic() - began
    check(store, load)
    failed = judge(readers, restarted)
    owners, rankings = jobs_ran_once(store, folder, formation)
    print(
        f"{expected['N']} events in {took:.0f} s; kills: {dict(sorted(kills.items()))}; "
        f"{len(readers.answers)} requests, failed on a web process that was being restarted: "
        f"{dict(failed)}; {rankings} rankings by {owners} owners of the jobs"
    )


def audit(url):
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(AUDIT)


def and_close(store, work, *arguments):
    """Do the work, and close the connection of this thread."""
    try:
        return work(*arguments)
    finally:
        store.close()


def killed(formation, number, place, end):
    """Kill a worker at work, KILLS times, all of it or one of its processes. Returns what was
    killed."""
    rnd = random.Random(number)
    name, reached, done = f"worker-{number}", place(number), Counter()

    def works():
        return place(number) > reached and {"worker", "ingest", "jobs"} <= set(
            formation.family(name)
        )

    for _ in range(KILLS):
        until(works, 120, formation.said)
        time.sleep(rnd.uniform(0, 1.5))
        what = rnd.choice(["all", "worker", "ingest", "ingest", "jobs"])
        family, pid, starts = formation.family(name), formation.pid(name), formation.starts(name)
        assert place(number) < end, "killed at work, not after the end"
        if what == "all":
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(family[what], signal.SIGKILL)
        done[f"{name} {what}"] += 1
        until(lambda before=starts: formation.starts(name) > before, 60, formation.said)
        reached = place(number)
    return done


def restart(formation, web, how, readers):
    """When a web process was told to end, or killed, and when it answered again."""
    name = f"web-{web + 1}"
    starts, at = formation.starts(name), time.monotonic()
    group = formation.pid(name)
    os.killpg(group, how)
    until(lambda: formation.starts(name) > starts and not lives(group), 60, formation.said)
    until(lambda: readers.ask(web, "/ready").said == "200", 60, formation.said)
    return at, time.monotonic()


def lives(group):
    """Whether a process of the group is left: one that was told to end still answers a while."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def judge(readers, restarted):
    """No request failed but those on a web process between its end and its new start, and each of
    these was answered by the other one."""
    assert not readers.unanswered
    assert restarted.keys() == {0, 1}
    failed = Counter()
    for answer in readers.answers:
        if answer.said == "200":
            continue
        how, at, up = restarted[answer.web]
        assert at <= answer.ended, answer
        assert answer.began <= up, answer
        failed[f"{how.name} {answer.said}"] += 1
    assert len(readers.answers) > 500
    return failed


def jobs_ran_once(store, folder, formation):
    """One process at a time did the jobs, and no feed was ranked before it was due again. Returns
    the number of owners, and of rankings."""
    logs = formation.logs()
    assert "Traceback" not in logs
    assert "is also at work as jobs" not in logs
    lines = [line.split() for line in (folder / "ranked.log").read_text().splitlines()]
    by_jobs = sorted((int(at), pid) for at, pid, _, *verb in lines if verb == ["jobs"])
    turns = [pid for pid, _ in itertools.groupby(pid for _, pid in by_jobs)]
    assert len(turns) == len(set(turns)), "two processes ranked in turns"
    beats = store.db.rows("SELECT pid FROM beats WHERE kind = 'jobs' ORDER BY number")
    owners = [pid for pid, _ in itertools.groupby(pid for (pid,) in beats)]
    assert len(owners) == len(set(owners)), "two processes did the jobs in turns"
    assert len(owners) >= KILLS / 2
    versions = defaultdict(list)
    for feed, at in store.db.rows("SELECT feed_id, created_at FROM versions ORDER BY created_at"):
        versions[feed].append(at)
    assert len(versions) == len(MATCHING)
    for times in versions.values():
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert min(gaps) >= REFRESH * 1_000_000
    return len(owners), sum(map(len, versions.values()))
