"""Every formula against an independent computation of the published one."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal, getcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from feedkit import (
    AltText,
    Blend,
    BlendPart,
    Boost,
    Conversation,
    Expression,
    Fading,
    Filter,
    Gravity,
    HalfLife,
    Keywords,
    Newest,
    Random,
    Ranker,
    RedditHot,
    Top,
)  # fmt: skip
from feedkit.plugin import needs_of
from feedkit.rankers.blend import by_range, by_rank
from feedkit.testing import NOW, post, request

getcontext().prec = 40
COUNTS = st.integers(0, 10**6)
HOURS = st.floats(0, 2000)


def exactly(value):
    return pytest.approx(float(value), rel=1e-9, abs=1e-9)


def score(ranker, made, now=NOW):
    return ranker.score(made, request(now))


def hours_of(made):
    return (NOW - made.sort_at) / timedelta(hours=1)


def power(base, exponent):
    """base ** exponent in decimal arithmetic, not in the machine's."""
    return (Decimal(base).ln() * Decimal(exponent)).exp() if base else Decimal(0)


def test_newest_is_the_time():
    assert score(Newest(), post(age="2h")) == exactly((NOW - timedelta(hours=2)).timestamp())
    assert Newest().needs == frozenset()


@pytest.mark.parametrize(
    ("ranker", "made", "expected"),
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
        (HalfLife("6h"), post(likes=8, age="18h"), 1),
        (HalfLife("6h", likes=-1), post(likes=8, age="12h"), -2),
        (Fading("48h"), post(likes=8, age="24h"), 6),
        (Fading("48h"), post(likes=8, age="48h"), 0),
        (Fading("48h"), post(likes=8, age="30d"), 0),
        (Top(), post(likes=8, reposts=3, age="900d"), 8),
        (Top(reposts=10), post(likes=8, reposts=3), 38),
        (Top("7d"), post(likes=8, age="7d"), 8),
        (Conversation(calm=5), post(likes=3, reposts=2, replies=6, quotes=4), 10 * 10 / 20 / 2),
        (Conversation(0), post(likes=90, replies=10, age="9d"), 10 * 10 / 110),
        (Conversation(), post(likes=90, reposts=10), 0),
    ],
)
def test_by_hand(ranker, made, expected):
    assert score(ranker, made) == exactly(expected)


@given(COUNTS, COUNTS, HOURS, st.floats(0, 10))
def test_gravity_is_hacker_news(likes, reposts, hours, gravity):
    made = post(likes=likes, reposts=reposts, age=timedelta(hours=hours))
    expected = (likes + 3 * reposts) / power(hours_of(made) + 2, gravity)
    assert score(Gravity(gravity, reposts=3), made) == exactly(expected)


def published_reddit_hot(points, date):
    """reddit/r2/r2/lib/db/_sorts.pyx, with its own epoch arithmetic, but for the rounding."""
    order = math.log(max(abs(points), 1), 10)
    sign = 1 if points > 0 else -1 if points < 0 else 0
    since = date - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = since.days * 86400 + since.seconds + since.microseconds / 1000000 - 1134028003
    return sign * order + seconds / 45000


@given(st.integers(-(10**6), 10**6), HOURS)
def test_reddit_hot(points, hours):
    made = post(likes=abs(points), age=timedelta(hours=hours))
    ranker = RedditHot(likes=-1.0 if points < 0 else 1.0)
    assert score(ranker, made) == exactly(published_reddit_hot(points, made.sort_at))
    assert score(ranker, made, NOW + timedelta(days=9)) == score(ranker, made)


def test_reddit_hot_trades_time_for_votes():
    ranker = RedditHot()
    old, new = post(likes=100, age="12.5h"), post(likes=10)
    assert score(ranker, old) == exactly(score(ranker, new))
    slow = RedditHot("25h")
    assert score(slow, post(likes=100, age="25h")) == exactly(score(slow, new))


@given(COUNTS, HOURS, st.floats(0.1, 500))
def test_half_life_and_fading(likes, hours, length):
    made = post(likes=likes, age=timedelta(hours=hours))
    span = timedelta(hours=length)
    part = hours_of(made) / (span / timedelta(hours=1))
    halved = likes * power(2, -part) if part < 1000 else 0
    assert score(HalfLife(span), made) == exactly(halved)
    assert score(Fading(span), made) == exactly(likes * (1 - part**2) if part < 1 else 0)


def test_top_puts_what_is_too_old_below_everything():
    ranker = Top("1d", likes=-1)
    fresh, disliked = post(likes=0), post(likes=10**9)
    old, older = post(likes=10**9, age="25h"), post(age="900d", likes=0)
    scores = [score(ranker, made) for made in (fresh, disliked, old, older)]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 4


