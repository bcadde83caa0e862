"""What a check says."""

from __future__ import annotations

from typing import NamedTuple

from feedkit.duration import roughly


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
    return roughly(seconds, "s")
