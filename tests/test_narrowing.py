"""What is ranked for a viewer: what their filters keep, however rare it is, and what rankers seek."""

from __future__ import annotations

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from feedkit import (
    Affinity,
    AnyOf,
    Blend,
    BlendPart,
    CoLike,
    CoLiked,
    Everything,
    Follows,
    FriendsFirst,
    Gravity,
    HideRepliesToStrangers,
    HideSeen,
    Mentioned,
    Mix,
    Newest,
    NoneOf,
    NotInterested,
    Ranker,
    Sought,
    ViewerFilter,
    candidates,
    seeking,
)
from feedkit.candidates import candidates_for
from feedkit.event import AccountChanged, PostWritten
from feedkit.narrowing import narrowing_for
from feedkit.personal import ranked
from feedkit.post import Post, Request
from feedkit.settings import FeedConfig
from feedkit.store import Narrowing, Unavailable
from feedkit.testing.viewers import viewer
from feedkit.times import micros

NOW = datetime(2026, 11, 1, tzinfo=UTC)
PEOPLE = [f"did:plc:{name:a>24}" for name in ("ann", "bea", "cyd", "dan", "eve", "fay")]
ODD = "did:web:a_b%3A80"  # with the signs that mean something to LIKE
ME = PEOPLE[0]


def feed(*filters, rank=None):
    return FeedConfig(name="all", filter=Everything(), rank=rank or Newest(), viewer=filters)


