"""Rankers that look at votes one by one: whose they are, when they came, who else agrees."""

from __future__ import annotations

import math
import random
from collections import Counter
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedkit import (
    Blend,
    BlendPart,
    Bridging,
    Conversation,
    Expression,
    Fading,
    Gravity,
    HalfLife,
    Ranker,
    RedditHot,
    Top,
    Trending,
    Vote,
)
from feedkit.post import EPOCH
from feedkit.rankers.camps import two_camps
from feedkit.testing import NOW, ContractBroken, check_plugin, post, request, vote

ANN, BEA, CYD = (f"did:plc:{name:a<24}" for name in ("ann", "bea", "cyd"))
LIST = f"at://{ANN}/app.bsky.graph.list/3k"
COUNTING = [
    Gravity(reposts=2, votes_from=[ANN, BEA]),
    RedditHot(replies=1, votes_from=[ANN, BEA]),
    HalfLife("3h", quotes=-1, votes_from=[ANN, BEA]),
    Fading(reposts=2, votes_from=[ANN, BEA]),
    Top("2d", replies=3, votes_from=[ANN, BEA]),
    Conversation(votes_from=[ANN, BEA]),
    Expression("log(1 + likes) + reposts - quotes * 0.5", votes_from=[ANN, BEA]),
    Trending(reposts=2, votes_from=[ANN, BEA]),
]


def exactly(value):
    return pytest.approx(float(value), rel=1e-9, abs=1e-9)


def score(ranker, made, now=NOW):
    return ranker.score(made, request(now))


def everybody(ranker):
    return type(ranker)(**{name: getattr(ranker, name) for name in type(ranker).model_fields
                           if name != "votes_from"})  # fmt: skip


# ---- votes_from


@pytest.mark.parametrize("ranker", COUNTING, ids=lambda ranker: ranker.yaml_name())
def test_as_if_nobody_else_had_voted(ranker):
    theirs = [
        vote(ANN, age="20m"),
        vote(BEA, "repost", "1h"),
        vote(ANN, "reply"),
        vote(BEA, "quote"),
    ]
    others = [
        vote(CYD),
        vote(CYD, "repost"),
        vote("did:plc:x", "reply"),
        vote("did:plc:y", "quote"),
    ]
    all_of_them = post(uri="at://x/y/z", age="3h", likes=900, replies=30, votes=theirs + others)
    only_theirs = post(uri="at://x/y/z", age="3h", votes=theirs)
    assert score(ranker, all_of_them) == score(everybody(ranker), only_theirs)
    assert score(ranker, all_of_them) != score(everybody(ranker), all_of_them)
    check_plugin(ranker)


@pytest.mark.parametrize("ranker", COUNTING, ids=lambda ranker: ranker.yaml_name())
def test_without_it_nothing_changes(ranker):
    plain = everybody(ranker)
    assert "voters" in ranker.needs
    assert ("voters" in plain.needs) == isinstance(plain, Trending)
    assert ranker.needs - {"voters"} == plain.needs - {"voters"}
    assert list(type(ranker).model_fields)[-1] == "votes_from" or isinstance(
        ranker, (Conversation, Expression)
    )
    assert next(iter(type(ranker).model_fields)) != "votes_from"


def test_a_formula_without_votes_needs_no_voters():
    assert Expression("1 / age_hours", votes_from=ANN).needs == frozenset()


def test_while_nobody_is_known_nobody_counts():
    ranker = Top(votes_from=[LIST])
    one, other = post(votes=ANN), post(likes=5)
    assert score(ranker, one) == score(ranker, other) == 0
    (source,) = ranker.votes_from.sources
    ranker.votes_from.bind({source: frozenset({ANN})})
    assert (score(ranker, one), score(ranker, other)) == (1, 0)
    half = Top(votes_from=[BEA, LIST])
    assert score(half, post(votes=[ANN, BEA])) == 1  # who is known counts


# ---- trending


def published(recent, total, share, calm):
    """The z-score of `recent` of `total` events in a `share` of the time, if the conditional
    distribution is binomial (Przyborowski and Wilenski 1940), from its moments, summed up."""
    chances = [
        math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(total + 1)
    ]
    mean = sum(k * chance for k, chance in enumerate(chances))
    variance = sum((k - mean) ** 2 * chance for k, chance in enumerate(chances))
    return (recent - mean) / math.sqrt(variance + calm)


