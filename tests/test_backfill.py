"""Filling feeds from the past of a stream, beside the live one."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from _history import HOUR, History, author, uri
from storing import contents, order

from feedkit import Gravity, Keywords, Newest
from feedkit.backfill import Filling, NotPossible, Stopped
from feedkit.backfill.rewound import Rewound
from feedkit.ingest import Ingest
from feedkit.jobs import Jobs
from feedkit.settings import FeedConfig, Network, Service, Stream
from feedkit.sources import open_source
from feedkit.store import open_store
from feedkit.store.pruning import ABANDONED

DAY = timedelta(hours=24)


@pytest.fixture
def history():
    made = History()
    with made.serving():
        yield made


def stream(history):
    return Stream(url=history.url, compress=False, backoff=0.01, backoff_cap=0.05)


def service(history, ranked=(), keep=None, network=None, **filters):
    feeds = {
        name: FeedConfig(
            name=name,
            filter=filter if not isinstance(filter, str) else Keywords(filter),
            rank=Gravity() if name in ranked else Newest(),
            keep=keep or timedelta(days=7),
        )
        for name, filter in filters.items()
    }
    did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
    return Service(
        "feeds.example.com", did, "did:web:feeds.example.com", feeds, stream=stream(history),
        network=network or Network(),
    )  # fmt: skip


class Live:
    """A live ingest in a thread, from what is new on."""

    def __init__(self, made, url):
        self.stop, self.made, self.url = threading.Event(), made, url
        self.ingest = None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with open_store(self.url) as store:
            source = open_source(self.made.stream, self.made.engagement)
            self.ingest = Ingest(self.made, store)
            self.ingest.run(source, self.stop)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def until(condition, what, seconds=20):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"waited for {what}"
        time.sleep(0.01)


def fold(made, store, history, numbers):
    """Let an ingest have read the events up to this number."""
    live = open_source(made.stream, made.engagement)
    stop = threading.Event()
    first = numbers.start

    class Some:
        name = live.name

        def frames(self, cursor, at, stop):
            for frame in live.frames(None, history.events[first - 1][1], stop):
                yield frame
                if frame is not None and frame.cursor >= numbers.stop - 1:
                    return

    Ingest(made, store).run(Some(), stop)


def fill(made, store, feeds, span=DAY, **options):
    filling = Filling(
        made, store, feeds, made.stream, threading.Event(), quiet=0.3, patience=2.0, **options
    )
    return filling.from_stream(span)


def names(store, feed):
    return sorted(uri.rpartition("/")[2] for uri in order(store, feed))


@contextmanager
def looking(url, feed):
    """What somebody saw who looked at the feed all the time."""
    seen, stop = set(), threading.Event()

    def look():
        with open_store(url) as store:
            while not stop.is_set():
                seen.update(names(store, feed))
                time.sleep(0.002)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def clean(store):
    """Nothing is left of a backfill."""
    for table in ("backfills", "backfill_posts", "backfill_accounts"):
        assert store.db.rows(f"SELECT * FROM {table}") == []


def test_a_new_feed_gets_the_posts_of_the_last_day(history, store):
    history.post("old", 30, "a heron, too long ago")
    history.post("one", 20, "a heron")
    history.post("none", 19, "a wren")
    history.post("two", 3, "another heron")
    fold(service(history, wrens="wren"), store, history, range(1, 5))
    live = store.cursor(open_source(stream(history), frozenset()).name)
    made = service(history, wrens="wren", herons="heron")
    outcome = fill(made, store, ["herons"])
    assert outcome.hits == 2
    assert names(store, "herons") == ["one", "two"]
    assert names(store, "wrens") == ["none"]
    assert store.cursor(open_source(stream(history), frozenset()).name) == live
    assert "collections=app.bsky.feed.post" in history.paths[-1]
    assert "like" not in history.paths[-1]
    clean(store)


def test_a_post_that_another_feed_has_gets_its_hit_too(history, store):
    history.post("both", 5, "a heron and a wren")
    history.post("wren", 4, "a wren")
    fold(service(history, wrens="wren"), store, history, range(1, 3))
    fill(service(history, wrens="wren", herons="heron"), store, ["herons"])
    assert names(store, "herons") == ["both"]
    assert names(store, "wrens") == ["both", "wren"]


def test_nothing_deleted_comes_back_not_even_for_a_moment(history, store, store_url):
    """The deletion comes late in the stretch; somebody looks all the time."""
    history.post("gone", 20, "a heron")
    history.post("stays", 19, "a heron")
    for number in range(400):
        history.post(f"n{number}", 18 - number / 100, "a wren")
    history.delete("gone", 1)
    history.post("last", 0.5, "nothing")
    fold(service(history, others="nothing"), store, history, range(1, len(history.events) + 1))
    made = service(history, others="nothing", herons="heron")
    history.pace = 0.003
    with looking(store_url, "herons") as seen:
        fill(made, store, ["herons"])
        time.sleep(0.1)
    assert seen == {"stays"}
    assert store.find_post(uri("gone")) is None


def test_staged_posts_are_left_alone_by_deciding_again(history, store):
    """The job that decides stored posts for a new filter neither shows nor removes them."""
    history.post("gone", 20, "a heron")
    history.post("stays", 19, "a heron")
    for number in range(20):
        history.post(f"n{number}", 18 - number / 10, "nothing")
    history.post("live", 0.2, "a robin")
    last = len(history.events)
    fold(service(history, robins="robin"), store, history, range(last, last + 1))
    made = service(history, robins="robin", herons="heron", wrens="wren")
    during = []

    def on_progress(done, place):
        if not during and len(store.db.rows("SELECT 1 FROM backfill_posts")) >= 2:
            Jobs(made, store).decide_again()
            during.append(names(store, "herons"))

    history.pace = 0.1
    fill(made, store, ["herons"], on_progress=on_progress)
    assert during == [[]]
    assert names(store, "herons") == ["gone", "stays"]
    assert names(store, "wrens") == []


def test_what_is_deleted_live_while_it_is_staged_never_shows(history, store, store_url):
    history.post("gone", 20, "a heron")
    for number in range(300):
        history.post(f"n{number}", 19 - number / 100, "a wren")
    made = service(history, herons="heron", others="nothing")
    before = service(history, others="nothing")
    fold(before, store, history, range(1, len(history.events) + 1))
    history.pace = 0.005
    with Live(before, store_url) as live:
        until(lambda: live.ingest is not None, "ingest")
        done = []
        thread = threading.Thread(
            target=lambda: done.append(_fill_elsewhere(made, store_url, ["herons"]))
        )
        thread.start()
        until(lambda: store.find_post(uri("gone")), "the post to be staged")
        history.delete("gone", -0.01)
        thread.join()
    assert names(store, "herons") == []
    assert store.find_post(uri("gone")) is None


def _fill_elsewhere(made, url, feeds):
    with open_store(url) as store:
        return fill(made, store, feeds)


def test_posts_of_accounts_that_are_gone_do_not_show(history, store):
    for name, state in [("ann", "active"), ("bob", "deleted"), ("cat", "takendown")]:
        history.post(name, 20, "a heron", by=name)
        history.account(state, 10, name)
    history.account("takendown", 9, "dan")
    history.account("active", 8, "dan")
    history.post("dan", 7, "a heron", by="dan")
    outcome = fill(service(history, herons="heron"), store, ["herons"])
    assert outcome.hits == 3  # that of cat is there, and hidden
    assert names(store, "herons") == ["ann", "dan"]
    assert store.find_post(uri("cat", "cat")).hidden
    assert store.find_post(uri("bob", "bob")) is None
    accounts = {author("bob"): "deleted", author("cat"): "takendown"}
    assert contents(store)["accounts"] == accounts


def test_an_older_state_of_an_account_undoes_no_newer_one(history, store, store_url):
    history.post("cat", 20, "a wren", by="cat")
    history.account("deactivated", 15, "cat")
    history.account("active", 14, "cat")
    for number in range(20):
        history.post(f"n{number}", 13 - number / 10, "nothing")
    history.account("takendown", 1, "cat")
    history.post("end", 0.5, "a wren")
    fold(service(history, wrens="wren"), store, history, range(1, len(history.events) + 1))
    history.pace = 0.1
    with looking(store_url, "wrens") as seen:
        fill(service(history, wrens="wren", herons="heron"), store, ["herons"])
    assert seen == {"end"}


def test_each_feed_keeps_as_long_as_it_says(history, store):
    history.post("old", 20, "a heron")
    history.post("new", 5, "a heron")
    made = service(history, herons="heron", brief="heron")
    brief = replace(made.feeds["brief"], keep=timedelta(hours=6))
    made = replace(made, feeds={**made.feeds, "brief": brief})
    fill(made, store, ["herons", "brief"])
    assert names(store, "herons") == ["new", "old"]
    assert names(store, "brief") == ["new"]


def test_a_stretch_is_no_gap(history, store, caplog):
    history.post("one", 20, "a heron")
    fill(service(history, herons="heron"), store, ["herons"])
    assert "may be lost" not in caplog.text
    assert store.gaps(0) == []


def test_an_edited_post_goes_by_what_it_says_now(history, store):
    history.post("was", 20, "a heron")
    history.post("was", 10, "a wren", operation="update")
    history.post("is", 20, "a wren")
    history.post("is", 10, "a heron", operation="update")
    fill(service(history, herons="heron"), store, ["herons"])
    assert names(store, "herons") == ["is"]
    assert store.find_post(uri("is")).post.text == "a heron"


def test_nothing_older_than_the_feed_keeps(history, store):
    history.post("old", 20, "a heron")
    history.post("new", 5, "a heron")
    fill(service(history, herons="heron", keep=timedelta(hours=12)), store, ["herons"])
    assert names(store, "herons") == ["new"]


def test_interrupted_it_goes_on(history, store):
    for number in range(200):
        history.post(f"p{number:03}", 20 - number / 20, "a heron")
    made = service(history, herons="heron")
    history.pace = 0.01
    stop = threading.Event()

    def on_progress(done, place):
        if len(store.db.rows("SELECT 1 FROM backfill_posts")) > 30:
            stop.set()

    with pytest.raises(Stopped):
        Filling(made, store, ["herons"], made.stream, stop, on_progress).from_stream(DAY)
    assert names(store, "herons") == []
    sent, history.pace = history.sent, 0
    outcome = fill(made, store, ["herons"])
    assert outcome.hits == 200
    assert history.sent - sent < 190  # it did not begin again
    assert len(names(store, "herons")) == 200
    clean(store)


def test_another_span_begins_anew(history, store):
    history.post("one", 20, "a heron")
    history.post("two", 5, "a heron")
    made = service(history, herons="heron")
    stop = threading.Event()
    history.pace = 0.4

    def on_progress(done, place):
        if store.db.rows("SELECT 1 FROM backfill_posts"):
            stop.set()

    with pytest.raises(Stopped):
        Filling(made, store, ["herons"], made.stream, stop, on_progress).from_stream(
            timedelta(hours=6)
        )
    history.pace = 0
    fill(made, store, ["herons"])
    assert names(store, "herons") == ["one", "two"]


def test_an_abandoned_one_leaves_nothing(history, store):
    history.post("one", 20, "a heron")
    history.post("two", 5, "nothing")
    made = service(history, herons="heron")
    stop = threading.Event()
    history.pace = 0.4

    def on_progress(done, place):
        if store.db.rows("SELECT 1 FROM backfill_posts"):
            stop.set()

    with pytest.raises(Stopped):
        Filling(made, store, ["herons"], made.stream, stop, on_progress).from_stream(DAY)
    assert store.find_post(uri("one"))
    now = time.time_ns() // 1000
    store.prune({"herons": timedelta(days=7)}, now)
    assert store.find_post(uri("one"))
    store.prune({"herons": timedelta(days=7)}, now + ABANDONED // timedelta(microseconds=1) + 1)
    assert store.find_post(uri("one")) is None
    clean(store)


def test_a_stream_that_forgot_the_beginning(history, store):
    history.post("one", 20, "a heron")
    history.post("two", 5, "a heron")
    history.oldest = 2
    outcome = fill(service(history, herons="heron"), store, ["herons"])
    assert outcome.cut
    assert names(store, "herons") == ["two"]


def test_a_stream_that_refuses(history, store):
    history.post("one", 20, "a heron")
    history.post("two", 5, "a heron")
    history.oldest, history.refuses = 2, "CursorTooOld"
    with pytest.raises(NotPossible, match=r"does not go back so far .*CursorTooOld.*--stream 12h"):
        fill(service(history, herons="heron"), store, ["herons"])
    clean(store)


def test_a_stream_that_cannot_be_reached_is_no_matter_of_the_feeds(history, store, caplog):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    source = Rewound(Stream(url=f"ws://127.0.0.1:{port}", compress=False), frozenset())
    stop = threading.Event()
    for _ in source.frames(None, 1, stop):
        if source.open is False:
            stop.set()
    (told,) = [one for one in caplog.messages if one.startswith("backfill from jetstream ")]
    assert "Until then nothing more is filled; what was filled stays" in told
    assert "no new posts" not in told


def test_where_ingest_has_stopped_long_ago(history, store):
    history.post("one", 40, "a wren")
    history.post("two", 5, "a heron")
    fold(service(history, wrens="wren"), store, history, range(1, 2))
    with pytest.raises(NotPossible, match="start `feedkit ingest`"):
        fill(service(history, wrens="wren", herons="heron"), store, ["herons"])


def test_where_no_ingest_ever_was_the_first_one_goes_on_from_there(history, store, store_url):
    history.post("one", 20, "a heron")
    made = service(history, herons="heron")
    fill(made, store, ["herons"])
    history.post("two", 0.001, "a heron")
    with Live(made, store_url):
        until(lambda: names(store, "herons") == ["one", "two"], "what came in between")
        history.delete("one", -0.001)
        until(lambda: names(store, "herons") == ["two"], "the deletion")


def test_gaps_are_filled_with_all_that_was_missed(history, store):
    """Also deletions, likes and accounts; and nothing that was told after the gap is undone."""
    made = service(history, ranked=["herons"], herons="heron")
    history.post("kept", 20, "a heron")
    history.post("gone", 19, "a heron")
    history.like("l1", 18.5, uri("kept"))
    history.like("l2", 17, uri("kept"), by="cat")
    history.post("missed", 16, "a heron")
    history.post("brief", 16, "a heron")
    history.delete("gone", 15)
    history.account("takendown", 15, "eve")
    history.delete("brief", 10)
    history.like("l3", 9, uri("missed"))
    history.account("active", 8, "eve")
    history.post("eve", 7, "a heron", by="eve")
    fold(made, store, history, range(1, 4))
    fold(made, store, history, range(9, 13))
    now = history.now
    store.add_gap("jetstream x", now - 18 * HOUR, now - 11 * HOUR, "the cable", now)
    store.add_gap("jetstream x", 0, now - 300 * HOUR, "unknown", now)
    filling = Filling(made, store, ["herons"], made.stream, threading.Event(), quiet=0.3)
    gaps, lost = filling.gaps()
    assert [gap.reason for gap in gaps] == ["the cable"]
    assert [gap.reason for gap in lost] == ["unknown"]
    outcome, lost = filling.fill_gaps(gaps)
    assert not lost
    assert outcome.hits == 1
    assert names(store, "herons") == ["eve", "kept", "missed"]
    assert store.find_post(uri("kept")).post.likes == 2
    assert store.find_post(uri("missed")).post.likes == 1
    assert [gap.reason for gap in store.backfills.open_gaps()] == ["unknown"]
    clean(store)


def test_a_gap_that_the_stream_has_forgotten_is_lost(history, store):
    made = service(history, herons="heron")
    history.post("one", 20, "a heron")
    history.post("oldest", 7, "a wren")
    history.post("two", 5, "a heron")
    history.post("three", 1, "a heron")
    fold(made, store, history, range(4, 5))
    history.oldest = 2
    now = history.now
    store.add_gap("jetstream x", now - 21 * HOUR, now - 19 * HOUR, "the night", now)
    store.add_gap("jetstream x", now - 6 * HOUR, now - 4 * HOUR, "the morning", now)
    filling = Filling(made, store, ["herons"], made.stream, threading.Event(), quiet=0.3)
    _, lost = filling.fill_gaps(filling.gaps()[0])
    assert [gap.reason for gap in lost] == ["the night"]
    assert names(store, "herons") == ["three", "two"]
    assert [gap.reason for gap in store.backfills.open_gaps()] == ["the night"]
