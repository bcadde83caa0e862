"""Hydrators at work beside the stream: nothing waits for them, and nothing that they do gets out.

No test here measures time. What waits for what is asserted by order: a hydrator that is to be slow
waits until that has happened which must not wait for it.
"""

from __future__ import annotations

import logging
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from storing import at, did, order, uri, us

from feedkit import Everything, Filter, Hydrator, Keywords, Newest, Post, Ranker
from feedkit.event import Frame, PostWritten
from feedkit.hydrate import Hydration
from feedkit.hydrate.lane import portions
from feedkit.ingest import Ingest
from feedkit.jobs import Jobs
from feedkit.settings import FeedConfig, Service
from feedkit.store import Due, Store, open_store

LONG = 30.0  # seconds: a wait that ends so late has failed


class Bird(Filter):
    """Posts with a bird in them."""

    needs = {"bird"}

    def match(self, post: Post) -> bool:
        return post.features["bird"] > 0.5


class Birds(Hydrator):
    """Sees birds as `say` tells it to; `say` gets the posts and gives what is returned."""

    provides = {"bird": float}
    backoff = 0.0
    deadline = LONG

    def load(self) -> None:
        self._loaded = getattr(self, "_loaded", 0) + 1

    def told(self, say: Callable[[Sequence[Post]], Any]) -> Birds:
        self._say = say
        return self

    def hydrate(self, posts: Sequence[Post], context: Any) -> Any:
        return self._say(posts)


