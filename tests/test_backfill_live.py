"""A backfill beside a live stream that never rests: it ends, and undoes nothing."""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from _history import HOUR, History, author, uri
from test_backfill import DAY, Live, clean, looking, names, service, stream, until

from feedkit.backfill import Filling, stretch
from feedkit.sources import open_source
from feedkit.store import open_store

STEP = 4 / 3600  # hours of the stream's clock between two events: it runs fast, lest we wait
LAG = 0.15  # seconds by which the stream of the backfill comes later than the live one


class Network:
    """One network, read by two servers with numbers of their own: `live` and `other`, which comes
    later. Something happens all the time; `also` is what else does, once each."""

    def __init__(self, live, other):
        self.live, self.other = live, other
        other.now = live.now
        live.account("active", 23, "zoe")  # so the numbers differ
        self.ago = 2.0
        self.also = []
        self.late = []

    def both(self, kind, *words, **more):
        for history in (self.live, self.other):
            getattr(history, kind)(*words, **more)

    @contextmanager
    def busy(self):
        stop = threading.Event()

        def happen():
            number = 0
            while not stop.wait(0.02):
                self.ago -= STEP
                step = self.also.pop(0) if self.also and number % 3 == 0 else None
                kind, words = step or ("post", (f"n{number}", None, "a wren"))
                number += 1
                words = [self.ago if word is None else word for word in words]
                getattr(self.live, kind)(*words)
                self.late.append((time.monotonic() + LAG, kind, words))
                while self.late and self.late[0][0] < time.monotonic():
                    _, kind, words = self.late.pop(0)
                    getattr(self.other, kind)(*words)

        thread = threading.Thread(target=happen)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def network():
    live, other = History(), History()
    with live.serving(), other.serving():
        yield Network(live, other)


def fill(made, url, history, **options):
    """Fill the herons from `history`; it must end in time."""
    stop = threading.Event()
    timer = threading.Timer(25, stop.set)
    timer.start()
    try:
        with open_store(url) as store:
            made = replace(made, stream=stream(history))
            way = Filling(made, store, ["herons"], made.stream, stop, quiet=2, **options)
            return way.from_stream(DAY)
    finally:
        timer.cancel()


def test_it_ends_though_the_live_stream_is_another_one(network, store, store_url):
    """What was deleted live before it was found here does not come back meanwhile."""
    network.both("post", "gone", 20, "a heron")
    network.both("post", "stays", 19, "a heron")
    network.both("post", "edited", 18, "a heron")
    before = service(network.live, wrens="wren", robins="robin")
    made = service(network.live, wrens="wren", robins="robin", herons="heron")
    with Live(before, store_url), network.busy():
        until(lambda: names(store, "wrens"), "the live stream")
        network.also += [
            ("delete", ("gone", None)),
            ("post", ("edited", None, "a wren", "ann", "update")),
            ("post", ("mark", None, "a robin")),
        ]
        until(lambda: names(store, "robins"), "the live deletion")
        with looking(store_url, "herons") as seen:
            assert fill(made, store_url, network.other).hits == 1
    assert seen <= {"stays"}
    assert names(store, "herons") == ["stays"]
    assert store.find_post(uri("gone")) is None
    clean(store)


def test_it_ends_on_the_live_streams_own_server(network, store, store_url):
    network.both("post", "one", 20, "a heron")
    before = service(network.live, wrens="wren")
    made = service(network.live, wrens="wren", herons="heron")
    with Live(before, store_url), network.busy():
        until(lambda: names(store, "wrens"), "the live stream")
        assert fill(made, store_url, network.live).hits == 1
    assert names(store, "herons") == ["one"]


def test_what_is_staged_and_then_deleted_live_does_not_show(network, store, store_url):
    network.both("post", "gone", 20, "a heron")
    before = service(network.live, wrens="wren")
    made = service(network.live, wrens="wren", herons="heron")

    def on_progress(done, place):
        if store.find_post(uri("gone")) and not told:
            told.append(network.also.append(("delete", ("gone", None))))

    told = []
    with Live(before, store_url), network.busy():
        until(lambda: names(store, "wrens"), "the live stream")
        fill(made, store_url, network.other, on_progress=on_progress)
    assert told
    assert names(store, "herons") == []


