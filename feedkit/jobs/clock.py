"""Jobs on their clocks: none overlaps itself, none is skipped, none takes another one down."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from feedkit.jobs.settable import Every, watch
from feedkit.logs import worth_saying
from feedkit.store import Store, StoreError

log = logging.getLogger(__name__)


@contextmanager
def on_their_clocks(
    jobs: Sequence[tuple[Callable[[], object], float]],
    store: Store,
    watched: Callable[[Callable[[], object]], Callable[[], Any]],
    stop: threading.Event,
) -> Iterator[None]:
    """Do each of `jobs` every so many seconds, by `watched`, as long as the block lasts; then set
    `stop` and wait for those that are running."""
    scheduler = BackgroundScheduler(
        timezone=UTC,
        job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None},
    )
    for job, seconds in jobs:
        name = job.__name__
        scheduler.add_executor(_OneThread(store), name)
        scheduler.add_job(
            Contained(watched(job)), Every(seconds=seconds, timezone=UTC),
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

    def __init__(self, store: Store) -> None:
        super().__init__(max_workers=1)
        self._store = store

    def shutdown(self, wait: bool = True) -> None:
        self._pool.submit(self._store.close)
        super().shutdown(wait)


class Contained:
    """A job whose failures are logged, ever more rarely while they last: some are tried again
    every second."""

    def __init__(self, job: Callable[[], object]) -> None:
        self._job, self._name = job, job.__name__
        self._failures = 0

    def __call__(self) -> bool:
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
