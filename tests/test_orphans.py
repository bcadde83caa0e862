"""Processes end with the one that started them, even when that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from _streams import server
from test_run import Process, alive, answers, configure, free_port, linux, project, slowly, stored

__all__ = ["project"]  # a fixture


def gone(pids, seconds=60):
    until = time.monotonic() + seconds
    while any(map(alive, pids)):
        assert time.monotonic() < until, [pid for pid in pids if alive(pid)]
        time.sleep(0.05)


@linux
def test_when_the_worker_is_killed_its_processes_commit_and_leave(project):
    with server(slowly(10_000)) as stream:
        configure(project, stream.url)
        with Process(project, "worker") as worker:
            worker.until(lambda: stored(project) >= 5, "posts")
            worker.until(lambda: len(worker.children()) == 2, "processes")
            children = worker.children()
            worker.process.kill()
            gone(children.values())
            assert "stopped after" in worker.said, "ingest ended in an orderly way"


@linux
def test_when_run_is_killed_the_web_processes_end_too(project):
    port = free_port()
    with Process(project, "run", "--port", str(port)) as run:
        run.until(lambda: answers(port), "answer")
        children = run.children()
        assert children.keys() == {"ingest", "jobs", "serve"}
        run.process.kill()
        gone(children.values())
        until = time.monotonic() + 60
        while answers(port):
            assert time.monotonic() < until, "a web process goes on"


@pytest.mark.parametrize("asked", [True, False])
def test_only_who_was_started_so_watches(asked):
    code = "import time; from feedkit.orphans import *; print(is_started(), flush=True); "
    code += f"end_with_starter(); time.sleep({60 if asked else 1}); print('end')"
    env = {**os.environ, **({"FEEDKIT_ENDS_WITH_STDIN": "1"} if asked else {})}
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        env=env, timeout=90,
    )  # fmt: skip
    assert done.stdout == ("True\n" if asked else "False\nend\n")
    assert done.returncode == (-signal.SIGTERM if asked else 0)
