"""What the jobs say of themselves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TypeVar

from feedkit.failures import so_far
from feedkit.heartbeat.figures import Job, Working, blamed
from feedkit.heartbeat.pulse import Pulse, now_us
from feedkit.store import Store

LONGEST = 300  # characters of a problem

Done = TypeVar("Done")


class JobsPulse(Pulse):
    """The heartbeat of the process that does the jobs. `hydrators` gives the counts of each."""

    def __init__(
        self, store: Store, hydrators: Callable[[], Mapping[str, Mapping[str, int]]] = dict
    ) -> None:
        super().__init__(store, "jobs", "jobs", self._working)
        self._hydrators = hydrators
        self._jobs: dict[str, Job] = {}
        self._began: dict[str, float] = {}  # those at work; our own clock may be set meanwhile
        self._lock = threading.Lock()  # the jobs are several threads

    def watched(self, job: Callable[[], Done], every: float = 0.0) -> Callable[[], Done]:
        """`job`, which is done every so many seconds, of which each run is noted, from its begin
        on: one may never end. One that raises has failed."""

        @wraps(job)
        def run() -> Done:
            began, problem = time.monotonic(), ""
            with self._lock:
                self._jobs.setdefault(job.__name__, Job()).every = every
                self._began[job.__name__] = began
            try:
                return job()
            except BaseException as error:
                problem = f"{type(error).__name__}: {error}"[:LONGEST]
                raise
            finally:
                self.ran(job.__name__, time.monotonic() - began, problem)

        return run

    def ran(self, job: str, seconds: float, problem: str = "") -> None:
        """Note a run of `job`, which took so long; `problem`: why it failed, or nothing."""
        with self._lock:
            self._began.pop(job, None)
            noted = self._jobs.setdefault(job, Job())
            noted.runs += 1
            noted.seconds, noted.last = noted.seconds + seconds, seconds
            noted.failures += bool(problem)
            noted.failing = noted.failing + 1 if problem else 0
            noted.problem = problem
            noted.ended_at = now_us()

    def overdue(self, job: str) -> None:
        """Note that `job` was due while it was still at work."""
        with self._lock:
            self._jobs.setdefault(job, Job()).overdue += 1

    def _working(self) -> Working:
        with self._lock:
            jobs = {
                name: Job(**{key: getattr(one, key) for key in one.__struct_fields__})
                for name, one in self._jobs.items()
            }
            for name, began in self._began.items():
                jobs[name].running = time.monotonic() - began
        hydrators = {name: dict(counts) for name, counts in self._hydrators().items()}
        return Working(jobs=jobs, hydrators=hydrators, errors=blamed(so_far()))
