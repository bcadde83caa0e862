from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from feedkit.post import EPOCH
from feedkit.times import Moment, Period, micros, moment, turn

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


def test_a_moment_is_its_microseconds_to_the_last_one():
    rnd, late = random.Random(5), micros(datetime(9999, 12, 31, tzinfo=UTC))
    bounds = [0, 1, 1 << 52, late, -micros(datetime(2900, 1, 1, tzinfo=UTC))]
    near = [bound + step for bound in bounds for step in range(-50, 50)]
    for us in (
        *near,
        *(rnd.randrange(1 << 52) for _ in range(20_000)),
        *range(1 << 50, 1 << 51, 1 << 38),
    ):
        assert moment(us) == EPOCH + timedelta(microseconds=us), us
        assert micros(moment(us)) == us