class Unshowable(str):
    """What cannot be shown in a message."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


class Untellable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def untellable(posts: Sequence[Post]) -> Any:
    raise Untellable


def nested(depth: int) -> Any:
    found: Any = 1.0
    for _ in range(depth):
        found = [found]
    return found


class Impatient(Birds):
    """Must answer at once."""

    deadline = 0.1


def seen(posts: Sequence[Post]) -> list[dict[str, float]]:
    return [{"bird": 1.0 if "heron" in post.text else 0.0} for post in posts]


def service(*hydrators: Hydrator, **feeds: Any) -> Service:
    made = {"birds": Keywords("seen") & Bird()} | feeds
    return Service(
        hostname="feeds.example.com", publisher=did("ann"), did="did:web:feeds.example.com",
        feeds={n: f if isinstance(f, FeedConfig) else FeedConfig(n, f, Newest())
               for n, f in made.items()},
        hydrators=hydrators,
    )  # fmt: skip


class Posts:
    """A source of posts; `texts` are what they say."""

    name = "posts"

    def __init__(self, texts: Sequence[str], at_end: Callable[[], object] = lambda: None) -> None:
        self._texts, self._at_end = texts, at_end

    def frames(self, cursor: int | None, time: int, stop: threading.Event) -> Iterator[Frame]:
        for number, text in enumerate(self._texts):
            post = Post(uri=uri(f"p{number}"), author=did("ann"), text=text, created_at=at(number),
                        seen_at=at(number), sort_at=at(number))  # fmt: skip
            event = PostWritten(post, f"{number:06}", True, us(number))
            yield Frame(number + 1, us(number), (event,))
        self._at_end()


def ingest(made: Service, store: Store, *texts: str, **more: Any) -> Ingest:
    work = Ingest(made, store)
    work.run(Posts(texts, **more), threading.Event())
    return work


def work(hydration: Hydration, most: int = 100) -> None:
    """Look at what is due until nothing is, however often a hydrator fails."""
    stop = threading.Event()
    for _ in range(most):
        if not any(lane.once(stop) for lane in hydration.lanes):
            break
    else:
        pytest.fail("there was no end to it")
    hydration.close()


SEEN = ("seen a heron", "seen a cat", "no bird")


def test_from_the_stream_to_the_feed(store: Store) -> None:
    birds = Birds().told(seen)
    made = service(birds)
    done = ingest(made, store, *SEEN)
    assert (done.counts["posts"], order(store, "birds"), store.stats().pending) == (3, [], 2)
    assert Hydration(made, store).once(threading.Event()) == 2
    assert order(store, "birds") == [uri("p0")]
    assert (store.stats().posts, store.stats().pending) == (1, 0)


def test_jobs_once_hydrates_before_it_ranks(store: Store) -> None:
    made = service(Birds().told(seen), ranked=FeedConfig("ranked", Keywords("seen"), ByBird()))
    ingest(made, store, "seen a cat", "seen a heron", "seen nothing")
    assert Jobs(made, store).once()
    version = store.latest_version("ranked")
    assert version is not None
    rows = store.posts(ids := store.version_slice(version.id, 0, 9))
    assert [rows[i].uri for i in ids] == [uri("p1"), uri("p2"), uri("p0")]
    assert order(store, "birds") == [uri("p1")]


class ByBird(Ranker):
    """The birds first."""

    needs = {"bird"}

    def score(self, post: Post, request: Any) -> float:
        return post.features["bird"]


def test_what_a_ranker_has_no_word_of_comes_last(store: Store) -> None:
    def some(posts: Sequence[Post]) -> list[Any]:
        return [{"bird": None} if "odd" in p.text else one
                for p, one in zip(posts, seen(posts), strict=True)]  # fmt: skip

    made = service(Birds().told(some), ranked=FeedConfig("ranked", Keywords("seen"), ByBird()))
    ingest(made, store, "seen a heron", "seen odd", "seen a cat", "seen another odd")
    Jobs(made, store).once()
    version = store.latest_version("ranked")
    assert version is not None
    rows = store.posts(ids := store.version_slice(version.id, 0, 9))
    assert [rows[i].uri for i in ids] == [uri("p0"), uri("p2"), uri("p3"), uri("p1")]


# ── What goes wrong ─────────────────────────────────────────────────────────────────────────────


def raising(error: BaseException) -> Callable[[Sequence[Post]], Any]:
    def say(posts: Sequence[Post]) -> Any:
        raise error

    return say


@pytest.mark.parametrize(
    ("say", "counted", "told"),
    [
        (raising(ValueError("no idea")), "failures", "(ValueError: no idea)"),
        (raising(SystemExit(3)), "failures", "(SystemExit: 3)"),
        (raising(KeyboardInterrupt()), "failures", "(KeyboardInterrupt: )"),
        (lambda posts: None, "failures", "must return a list of"),
        (lambda posts: [{"bird": 1.0}] * (len(posts) + 1), "failures", "must return a list of"),
        (lambda posts: {p.uri: 1.0 for p in posts}, "failures", "must return a list of"),
        (lambda posts: [1.0] * len(posts), "wrong", "gave float for a post, not a mapping"),
        (lambda posts: [{"brid": 1.0}] * len(posts), "wrong", "'brid', which is not in provides"),
        (lambda posts: [{"bird": "much"}] * len(posts), "wrong", "not 'much'"),
        (lambda posts: [{"bird": True}] * len(posts), "wrong", "not True"),
        (lambda posts: [{"bird": math.nan}] * len(posts), "wrong", "nan is no number"),
        (lambda posts: [{"bird": math.inf}] * len(posts), "wrong", "inf is no number"),
        (
            lambda posts: [{"bird": Unshowable("a")}] * len(posts),
            "wrong",
            "type Unshowable that cannot",
        ),
        (lambda posts: [{"bird": nested(9**5)}] * len(posts), "wrong", "type list that cannot"),
        (lambda posts: [{Unshowable("a"): 1.0}] * len(posts), "wrong", "RuntimeError: no words"),
        (untellable, "failures", "type Untellable that cannot"),
        (lambda posts: [{}] * len(posts), "", ""),
    ],
)
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_what_cannot_be_found_out_is_given_up(
    store: Store, caplog: Any, say: Any, counted: str, told: str, missing: bool
) -> None:
    feed = FeedConfig("birds", Keywords("seen") & Bird(), Newest(), missing=missing)
    made = service(Birds().told(say), birds=feed, all=Everything())
    ingest(made, store, *SEEN)
    hydration = Hydration(made, store)
    work(hydration)
    assert order(store, "birds") == ([uri("p1"), uri("p0")] if missing else [])
    assert len(order(store, "all")) == 3
    (lane,) = hydration.lanes
    assert lane.counts["given_up"] == 2
    assert store.stats().pending == 0
    if counted:
        assert lane.counts[counted] >= Birds.tries
        assert "the hydrator birds failed on at://" in caplog.text
        assert told in caplog.text
    else:
        assert not caplog.records


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_value_that_no_database_can_keep(store: Store, caplog: Any) -> None:
    class Named(Birds):
        """Says a name."""

        provides = {"bird": str}

    made = service(Named().told(lambda posts: [{"bird": "\ud800"}] * len(posts)))
    ingest(made, store, "seen a heron")
    work(Hydration(made, store))
    assert store.stats().pending == 0
    assert "cannot be kept" in caplog.text


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_no_mistake_ends_a_lane(store: Store, caplog: Any) -> None:
    made = service(Birds().told(seen))
    ingest(made, store, *SEEN)
    hydration = Hydration(made, store)
    (lane,) = hydration.lanes
    settle, failing = lane._settle, [KeyError("ours"), RecursionError()]

    def settled(answers: Any) -> Any:
        if failing:
            raise failing.pop()
        return settle(answers)

    lane._settle = settled
    with hydration.running():
        until = time.monotonic() + LONG
        while not order(store, "birds") and time.monotonic() < until:
            time.sleep(0.05)
    assert order(store, "birds") == [uri("p0")]
    assert lane.counts["failures"] == 2
    assert caplog.text.count("the hydrator birds: a mistake of feedkit's, 1 times in a row") == 1


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_poisonous_post_costs_the_others_nothing_but_patience(store: Store) -> None:
    def say(posts: Sequence[Post]) -> Any:
        if any("poison" in post.text for post in posts):
            raise ValueError("poisoned")
        return seen(posts)

    made = service(Birds().told(say))
    texts = [f"seen a heron {n}" for n in range(40)]
    texts[17] = "seen a heron, poison"
    ingest(made, store, *texts)
    work(Hydration(made, store))
    assert len(order(store, "birds")) == 39
    assert uri("p17") not in order(store, "birds")


def test_portions_shrink_with_the_tries() -> None:
    due = [Due(n, "1", Post(uri=str(n)), frozenset({"w"}), n % 4) for n in range(100)]
    sizes: dict[int, int] = {}
    for some in portions(due, 64):
        sizes[some[0].tries] = max(sizes.get(some[0].tries, 0), len(some))
    assert sizes == {0: 25, 1: 8, 2: 1, 3: 1}
    assert sorted(one.id for some in portions(due, 64) for one in some) == list(range(100))


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_it_is_loaded_once_and_again_only_where_that_failed(store: Store) -> None:
    class Heavy(Birds):
        """Fails to load twice."""

        def load(self) -> None:
            super().load()
            if self._loaded < 3:
                raise OSError("the model is not there yet")

    heavy = Heavy().told(seen)
    made = service(heavy)
    ingest(made, store, *SEEN, *(f"seen {n}" for n in range(60)))
    work(Hydration(made, store))
    assert order(store, "birds") == [uri("p0")]
    assert heavy._loaded == 3


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_late_answer_is_not_listened_to(store: Store, caplog: Any) -> None:
    go_on, answered = threading.Event(), threading.Event()
    calls = []

    def say(posts: Sequence[Post]) -> Any:
        calls.append(len(posts))
        if len(calls) == 1:
            assert go_on.wait(LONG)
            answered.set()
            return [{"bird": 1.0}] * len(posts)
        return [{"bird": 0.0}] * len(posts)

    made = service(Impatient().told(say), all=Everything())
    ingest(made, store, "seen a heron")
    hydration = Hydration(made, store)
    (lane,) = hydration.lanes
    stop = threading.Event()
    lane.once(stop)
    assert "it took more than 0.1 s" in caplog.text
    lane.once(stop)  # it has not come back: it is not called again, and that counts as a try
    assert (calls, lane.counts["failures"]) == ([1], 2)
    go_on.set()
    assert answered.wait(LONG)
    work(hydration)
    assert len(calls) == 2
    assert order(store, "birds") == []
    assert lane.counts["given_up"] == 0


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_it_can_be_ended_and_begun_again(store: Store) -> None:
    made = service(Birds().told(seen))
    store.sync_feeds({"birds": "1"})
    hydration = Hydration(made, store)
    for n in range(3):  # the first time there is nothing to do
        assert hydration.once(threading.Event()) == min(n, 1)
        ingest(made, store, *("seen a heron" for _ in range(n + 1)))
    assert len(order(store, "birds")) == 2


# ── Who waits for whom ──────────────────────────────────────────────────────────────────────────


def test_ingest_waits_for_no_hydrator(store: Store) -> None:
    """A hydrator that does not come back before ingest has read and written everything."""
    begun, ingested, order_of_things = threading.Event(), threading.Event(), []

    def say(posts: Sequence[Post]) -> Any:
        begun.set()
        order_of_things.append(("hydrated", ingested.wait(LONG)))
        return seen(posts)

    made = service(Birds().told(say), all=Everything())
    ingest(made, store, "seen a heron at first")
    hydration = Hydration(made, store)
    with hydration.running():
        assert begun.wait(LONG)
        done = ingest(made, store, *(f"seen a heron {n}" for n in range(900)))
        assert done.counts["posts"] == 900
        assert len(order(store, "all")) == 900
        assert order(store, "birds") == []
        order_of_things.append(("ingested", True))
        ingested.set()
        until(lambda: len(order(store, "birds")) == 900)
    assert order_of_things[0] == ("ingested", True)
    assert all(came_after for _, came_after in order_of_things)
    assert store.stats().pending == 0


def until(come_true: Callable[[], bool]) -> None:
    ends = time.monotonic() + LONG
    while not come_true():
        assert time.monotonic() < ends, "it never came true"
        time.sleep(0.01)


class Cat(Filter):
    """Posts with a cat in them."""

    needs = {"cat"}

    def match(self, post: Post) -> bool:
        return post.features["cat"]


class Cats(Birds):
    """Sees cats."""

    provides = {"cat": bool}


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_hydrators_do_not_wait_for_each_other(store: Store) -> None:
    """One that is stuck until the other has seen a hundred posts; the end does not wait for it."""
    other_done, release, still_stuck = threading.Event(), threading.Event(), []

    def stuck(posts: Sequence[Post]) -> Any:
        still_stuck.append(other_done.wait(LONG))
        release.wait(LONG)
        return seen(posts)

    def quick(posts: Sequence[Post]) -> Any:
        return [{"cat": "cat" in post.text} for post in posts]

    made = service(Birds().told(stuck), Cats().told(quick), cats=Keywords("seen") & Cat(),
                   either=Keywords("seen") & (Cat() | Bird()))  # fmt: skip
    ingest(made, store, *(f"seen a cat {n}" for n in range(100)))
    hydration = Hydration(made, store)
    with hydration.running():
        until(lambda: len(order(store, "cats")) == 100)
        until(lambda: len(order(store, "either")) == 100)  # one word was enough
        other_done.set()
    assert not release.is_set()  # the block ended while the other was still at it
    assert order(store, "birds") == []
    assert store.stats().pending == 100
    release.set()
    assert all(still_stuck)


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_an_answer_that_comes_after_the_end_is_asked_for_again(store: Store) -> None:
    begun, release = threading.Event(), threading.Event()

    def say(posts: Sequence[Post]) -> Any:
        begun.set()
        release.wait(LONG)
        return seen(posts)

    made = service(Birds().told(say))
    ingest(made, store, *SEEN)
    with Hydration(made, store).running():
        assert begun.wait(LONG)
    assert store.stats().pending == 2
    release.set()
    work(Hydration(service(Birds().told(seen)), store))
    assert order(store, "birds") == [uri("p0")]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_broken_store_ends_no_lane(store: Store, caplog: Any, monkeypatch: Any) -> None:
    made = service(Birds().told(seen))
    ingest(made, store, *SEEN)
    hydration = Hydration(made, store)
    store.db.run("ALTER TABLE pending RENAME TO elsewhere")
    with caplog.at_level(logging.ERROR), hydration.running():
        until(lambda: "the hydrator birds waits for the store" in caplog.text)
        store.db.run("ALTER TABLE elsewhere RENAME TO pending")
        until(lambda: order(store, "birds") == [uri("p0")])


# ── Killed ──────────────────────────────────────────────────────────────────────────────────────

SCRIPT = """
import sys, threading, time
sys.path.insert(0, sys.argv[2])
from test_hydrate import Birds, seen, service
from feedkit.hydrate import Hydration
from feedkit.store import open_store