@given(COUNTS, COUNTS, COUNTS, COUNTS, HOURS)
def test_conversation(likes, reposts, replies, quotes, hours):
    made = post(
        likes=likes, reposts=reposts, replies=replies, quotes=quotes, age=timedelta(hours=hours)
    )
    talk = Decimal(replies + quotes)
    expected = talk**2 / (talk + likes + reposts + 10) / Decimal(hours_of(made) + 2)
    assert score(Conversation(), made) == exactly(expected)


def test_weights_say_what_is_needed():
    assert Gravity().needs == {"likes"}
    assert Gravity(likes=0, quotes=2).needs == {"quotes"}
    assert Conversation().needs == {"likes", "reposts", "replies", "quotes"}
    for ranker, own in ((Gravity, "gravity"), (Top, "window"), (HalfLife, "half_life")):
        assert next(iter(ranker.model_fields)) == own
        weights = ["likes", "reposts", "replies", "quotes", "votes_from"]
        assert list(ranker.model_fields)[-5:] == weights


@pytest.mark.parametrize(
    "make",
    [
        lambda: Gravity(-1),
        lambda: Gravity(likes="nan"),
        lambda: Gravity(likes=math.inf),
        lambda: HalfLife("0s"),
        lambda: HalfLife("soon"),
        lambda: Conversation(calm=0),
        lambda: Blend([]),
        lambda: Boost(Gravity(), Keywords("x"), 0),
    ],
)
def test_refused(make):
    with pytest.raises(ValidationError):
        make()


MADE = post(
    "12345", likes=10, reposts=4, replies=3, quotes=2, age="90m", images=2, video=True,
    links="https://a.org", tags=["a", "b"], reply_to="at://x", quote="at://y", mentions=["did:x"],
)  # fmt: skip


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("likes + 3*quotes - 0.5*age_hours", 10 + 6 - 0.75),
        ("(likes + reposts) / (age_hours + 2)**1.8", 14 / 3.5**1.8),
        ("-likes", -10),
        ("+likes", 10),
        ("--likes", 10),
        ("2 - 3 - 4", -5),
        ("2**3**2", 512),
        ("2 * -3", -6),
        ("-2**2", -4),
        ("1e3 + .5", 1000.5),
        ("log(likes) + log2(8) + log10(1000)", math.log(10) + 6),
        ("sqrt(likes * likes)", 10),
        ("exp(1)", math.e),
        ("abs(reposts - likes)", 6),
        ("min(likes, reposts, 7) + max(likes, reposts)", 14),
        ("age_minutes - 60*age_hours + age_days", 0.0625),
        ("length + images + links + tags + mentions", 5 + 2 + 1 + 2 + 1),
        ("is_reply + 10*is_quote + 100*has_video", 111),
        ("likes\n+ 1", 11),
        ("likes / 0", 0),
        ("0 / 0", 0),
        ("log(0)", 0),
        ("log(-1)", 0),
        ("sqrt(-1)", 0),
        ("(-8) ** 0.5", 0),
        ("9**9**9", 0),
        ("exp(likes * 1000)", 0),
        ("1e308 * 10", 0),
        ("1e308 * 10 - 1e308 * 10", 0),
    ],
)
def test_expression(formula, expected):
    if "\n" in formula:
        formula = f"({formula})"
    assert score(Expression(formula), MADE) == exactly(expected)


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("likes.real", "“likes.real” cannot be part of a formula: it looks inside"),
        ("().__class__.__bases__[0]", "cannot be part of a formula"),
        ("__import__('os').system('true')", "cannot be part of a formula"),
        ("open('x')", "there is no such function"),
        ("likes[0]", "by brackets"),
        ("likes if quotes else 1", "there are no conditions"),
        ("likes > 3", "there are no conditions"),
        ("likes and quotes", "there are no conditions"),
        ("'likes'", "it is no number"),
        ("True", "it is no number"),
        ("1j", "it is no number"),
        ("lambda: 1", "it is no arithmetic"),
        ("[likes]", "it is no arithmetic"),
        ("(x := 3)", "it is no arithmetic"),
        ("likes // 2", "it is no arithmetic"),
        ("likes % 2", "it is no arithmetic"),
        ("~likes", "it is no arithmetic"),
        ("likes ^ 2", r"\^ is no power in a formula; write \*\*"),
        ("like + 1", "nothing is called 'like' in a formula; did you mean 'likes'"),
        ("followers", "nothing is called 'followers'.*takes numbers"),
        ("log", "nothing is called 'log'"),
        ("log(1, 2)", "log takes one number"),
        ("max(1)", "max takes several numbers"),
        ("log(x=1)", "cannot be part"),
        ("max(*likes)", "max takes several"),
        ("max(1, *likes)", "cannot be part"),
        ("likes +", "is no formula"),
        ("likes = 3", "is no formula"),
        ("import os", "is no formula"),
        ("1" * 400, "too large a number"),
        ("1+" * 300 + "1", "longer than 500"),
        ("(" * 240 + "1" + ")" * 240, r"is no formula|too deeply"),
        ("-" * 450 + "1", None),
        ("\0", "is no formula"),
        ("", "at least 1"),
        (" ", "is no formula"),
    ],
)
def test_expression_refuses_all_but_arithmetic(formula, said):
    if said is None:
        assert score(Expression(formula), MADE) == 1
        return
    with pytest.raises(ValidationError, match=said):
        Expression(formula)


