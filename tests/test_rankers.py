"""Every formula against an independent computation."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from feedkit import Gravity, Newest
from feedkit.testing import NOW, post, request

COUNTS = st.integers(0, 10**6)
AGES = st.floats(0, 10**5)


def exactly(value):
    return pytest.approx(value, rel=1e-9, abs=1e-9)


def test_newest_is_the_time():
    assert Newest().score(post(age="2h"), request()) == exactly(
        (NOW - timedelta(hours=2)).timestamp()
    )
    assert Newest().needs == frozenset()


@pytest.mark.parametrize(
    ("ranker", "made", "score"),
    [
        (Gravity(), post(likes=10, age="1h"), 10 / 3**1.8),
        (Gravity(), post(likes=0, reposts=99, age="1h"), 0),
        (
            Gravity(1.6, reposts=2, replies=0.5, quotes=3),
            post(likes=1, reposts=2, replies=4, quotes=5, age="30m"),
            22 / 2.5**1.6,
        ),
        (Gravity(0), post(likes=7, age="9d"), 7),
        (Gravity(), post(likes=7, sort_at=NOW + timedelta(hours=9)), 7 / 2**1.8),
    ],
)
def test_gravity(ranker, made, score):
    assert ranker.score(made, request()) == exactly(score)


@given(COUNTS, COUNTS, AGES, st.floats(0, 10))
def test_gravity_is_hacker_news(likes, reposts, hours, gravity):
    made = post(likes=likes, reposts=reposts, age=timedelta(hours=hours))
    age = (NOW - made.sort_at) / timedelta(hours=1)
    expected = (likes + 3 * reposts) * math.exp(-gravity * math.log(age + 2))
    assert Gravity(gravity, reposts=3).score(made, request()) == exactly(expected)


def test_weights_say_what_is_needed():
    assert Gravity().needs == {"likes"}
    assert Gravity(likes=0, quotes=2).needs == {"quotes"}
    assert Gravity(1.5).gravity == 1.5
    assert next(iter(Gravity.model_fields)) == "gravity"


@pytest.mark.parametrize("bad", [{"gravity": -1}, {"likes": "nan"}, {"likes": math.inf}])
def test_gravity_refuses(bad):
    with pytest.raises(ValidationError):
        Gravity(**bad)
