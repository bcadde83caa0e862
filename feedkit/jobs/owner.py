"""Of all processes that offer to do a service's jobs one does them, the others stand by."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from feedkit.jobs.work import Jobs
from feedkit.logs import worth_saying
from feedkit.settings import Service
from feedkit.store import Store, StoreError
from feedkit.store.ownership import Ownership

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between two looks at who does the jobs


def do_jobs(service: Service, store: Store, stop: threading.Event) -> None:
    """Do the jobs of `service` on their clocks until `stop` is set, whenever no other process
    does them."""
    owner = store.ownership()
    try:
        while _wait(owner, stop):
            with _while_owned(owner, stop) as over:
                Jobs(service, store).run(over)
            if not stop.is_set():
                log.warning("another process does the jobs now")
    finally:
        owner.release()


def _wait(owner: Ownership, stop: threading.Event) -> bool:
    """Wait until the jobs are ours; False if we are told to stop before."""
    said, failed = False, 0
    while not stop.is_set():
        try:
            if owner.acquire():
                if said:
                    log.info("the process that did the jobs is gone; this one does them now")
                return True
            failed = 0
            if not said:
                said = True
                log.info("another process does the jobs; this one stands by")
        except StoreError as error:
            failed += 1
            if worth_saying(failed):
                log.error("who does the jobs cannot be found out: %s", error)
        stop.wait(LOOK)
    return False


@contextmanager
def _while_owned(owner: Ownership, stop: threading.Event) -> Iterator[threading.Event]:
    """An event that is set with `stop`, and when another process has taken the jobs over."""
    over, done = threading.Event(), threading.Event()

    def watch() -> None:
        while not done.is_set() and not stop.wait(LOOK):
            try:
                if not (owner.held() or owner.acquire()):
                    break
            except StoreError:
                pass  # the store is away: the jobs say so, and nobody can take them over
        over.set()

    watcher = threading.Thread(target=watch, name="owner")
    watcher.start()
    try:
        yield over
    finally:
        done.set()
        watcher.join()
