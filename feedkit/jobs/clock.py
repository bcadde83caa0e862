"""Jobs on their clocks: none overlaps itself, none is late unsaid, none takes another one down."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from apscheduler.executors.base import MaxInstancesReachedError
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler

from feedkit.duration import roughly
from feedkit.jobs.settable import Every, watch
from feedkit.logs import worth_saying
from feedkit.store import Store, StoreError

log = logging.getLogger(__name__)

LATE = 10.0  # seconds at work, from which on an overdue job is worth saying
LONGER = 10  # times as long as the last that was said: then an overdue job is worth saying again


@contextmanager
def on_their_clocks(
    jobs: Sequence[tuple[Callable[[], object], float]],
    store: Store,
    watched: Callable[[Callable[[], object], float], Callable[[], Any]],
    stop: threading.Event,
    overdue: Callable[[str], None] = lambda job: None,
) -> Iterator[None]:
    """Do each of `jobs` every so many seconds, as `watched` makes it of the two, as long as the
    block lasts; then set `stop` and wait for those that are running. `overdue` is told the name of
    a job that is due while it is still at work."""
    scheduler = BackgroundScheduler(
        timezone=UTC,
        job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None},
    )
    for job, seconds in jobs:
        name = job.__name__
        scheduler.add_executor(_OneThread(store, overdue), name)
        scheduler.add_job(
            Contained(watched(job, seconds)), Every(seconds=seconds, timezone=UTC),
            name=name, id=name, executor=name, next_run_time=datetime.now(UTC),
        )  # fmt: skip
    scheduler.start()
    watcher = threading.Thread(target=watch, args=(scheduler, stop), name="clock")
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
        scheduler.shutdown(wait=True)


class _OneThread(ThreadPoolExecutor):  # type: ignore[misc]
    """A thread, and so a connection, of a job's own, which ends with it."""

    def __init__(self, store: Store, overdue: Callable[[str], None]) -> None:
        super().__init__(max_workers=1)
        self._store, self._overdue = store, overdue

    def submit_job(self, job: Job, run_times: list[datetime]) -> None:
        """Begin a run, unless the last one is still going on. APScheduler would say so each time,
        which for a job of every second is each second."""
        try:
            super().submit_job(job, run_times)
        except MaxInstancesReachedError:
            self._overdue(job.name)
            job.func.overdue()

    def shutdown(self, wait: bool = True) -> None:
        self._pool.submit(self._store.close)
        super().shutdown(wait)


class Contained:
    """A job whose failures are logged, ever more rarely while they last: some are tried again
    every second. So is that it takes longer than it should."""

    def __init__(self, job: Callable[[], object]) -> None:
        self._job, self._name = job, job.__name__
        self._failures = 0
        self._began: float | None = None  # while it is at work
        self._longest = 0.0  # seconds, of those that were said

    def __call__(self) -> bool:
        self._began = time.monotonic()
        try:
            return self._contained()
        finally:
            self._began = None

    def overdue(self) -> None:
        """It is due again while it is at work: said of the first run that takes long, and again of
        one that takes ten times as long as any that was said."""
        began = self._began
        took = time.monotonic() - began if began is not None else 0.0
        if took >= max(LATE, LONGER * self._longest):
            self._longest = took
            log.warning(
                "the job %s has been at work for %s and is due again; it is not done twice at "
                "once, but again when it ends; other jobs go on",
                self._name, roughly(took) if took > 120 else f"{took:.0f} s",
            )  # fmt: skip

    def _contained(self) -> bool:
        try:
            self._job()
        except StoreError as error:
            self._failures += 1
            if worth_saying(self._failures):
                log.error("the job %s failed, %s: %s", self._name, self._times(), error)
            return False
        except Exception:
            self._failures += 1
            if worth_saying(self._failures):
                log.exception(
                    "the job %s failed, %s; please report this", self._name, self._times()
                )
            return False
        if self._failures:
            log.info("the job %s works again", self._name)
            self._failures = 0
        return True

    def _times(self) -> str:
        return "once" if self._failures == 1 else f"{self._failures} times in a row"
