"""Whom viewers follow: asked of an AppView on loopback by the jobs, kept in the store."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from _appview import FakeAppView, refused, said
from storing import did

from feedkit import Keywords, Newest, Ranker
from feedkit.appview import AppView
from feedkit.jobs import Jobs
from feedkit.people import viewers as job
from feedkit.settings import FeedConfig, Network, Service
from feedkit.viewers import Viewers

EVE, ANN, BEN, CAT = map(did, ("eve", "ann", "ben", "cat"))
FOLLOWS = frozenset({"viewer.follows"})
BOTH = frozenset({"viewer.follows", "viewer.followers"})
NOTHING = frozenset({"viewer.did"})
HOUR = 3600


class Friendly(Ranker):
    """Needs what it is told to."""

    of: frozenset[str]

    @property
    def needs(self):
        return self.of

    def score(self, post, request):
        return 0.0


@pytest.fixture
def appview(monkeypatch):
    monkeypatch.setattr(AppView.__init__, "__defaults__", (0.001,))
    view = FakeAppView()
    with view.serving():
        yield view


@pytest.fixture
def jobs_of(appview, store):
    def make(needs=FOLLOWS):
        feed = FeedConfig("red", Keywords("heron"), Friendly(needs) if needs else Newest())
        service = Service(
            "feeds.example.com", ANN, "did:web:feeds.example.com", {"red": feed},
            network=Network(appview=appview.address),
        )  # fmt: skip
        return Jobs(service, store), Viewers(service, store)

    return make


def ask(viewers, who, needs=FOLLOWS, hours=0.0):
    return viewers.load(who, needs, datetime.now(UTC) + timedelta(hours=hours))


def state(store, who):
    """Seconds until it is due, how often it failed, and why."""
    rows = store.db.rows("SELECT due_at, tries, problem FROM viewers WHERE did = ?", (who,))
    due_at, tries, problem = rows[0]
    return due_at / 1e6 - time.time(), tries, problem


def methods(appview):
    return [(name, query["actor"][0]) for name, query in appview.asked]


def test_the_first_request_does_not_wait_and_the_next_is_personal(appview, store, jobs_of):
    jobs, viewers = jobs_of()
    appview.follows = {EVE: [ANN, BEN]}
    assert ask(viewers, EVE) is None
    assert jobs.refresh_viewers() == 1
    assert ask(viewers, EVE).follows == {ANN, BEN}
    assert methods(appview) == [("app.bsky.graph.getFollows", EVE)]  # and not for the followers
    assert jobs.refresh_viewers() == 0
    left, tries, problem = state(store, EVE)
    assert 5.9 * HOUR < left <= 6 * HOUR
    assert (tries, problem) == (0, "")


def test_followers_are_asked_for_where_some_feed_needs_them(appview, jobs_of):
    jobs, viewers = jobs_of(BOTH)
    appview.follows, appview.followers = {EVE: [ANN, BEN]}, {EVE: [BEN, CAT]}
    ask(viewers, EVE, BOTH)
    assert jobs.refresh_viewers() == 1
    assert ask(viewers, EVE, BOTH).mutuals == {BEN}


def test_where_no_feed_needs_follows_nothing_is_asked(appview, store, jobs_of):
    jobs, viewers = jobs_of(NOTHING)
    store.viewers.asked(EVE, 1, missing=True)  # from another configuration
    assert ask(viewers, EVE, NOTHING) is not None
    assert jobs.refresh_viewers() == 0
    assert appview.asked == []


def test_many_pages_up_to_ten_thousand(appview, store, jobs_of):
    jobs, viewers = jobs_of(BOTH)
    some = [did(f"f{number}") for number in range(10_250)]
    appview.follows, appview.followers = {EVE: some[:250]}, {EVE: [some[0], *some]}
    ask(viewers, EVE, BOTH)
    assert jobs.refresh_viewers() == 1
    found = ask(viewers, EVE, BOTH)
    assert found.follows == set(some[:250])
    assert found.followers == set(some[: job.MOST])
    assert len(appview.asked) == 3 + 101  # since one came twice


def test_who_still_asks_is_asked_for_again_after_hours(appview, store, jobs_of, monkeypatch):
    jobs, viewers = jobs_of()
    appview.follows = {EVE: [ANN], BEN: [ANN]}
    for who in (EVE, BEN):
        ask(viewers, who)
    assert jobs.refresh_viewers() == 2
    appview.follows = {EVE: [CAT], BEN: [CAT]}
    ask(viewers, EVE, hours=5.9)
    later = time.time_ns() // 1000 + int(6.1 * HOUR * 1e6)
    monkeypatch.setattr(job, "_now", lambda: later)
    appview.asked.clear()
    assert jobs.refresh_viewers() == 1
    assert methods(appview) == [("app.bsky.graph.getFollows", EVE)]  # BEN sleeps
    assert ask(viewers, EVE, hours=6.2).follows == {CAT}
    assert ask(viewers, BEN, hours=6.2).follows == {ANN}  # old, at once, and new in a second:
    monkeypatch.setattr(job, "_now", lambda: later + int(0.2 * HOUR * 1e6))
    assert jobs.refresh_viewers() == 1
    assert ask(viewers, BEN, hours=6.3).follows == {CAT}


@pytest.mark.parametrize("gone", ["Actor not found", "Account is deactivated"])
def test_who_is_gone_follows_nobody(appview, store, jobs_of, gone):
    jobs, viewers = jobs_of(BOTH)
    appview.always = lambda method, query: refused(gone)
    ask(viewers, EVE, BOTH)
    assert jobs.refresh_viewers() == 1
    found = ask(viewers, EVE, BOTH)
    assert found.follows == found.followers == frozenset()
    left, tries, problem = state(store, EVE)
    assert 0 < left <= job.UNKNOWN  # a new account may be known soon
    assert tries == 0
    assert gone in problem


def test_while_the_network_is_away_it_is_asked_ever_more_rarely(
    appview, store, jobs_of, caplog, monkeypatch
):
    jobs, viewers = jobs_of()
    appview.follows = {EVE: [ANN]}
    appview.always = lambda method, query: said({}, 503)
    ask(viewers, EVE)
    clock = time.time_ns() // 1000
    monkeypatch.setattr(job, "_now", lambda: clock)
    waits = []
    for _ in range(9):
        store.viewers.asked(EVE, clock, missing=True)
        assert jobs.refresh_viewers() == 0
        (due_at,) = store.db.rows("SELECT due_at FROM viewers")[0]
        waits.append((due_at - clock) // 1_000_000)
        clock = due_at
    assert waits == [15, 30, 60, 120, 240, 480, 900, 900, 900]
    assert ask(viewers, EVE) is None
    assert "status 503" in state(store, EVE)[2]
    told = [record for record in caplog.records if "could not be found out" in record.message]
    assert len(told) == 1  # and not nine times
    appview.always = None
    with caplog.at_level(logging.INFO):
        assert jobs.refresh_viewers() == 1
    assert "is found out again" in caplog.text
    assert ask(viewers, EVE).follows == {ANN}


def test_what_was_known_is_kept_while_the_network_is_away(appview, store, jobs_of, monkeypatch):
    jobs, viewers = jobs_of()
    appview.follows = {EVE: [ANN]}
    ask(viewers, EVE)
    jobs.refresh_viewers()
    ask(viewers, EVE, hours=5.9)
    later = time.time_ns() // 1000 + int(6.1 * HOUR * 1e6)
    monkeypatch.setattr(job, "_now", lambda: later)
    appview.always = lambda method, query: said(b"<html>")
    assert jobs.refresh_viewers() == 0
    assert ask(viewers, EVE, hours=6.2).follows == {ANN}


@pytest.mark.parametrize("when", ["follows", "followers", "both"])
def test_who_is_gone_for_a_moment_keeps_what_is_known(appview, store, jobs_of, monkeypatch, when):
    jobs, viewers = jobs_of(BOTH)
    appview.follows, appview.followers = {EVE: [ANN]}, {EVE: [BEN]}
    ask(viewers, EVE, BOTH)
    assert jobs.refresh_viewers() == 1
    ask(viewers, EVE, BOTH, hours=5.9)
    clock = time.time_ns() // 1000 + int(6.1 * HOUR * 1e6)
    monkeypatch.setattr(job, "_now", lambda: clock)
    appview.follows = {} if when != "followers" else {EVE: [ANN, CAT]}
    appview.followers = {} if when != "follows" else {EVE: [BEN, CAT]}
    assert jobs.refresh_viewers() == 0
    assert (state(store, EVE)[1], "not found" in state(store, EVE)[2]) == (1, True)
    found = ask(viewers, EVE, BOTH, hours=6.2)
    assert found.follows == ({ANN, CAT} if when == "followers" else {ANN})
    assert found.followers == {BEN}
    appview.follows, appview.followers = {EVE: []}, {EVE: [CAT]}  # which is another matter
    clock += job.FIRST_WAIT * 1_000_000
    assert jobs.refresh_viewers() == 1
    found = ask(viewers, EVE, BOTH, hours=6.3)
    assert (found.follows, found.followers) == (frozenset(), {CAT})
    assert state(store, EVE)[1:] == (0, "")


def test_follows_do_not_wait_for_followers(appview, store, jobs_of):
    jobs, viewers = jobs_of(BOTH)
    appview.follows, appview.followers = {EVE: [ANN]}, {EVE: [BEN]}
    seen = []

    def answer(method, query):
        if method == "app.bsky.graph.getFollowers":
            until = time.monotonic() + 10
            while (found := ask(viewers, EVE, hours=0.1)) is None and time.monotonic() < until:
                time.sleep(0.05)
            seen.append((found and found.follows, ask(viewers, EVE, BOTH)))
            store.close()

    appview.always = answer
    ask(viewers, EVE, BOTH)
    assert jobs.refresh_viewers() == 1
    assert seen == [({ANN}, None)]
    assert ask(viewers, EVE, BOTH, hours=0.2).followers == {BEN}


def test_followers_that_cannot_be_found_out_leave_the_follows(appview, store, jobs_of):
    jobs, viewers = jobs_of(BOTH)
    appview.follows = {EVE: [ANN]}
    appview.always = lambda method, query: (
        said({}, 500) if method == "app.bsky.graph.getFollowers" else None
    )
    ask(viewers, EVE, BOTH)
    assert jobs.refresh_viewers() == 0
    assert ask(viewers, EVE).follows == {ANN}
    assert ask(viewers, EVE, BOTH) is None
    assert state(store, EVE)[1] == 1


@pytest.mark.parametrize("items", [[{"did": 5}], [{}], ["x"], [{"did": "alice.example"}], None])
def test_an_answer_without_dids_is_no_answer(appview, store, jobs_of, items):
    jobs, viewers = jobs_of()
    appview.always = lambda method, query: said({"follows": items})
    ask(viewers, EVE)
    assert jobs.refresh_viewers() == 0
    assert ask(viewers, EVE) is None
    assert state(store, EVE)[1] == 1


def test_one_who_fails_does_not_keep_the_others_waiting(appview, store, jobs_of):
    jobs, viewers = jobs_of()
    some = [did(f"v{number}") for number in range(12)]
    appview.follows = {who: [ANN] for who in some}
    appview.always = lambda method, query: (
        said({}, 500) if query["actor"][0] in (some[0], some[5]) else None
    )
    for who in some:
        ask(viewers, who)
    assert jobs.refresh_viewers() == 10
    assert [who for who in some if ask(viewers, who) is None] == [some[0], some[5]]


def test_several_are_asked_for_at_once_also_those_who_come_meanwhile(appview, store, jobs_of):
    """The AppView answers nobody before it was asked for four, and one of these comes late."""
    jobs, viewers = jobs_of()
    some = [did(f"v{number}") for number in range(4)]
    together = threading.Barrier(4)

    def answer(method, query):
        if query["actor"][0] == some[0] and len(appview.asked) < 4:
            ask(viewers, some[3])
            store.close()
        together.wait(20)
        return said({"follows": [{"did": ANN}]})

    appview.always = answer
    for who in some[:3]:
        ask(viewers, who)
    assert jobs.refresh_viewers() == 4
    assert not together.broken


def test_it_ends_when_it_is_told_to_and_blames_nobody(appview, store, jobs_of, caplog):
    jobs, viewers = jobs_of()
    stop = jobs._stop

    def answer(method, query):
        stop.set()
        return said({}, 500)

    appview.always = answer
    for number in range(9):
        ask(viewers, did(f"v{number}"))
    assert jobs.refresh_viewers() == 0
    assert len(appview.asked) <= job.AT_ONCE
    assert store.db.rows("SELECT sum(tries) FROM viewers") == [(0,)]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_on_its_clock(appview, store, jobs_of):
    """The whole of it as it runs: noted by a web process, found out by the jobs in seconds."""
    jobs, viewers = jobs_of()
    appview.follows = {EVE: [ANN]}
    store.sync_feeds({"red": Keywords("heron").fingerprint()})
    stop = threading.Event()
    running = threading.Thread(target=jobs.run, args=(stop,))
    running.start()
    try:
        assert ask(viewers, EVE) is None
        until = time.monotonic() + 30
        while (found := ask(viewers, EVE)) is None and time.monotonic() < until:
            time.sleep(0.05)
        assert found is not None
        assert found.follows == {ANN}
    finally:
        stop.set()
        running.join()
