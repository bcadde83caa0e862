"""Plugins that failed in this process: counted in one place, for the log, `/metrics` and `status`.

Rankings are made by the jobs and by the web processes, in several threads, and by many short-lived
objects; what failed there must not be forgotten with them.
"""

from __future__ import annotations

import threading
from collections import Counter

_lock = threading.Lock()
_counts: Counter[tuple[str, str]] = Counter()


def failed(feed: str, plugin: str) -> int:
    """Note that `plugin` failed for `feed`; "" for one that works for no feed in particular, as a
    hydrator does. Returns how often that happened so far."""
    with _lock:
        _counts[feed, plugin] += 1
        return _counts[feed, plugin]


def so_far() -> dict[tuple[str, str], int]:
    """How often plugins failed since the process started, by feed and plugin."""
    with _lock:
        return dict(_counts)


def forget() -> None:
    """Begin again with nothing."""
    with _lock:
        _counts.clear()