@pytest.mark.parametrize("seed", range(3))
def test_no_state_of_an_account_is_lost(network, store, store_url, seed):
    """Neither one that the live stream never had, nor one that it tells while we look."""
    rnd = random.Random(seed)
    people = [f"p{number}" for number in range(40)]
    expected = {}
    for name in people:
        network.both("post", f"by{name}", 21, "a heron", by=name)
        for ago in (20, 19):
            expected[name] = rnd.choice(["active", "deactivated", "takendown"])
            network.both("account", expected[name], ago, name)
    before = service(network.live, wrens="wren")
    made = service(network.live, wrens="wren", herons="heron")
    with Live(before, store_url) as live, network.busy():
        until(lambda: names(store, "wrens"), "the live stream")
        for name in rnd.sample(people, 25):
            expected[name] = rnd.choice(["active", "deactivated", "takendown"])
            network.also.append(("account", (expected[name], None, name)))
        fill(made, store_url, network.other)
        until(lambda: not network.also, "what happens")
        marks = len(network.live.events)
        until(lambda: store.cursor(_name(live))[0] > marks, "the last event")
    hidden = {author(name): state for name, state in expected.items() if state != "active"}
    assert accounts(store) == hidden
    shown = sorted(f"by{name}" for name, state in expected.items() if state == "active")
    assert names(store, "herons") == shown


def test_an_account_that_came_back_unseen_is_looked_at_again(network, store, store_url):
    """The live stream has missed that it went, and tells that it is back just when we take over
    that it went: which looks as if nothing had happened."""
    network.both("post", "one", 21, "a heron", by="ann")
    network.both("account", "takendown", 20, "ann")
    network.both("post", "end", 2.0, "a wren")
    live = network.live
    made = service(live, wrens="wren", herons="heron")
    with Live(service(live, wrens="wren"), store_url) as ingest, network.busy():
        until(lambda: names(store, "wrens"), "the live stream")
        with open_store(store_url) as other:
            made = replace(made, stream=stream(network.other))
            way = Filling(made, other, ["herons"], made.stream, threading.Event(), quiet=2)
            backfills = other.backfills
            correct = backfills.correct

            def late(run, before):
                if not told:
                    told.append(live.account("active", network.ago, "ann"))
                    number = len(live.events)
                    until(lambda: store.cursor(_name(ingest))[0] >= number, "the live stream")
                    words = ["active", network.ago, "ann"]
                    network.late.append((time.monotonic() + LAG, "account", words))
                done = correct(run, before)
                states.append(accounts(store))
                return done

            told, states = [], []
            backfills.correct = late
            way.from_stream(DAY)
    assert states[0] == {author("ann"): "takendown"}
    assert states[-1] == accounts(store) == {}
    assert names(store, "herons") == ["one"]


def accounts(store):
    return dict(store.db.rows("SELECT did, state FROM accounts"))


def _name(live):
    return open_source(live.made.stream, live.made.engagement).name


def test_likes_of_the_time_behind_are_the_live_streams(network, store, store_url):
    """A like that is read late, after the live stream had taken it back, counts for nothing."""
    made = service(network.live, ranked=["herons"], herons="heron", wrens="wren")
    network.both("post", "one", 21, "a heron")
    with Live(made, store_url), network.busy():
        until(lambda: names(store, "wrens"), "the live stream")
        now = network.live.now
        store.add_gap("jetstream x", now - 22 * HOUR, now - 20 * HOUR, "the cable", now)
        for number in range(10):
            network.also += [
                ("like", (f"l{number}", None, uri("one"), "bob")),
                ("commit", ("delete", f"l{number}", None, "bob", LIKE, None)),
            ]
        other = replace(made, stream=stream(network.other))
        with open_store(store_url) as mine:
            way = Filling(other, mine, ["herons", "wrens"], other.stream, threading.Event())
            _, left = way.fill_gaps(way.gaps()[0])
        until(lambda: not network.also, "what happens")
        time.sleep(0.3)
    assert not left
    assert store.find_post(uri("one")).post.likes == 0
    assert store.backfills.open_gaps() == []


LIKE = "app.bsky.feed.like"


def test_it_takes_posts_until_it_is_near_the_live_stream():
    """As long as it gets nearer, it goes on; it does not for ever if it is no faster."""
    made = stretch.Stretch.__new__(stretch.Stretch)
    made._aim = made._left = made._time = 0
    minute = 60_000_000
    assert not made._caught_up(600 * minute)
    made._time = 600 * minute
    assert not made._caught_up(620 * minute)  # twenty minutes for 600
    made._time = 620 * minute
    assert made._caught_up(620 * minute + 1)
    made._aim = made._left = made._time = 0
    assert not made._caught_up(600 * minute)
    made._time = 600 * minute
    assert made._caught_up(1100 * minute)  # hardly nearer
