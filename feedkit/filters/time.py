"""Filters by when a post was made."""

from __future__ import annotations

import re
from datetime import time, timedelta
from functools import cached_property, lru_cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from feedkit.plugin import Field, Filter
from feedkit.post import Post
from feedkit.times import Period

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"\s*(\d{1,2})(?::(\d\d))?\s*[-–]\s*(\d{1,2})(?::(\d\d))?\s*")
_zone = lru_cache(ZoneInfo)  # a ZoneInfo cannot be a frozen parameter: it has no schema


def _zone_name(name: str) -> str:
    try:
        _zone(name)
    except (OSError, ValueError, LookupError):
        raise ValueError(
            f"{name!r} is no time zone that this machine knows; write one such as Europe/Berlin "
            "(if all are unknown, install the package tzdata)"
        ) from None
    return name


def _minutes(hours: str) -> tuple[int, int]:
    """The minutes of the day at which `hours`, such as 22-6 or 9:30-17, begin and end."""
    found = _HOURS.fullmatch(hours)
    if found:
        begin = int(found[1]) * 60 + int(found[2] or 0)
        end = int(found[3]) * 60 + int(found[4] or 0)
        if begin < 1440 and end <= 1440 and int(found[2] or 0) < 60 and int(found[4] or 0) < 60:
            return begin, end
    raise ValueError(f"{hours!r} are no hours; write them as 9-17, 8:30-12 or 22-6")


def _hours(hours: str) -> str:
    _minutes(hours)
    return hours


class Imported(Filter):
    """Posts that were created long before the network saw them: archives that people bring along
    from elsewhere, with their old dates.

    ```yaml
    not: imported
    ```
    """

    after: Period = Field(
        default=timedelta(days=1), description="how much later the network saw it, such as 1d"
    )

    def match(self, post: Post) -> bool:
        return post.seen_at - post.created_at > self.after

    def explain(self, post: Post) -> str:
        return f"created {post.created_at:%Y-%m-%d %H:%M}, seen {post.seen_at:%Y-%m-%d %H:%M} UTC"


class Posted(Filter):
    """Posts made on these weekdays and at these hours, by the clock of one time zone.

    ```yaml
    posted:
      days: [sat, sun]
      hours: [6-9, 22-2]
      zone: Europe/Berlin
    ```
    """

    days: frozenset[Day] = Field(
        default=frozenset(_DAYS), min_length=1, description="mon, tue, wed, thu, fri, sat, sun"
    )
    hours: tuple[Annotated[str, AfterValidator(_hours)], ...] = Field(
        default=("0-24",),
        min_length=1,
        description="from, up to and not including, such as 9-17, 8:30-12; over midnight: 22-6 "
        "(each side belongs to its own day)",
    )
    zone: Annotated[str, AfterValidator(_zone_name)] = Field(
        default="UTC", description="the time zone, such as Europe/Berlin"
    )

    def match(self, post: Post) -> bool:
        local = post.sort_at.astimezone(_zone(self.zone))
        if _DAYS[local.weekday()] not in self.days:
            return False
        return any(_covers(span, local.time()) for span in self._spans)

    def explain(self, post: Post) -> str:
        local = post.sort_at.astimezone(_zone(self.zone))
        return f"{_DAYS[local.weekday()]} {local:%H:%M}"

    @cached_property
    def _spans(self) -> tuple[tuple[int, int], ...]:
        return tuple(map(_minutes, self.hours))


def _covers(span: tuple[int, int], clock: time) -> bool:
    begin, end = span
    minute = clock.hour * 60 + clock.minute
    return begin <= minute < end if begin < end else minute >= begin or minute < end
