"""What a check says."""

from __future__ import annotations

from typing import NamedTuple


class Verdict(NamedTuple):
    """`ok`: True, False, or None where it could not be found out; `said`: what was found;
    `remedy`: what to do where it is not ok."""

    ok: bool | None
    said: str
    remedy: str = ""


class Unasked(Exception):
    """This could not be found out, because of something else. The message says what."""


class NoAnswer(Exception):
    """A server gave no answer, or none that is of use."""

    def __init__(self, said: str, remedy: str) -> None:
        super().__init__(said)
        self.said, self.remedy = said, remedy


def good(said: str) -> Verdict:
    return Verdict(True, said)


def bad(said: str, remedy: str) -> Verdict:
    return Verdict(False, said, remedy)


def unknown(said: str, remedy: str = "") -> Verdict:
    return Verdict(None, said, remedy)


def split(error: Exception, ok: bool | None = False) -> Verdict:
    """A message of the form «what is wrong; what to do» as a verdict."""
    said, _, remedy = str(error).partition("; ")
    return Verdict(ok, said, remedy)


def age(seconds: float) -> str:
    """A stretch of time as a person says it: `40 s`, `12 minutes`, `3 hours`, `2 days`."""
    for size, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"


def listed(names: list[str]) -> str:
    """The first ten of `names`."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
