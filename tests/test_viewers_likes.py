"""Who likes what a viewer likes: against a plain loop, and bounded whatever is stored."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from random import Random

import pytest
from _trials import trials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storing import DAY, account, apply, at, clear, did, engaged, uri, us, written

from feedkit import Blend, BlendPart, CoLiked, Keywords, Newest
from feedkit.post import CoLike
from feedkit.settings import FeedConfig, Service
from feedkit.store import likes as rules
from feedkit.store.likes import co_likes
from feedkit.viewers import Viewers

EVE, BEN, CAT, DAN = map(did, ("eve", "ben", "cat", "dan"))
NEEDS = frozenset({"viewer.co_likes"})
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


@pytest.fixture
def store(store):
    store.sync_feeds({"red": "1"})
    return store


def likes(store, *steps, seconds=0):
    """Steps of words: who likes which post, a second after one another."""
    apply(store, *(
        engaged(who, f"3k{seconds + number:08}", uri(post), seconds=seconds + number)
        for number, (who, post) in enumerate(step.split() for step in steps)
    ))  # fmt: skip


def posts(store, names, **keys):
    apply(store, *(written(name, "red", rev="1", **keys) for name in names.split()))


def test_what_those_like_who_like_the_same(store):
    posts(store, "p q x y z")
    likes(store, "eve p", "eve q", "ben p", "ben q", "ben x", "cat p", "cat y", "cat x", "dan z")
    assert co_likes(store.db, EVE, us(0)) == {
        uri("x"): (CoLike(CAT, at(7), 1, 3), CoLike(BEN, at(4), 2, 3)),
        uri("y"): (CoLike(CAT, at(6), 1, 3),),
    }
    assert co_likes(store.db, DAN, us(0)) == {}  # nobody else likes that
    assert co_likes(store.db, did("new"), us(0)) == {}


def test_what_is_too_old_or_hidden_says_nothing(store):
    posts(store, "p x y")
    posts(store, "h", author="hid")
    likes(store, "eve p", "ben p", "ben x", seconds=0)
    likes(store, "eve x", "ben y", seconds=1000)
    apply(store, engaged("ben", "3k00002000", uri("h", "hid"), seconds=2000))
    assert set(co_likes(store.db, EVE, us(0))) == {uri("y"), uri("h", "hid")}
    apply(store, account("hid", "deactivated"))
    assert set(co_likes(store.db, EVE, us(0))) == {uri("y")}
    # Since then only x is liked, which ben liked before: he still likes the same.
    found = co_likes(store.db, EVE, us(500))
    assert found == {uri("y"): (CoLike(BEN, at(1001), 1, 4),)}
    assert co_likes(store.db, EVE, us(1500)) == {}


def test_replies_and_reposts_are_no_likes(store):
    posts(store, "p x")
    apply(
        store, engaged("eve", "3k1", uri("p"), "repost"), engaged("ben", "3k2", uri("p")),
        engaged("ben", "3k3", uri("x")), engaged("cat", "3k4", uri("p"), "repost"),
    )  # fmt: skip
    assert co_likes(store.db, EVE, us(0)) == {}
    apply(store, engaged("eve", "3k5", uri("p")))
    assert co_likes(store.db, EVE, us(0)) == {uri("x"): (CoLike(BEN, at(0), 1, 2),)}


def test_who_likes_everything_is_like_nobody(store, monkeypatch):
    monkeypatch.setattr(rules, "TAKEN", 1)
    many = [f"m{number}" for number in range(30)]
    posts(store, " ".join(["p", "q", "x", *many]))
    likes(store, "eve p", "eve q", "ben p", "ben q", "cat p", "cat x")
    likes(store, *(f"ben {name}" for name in many), seconds=100)
    assert co_likes(store.db, EVE, us(0)) == {uri("x"): (CoLike(CAT, at(5), 1, 2),)}


def test_a_rare_post_says_more_than_one_that_everybody_likes(store, monkeypatch):
    monkeypatch.setattr(rules, "TAKEN", 1)
    posts(store, "rare hit x y")
    likes(store, *(f"f{number} hit" for number in range(40)))
    likes(store, "eve rare", "eve hit", "ben rare", "ben x", "cat hit", "cat y", seconds=100)
    assert set(co_likes(store.db, EVE, us(0))) == {uri("x")}


def test_it_is_believed_for_a_minute(store):
    feed = FeedConfig("red", Keywords("heron"), Newest())
    viewers = Viewers(Service("feeds.example.com", EVE, "did:web:x.org", {"red": feed}), store)
    posts(store, "p x y")
    likes(store, "eve p", "ben p", "ben x")
    assert set(viewers.load(EVE, NEEDS, at(10)).co_likes) == {uri("x")}
    likes(store, "ben y", seconds=10)
    assert set(viewers.load(EVE, NEEDS, at(69)).co_likes) == {uri("x")}
    assert set(viewers.load(EVE, NEEDS, at(70)).co_likes) == {uri("x"), uri("y")}
    assert viewers.load(EVE, NEEDS, at(10 + 8 * DAY / 1e6)).co_likes == {}  # a week later


@pytest.mark.parametrize("wrap", [lambda rank: rank, lambda rank: Blend([BlendPart(rank)])])
def test_a_longer_window_looks_further_back(store, wrap):
    feeds = {
        name: FeedConfig(name, Keywords("heron"), rank)
        for name, rank in (("red", wrap(CoLiked(window=timedelta(days=14)))), ("blue", CoLiked()))
    }
    viewers = Viewers(Service("feeds.example.com", EVE, "did:web:x.org", feeds), store)
    posts(store, "p x")
    likes(store, "eve p", "ben p", "ben x")
    (liked,) = viewers.load(EVE, NEEDS, at(8 * DAY / 1e6)).co_likes[uri("x")]
    assert liked.actor == BEN
    assert viewers.load(EVE, NEEDS, at(15 * DAY / 1e6)).co_likes == {}


# Against a plain loop


def plainly(steps, viewer, since):
    """The same, of (actor, post, time): with nothing that is bounded."""
    mine = {post for actor, post, time in steps if actor == viewer and time >= since}
    shared, total = {}, {}
    for actor, post, _ in steps:
        shared[actor] = shared.get(actor, 0) + (post in mine)
        total[actor] = total.get(actor, 0) + 1
    found = {}
    for actor, post, time in steps:
        if actor != viewer and shared[actor] and post not in mine and time >= since:
            found.setdefault(uri(post), set()).add(
                CoLike(did(actor), at(time), shared[actor], total[actor])
            )
    return found


PEOPLE, POSTS = ("eve", "ben", "cat", "dan", "fay"), ("p", "q", "r", "s", "t", "u")


@settings(
    max_examples=trials(25, 2),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    pairs=st.lists(
        st.tuples(st.sampled_from(PEOPLE), st.sampled_from(POSTS)), max_size=25, unique=True
    ),
    since=st.integers(0, 25),
)
def test_it_is_what_a_plain_loop_finds(store, pairs, since):
    clear(store)
    store.sync_feeds({"red": "1"})
    posts(store, " ".join(POSTS))
    likes(store, *(f"{who} {post}" for who, post in pairs))
    steps = [(who, post, time) for time, (who, post) in enumerate(pairs)]
    for viewer in PEOPLE:
        found = co_likes(store.db, did(viewer), us(since))
        assert {name: set(some) for name, some in found.items()} == plainly(steps, viewer, since)
        for some in found.values():
            assert list(some) == sorted(some, key=lambda like: like.at, reverse=True)


# Bounds


def somebody(random):
    return "did:plc:" + "".join(random.choices(LETTERS, k=24))


def crowd(store, number_of_people, names, seed=1):
    """Everybody likes every one of the posts, and a post of their own."""
    random = Random(seed)
    people = [somebody(random) for _ in range(number_of_people)]
    ids = dict(store.db.rows("SELECT uri, id FROM posts"))
    rows = [
        (who, f"3k{number:08}{place:02}", 0, ids[uri(name)], True, us(number))
        for number, who in enumerate(people)
        for place, name in enumerate(names)
    ]
    with store.db.transaction():
        store.db.insert("INSERT INTO engagements (actor, rkey, kind, post_id, counted, at)", rows)
        store.db.run("UPDATE posts SET likes = likes + ?", (number_of_people,))
    return people


def test_four_queries_and_so_many_rows_at_most(store, monkeypatch):
    monkeypatch.setattr(rules, "LIKERS", 60)
    monkeypatch.setattr(rules, "LOOKED_AT", 8)
    monkeypatch.setattr(rules, "COUNTED", 7)
    monkeypatch.setattr(rules, "TAKEN", 5)
    monkeypatch.setattr(rules, "OF_EACH", 3)
    names = [f"m{number}" for number in range(15)]
    posts(store, " ".join(names))
    crowd(store, 400, names)
    likes(store, *(f"eve {name}" for name in names[:6]), seconds=900)
    sizes = []
    inner = store.db.rows

    def counting(sql, params=()):
        found = inner(sql, params)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(store.db, "rows", counting)
    found = co_likes(store.db, EVE, us(0))
    own, likers, looked_at, theirs = sizes
    assert own == 6
    assert 30 <= likers <= 120
    assert looked_at == 8
    assert 0 < theirs <= 15
    assert all(like.likes == 7 and like.shared <= 6 for some in found.values() for like in some)
    assert set(found) <= {uri(name) for name in names[-3:]}  # the newest of each


def test_of_popular_posts_the_same_people_are_found(store, monkeypatch):
    """Samples that were drawn for each post alone would have next to nobody in common."""
    monkeypatch.setattr(rules, "LIKERS", 90)
    posts(store, "m0 m1 m2 x")
    crowd(store, 1000, ["m0", "m1", "m2", "x"])
    likes(store, "eve m0", "eve m1", "eve m2", seconds=2000)
    (some,) = co_likes(store.db, EVE, us(0)).values()
    assert len(some) >= 10
    assert {like.shared for like in some} == {3}


def test_with_another_salt_others_are_asked(store, monkeypatch):
    monkeypatch.setattr(rules, "LIKERS", 30)
    posts(store, "m0 x")
    crowd(store, 1000, ["m0", "x"])
    likes(store, "eve m0", seconds=2000)

    def asked(salt):
        (some,) = co_likes(store.db, EVE, us(0), salt).values()
        return {like.actor for like in some}

    assert asked("1") == asked("1")
    assert not asked("1") & asked("2") or not asked("1") & asked("3")


@given(st.dictionaries(st.integers(1, 10**6), st.integers(0, 10**7), max_size=100), st.text())
def test_the_stretches_lie_within_one_another(counts, seed):
    found = {post: (start, end) for post, start, end in rules._samples(counts, seed)}
    assert found.keys() == counts.keys()
    in_order = [found[post] for post in sorted(counts, key=lambda post: (counts[post], post))]
    whole = [stretch for stretch in in_order if stretch == ("", rules._LAST)]
    assert in_order[: len(whole)] == whole  # the less popular ones
    for (wide_start, wide_end), (start, end) in pairwise(in_order):
        assert wide_start <= start <= end <= wide_end
    assert sum(counts[post] for post in counts if found[post] == ("", rules._LAST)) <= rules.LIKERS