class Posts:
    """A feed's posts in a store, newest last."""

    def __init__(self, store, seed=1):
        self.store, self.rnd, self.posts = store, random.Random(seed), []
        store.sync_feeds({"all": "", "other": ""})

    def add(self, many, author=None, mentions=None, feeds=("all",)):
        """So many posts, a minute apart; their URIs."""
        rnd, batch = self.rnd, []
        for _ in range(many):
            number = len(self.posts) + 1
            who = author or rnd.choice(PEOPLE)
            named = rnd.choices(([], [ME], [ODD], [rnd.choice(PEOPLE)]), (9, 1, 1, 1))[0]
            parent = rnd.choice(("", "", f"at://{rnd.choice(PEOPLE)}/app.bsky.feed.post/1"))
            at = NOW + timedelta(minutes=number // 2)  # two at once, too
            post = Post(
                uri=f"at://{who}/app.bsky.feed.post/p{number}", author=who, reply_parent=parent,
                mentions=frozenset(named if mentions is None else mentions),
                created_at=at, seen_at=at, sort_at=at,
            )  # fmt: skip
            self.posts.append(post)
            batch.append((PostWritten(post, f"3{number:012}", True, micros(at)), frozenset(feeds)))
        self.store.apply(batch, "test", len(self.posts), micros(NOW), frozenset())
        return [post.uri for post in self.posts[-many:]]


def uris(found):
    return [post.uri for post in found.posts]


def some_filters(rnd, depth=2):
    """Viewer filters at random, one in another, too."""
    kinds = [
        lambda: Follows(own=rnd.random() < 0.5), Mentioned, HideSeen, HideRepliesToStrangers,
        lambda: NotInterested(after=rnd.randint(1, 3)),
    ]  # fmt: skip
    if depth:
        kinds += [
            lambda: AnyOf([some_filters(rnd, depth - 1) for _ in range(rnd.randint(1, 3))]),
            lambda: NoneOf([some_filters(rnd, depth - 1)]),
        ]
    return rnd.choice(kinds)()


def test_the_cut_comes_after_all_viewer_filters(store, monkeypatch):
    """Any filters: the newest posts that they keep, and none is missed."""
    monkeypatch.setattr(candidates, "DEPTH", 8)
    monkeypatch.setattr(candidates, "STEPS", 1000)
    world = Posts(store)
    world.add(150)
    rnd, told = world.rnd, set()
    for number in range(120):
        who = viewer(
            rnd.choice((ME, ODD)),
            follows=rnd.sample(PEOPLE, rnd.randint(0, 3)),
            seen=[post.uri for post in rnd.sample(world.posts, rnd.choice((0, 3, 100)))],
            less=rnd.sample(world.posts, rnd.choice((0, 0, 5))),
        )
        one = feed(*[some_filters(rnd) for _ in range(rnd.randint(1, 3))])
        want = [
            post.uri
            for post in reversed(world.posts)
            if all(filter.keep(post, who) for filter in one.viewer)
        ]
        found = candidates_for(store, one, who)
        assert uris(found) == want[:8], (number, one.viewer, who)
        assert [store.find_post(uri).id for uri in want[:8]] == [found.ids[u] for u in want[:8]]
        told.add((len(want) > 8, len(narrowing_for(one, who))))
    assert {many for many, _ in told} == {True, False}
    assert {parts for _, parts in told} >= {1, 2}


def test_what_a_viewer_leaves_out_is_not_mixed_in_either(store):
    world = Posts(store)
    own, strange = world.add(4, author=PEOPLE[1]), world.add(6, author=PEOPLE[2], feeds=("other",))
    other = FeedConfig(name="other", filter=Everything(), rank=Newest())
    one = FeedConfig(
        name="all", filter=Everything(), rank=Newest(), select=(Mix("other", one_in=2),),
        viewer=(Follows(), HideSeen()),
    )  # fmt: skip
    who = viewer(ME, follows=[PEOPLE[1]], seen=[own[0], strange[-1]])
    ids = ranked(store, one, Request(now=NOW, viewer=who), {"all": one, "other": other})
    shown = {row.uri for row in store.posts(ids).values()}
    assert shown == {*own[1:], *strange[-4:-1]}


def test_it_does_not_read_on_for_ever(store, monkeypatch):
    monkeypatch.setattr(candidates, "DEPTH", 5)
    world = Posts(store)
    old, _ = world.add(40), world.add(40)
    seen = [post.uri for post in world.posts[-40:]]
    assert candidates_for(store, feed(HideSeen()), viewer(ME, seen=seen)).posts == []
    monkeypatch.setattr(candidates, "STEPS", 9)
    found = candidates_for(store, feed(HideSeen()), viewer(ME, seen=seen))
    assert uris(found) == old[:-6:-1]


def test_one_request_reads_anew_what_all_share_and_nobody_waits_for_it(store, monkeypatch):
    world, who, all_of_it = Posts(store), viewer(ME), feed(HideSeen())
    old = world.add(3)[::-1]
    assert uris(candidates_for(store, all_of_it, who)) == old
    new = [*world.add(2)[::-1], *old]
    assert uris(candidates_for(store, all_of_it, who)) == old  # as they were a moment ago
    monkeypatch.setattr(candidates, "MOMENT", -1)
    look, begun, go_on = store.candidates, threading.Event(), threading.Event()

    def slowly(*args):
        begun.set()
        assert go_on.wait(30)
        return look(*args)

    monkeypatch.setattr(store, "candidates", slowly)

    def in_a_thread():
        with store:  # closes its connection
            return candidates_for(store, all_of_it, who)

    with ThreadPoolExecutor() as pool:
        try:
            first = pool.submit(in_a_thread)
            assert begun.wait(30)
            monkeypatch.setattr(store, "candidates", None)  # nobody else looks …
            assert uris(candidates_for(store, all_of_it, who)) == old
            monkeypatch.setattr(store, "candidates", look)
            monkeypatch.setattr(candidates, "READING", -1)  # … unless that takes too long
            assert uris(candidates_for(store, all_of_it, who)) == new
        finally:
            go_on.set()
        assert uris(first.result()) == new
    monkeypatch.setattr(candidates, "READING", 3600)

    def failing(*args):
        raise Unavailable("not now")

    monkeypatch.setattr(store, "candidates", failing)
    with pytest.raises(Unavailable):
        candidates_for(store, all_of_it, who)
    monkeypatch.setattr(store, "candidates", look)
    newer = [*world.add(1), *new]
    assert uris(candidates_for(store, all_of_it, who)) == newer


class Ones(ViewerFilter):
    """Says 1 of many posts, which is no verdict, and False of one."""

    def keep(self, post, viewer):
        return False

    def keep_many(self, posts, viewer):
        return [1] * len(posts)


def test_many_verdicts_count_only_where_all_are_true_or_false(store):
    Posts(store).add(3)
    assert candidates_for(store, feed(Ones()), viewer(ME)).posts == []


def test_in_how_many_look_ups(monkeypatch):
    who = viewer(ME, follows=[PEOPLE[1]], followers=[PEOPLE[2]])
    by = frozenset({PEOPLE[1], ME})

    def told(*filters):
        return narrowing_for(feed(*filters), who)

    assert told() == told(HideSeen()) == (Narrowing(),)
    assert told(Follows()) == told(Follows(), HideSeen()) == (Narrowing(by),)
    assert told(Follows(), Mentioned()) == (Narrowing(by, (ME,)),)
    assert told(AnyOf([Follows(), Follows(own=False)])) == (Narrowing(by),)
    assert set(told(AnyOf([Follows(), Mentioned()]))) == {Narrowing(by), Narrowing(None, (ME,))}
    assert told(AnyOf([Follows(), HideSeen()])) == (Narrowing(),)
    assert told(Follows(), NoneOf([Follows()])) == (Narrowing(by),)
    both = AnyOf([Follows(), Mentioned()])
    assert len(told(both, both)) <= 3


# ── what rankers seek ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def buried(store, monkeypatch):
    """Four posts by bea behind many newer ones, of which sixteen are ranked."""
    monkeypatch.setattr(candidates, "DEPTH", 16)
    monkeypatch.setattr(candidates, "MOMENT", -1)
    monkeypatch.setattr(seeking, "REMEMBERED", 1)
    monkeypatch.setattr(seeking, "OF_EACH", 6)  # two of them may be among the newest
    world = Posts(store)
    world.old = world.add(4, author=PEOPLE[1], mentions=())
    world.elsewhere = world.add(1, author=PEOPLE[1], feeds=("other",))
    world.newest = world.add(60, author=PEOPLE[2], mentions=())
    return world


def co_likes(uris):
    return {uri: [CoLike("did:plc:x", NOW, 1, 2)] for uri in uris}


@pytest.mark.parametrize(
    "rank",
    [
        CoLiked(), FriendsFirst(), Affinity(), FriendsFirst(then=CoLiked()),
        Blend((BlendPart(CoLiked()), BlendPart(Gravity()))),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_ranker_is_about_is_ranked_however_old_it_is(buried, rank):
    old = buried.old
    who = viewer(
        ME, follows=[PEOPLE[1]], likes=buried.posts[:1],
        co_likes=co_likes([*old, *buried.elsewhere, "at://did:plc:gone/app.bsky.feed.post/1"]),
    )  # fmt: skip
    found = candidates_for(buried.store, feed(rank=rank), who)
    assert uris(found) == buried.newest[:-13:-1] + old[::-1]
    assert all(found.ids[uri] == buried.store.find_post(uri).id for uri in uris(found))
    nobody = candidates_for(buried.store, feed(rank=rank), viewer(ME))
    assert uris(nobody) == buried.newest[:-17:-1]


def test_older_posts_are_sought_only_where_there_are_few(buried):
    who = viewer(ME, follows=[PEOPLE[1]])
    for many, older in ((2, True), (1, False)):
        buried.add(many, author=PEOPLE[1])
        found = candidates_for(buried.store, feed(rank=FriendsFirst()), who)
        assert ({*buried.old} < {*uris(found)}) is older


def test_what_is_sought_takes_the_place_of_others(buried):
    newest = [*buried.add(1, author=PEOPLE[1], mentions=()), *buried.add(15, author=PEOPLE[2])]
    who = viewer(ME, follows=[PEOPLE[1]])
    found = candidates_for(buried.store, feed(rank=FriendsFirst()), who)
    assert uris(found) == [*newest[:-12:-1], newest[0], *buried.old[::-1]]


def test_viewer_filters_have_their_say_about_what_is_sought(buried):
    who = viewer(ME, seen=buried.old[:3], co_likes=co_likes(buried.old))
    found = candidates_for(buried.store, feed(HideSeen(), rank=CoLiked()), who)
    assert [uri for uri in uris(found) if uri in buried.old] == buried.old[3:]
    who = viewer(ME, follows=[PEOPLE[2]], co_likes=co_likes(buried.old))
    found = candidates_for(buried.store, feed(Follows(), rank=CoLiked()), who)
    assert not {*uris(found)} & {*buried.old}


def test_half_of_what_is_ranked_is_sought_at_most(buried):
    more = buried.add(30, author=PEOPLE[3], mentions=())
    buried.add(60, author=PEOPLE[2], mentions=())
    best = {uri: [CoLike("did:plc:x", NOW, 1, 1)] for uri in more[:5]}
    who = viewer(ME, co_likes=co_likes(more) | best)
    found = candidates_for(buried.store, feed(rank=CoLiked()), who)
    assert {*more[:5]} < {*uris(found)}
    assert len({*more} & {*uris(found)}) == 8
    assert len(found.posts) == 16


def test_of_few_authors_the_newest_few_are_sought_of_more_the_newest_of_all(buried, monkeypatch):
    """Of each of a few the same number, however much another writes."""
    monkeypatch.setattr(seeking, "OF_EACH", 3)
    dan = buried.add(9, author=PEOPLE[3], mentions=())
    buried.add(1, author=PEOPLE[3], feeds=("other",))
    buried.add(60, author=PEOPLE[2], mentions=())
    monkeypatch.setattr(seeking, "THEIRS", 5)
    monkeypatch.setattr(candidates, "DEPTH", 40)
    who = viewer(ME, follows=[PEOPLE[1], PEOPLE[3], PEOPLE[4]])

    def sought():
        found = candidates_for(buried.store, feed(rank=FriendsFirst()), who)
        return [uri for uri in uris(found) if PEOPLE[2] not in uri]

    assert sought() == [*dan[:-4:-1], *buried.old[:-3:-1]]
    monkeypatch.setattr(seeking, "FEW", 2)
    assert sought() == dan[:-6:-1]


def test_what_was_sought_is_remembered_for_a_moment_for_all_viewers(buried, monkeypatch):
    monkeypatch.setattr(seeking, "REMEMBERED", 60_000_000)
    asked = []
    look_up = buried.store.newest_of_each
    monkeypatch.setattr(
        buried.store, "newest_of_each", lambda *args: asked.append(args[1]) or look_up(*args)
    )
    ann, eve = (viewer(who, follows=PEOPLE[1:2]) for who in (ME, PEOPLE[4]))
    for who in (ann, eve, viewer(ME, follows=[PEOPLE[1], PEOPLE[5]])):
        found = candidates_for(buried.store, feed(rank=FriendsFirst()), who)
        assert {*buried.old} < {*uris(found)}
        assert all(found.ids[uri] == buried.store.find_post(uri).id for uri in uris(found))
    assert asked == [[PEOPLE[1]], [PEOPLE[5]]]
    # What is newer now than the last that is ranked comes once.
    buried.add(3, author=PEOPLE[1])
    found = candidates_for(buried.store, feed(rank=FriendsFirst()), ann)
    assert len({*uris(found)}) == len(found.posts) == 16


def test_the_newest_of_each_are_those_of_the_feed_that_are_shown(store):
    world = Posts(store)
    bea, cyd = world.add(5, author=PEOPLE[1]), world.add(2, author=PEOPLE[2])
    world.add(3, author=PEOPLE[1], feeds=("other",))
    found = store.newest_of_each("all", [*PEOPLE[1:4], "did:plc:nobody"], 3)
    assert {post.uri for _, post in found} == {*bea[2:], *cyd}
    assert all(store.find_post(post.uri).id == id for id, post in found)
    assert store.newest_of_each("all", [], 3) == store.newest_of_each("none", PEOPLE, 3) == []
    gone = [AccountChanged(PEOPLE[2], "deactivated")]
    store.apply([(event, frozenset()) for event in gone], "test", 99, micros(NOW), frozenset())
    assert {post.uri for _, post in store.newest_of_each("all", PEOPLE, 3)} == {*bea[2:]}


def test_not_all_of_what_somebody_wrote_elsewhere_is_looked_through(store, monkeypatch):
    monkeypatch.setattr("feedkit.store.candidates.LOOKED_AT", 4)
    world = Posts(store)
    bea = world.add(3, author=PEOPLE[1])
    world.add(3, author=PEOPLE[1], feeds=("other",))
    assert [post.uri for _, post in store.newest_of_each("all", PEOPLE, 3)] == bea[2:]


class Clumsy(Ranker):
    """Cannot say what it seeks."""

    def score(self, post, request):
        return 1.0

    def seeks(self, viewer):
        raise RuntimeError("not today")


class Greedy(Clumsy):
    """Seeks everything by bea, twice."""

    def seeks(self, viewer):
        return Sought(authors=frozenset(PEOPLE[1:2]))


def test_a_ranker_that_cannot_say_what_it_seeks_ranks_the_newest(buried, caplog):
    found = candidates_for(buried.store, feed(rank=Clumsy()), viewer(ME))
    assert uris(found) == buried.newest[:-17:-1]
    assert "the ranker clumsy failed to say what it seeks (RuntimeError: not today)" in caplog.text
    found = candidates_for(buried.store, feed(rank=Greedy()), viewer(ME))
    assert {*buried.old} < {*uris(found)}


def test_pages_in_steps_are_the_whole_feed(store, monkeypatch):
    """What is read below a place goes on where the last step ended, also among equal times."""
    world = Posts(store)
    all_of_it = world.add(61)[::-1]
    for limit in (1, 4, 60):
        got, before = [], None
        for _ in itertools.count():
            step = store.candidates("all", limit, before=before)
            if not step:
                break
            got += [post.uri for _, post in step]
            before = micros(step[-1][1].sort_at), step[-1][0]
        assert got == all_of_it
