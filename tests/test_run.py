"""The commands that keep a service going, as real processes: they start, serve, and end."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from _streams import NOW, commit, end, post_record, server, v2

from feedkit.cli import processes
from feedkit.store import SchemaError, open_store

DONE = 10  # seconds in which a service must have ended


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a configuration and tables; `publisher` is a DID, so nobody is asked."""
    for name in ("FEEDKIT_CONFIG", "FEEDKIT_LOG", "DATABASE_URL", "PORT", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    configure(tmp_path, "ws://127.0.0.1:9")
    with open_store(f"sqlite:///{tmp_path}/feedkit.db") as store:
        store.migrate()
    return tmp_path


def configure(folder, url):
    (folder / "config.yaml").write_text(
        f"""
service: {{hostname: feeds.example.com, publisher: "did:plc:alice234567abcdefghijkl2"}}
store: sqlite:///{folder}/feedkit.db
stream: {{jetstream: {{url: "{url}/xrpc/network.bsky.jetstream.subscribeEvents", compress: no}}}}
feeds:
  words: {{filter: {{keywords: [hello, heron]}}}}
  best: {{filter: {{keywords: [hello, heron]}}, rank: gravity}}
"""
    )


class Process:
    """A feedkit command as a process; what it prints goes to a file."""

    def __init__(self, folder, *line):
        self.output = folder / f"{line[0]}.log"
        self._file = self.output.open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "feedkit", *line], cwd=folder, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self._file, stderr=subprocess.STDOUT,
        )  # fmt: skip

    @property
    def said(self):
        return self.output.read_text("utf-8")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # its session holds all its children
        self.process.wait()

    def until(self, condition, what, seconds=20):
        until = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"it ended before {what}:\n{self.said}"
            assert time.monotonic() < until, f"no {what} in {seconds} s:\n{self.said}"
            time.sleep(0.05)

    def stop(self, number=signal.SIGTERM):
        """Tell it to stop; the exit code."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self):
        began = time.monotonic()
        code = self.process.wait(DONE + 5)
        assert time.monotonic() - began < DONE, self.said
        return code

    def children(self):
        """Process ids by verb."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                line = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == self.process.pid:
                verb = "serve" if b"gunicorn" in line else line[3].decode()
                found[verb] = int(entry.name)
        return found


