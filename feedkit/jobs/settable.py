"""Clocks can be set: what is done every so many seconds must not mind."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any

from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.interval import IntervalTrigger

from feedkit.duration import roughly

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between two looks at the clock
BACK = 1.0  # seconds; a clock that is kept by NTP is set back by less


class Every(IntervalTrigger):  # type: ignore[misc]
    """Every so many seconds. After a clock was set far ahead it goes on from there: APScheduler
    would make a list of all the times in between, which for some years are gigabytes."""

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> Any:
        due = super().get_next_fire_time(previous, now)
        return due if previous is None or due > now else now + self.interval


def watch(scheduler: BaseScheduler, stop: threading.Event) -> None:
    """Until `stop` is set: where this machine's clock is set back, have all jobs done now.
    APScheduler goes by that clock, and would rest until it is again what it was."""
    before = _ahead()
    while not stop.wait(LOOK):
        ahead = _ahead()
        if ahead < before - BACK:
            log.warning(
                "this machine's clock was set back by %s; the jobs go on", roughly(before - ahead)
            )
            for job in scheduler.get_jobs():
                job.modify(next_run_time=datetime.now(UTC))
        before = ahead


def _ahead() -> float:
    """Seconds by which the clock is ahead of one that nobody sets."""
    return time.time() - time.monotonic()
