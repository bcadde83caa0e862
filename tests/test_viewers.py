"""What is known of those who ask for personal feeds: loaded from the store, on both databases."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from storing import another_writer, apply, at, did, disengaged, engaged, uri, us, written

from feedkit import Keywords, Newest, Ranker
from feedkit.filters.viewer import AnyOf, Mentioned, NotInterested
from feedkit.post import EPOCH, Liked, Viewer
from feedkit.settings import FeedConfig, Service
from feedkit.store.interactions import LESS, MORE, SEEN, Interaction
from feedkit.store.viewers import SLEEPS
from feedkit.viewers import Viewers, wishes_for

EVE, ANN, BEN, CAT = map(did, ("eve", "ann", "ben", "cat"))
FOLLOWS = frozenset({"viewer.follows"})
BOTH = frozenset({"viewer.follows", "viewer.followers"})
HOUR = 3600


class Friendly(Ranker):
    """Needs what it is told to."""

    of: frozenset[str]

    @property
    def needs(self):
        return self.of

    def score(self, post, request):
        return 0.0


def service_of(*needs: str, **network):
    feed = FeedConfig("red", Keywords("heron"), Friendly(needs) if needs else Newest())
    return Service("feeds.example.com", ANN, "did:web:feeds.example.com", {"red": feed}, **network)


@pytest.fixture
def viewers(store):
    store.sync_feeds({"red": "1"})
    return Viewers(service_of(), store)


def find_out(store, who, seconds, problem="", **sets):
    store.viewers.save(who, sets, us(seconds), us(seconds + 6 * HOUR), problem)


def asked(store):
    return dict(store.db.rows("SELECT did, asked_at FROM viewers"))


# What a feed needs, and nothing else


def test_nothing_is_needed_but_who_it_is(store, viewers):
    assert viewers.load(EVE, frozenset(), at(0)) == Viewer(did=EVE)
    assert viewers.load(EVE, frozenset({"viewer.did"}), at(0)) == Viewer(did=EVE)
    assert not asked(store)  # the network has nothing to say about that


def test_an_unknown_viewer_is_noted_and_known_as_soon_as_the_jobs_found_out(store, viewers):
    assert viewers.load(EVE, FOLLOWS, at(0)) is None
    assert store.viewers.due(us(0), 9) == [EVE]
    find_out(store, EVE, 1, follows=[ANN, BEN])
    assert viewers.load(EVE, FOLLOWS, at(1)) == Viewer(did=EVE, follows=frozenset({ANN, BEN}))
    assert store.viewers.due(us(2), 9) == []


def test_followers_are_another_thing_to_find_out(store, viewers):
    assert viewers.load(EVE, FOLLOWS, at(0)) is None
    find_out(store, EVE, 1, follows=[ANN, BEN])
    assert viewers.load(EVE, BOTH, at(12)) is None
    assert store.viewers.due(us(12), 9) == [EVE]  # at once, though the follows are new
    find_out(store, EVE, 13, follows=[ANN, BEN], followers=[BEN, CAT])
    found = viewers.load(EVE, BOTH, at(14))
    assert found.mutuals == {BEN}
    assert found.followers == {BEN, CAT}
    assert viewers.load(EVE, FOLLOWS, at(15)).followers == frozenset()  # nobody asked for them


def test_who_follows_nobody_is_known(store, viewers):
    viewers.load(EVE, FOLLOWS, at(0))
    find_out(store, EVE, 1, follows=[])
    assert viewers.load(EVE, FOLLOWS, at(2)) == Viewer(did=EVE)


def test_new_follows_are_taken_up_within_seconds(store, viewers):
    viewers.load(EVE, FOLLOWS, at(0))
    find_out(store, EVE, 1, follows=[ANN])
    assert viewers.load(EVE, FOLLOWS, at(2)).follows == {ANN}
    find_out(store, EVE, 3, follows=[BEN])
    assert viewers.load(EVE, FOLLOWS, at(13)).follows == {BEN}


def test_follows_that_have_not_changed_are_read_once(store, viewers, monkeypatch):
    viewers.load(EVE, FOLLOWS, at(0))
    find_out(store, EVE, 1, follows=[ANN])
    reads = []
    inner = store.viewers.members
    monkeypatch.setattr(store.viewers, "members", lambda *a: reads.append(a) or inner(*a))
    for seconds in range(2, 300, 3):
        assert viewers.load(EVE, FOLLOWS, at(seconds)).follows == {ANN}
    assert len(reads) == 1


def test_nobody_gets_the_follows_of_somebody_else(store, viewers):
    for who, whom in ((EVE, ANN), (ANN, BEN), (BEN, CAT)):
        viewers.load(who, FOLLOWS, at(0))
        find_out(store, who, 1, follows=[whom])
    wrong = []

    def read(who, whom):
        try:
            for number in range(100):
                found = viewers.load(who, FOLLOWS, at(2 + number * 11))
                if found is None or (found.did, found.follows) != (who, {whom}):
                    wrong.append((who, found))
        finally:
            store.close()

    threads = [
        threading.Thread(target=read, args=pair)
        for pair in [(EVE, ANN), (ANN, BEN), (BEN, CAT)] * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# Who asks, and when it is written down


def test_asking_is_noted_every_few_minutes_and_not_more_often(store, viewers):
    viewers.load(EVE, FOLLOWS, at(0))
    find_out(store, EVE, 1, follows=[ANN])
    viewers.load(EVE, FOLLOWS, at(60))
    noted = asked(store)[EVE]
    for seconds in range(61, 60 + 299, 7):
        viewers.load(EVE, FOLLOWS, at(seconds))
    assert asked(store)[EVE] == noted == us(60)
    viewers.load(EVE, FOLLOWS, at(60 + 300))
    assert asked(store)[EVE] == us(360)


def test_a_page_does_not_fail_for_the_note(store, viewers, caplog):
    viewers.load(EVE, FOLLOWS, at(0))
    find_out(store, EVE, 1, follows=[ANN])
    store.db.run("ALTER TABLE viewers RENAME TO elsewhere")
    assert viewers.load(EVE, FOLLOWS, at(60)).follows == {ANN}
    assert f"cannot note that {EVE} asked for a feed" in caplog.text
    store.db.run("ALTER TABLE elsewhere RENAME TO viewers")
    viewers.load(EVE, FOLLOWS, at(61))
    assert asked(store)[EVE] == us(61)


def test_nobody_waits_for_the_note(store, viewers, caplog):
    """Another writer is at work; who asks again is noted when it is done."""
    store.viewers.asked(EVE, us(-99), missing=False)
    with another_writer(store, lambda: store.db.run("UPDATE viewers SET tries = 0")):
        began = time.monotonic()
        assert viewers.load(EVE, FOLLOWS, at(0)) is None
        took = time.monotonic() - began
    assert took < 0.3
    assert not caplog.records
    assert asked(store)[EVE] == us(-99)
    assert viewers.load(EVE, FOLLOWS, at(1)) is None
    assert asked(store)[EVE] == us(1)


def test_those_who_wait_come_first_the_longest_waiting_of_them_first(store):
    for seconds, who in ((0, ANN), (1, BEN)):
        store.viewers.asked(who, us(seconds), missing=True)
        find_out(store, who, seconds + 1, follows=[])
    later = 7 * HOUR
    for who in (ANN, BEN):
        store.viewers.asked(who, us(later - 1), missing=False)
    store.viewers.asked(EVE, us(later), missing=True)
    store.viewers.asked(CAT, us(later - 1), missing=True)
    assert store.viewers.due(us(later), 9) == [CAT, EVE, ANN, BEN]
    assert store.viewers.due(us(later), 3) == [CAT, EVE, ANN]


def test_who_asks_no_more_sleeps_until_they_do(store):
    store.viewers.asked(EVE, us(0), missing=True)
    find_out(store, EVE, 1, follows=[ANN])
    assert store.viewers.due(us(5 * HOUR), 9) == []
    assert store.viewers.due(us(7 * HOUR), 9) == []  # old, but nobody asks
    assert store.db.rows("SELECT due_at FROM viewers") == [(SLEEPS,)]
    store.viewers.asked(EVE, us(20 * HOUR), missing=False)
    assert store.viewers.due(us(20 * HOUR), 9) == [EVE]


def test_what_failed_is_tried_at_its_own_time_however_often_it_is_asked_for(store):
    store.viewers.asked(EVE, us(0), missing=True)
    store.viewers.failed(EVE, us(1), us(60), "away")
    assert store.viewers.tries(EVE) == 1
    store.viewers.asked(EVE, us(2), missing=True)
    assert store.viewers.due(us(3), 9) == []
    assert store.viewers.due(us(60), 9) == [EVE]
    find_out(store, EVE, 61, follows=[])
    assert store.viewers.tries(EVE) == 0
    assert store.viewers.tries(BEN) == 0


def test_a_clock_that_was_wrong_keeps_nobody_waiting(store):
    store.viewers.asked(EVE, us(0), missing=True)
    find_out(store, EVE, 400 * 24 * HOUR, follows=[ANN])  # by a machine that is a year ahead
    store.viewers.asked(EVE, us(10), missing=False)
    assert store.viewers.due(us(10), 9) == [EVE]


# Likes, posts seen, wishes


def test_likes_are_those_of_stored_posts_the_newest_first(store, viewers):
    posts = [written(name, "red", rev="1", author="ben") for name in ("p1", "p2", "p3", "p4")]
    apply(
        store, *posts,
        engaged("eve", "3k1", uri("p1", "ben"), seconds=10),
        engaged("eve", "3k2", uri("p2", "ben"), seconds=30),
        engaged("eve", "3k3", uri("p3", "ben"), seconds=20),
        engaged("eve", "3k4", uri("p4", "ben"), seconds=40),
        engaged("eve", "3k5", uri("p4", "ben"), "repost", seconds=50),
        engaged("eve", "3k6", uri("p2", "ben"), seconds=60),  # a second like: not counted
        engaged("ann", "3k7", uri("p1", "ben"), seconds=70),
        engaged("eve", "3k8", uri("elsewhere"), seconds=80),
        disengaged("eve", "3k4"),
    )  # fmt: skip
    found = viewers.load(EVE, frozenset({"viewer.likes"}), at(100))
    assert found == Viewer(
        did=EVE,
        likes=(
            Liked(uri("p2", "ben"), BEN, at(30)),
            Liked(uri("p3", "ben"), BEN, at(20)),
            Liked(uri("p1", "ben"), BEN, at(10)),
        ),
    )
    assert store.likes.of(EVE, 2)[0].uri in (uri("p2", "ben"), uri("p3", "ben"))
    assert len(store.likes.of(EVE, 2)) == 2


def test_likes_from_before_times_were_noted_have_none(store, viewers):
    apply(store, written("p", "red", rev="1"), engaged("eve", "3k", uri("p")))
    store.db.run("UPDATE engagements SET at = 0")
    assert viewers.load(EVE, frozenset({"viewer.likes"}), at(9)).likes[0].at == EPOCH


def test_posts_seen_this_week(store, viewers):
    for days, name in ((0, "old"), (5, "new"), (8, "newest")):
        store.interactions.add(EVE, [Interaction(SEEN, uri(name))], us(days * 24 * HOUR), 99)
    store.interactions.add(EVE, [Interaction(MORE, uri("liked"))], us(8 * 24 * HOUR), 99)
    store.interactions.add(BEN, [Interaction(SEEN, uri("his"))], us(8 * 24 * HOUR), 99)
    found = viewers.load(EVE, frozenset({"viewer.seen"}), at(9 * 24 * HOUR))
    assert found == Viewer(did=EVE, seen=frozenset({uri("new"), uri("newest")}))
    assert store.interactions.seen(EVE, 0, most=1) == {uri("newest")}


def test_wishes_are_acted_on_at_once_and_the_last_word_counts(store, viewers):
    needs = frozenset({"viewer.less"})
    assert viewers.load(EVE, needs, at(0)) == Viewer(did=EVE)
    done = [
        Interaction(MORE, uri("a", "ann"), "red"), Interaction(LESS, uri("b", "ben"), "red"),
        Interaction(MORE, uri("c", "cat"), "red"), Interaction(LESS, uri("c", "cat"), "red"),
    ]  # fmt: skip
    store.interactions.add(EVE, done, us(1), 99)
    found = viewers.load(EVE, needs, at(1))
    assert [(one.uri, one.author) for one in found.more] == [(uri("a", "ann"), ANN)]
    assert [one.uri for one in found.less] == [uri("c", "cat"), uri("b", "ben")]
    store.interactions.add(EVE, [Interaction(MORE, uri("b", "ben"), "blue")], us(2), 99)
    found = viewers.load(EVE, needs, at(2))
    assert [one.uri for one in found.more] == [uri("b", "ben"), uri("a", "ann")]
    assert [one.uri for one in found.less] == [uri("c", "cat")]
    assert found.more[0].at == at(2)


@pytest.mark.parametrize(
    ("viewer", "days"),
    [
        ((), 90),
        ((NotInterested(within=timedelta(days=20)),), 90),
        ((NotInterested(), AnyOf([Mentioned(), NotInterested(within=timedelta(days=400))])), 400),
    ],
)
def test_wishes_are_needed_as_long_as_the_longest_of_the_plugins_says(viewer, days):
    feed = FeedConfig("red", Keywords("heron"), Newest(), viewer=viewer)
    service = Service("feeds.example.com", ANN, "did:web:feeds.example.com", {"red": feed})
    assert wishes_for(service) == timedelta(days=days)


# What feeds need must be subscribed to


@pytest.mark.parametrize(
    ("needs", "engagement"),
    [
        ((), set()),
        (("viewer.follows", "viewer.seen"), set()),
        (("viewer.likes",), {"likes"}),
        (("viewer.co_likes", "reposts"), {"likes", "reposts"}),
    ],
    ids=["nothing", "not of likes", "likes", "co-likes"],
)
def test_likes_are_followed_where_they_tell_of_a_viewer(needs, engagement):
    assert service_of(*needs).engagement == engagement


# Retention


def test_viewers_and_interactions_that_are_too_old_go(store):
    days = 24 * HOUR
    for seconds, who in ((0, EVE), (2 * days, BEN)):
        store.viewers.asked(who, us(seconds), missing=True)
        find_out(store, who, seconds, follows=[ANN], followers=[CAT])
        store.interactions.add(who, [Interaction(SEEN, uri("p"))], us(seconds), 99)

    def left(table, column):
        return {row[0] for row in store.db.rows(f"SELECT {column} FROM {table}")}

    later = us(99 * days)
    apply(store, seconds=14 * days)
    assert store.prune({}, later).viewers == 0
    apply(store, seconds=14 * days + 1)
    done = store.prune({}, later)
    assert (done.viewers, done.interactions) == (1, 0)
    assert left("viewers", "did") == left("viewer_sets", "viewer") == {BEN}
    assert left("interactions", "viewer") == {EVE, BEN}
    apply(store, seconds=30 * days + 1)
    store.prune({}, later)
    assert left("interactions", "viewer") == {BEN}
    assert store.prune({}, us(0)).viewers == 0  # our clock is slow: nothing goes


def test_much_of_it_goes_in_small_transactions_that_can_be_stopped(store):
    seen = [Interaction(SEEN, uri(f"p{n}")) for n in range(1200)]
    store.interactions.add(EVE, seen, us(0), 9999)
    for number in range(700):
        store.viewers.asked(did(f"v{number}"), us(0), missing=True)
    apply(store, seconds=40 * 24 * HOUR)
    first = store.prune({}, us(99 * 24 * HOUR), stop=lambda: True)
    assert not first.finished
    assert 0 < first.viewers <= 300
    assert 0 < first.interactions <= 1000
    rest = store.prune({}, us(99 * 24 * HOUR))
    assert first.viewers + rest.viewers == 700
    assert store.db.rows("SELECT count(*) FROM interactions") == [(0,)]
    assert store.db.rows("SELECT count(*) FROM senders") == [(0,)]


# The caches


def test_many_viewers_take_bounded_memory(store, monkeypatch):
    monkeypatch.setattr("feedkit.viewers.MOST_MEMBERS", 1000)
    viewers = Viewers(service_of(), store)
    dids = [did(f"x{number}") for number in range(300)]
    for number in range(40):
        who = did(f"v{number}")
        store.viewers.asked(who, us(0), missing=True)
        find_out(store, who, 0, follows=dids)
        assert len(viewers.load(who, FOLLOWS, at(1)).follows) == 300
    held = sum(len(found["follows"][1]) for found, _, _ in viewers._sets._kept.values())
    assert held <= 1000
