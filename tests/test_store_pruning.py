"""Retention, on both databases."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from storing import (
    DAY,
    START_US,
    apply,
    contents,
    deleted,
    engaged,
    order,
    uri,
    us,
    written,
)

from feedkit.store import Pruned, Store
from feedkit.store import pruning as rules

KEEP = {"red": timedelta(days=1), "blue": timedelta(days=3)}
HOUR = 3600
LATER = START_US + 400 * DAY  # our clock, unless a test says otherwise


@pytest.fixture
def store(store: Store) -> Store:
    store.sync_feeds({"red": "1", "blue": "1"})
    return store


def test_each_feed_keeps_its_own_time(store: Store) -> None:
    apply(
        store,
        written("old", "red blue", rev="1", seconds=0),
        written("older", "red", rev="1", made=-DAY / 1e6, seconds=1),
        written("new", "red", rev="1", seconds=2 * HOUR),
        *(engaged("dan", "1", uri("old")), engaged("dan", "2", uri("older"))),
    )
    apply(store, seconds=25 * HOUR)
    assert store.prune(KEEP, LATER) == Pruned(hits=2, posts=1, engagements=1)
    assert order(store, "red") == [uri("new")]
    assert order(store, "blue") == [uri("old")]
    assert len(contents(store)["engagements"]) == 1
    apply(store, seconds=73 * HOUR)
    assert store.prune(KEEP, LATER) == Pruned(hits=2, posts=2, engagements=1)
    assert not contents(store)["posts"]


@pytest.mark.parametrize(
    ("stream", "ours", "gone"),
    [
        pytest.param(25 * HOUR, us(25 * HOUR), 1, id="both agree"),
        pytest.param(25 * HOUR, us(-9 * HOUR), 0, id="our clock is slow"),
        pytest.param(0, LATER, 0, id="our clock is fast"),
        pytest.param(9999 * HOUR, us(1), 0, id="an event from the future"),
    ],
)
def test_a_wrong_clock_deletes_nothing(store: Store, stream: float, ours: int, gone: int) -> None:
    apply(store, written("p", "red", rev="1"))
    apply(store, seconds=stream)
    assert store.prune(KEEP, ours).hits == gone


def test_nothing_goes_before_the_first_event(store: Store) -> None:
    assert store.prune(KEEP, LATER) == Pruned()


def test_a_feed_that_is_not_configured_any_more_goes_whole(store: Store) -> None:
    apply(store, written("p", "red blue", rev="1"), written("q", "red", rev="1"))
    store.save_version("red", "", [1, 2], us(0))
    assert store.prune({"blue": KEEP["blue"]}, LATER) == Pruned(
        hits=2, posts=1, versions=1, feeds=1
    )
    assert order(store, "blue") == [uri("p")]
    assert store.stats().feeds.keys() == {"blue"}
    assert store.stats().versions == 0
    assert store.db.rows("SELECT count(*) FROM chunks") == [(0,)]
    assert store.sync_feeds({"red": "1", "blue": "1"}) == {"red"}  # as a new one


def test_the_rankings_of_a_feed_that_goes_take_several_transactions(store: Store) -> None:
    for n in range(300):
        store.save_version("red", f"did:plc:v{n}", list(range(1, 1001)), us(0))
    left = [rankings(store)]

    def between() -> bool:
        left.append(rankings(store))
        return False

    done = store.prune({"blue": KEEP["blue"]}, us(1), stop=between)
    assert (done.versions, done.feeds, rankings(store)) == (300, 1, 0)
    left.append(0)
    assert left[0] == 300 * 5, "four chunks each"
    assert max(before - after for before, after in pairwise(left)) <= 1000


def rankings(store: Store) -> int:
    """Rows of rankings and their chunks."""
    return sum(
        store.db.rows(f"SELECT count(*) FROM {table}")[0][0] for table in ("versions", "chunks")
    )


def test_it_works_in_small_transactions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A popular post with more engagement than fits, and more hits than fit."""
    apply(store, *(written(f"p{n}", "red", rev="1", seconds=n) for n in range(600)))
    apply(store, *(engaged(f"u{n}", "1", uri("p5")) for n in range(1200)))
    apply(store, seconds=50 * HOUR)
    sizes = []
    inner = rules._old

    def measured(db, table, feed_id, horizon, done):  # type: ignore[no-untyped-def]
        before = done.hits + done.posts + done.engagements
        more = inner(db, table, feed_id, horizon, done)
        sizes.append(done.hits + done.posts + done.engagements - before)
        return more

    monkeypatch.setattr(rules, "_old", measured)
    assert store.prune(KEEP, LATER) == Pruned(hits=600, posts=600, engagements=1200)
    assert max(sizes) <= 1000
    assert len(sizes) >= 6


