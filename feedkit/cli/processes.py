"""Several commands as processes that live and end together."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import click

from feedkit.orphans import end_with_starter, start

GRACE = 8  # seconds that a process has to end when it is told to, before it is killed


def stop_on_signal() -> threading.Event:
    """An event that is set by SIGTERM or ^C, and when the process that started this one with
    `together` is gone."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    end_with_starter()
    return stop


def together(*verbs: list[str], config: Path) -> int:
    """Run `verbs` as processes until one ends or we are told to stop, then end the others.
    Returns 0 where we were told and all of them ended in time, else 1."""
    stop = stop_on_signal()
    running = {
        verb[0]: start([sys.executable, "-m", "feedkit", *verb, "--config", str(config)])
        for verb in verbs
    }
    while not stop.wait(0.1) and all(process.poll() is None for process in running.values()):
        pass
    told = stop.is_set()
    for name, process in running.items():
        if not told and process.poll() is not None:
            click.echo(f"feedkit {name} {_how(process)}; the others are stopped, too", err=True)
    for process in running.values():
        if process.poll() is None:
            process.terminate()
    until = time.monotonic() + GRACE
    for name, process in running.items():
        try:
            process.wait(max(until - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            click.echo(f"feedkit {name} did not end within {GRACE} s and is killed", err=True)
            process.kill()
            process.wait()
            told = False
    return 0 if told else 1


def _how(process: subprocess.Popen[bytes]) -> str:
    """How a process ended, in words."""
    if process.returncode >= 0:
        return f"ended with exit code {process.returncode}"
    try:
        return f"was killed by {signal.Signals(-process.returncode).name}"
    except ValueError:
        return f"was killed by signal {-process.returncode}"