def test_expression_needs_what_it_names():
    assert Expression("likes + age_hours").needs == {"likes"}
    assert Expression("1 - age_hours").needs == frozenset()


def test_scales():
    assert by_rank([3.0, 1.0, 2.0]) == [1, 0, 0.5]
    assert by_rank([1.0, 1.0, 5.0]) == [0.25, 0.25, 1]
    assert by_rank([7.0, 7.0, 7.0]) == [0.5, 0.5, 0.5]
    assert by_rank([1.0]) == [0]
    assert by_rank([]) == by_range([]) == []
    assert by_range([2.0, 4.0, 10.0]) == [0, 0.25, 1]
    assert by_range([5.0, 5.0]) == [0, 0]
    assert by_range([-1.5e308, 0.0, 1.5e308]) == [0, 0.5, 1]


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=30))
def test_rank_is_the_share_of_wins(numbers):
    wins = [
        sum((a > b) + (a == b) / 2 for j, b in enumerate(numbers) if i != j) / (len(numbers) - 1)
        for i, a in enumerate(numbers)
    ]
    assert by_rank(numbers) == pytest.approx(wins, abs=1e-9)


def test_blend():
    posts = [post(likes=9, age="3h"), post(likes=0, age="1h"), post(likes=5, age="2h")]
    parts = [BlendPart(Newest(), 2), BlendPart(Top())]
    assert Blend(parts).score_many(posts, request()) == exactly_all([0 + 1, 2 + 0, 1 + 0.5])
    assert Blend(parts, "range").score_many(posts, request()) == exactly_all(
        [0 + 1, 2 + 0, 1 + 5 / 9]
    )
    assert needs_of([Blend(parts)]) == {"likes"}
    assert Blend(parts).score(posts[0], request()) == 0


def exactly_all(values):
    return pytest.approx(values, rel=1e-9, abs=1e-9)


class Scored(Filter):
    """Needs a feature."""

    needs = {"bird"}

    def match(self, post):
        return post.features["bird"] > 0.5


class Minus(Ranker):
    """A negative score."""

    def score(self, post, request):
        return -8.0


def test_boost():
    described = post(images=["a heron"], likes=10)
    bare = post(images=1, likes=10)
    boost = Boost(Top(), AltText(), 1.5)
    assert score(boost, described) == exactly(15)
    assert score(boost, bare) == exactly(10)
    assert boost.score_many([described, bare], request()) == exactly_all([15, 10])
    assert score(Boost(Minus(), AltText(), 2), described) == exactly(-4)
    assert score(Boost(Minus(), AltText(), 0.5), described) == exactly(-16)
    assert score(Boost(Top(), Scored()), described) == exactly(10)  # not known yet
    assert score(Boost(Top(), Scored()), post(likes=1, features={"bird": 0.9})) == exactly(2)
    assert needs_of([Boost(Top(), Scored())]) == {"likes", "bird"}


def test_boost_of_newest_is_refused():
    with pytest.raises(ValidationError, match="boost half_life, gravity or top instead"):
        Boost(Newest(), AltText())


def test_random_is_stable_for_a_day_and_fair():
    posts = [post() for _ in range(2000)]
    midnight = NOW.replace(hour=0)
    today = [score(Random(), made, midnight) for made in posts]
    assert today == [score(Random(), made, NOW.replace(hour=23, minute=59)) for made in posts]
    tomorrow = [score(Random(), made, midnight + timedelta(days=1)) for made in posts]
    assert sum(one == other for one, other in zip(today, tomorrow, strict=True)) == 0
    assert [score(Random(salt="x"), made) for made in posts] != today
    assert all(0 <= value < 1 for value in today)
    for tenth in range(10):
        assert 140 < sum(tenth / 10 <= value < (tenth + 1) / 10 for value in today) < 260
    assert score(Random("1h"), posts[0], midnight) != score(Random("1h"), posts[0], NOW)
