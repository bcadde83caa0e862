"""Durations as people write them: 30s, 15m, 12h, 3d, 2w, and several of them: 1h30m."""

from __future__ import annotations

import re
from datetime import timedelta

HINT = "a duration such as 30s, 15m, 12h, 3d or 2w"
PATTERN = r"(?:\d+(?:\.\d+)?\s*[smhdw]\s*)+"
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])\s*", re.ASCII)
_WHOLE = re.compile(PATTERN, re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_duration(text: str) -> timedelta:
    """The duration that `text` names; raises ValueError with a plain sentence."""
    text = text.strip()
    if not _WHOLE.fullmatch(text):
        unit = "; it needs a unit" if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII) else ""
        raise ValueError(f"must be {HINT}, not {text[:40]!r}{unit}")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError(f"{text[:40]!r} is longer than any clock can tell") from None


def duration_text(duration: timedelta) -> str:
    """The shortest way to write `duration`: `timedelta(hours=36)` gives `36h`."""
    seconds = duration.total_seconds()
    for unit in "wdhm":
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    return f"{seconds:g}s"


def roughly(seconds: float, unit: str = "seconds") -> str:
    """A stretch of time as a person says it: `40 seconds`, `12 minutes`, `3 hours`, `2 days`.
    `unit`: how seconds are called."""
    for size, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(seconds, 0):.0f} {unit}"
