"""Times as microseconds since 1970, and as people write them: types for plugins' parameters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from feedkit.duration import parse_duration
from feedkit.post import EPOCH

_MICROSECOND = timedelta(microseconds=1)
# µs, in the year 2112: until then a float has seconds to the microsecond, and some to spare.
_EXACT = 1 << 52


def micros(when: datetime) -> int:
    """An aware datetime as microseconds since 1970."""
    return (when - EPOCH) // _MICROSECOND


def moment(us: int) -> datetime:
    """The reverse of `micros`."""
    if 0 <= us < _EXACT:  # measured: a third of the time, and every post that is read has two
        return datetime.fromtimestamp(us / 1e6, UTC)
    return EPOCH + timedelta(microseconds=us)


def _length(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _positive(length: timedelta) -> timedelta:
    if length <= timedelta(0):
        raise ValueError("must be longer than nothing")
    return length


def _zoned(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def turn(now: datetime, length: timedelta) -> int:
    """Which of the periods of this `length` since 1970 `now` falls into."""
    return (now - EPOCH) // length


Period = Annotated[timedelta, BeforeValidator(_length), AfterValidator(_positive)]
"""A length of time above zero: a timedelta, or 30m, 12h, 3d."""

Moment = Annotated[datetime, AfterValidator(_zoned)]
"""A date or a time; UTC unless it names a zone."""