def test_it_stops_when_told_and_goes_on_later(store: Store) -> None:
    apply(store, *(written(f"p{n}", "red", rev="1", seconds=n) for n in range(600)))
    apply(store, seconds=50 * HOUR)
    first = store.prune(KEEP, LATER, stop=lambda: True)
    assert (first.hits, first.finished) == (250, False)
    assert order(store, "red") == [uri(f"p{n}") for n in reversed(range(250, 600))]
    assert store.prune(KEEP, LATER).hits == 350


def test_tombstones_outlive_what_relays_replay(store: Store) -> None:
    apply(store, written("p", "red", rev="1"), deleted("p", rev="2", seconds=HOUR))
    apply(store, seconds=72 * HOUR)
    assert store.prune(KEEP, LATER).tombstones == 0
    apply(store, seconds=73 * HOUR + 1)
    assert store.prune(KEEP, LATER).tombstones == 1
    assert not contents(store)["tombstones"]


def test_versions_live_an_hour_but_the_latest_stays(store: Store) -> None:
    store.mark_asked("red", us(0))
    made = [
        store.save_version("red", "", [1] * 300, us(-9 * HOUR)),  # the latest for nine hours
        store.save_version("red", "", [2], us(1)),
        store.save_version("red", "did:plc:eve", [3], us(2)),
        store.save_version("blue", "", [4], us(HOUR)),
    ]
    assert store.prune(KEEP, us(HOUR)).versions == 0
    assert store.prune(KEEP, us(HOUR + 3)).versions == 2
    left = [version for version in made if store.version_slice(version, 0, 1)]
    assert left == [made[1], made[3]]


def test_how_long_versions_live_may_be_said(store: Store) -> None:
    store.save_version("red", "did:plc:eve", [1], us(0))
    ten = timedelta(minutes=10)
    assert store.prune(KEEP, us(600), rankings=ten).versions == 0
    assert store.prune(KEEP, us(600) + 1, rankings=ten).versions == 1


@pytest.mark.parametrize("kind", ["replaced", "of a viewer"])
def test_a_version_goes_an_hour_after_its_time(store: Store, kind: str) -> None:
    """Also where the clock was set back meanwhile."""
    store.mark_asked("red", us(9 * HOUR))
    viewer = "did:plc:eve" if kind == "of a viewer" else ""
    made = store.save_version("red", viewer, [1], us(3 * HOUR if kind == "replaced" else 0))
    store.save_version("red", "", [2], us(0))
    assert store.prune(KEEP, us(HOUR)).versions == 0
    assert store.version_slice(made, 0, 1) == [1]
    assert store.prune(KEEP, us(HOUR) + 1).versions == 1
    assert store.version_slice(made, 0, 1) == []


def test_many_tombstones_and_versions_take_several_transactions(store: Store) -> None:
    steps = [written(f"p{n}", "red", rev="1") for n in range(1100)]
    apply(store, *steps, *(deleted(f"p{n}", rev="2") for n in range(1100)))
    store.mark_asked("red", us(0))
    for _ in range(120):
        store.save_version("red", "", [1], us(0))
    apply(store, seconds=100 * HOUR)
    done = store.prune(KEEP, LATER)
    assert (done.tombstones, done.versions) == (1100, 119)