linux = pytest.mark.skipif(not Path("/proc").is_dir(), reason="children are found in /proc")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def answers(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def stored(folder):
    with open_store(f"sqlite:///{folder}/feedkit.db") as store:
        return len(store.newest("words", None, 1000))


def posts(count):
    made = []
    for n in range(count):
        record = post_record(text=f"hello {n}")
        made.append(v2(seq=n + 1, **commit(record, rkey=f"3mptbyo{n:06}", rev=f"3mptbyp{tid(n)}")))
    return made


def tid(number):
    digits = ""
    for _ in range(6):
        number, digit = divmod(number, 32)
        digits = "234567abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits


def slowly(count):
    """A script: so many posts, one a hundredth of a second, then quiet."""

    def script(connection):
        for message in posts(count):
            connection.send(message, text=True)
            time.sleep(0.01)
        end(connection, "stay")

    return script


def test_ingest_told_to_stop_commits_and_leaves(project):
    with server(slowly(10_000)) as stream:
        configure(project, stream.url)
        with Process(project, "ingest") as ingest:
            ingest.until(lambda: stored(project) >= 20, "posts")
            assert ingest.stop() == 0
    told = re.search(r"stopped after (\d+) events, (\d+) hits", ingest.said)
    assert told, ingest.said
    assert int(told[1]) == stored(project), "what was read is written"
    assert int(told[2]) == 2 * stored(project)
    with open_store(f"sqlite:///{project}/feedkit.db") as store:
        cursor, at = store.cursor(
            f"jetstream {stream.url}/xrpc/network.bsky.jetstream.subscribeEvents"
        )
    assert (cursor, at) == (stored(project), NOW)


def test_ingest_without_a_stream_waits_for_one_and_ends_at_once_when_told(project):
    with Process(project, "ingest") as ingest:
        ingest.until(lambda: "trying again" in ingest.said, "attempt")
        assert ingest.stop(signal.SIGINT) == 0
    assert "stopped after 0 events" in ingest.said


def fill_up(project):
    """Let the store take no more posts."""
    with sqlite3.connect(project / "feedkit.db", timeout=10) as store:
        store.execute(
            "CREATE TRIGGER full BEFORE INSERT ON posts BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
    store.close()


def test_a_store_that_becomes_unwritable_ends_ingest_at_once_with_the_reason(project):
    with server(slowly(10_000)) as stream:
        configure(project, stream.url)
        with Process(project, "ingest") as ingest:
            ingest.until(lambda: stored(project) >= 5, "posts")
            fill_up(project)
            assert ingest.ended() == 1
    last = ingest.said.splitlines()[-1]
    assert last.startswith(f"store sqlite:///{project}/feedkit.db: ")
    assert "no room" in last
    assert "Traceback" not in ingest.said


def test_serve_answers_and_ends(project):
    port = free_port()
    with Process(project, "serve", "--port", str(port), "--workers", "2") as serve:
        serve.until(lambda: answers(port), "answer")
        feed = "at://did:plc:alice234567abcdefghijkl2/app.bsky.feed.generator/words"
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:  # keeps its connection
            for _ in range(5):
                answer = client.get("/xrpc/app.bsky.feed.getFeedSkeleton", params={"feed": feed})
                assert (answer.status_code, answer.json()) == (200, {"feed": []})
            assert "<h2>words</h2>" in client.get("/").text
            assert client.get("/.well-known/did.json").json()["id"] == "did:web:feeds.example.com"
            assert serve.stop() == 0
    assert "Traceback" not in serve.said


def test_serve_takes_its_settings_from_the_environment(project, monkeypatch):
    port = free_port()
    monkeypatch.setenv("PORT", str(port))
    monkeypatch.setenv("WEB_CONCURRENCY", "1")
    monkeypatch.setenv("FEEDKIT_CONFIG", str(project / "config.yaml"))
    elsewhere = project / "elsewhere"
    elsewhere.mkdir()
    with Process(elsewhere, "serve") as serve:
        serve.until(lambda: answers(port), "answer")
        assert serve.stop() == 0
    assert serve.said.count("Booting worker") == 1


@linux
def test_run_does_everything_and_ends_when_told(tmp_path, project):
    (project / "feedkit.db").unlink()
    port = free_port()
    with server(slowly(30)) as stream:
        configure(project, stream.url)
        with Process(project, "run", "--port", str(port)) as run:
            run.until(lambda: answers(port), "answer")
            run.until(lambda: stored(project) == 30, "posts")
            children = run.children()
            assert children.keys() == {"ingest", "jobs", "serve"}
            found = httpx.get(
                f"http://127.0.0.1:{port}/xrpc/app.bsky.feed.getFeedSkeleton",
                params={
                    "feed": "at://did:plc:alice234567abcdefghijkl2/app.bsky.feed.generator/words"
                },
            ).json()
            assert len(found["feed"]) == 30
            assert run.stop() == 0
    assert f"2 feeds on http://127.0.0.1:{port} (^C ends it)" in run.said
    assert run.said.startswith("migrated: ")
    assert not any(map(alive, children.values()))


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_ends_with_all_its_processes(project, number):
    with server(slowly(5)) as stream:
        configure(project, stream.url)
        with Process(project, "worker") as worker:
            worker.until(lambda: stored(project) == 5, "posts")
            children = worker.children()
            assert children.keys() == {"ingest", "jobs"}
            assert worker.stop(number) == 0
    assert not any(map(alive, children.values()))


@linux
@pytest.mark.parametrize("victim", ["ingest", "jobs"])
def test_a_process_that_dies_ends_the_others_and_is_named(project, victim):
    with server(slowly(5)) as stream:
        configure(project, stream.url)
        with Process(project, "worker") as worker:
            worker.until(lambda: stored(project) == 5, "posts")
            worker.until(lambda: len(worker.children()) == 2, "processes")
            children = worker.children()
            os.kill(children[victim], signal.SIGKILL)
            assert worker.ended() == 1
    assert f"feedkit {victim} was killed by SIGKILL; the others are stopped, too" in worker.said
    assert not any(map(alive, children.values()))


def test_a_store_that_fails_ends_the_whole_worker_with_the_reason(project):
    with server(slowly(10_000)) as stream:
        configure(project, stream.url)
        with Process(project, "worker") as worker:
            worker.until(lambda: stored(project) >= 5, "posts")
            fill_up(project)
            assert worker.ended() == 1
    assert "no room" in worker.said
    assert "feedkit ingest ended with exit code 1; the others are stopped, too" in worker.said


class TestThroughOutages:
    """Work that ends by the errors of real stores."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch):
        monkeypatch.setattr(processes, "PAUSE", 0.001)
        monkeypatch.setattr(processes, "LONGEST_PAUSE", 0.004)

    def test_what_is_out_of_reach_is_tried_until_it_is_there(self, project, caplog):
        tries = []

        def work():
            tries.append(1)
            place = (
                "postgresql://127.0.0.1:9/feedkit"
                if len(tries) < 6
                else f"sqlite:///{project}/feedkit.db"
            )
            with open_store(place) as store:
                store.check_schema()

        processes.through_outages(work, threading.Event())
        assert len(tries) == 6
        assert len(caplog.messages) == 5
        assert caplog.messages[0].startswith("store postgresql://127.0.0.1:9/feedkit: the server ")

    def test_whoever_is_told_to_stop_tries_no_more(self):
        stop, tries = threading.Event(), []

        def work():
            tries.append(1)
            if len(tries) == 3:
                stop.set()
            open_store("postgresql://127.0.0.1:9/feedkit").check_schema()

        processes.through_outages(work, stop)
        assert len(tries) == 3

    def test_what_waiting_does_not_mend_is_raised_at_once(self, tmp_path):
        tries = []

        def work():
            tries.append(1)
            with open_store(f"sqlite:///{tmp_path}/new.db") as store:
                store.check_schema()

        with pytest.raises(SchemaError):
            processes.through_outages(work, threading.Event())
        assert len(tries) == 1


def test_jobs_end_when_told_while_idle(project):
    with Process(project, "jobs") as jobs:
        jobs.until(lambda: ranked(project), "ranking")
        assert jobs.stop() == 0


def ranked(folder):
    with open_store(f"sqlite:///{folder}/feedkit.db") as store:
        return store.latest_version("best") is not None


@pytest.mark.parametrize("line", [("jobs",), ("ingest",), ("serve", "--workers", "1", "--port")])
def test_what_a_host_keeps_is_on_stdout(project, line):
    """The log, gunicorn's lines too; nothing is left for stderr."""
    line = [*line, str(free_port())] if line[0] == "serve" else [*line]
    output, errors = project / "out.log", project / "err.log"
    with output.open("w") as out, errors.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "feedkit", *line], cwd=project, stdout=out, stderr=err
        )
    try:
        until = time.monotonic() + 30
        while not (" INFO " in output.read_text() or (line == ["jobs"] and ranked(project))):
            assert time.monotonic() < until, errors.read_text()
            time.sleep(0.05)
    finally:
        process.terminate()
        process.wait(DONE + 5)
    assert errors.read_text() == ""


def test_output_that_nobody_reads_to_the_end_is_no_bug(project):
    done = subprocess.run(
        f"{sys.executable} -m feedkit plugins | (exec <&-; sleep 2)",
        shell=True, cwd=project, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "")


def test_a_terminal_that_knows_no_unicode_gets_escapes(project):
    done = subprocess.run(
        [sys.executable, "-m", "feedkit", "why", "--text", "héron"], cwd=project,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"}, capture_output=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"words \\u2717" in done.stdout
