"""Rankers by who asks: every formula against an independent computation."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal, getcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from feedkit import Affinity, Blend, CoLiked, FriendsFirst, Gravity, Newest, Top, UnseenFirst
from feedkit.ordering import total
from feedkit.plugin import needs_of
from feedkit.post import CoLike
from feedkit.testing import ALICE, BOB, NOW, check_plugin, post, request, viewer

getcontext().prec = 40
CAROL, DAVE = (f"did:plc:{name:a<24}" for name in ("carol", "dave"))
AGES = st.floats(0, 400, allow_subnormal=False)
RANKERS = [
    FriendsFirst(), FriendsFirst(then=Top()), FriendsFirst(then=Gravity(), factor=3),
    UnseenFirst(), UnseenFirst(then=FriendsFirst(then=CoLiked())),
    UnseenFirst(then=Top(likes=-1), factor=2),
    Affinity(), Affinity(more=0, less=0), CoLiked(), CoLiked(selective=1, modest=0.3),
]  # fmt: skip


def exactly(value):
    return pytest.approx(float(value), rel=1e-9, abs=1e-9)


def half(ratio):
    """½ ^ ratio in decimal arithmetic."""
    return (Decimal("0.5").ln() * Decimal(ratio)).exp()


def hours(number):
    return timedelta(hours=number)


def order(ranker, posts, who):
    """The places in `posts` as the ranking has them; of equal ones the newest first."""
    newest = sorted(range(len(posts)), key=lambda n: posts[n].sort_at, reverse=True)
    scores = ranker.score_many([posts[n] for n in newest], request(viewer=who))
    return [newest[k] for k in sorted(range(len(posts)), key=lambda k: scores[k], reverse=True)]


@pytest.mark.parametrize("ranker", RANKERS, ids=repr)
def test_each_is_a_good_plugin(ranker):
    check_plugin(ranker)


@pytest.mark.parametrize("ranker", RANKERS, ids=repr)
def test_without_a_viewer_the_order_is_that_of_the_base_or_the_newest(ranker):
    posts = [
        post(author=author, age=f"{age}h", likes=likes)
        for author, age, likes in [(ALICE, 3, 9), (BOB, 1, 0), (CAROL, 2, 5), (ALICE, 0, 1)]
    ]
    base = {FriendsFirst: lambda: ranker.then, UnseenFirst: lambda: ranker.then}
    plain = base.get(type(ranker), Newest)()
    assert order(ranker, posts, None) == order(plain, posts, None)


# ── friends_first, unseen_first ─────────────────────────────────────────────────────────────────


def test_friends_first_strictly():
    posts = [
        post(author=author, likes=likes)
        for author, likes in [(DAVE, 900), (ALICE, 0), (CAROL, 5), (DAVE, 7), (ALICE, 3)]
    ]
    who = viewer(follows={ALICE, CAROL})
    assert order(FriendsFirst(then=Top()), posts, who) == [2, 4, 1, 0, 3]
    assert order(FriendsFirst(then=Top()), posts, viewer()) == [0, 3, 2, 4, 1]


def test_friends_first_by_a_factor():
    posts = [
        post(author=author, likes=likes)
        for author, likes in [(DAVE, 10), (ALICE, 4), (ALICE, 3), (DAVE, 1)]
    ]
    ranker = FriendsFirst(then=Top(), factor=3)
    scores = ranker.score_many(posts, request(viewer=viewer(follows=ALICE)))
    assert scores == [10, 12, 9, 1]
    sinking = FriendsFirst(then=Top(likes=-1), factor=4)
    scores = sinking.score_many(posts, request(viewer=viewer(follows=ALICE)))
    assert scores == [-10, -1, -0.75, -1], "a factor always lifts"


def test_unseen_first():
    posts = [post(age=f"{age}h") for age in (0, 1, 2, 3)]
    who = viewer(seen=[posts[0], posts[2]])
    assert order(UnseenFirst(), posts, who) == [1, 3, 0, 2]
    assert order(UnseenFirst(), posts, viewer()) == [0, 1, 2, 3]
    assert order(UnseenFirst(), posts, viewer(seen=posts)) == [0, 1, 2, 3]
    nested = UnseenFirst(then=FriendsFirst())
    theirs = [post(author=CAROL, age="9h"), *posts]
    who = viewer(seen=[theirs[1], theirs[3]], follows=CAROL)
    assert order(nested, theirs, who) == [0, 2, 4, 1, 3]


def test_a_factor_for_times_is_refused():
    for cls in (FriendsFirst, UnseenFirst):
        with pytest.raises(ValidationError, match="leave the factor out"):
            cls(factor=2)
        with pytest.raises(ValidationError):
            cls(then=Top(), factor=0)


# ── affinity ────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(AGES, max_size=6), st.lists(AGES, max_size=3), st.lists(AGES, max_size=3), AGES)
def test_affinity(likes, more, less, age):
    ranker = Affinity(half_life=hours(50), fade=hours(12), more=2.5, less=4)
    asking = viewer(
        likes={post(): hours(number) for number in likes} | {post(author=CAROL): hours(1)},
        more={post(): hours(number) for number in more},
        less={post(): hours(number) for number in less} | {post(author=DAVE): hours(1)},
    )

    def part(several):
        return sum((half(Decimal(int_us(number)) / int_us(50)) for number in several), Decimal(0))

    def int_us(number):  # a timedelta has no more than microseconds
        return hours(number) // timedelta(microseconds=1)

    points = part(likes) + Decimal("2.5") * part(more) - 4 * part(less)
    damped = (1 + abs(points)).ln() / Decimal(2).ln()
    wanted = (damped if points >= 0 else -damped) * half(Decimal(int_us(age)) / int_us(12))
    made = post(age=hours(age))
    moment = request(viewer=asking)
    assert ranker.score(made, moment) == exactly(wanted)
    assert total(ranker.explain(made, moment)) == exactly(wanted)


def test_affinity_orders_what_one_expects():
    posts = [
        post(author=author, age=f"{age}h")
        for author, age in [(CAROL, 0), (ALICE, 1), (DAVE, 1), (ALICE, 30), (CAROL, 2), (BOB, 0)]
    ]
    asking = viewer(likes=[post() for _ in range(5)], less=[post(author=DAVE)])
    assert order(Affinity(), posts, asking) == [1, 3, 0, 5, 4, 2]
    assert order(Affinity(less=0), posts, asking) == [1, 3, 0, 5, 2, 4]
    more = viewer(more=[post(author=CAROL)])
    assert order(Affinity(), posts, more)[:2] == [0, 4]


def test_what_affinity_needs():
    assert Affinity().needs == {"likes", "viewer.likes", "viewer.more", "viewer.less"}
    assert Affinity(more=0, less=0).needs == {"likes", "viewer.likes"}


# ── co_liked ────────────────────────────────────────────────────────────────────────────────────

CO_LIKES = st.lists(
    st.tuples(AGES, st.integers(1, 500), st.integers(0, 10**6)).map(
        lambda of: (of[0], of[1], of[1] + of[2])
    ),
    max_size=8,
)


@given(CO_LIKES, st.integers(0, 10**6), st.sampled_from([0, 0.5, 1, 2]), st.floats(0, 2))
def test_co_liked(likes, popular, selective, modest):
    ranker = CoLiked(window=hours(168), half_life=hours(24), selective=selective, modest=modest)
    made = post(likes=popular)
    several = [
        CoLike(CAROL, NOW - hours(age), shared, their_likes) for age, shared, their_likes in likes
    ]
    moment = request(viewer=viewer(likes=[post()], co_likes={made: several}))
    wanted = Decimal(0)
    for like in several:
        us = (NOW - like.at) // timedelta(microseconds=1)
        if us <= 168 * 3600 * 10**6:
            weight = Decimal(like.shared) / (Decimal(like.likes).ln() * Decimal(selective)).exp()
            wanted += weight * half(Decimal(us) / (24 * 3600 * 10**6))
    wanted /= (Decimal(1 + popular).ln() * Decimal(modest)).exp()
    assert ranker.score(made, moment) == exactly(wanted)
    assert total(ranker.explain(made, moment)) == exactly(wanted)


def test_the_defaults_are_the_cosine_of_likes_that_fade_in_a_day():
    made = post(likes=50)
    day_old = CoLike(CAROL, NOW - hours(24), 3, 36)
    too_old = CoLike(DAVE, NOW - timedelta(days=7, microseconds=1), 9, 9)
    asking = viewer(co_likes={made: [day_old, too_old]})
    assert CoLiked().score(made, request(viewer=asking)) == exactly(3 / math.sqrt(36) / 2)


def test_what_the_viewer_liked_or_wrote_comes_last():
    posts = [post(author=CAROL, age=f"{age}h", likes=1) for age in (0, 1, 2)]
    posts.append(post(author=BOB, age="3h", likes=1))
    like = CoLike(DAVE, NOW, 2, 4)
    asking = viewer(likes=[posts[1]], co_likes=dict.fromkeys(posts[1:], like))
    assert order(CoLiked(), posts, asking) == [2, 0, 1, 3]
    for made, said in [(posts[1], "liked"), (posts[3], "wrote")]:
        (term,) = CoLiked().explain(made, request(viewer=asking))
        assert term.value == 0
        assert term.because == f"the viewer {said} it"


def test_those_who_share_more_and_like_less_count_for_more():
    posts = [post(likes=1) for _ in range(4)]
    given = [(1, 1000), (1, 10), (5, 1000), (5, 10)]
    asking = viewer(
        co_likes={
            made: CoLike(CAROL, NOW, shared, likes)
            for made, (shared, likes) in zip(posts, given, strict=True)
        }
    )
    assert order(CoLiked(), posts, asking) == [3, 1, 2, 0]
    assert order(CoLiked(selective=0), posts, asking)[:2] == [2, 3]


def test_modesty_sinks_what_everybody_likes():
    famous, known = post(likes=9999), post(likes=9)
    like = CoLike(CAROL, NOW, 1, 1)
    asking = viewer(co_likes={famous: [like] * 3, known: [like]})
    assert order(CoLiked(), [famous, known], asking) == [0, 1]
    assert order(CoLiked(modest=0.3), [famous, known], asking) == [1, 0]


# ── in general ──────────────────────────────────────────────────────────────────────────────────


def test_what_must_be_loaded():
    assert needs_of([FriendsFirst(then=Top())]) == {"viewer.follows", "likes"}
    assert needs_of([UnseenFirst(then=CoLiked())]) == {
        "viewer.seen", "viewer.likes", "viewer.co_likes", "likes",
    }  # fmt: skip


def test_for_somebody_without_likes_a_blend_leaves_the_order_to_its_other_part():
    posts = [post(likes=likes) for likes in (3, 9, 1)]
    blend = Blend([{"ranker": CoLiked()}, {"ranker": Top(), "weight": 0.1}])
    assert order(blend, posts, viewer()) == [1, 0, 2]
    assert order(blend, posts, None) == [1, 0, 2]


@pytest.mark.parametrize("ranker", RANKERS, ids=repr)
def test_the_terms_tell_the_score(ranker):
    posts = [post(author=author, age="5h", likes=4) for author in (ALICE, CAROL, BOB)]
    like = CoLike(DAVE, NOW, 1, 9)
    who = viewer(
        follows=ALICE, likes=[post()], more=[post(author=CAROL)], seen=posts[:1],
        co_likes=dict.fromkeys(posts[1:], like),
    )  # fmt: skip
    for asking in (None, who):
        moment = request(viewer=asking)
        scores = ranker.score_many(posts, moment)
        for made, score in zip(posts, scores, strict=True):
            terms = ranker.explain_among(made, posts, moment)
            assert terms
            assert total(terms) == exactly(score)
