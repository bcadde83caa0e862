"""Several commands as processes that live and end together."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from feedkit.orphans import end_with_starter, start

if TYPE_CHECKING:
    from feedkit.store import StoreError

log = logging.getLogger("feedkit")

GRACE = 8  # seconds that a process has to end when it is told to, before it is killed
# Seconds before what lost the store is tried again, the first time and at most: less than a minute,
# after which a process that says nothing counts as gone.
PAUSE, LONGEST_PAUSE = 1.0, 30.0


def stop_on_signal() -> threading.Event:
    """An event that is set by SIGTERM or ^C, and when the process that started this one with
    `together` is gone."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    end_with_starter()
    return stop


def through_outages(work: Callable[[], None], stop: threading.Event) -> None:
    """Do `work` until it is done. Where it ends because the store is out of reach for now, it is
    begun anew, after ever longer pauses, until `stop` is set; whatever else is wrong with the store
    is raised, since waiting mends no full disk."""
    from feedkit.store import Unavailable

    tries = 0
    while not stop.is_set():
        began = time.monotonic()
        try:
            work()
            return
        except Unavailable as error:
            said = str(error)  # not the error, which holds all that was at work
        if time.monotonic() - began > LONGEST_PAUSE:
            tries = 0
        pause = min(PAUSE * 2.0**tries, LONGEST_PAUSE)
        tries += 1
        log.warning("%s; nothing is lost, trying again in %.0f s", said, pause)
        stop.wait(pause)


def passes(error: StoreError, store: str) -> bool:
    """Whether a process may start nevertheless, and wait until `store` (its address) is there. A
    file that is out of reach is so by a mistake, which is better told at once."""
    from feedkit.store import Unavailable

    return isinstance(error, Unavailable) and not store.startswith("sqlite")


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