@given(
    st.lists(st.integers(0, 600), max_size=25),
    st.integers(1, 10_000),
    st.sampled_from(["10m", "1h", "3h"]),
    st.floats(0.01, 50),
)
def test_trending_is_a_binomial_test(minutes_ago, age, window, calm):
    made = post(
        age=timedelta(minutes=age),
        likes=0,
        votes=[vote(f"v{n}", age=f"{m}m") for n, m in enumerate(minutes_ago)],
    )
    length = min(Fraction({"10m": 10, "1h": 60, "3h": 180}[window]), Fraction(age, 2))
    recent = sum(m <= length for m in minutes_ago)
    expected = published(recent, len(minutes_ago), Fraction(length, age), calm)
    assert score(Trending(window, calm=calm), made) == exactly(expected)


@pytest.mark.parametrize(
    ("ranker", "made", "expected"),
    [
        (Trending(), post(age="10h", likes=0), 0),
        (Trending(), post(age="10h", votes=["a", "b"]), (2 - 0.2) / math.sqrt(0.18 + 1)),
        (Trending(), post(age="10h", likes=10, votes=["a"]), 0),  # as fast as ever
        (Trending(), post(age="10h", likes=10), -1 / math.sqrt(0.9 + 1)),
        # Weights, also below 0: the squares add up.
        (
            Trending("1h", reposts=-2, calm=4),
            post(age="4h", likes=3, reposts=2, votes=[vote("a"), vote("b", "repost")]),
            (1 - 2 - (3 - 4) / 4) / math.sqrt(3 / 16 * (3 + 4 * 2) + 4),
        ),
        # Younger than two windows: the second half of its life.
        (Trending("1h"), post(age="1h", votes=[vote("a", age="29m"), vote("b", age="31m")]), 0),
        (Trending("1h"), post(age="0s", votes=["a", "b"]), 1 / math.sqrt(0.5 + 1)),
        (Trending("1h"), post(sort_at=NOW + timedelta(days=1), likes=0), 0),
        # A time that is not known is long ago; one in the future is now.
        (Trending("1h"), post(age="2h", votes=[Vote("a", "like", EPOCH)]), -0.5 / math.sqrt(1.25)),
        (
            Trending("1h"),
            post(age="2h", votes=[Vote("a", "like", NOW + timedelta(hours=1))]),
            0.5 / math.sqrt(1.25),
        ),
        # What counts is when the network saw it, not what the author says.
        (
            Trending("1h"),
            post(age="900d", seen_at=NOW - timedelta(hours=2), votes=["a"]),
            0.5 / math.sqrt(1.25),
        ),
        (Trending(likes=0), post(age="2h", votes=["a"]), 0),
    ],
)
def test_trending_by_hand(ranker, made, expected):
    assert score(ranker, made) == exactly(expected)


def test_what_speeds_up_trends_over_what_is_big():
    big = post(likes=2000, age="20h", votes=[vote(f"b{n}", age=f"{n}m") for n in range(100)])
    up = post(likes=40, age="20h", votes=[vote(f"u{n}", age=f"{n}m") for n in range(30)])
    one = post(likes=1, age="20h", votes=["x"])
    over = post(likes=40, age="20h")
    ranked = sorted([big, over, one, up], key=lambda made: -score(Trending(), made))
    assert [id(made) for made in ranked] == [id(made) for made in (up, one, over, big)]


# ---- bridging


def camp(letter, number=20):
    return [f"{letter}{n}" for n in range(number)]


def town():
    """Two camps of twenty who like ten posts each of their own, and the odd one of the others."""
    chance = random.Random(3)
    posts = []
    for own, others in (("a", "b"), ("b", "a")):
        for _ in range(10):
            likers = [who for who in camp(own) if chance.random() < 0.5]
            posts.append(post(votes=[*likers, *chance.sample(camp(others), 1)]))
    return posts


def test_what_both_camps_like_comes_above_what_one_likes_more():
    across = post("across", votes=[*camp("a", 6), *camp("b", 6)])
    popular = post("popular", votes=[*camp("a"), "b1"])
    posts = [popular, across, *town()]
    scores = dict(zip(posts, Bridging().score_many(posts, request()), strict=True))
    assert max(scores, key=scores.__getitem__) is across
    assert len(popular.votes) > len(across.votes)
    assert sorted(posts, key=lambda made: -len(made.votes))[0] is popular
    # The camps are those that the town was made of, without who likes but one post.
    likes = Counter(vote.actor for made in posts for vote in made.votes)
    a, b = (sum(number > 1 and who[0] == own for who, number in likes.items()) for own in "ab")
    (term,) = Bridging().explain_among(across, posts, request())
    assert term.because in (
        f"liked by 6 of {a} in one camp, 6 of {b} in the other",
        f"liked by 6 of {b} in one camp, 6 of {a} in the other",
    )
    assert scores[across] == exactly(harmonic(Fraction(7, a + 2), Fraction(7, b + 2)))
    assert scores[popular] == exactly(harmonic(Fraction(a + 1, a + 2), Fraction(2, b + 2)))


