from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from feedkit.times import Moment, Period, turn

PERIOD = TypeAdapter(Period)
MOMENT = TypeAdapter(Moment)


@pytest.mark.parametrize(
    ("written", "length"),
    [
        ("30m", timedelta(minutes=30)),
        ("1d12h", timedelta(hours=36)),
        (timedelta(hours=2), timedelta(hours=2)),
    ],
)
def test_period(written, length):
    assert PERIOD.validate_python(written) == length


@pytest.mark.parametrize("written", ["", "0s", "12", "-1h", timedelta(0), None])
def test_no_period(written):
    with pytest.raises(ValidationError):
        PERIOD.validate_python(written)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-01-15", datetime(2026, 1, 15, tzinfo=UTC)),
        ("2026-01-15T12:30", datetime(2026, 1, 15, 12, 30, tzinfo=UTC)),
        ("2026-01-15T12:30:00+02:00", datetime(2026, 1, 15, 10, 30, tzinfo=UTC)),
    ],
)
def test_moment(written, moment):
    assert MOMENT.validate_python(written) == moment


def test_turn():
    day = timedelta(days=1)
    assert turn(datetime(1970, 1, 1, 23, 59, tzinfo=UTC), day) == 0
    assert turn(datetime(1970, 1, 2, tzinfo=UTC), day) == 1