def slowly(posts):
    time.sleep(0.003)
    return seen(posts)

store = open_store(sys.argv[1])
class Few(Birds):
    '''A few at a time.'''
    batch = 7
with Hydration(service(Few().told(slowly)), store).running():
    print("ready", flush=True)
    threading.Event().wait()
"""


def test_killed_at_any_moment_nothing_is_lost_or_doubled(store: Store, store_url: str) -> None:
    made = service(Birds().told(seen), all=Keywords("all"))
    texts = [f"seen a {random.Random(n).choice(('heron', 'cat'))} {n}" for n in range(1500)]
    ingest(made, store, *texts)
    rnd = random.Random(3)
    left = [store.stats().pending]
    assert left == [1500]
    for _ in range(6 if os.environ.get("FEEDKIT_SLOW") else 2):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, store_url, str(Path(__file__).parent)],
            stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        until(lambda: store.stats().pending < left[-1])
        time.sleep(rnd.uniform(0, 0.06))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        left.append(store.stats().pending)
    assert left[-1] > 0, "most kills were after the end"
    work(Hydration(made, store))
    want = [uri(f"p{n}") for n, text in enumerate(texts) if "heron" in text]
    assert order(store, "birds") == want[::-1]
    hits = store.db.rows("SELECT count(*), count(DISTINCT post_id) FROM hits")
    assert hits == [(len(want), len(want))]
    assert (store.stats().posts, store.stats().pending) == (len(want), 0)
    with open_store(store_url) as again:
        assert not again.db.rows("SELECT 1 FROM features WHERE value = ''")