def harmonic(one, other):
    return 2 / (1 / one + 1 / other)


def test_who_likes_one_post_alone_counts_nothing():
    posts = [post(votes=[*camp("a", 6), *camp("b", 6)]), *town()]
    more = [
        post(uri=posts[0].uri, votes=[*camp("a", 6), *camp("b", 6), *camp("z", 50)]),
        *posts[1:],
    ]
    assert Bridging().score_many(posts, request()) == Bridging().score_many(more, request())


def test_a_few_who_like_the_same_few_things_are_no_camp():
    club = [post(votes=camp("club", 4)) for _ in range(3)]
    across = post(votes=[*camp("a", 6), *camp("b", 6)])
    popular = post(votes=camp("a"))
    posts = [*club, popular, across, *town()]
    scores = dict(zip(posts, Bridging().score_many(posts, request()), strict=True))
    assert max(scores, key=scores.__getitem__) is across


def test_without_two_camps():
    same = [post(votes=camp("a", 9)), post(votes=camp("a", 9)), post()]
    one, two, none = Bridging().score_many(same, request())
    assert one == two == exactly(harmonic(Fraction(10, 11), Fraction(1, 2)))
    assert none == exactly(harmonic(Fraction(1, 11), Fraction(1, 2)))
    nobody = [post(votes="a"), post(), post(likes=9)]  # who likes two of them
    assert Bridging().score_many(nobody, request()) == [0.5] * 3
    assert Bridging().score_many([], request()) == []


def test_only_likes_and_only_theirs():
    posts = town()
    noise = [
        post(
            uri=made.uri,
            votes=[*made.votes, vote("x", "repost"), *(vote(who, "reply") for who in camp("y"))],
        )
        for made in posts
    ]
    assert Bridging().score_many(noise, request()) == Bridging().score_many(posts, request())
    theirs = Bridging(votes_from=[f"did:plc:{who}" for who in camp("a")])
    assert len(set(theirs.score_many(posts, request()))) == 1  # nobody of them voted here
    assert theirs.needs == Bridging().needs == {"likes", "voters"}


def exact_camps(likes):
    """The same matrix, written out, and its singular vectors by numpy."""
    numpy = pytest.importorskip("numpy")
    people, things = sorted(likes), sorted(set().union(*likes.values()))
    table = numpy.array([[float(thing in likes[who]) for thing in things] for who in people])
    rows, columns = table.sum(1), table.sum(0)
    table /= numpy.sqrt(numpy.outer(rows + rows.mean(), columns + columns.mean()))
    second = numpy.linalg.svd(table)[0][:, 1]
    order = numpy.argsort(second)
    inside = [
        sum(part.var() * len(part) for part in numpy.split(second[order], [cut]))
        for cut in range(1, len(people))
    ]
    lower = {people[n] for n in order[: numpy.argmin(inside) + 1]}
    return {frozenset(lower), frozenset(people) - frozenset(lower)}


@pytest.mark.parametrize("seed", range(10))
def test_the_camps_are_those_of_linear_algebra(seed):
    chance = random.Random(seed)
    sizes = chance.choice([(30, 30), (45, 15), (20, 25)])
    likes = {
        f"{own}{n}": {
            f"{own if chance.random() < 0.9 else 1 - own}-{chance.randrange(15)}"
            for _ in range(chance.choice((2, 5, 40)))
        }
        for own, size in enumerate(sizes)
        for n in range(size)
    }
    assert set(two_camps(likes)) == exact_camps(likes)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=2),
                       st.frozensets(st.sampled_from("uvwxyz"), min_size=1), max_size=9), st.randoms())  # fmt: skip
def test_camps_part_everybody_in_any_order(likes, chance):
    one, other = two_camps(likes)
    assert one | other == likes.keys()
    assert not one & other
    shuffled = list(likes.items())
    chance.shuffle(shuffled)
    assert two_camps(dict(shuffled)) == (one, other)
    if len(set(likes.values())) == 1:
        assert not other


@pytest.mark.parametrize(
    "ranker",
    [
        Trending("10m", calm=0.001, likes=-3, quotes=1e6), Bridging(5),
        Blend([BlendPart(ranker=Bridging(), weight=2), BlendPart(ranker=Trending())]),
    ],
    ids=repr,
)  # fmt: skip
def test_the_contract(ranker):
    """With their defaults they are tried among all built-in plugins."""
    check_plugin(ranker)


class Peeking(Ranker):
    """Looks at votes without saying so."""

    needs = {"likes"}

    def score(self, post, request):
        return len(post.votes)


def test_looking_at_votes_must_be_said():
    with pytest.raises(ContractBroken, match=r'looks at votes .* add "voters" to its needs'):
        check_plugin(Peeking())
