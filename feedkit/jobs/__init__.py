"""What happens beside the stream: rank the feeds that are due, prune, decide again."""

from __future__ import annotations

from feedkit.jobs.owner import do_jobs
from feedkit.jobs.work import Jobs

__all__ = ["Jobs", "do_jobs"]
