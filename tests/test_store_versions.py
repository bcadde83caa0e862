"""Rankings kept as they were, on both databases."""

from __future__ import annotations

import struct
from datetime import timedelta

import pytest

from feedkit.store import Recipe, Store, StoreError, open_store
from feedkit.store.migrations import MIGRATIONS
from feedkit.store.versions import CHUNK, PER_VIEWER, PROBES, Version

MINUTE = 60 * 1_000_000
HOUR = timedelta(hours=1)
NOW = 1_000 * MINUTE


@pytest.fixture
def store(store: Store) -> Store:
    store.sync_feeds({"red": "1", "blue": "1"})
    return store


def test_slices_are_the_ranking(store: Store) -> None:
    ids = [n * 7919 % 1_000_003 + (1 << 40) for n in range(620)]  # some chunks, ids beyond 32 bits
    version = store.save_version("red", "", ids, NOW)
    for start in (0, 1, 249, 250, 499, 600, 619, 620, 5000):
        for count in (1, 30, 100, 400):
            assert store.version_slice(version, start, count) == ids[start : start + count]
    assert store.version_position(version, ids[251]) == 251
    assert store.version_position(version, 5) is None
    assert store.version_slice(version + 1, 0, 10) == []


def test_a_ranking_of_an_earlier_version_of_feedkit(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It kept ids in 8 bytes each, and when a ranking was replaced in `created_at`."""
    ids = [n * 7919 % 1_000_003 for n in range(620)]
    with open_store(store_url) as store:
        with monkeypatch.context() as before:
            before.setattr("feedkit.store.schema.MIGRATIONS", MIGRATIONS[:9])
            store.migrate()
        store.sync_feeds({"red": "1"})
        for number in (1, 2):
            store.db.run(
                "INSERT INTO versions (id, feed_id, viewer, created_at, size, recipe) "
                "SELECT ?, id, '', ?, 620, 'r' FROM feeds",
                (1000 + number, NOW + number * MINUTE),
            )
            for start in range(0, 620, CHUNK):
                some = ids[start : start + CHUNK]
                packed = struct.pack(f"<{len(some)}q", *some)
                store.db.run(
                    "INSERT INTO chunks (version_id, number, ids) VALUES (?, ?, ?)",
                    (1000 + number, start // CHUNK, packed),
                )
        assert store.migrate()[:2] == ["0010 replaced", "0011 probes"]
        assert store.migrate() == []
        assert store.find_version(1001, "red") == Version(1001, NOW + MINUTE, 620, "r")
        assert store.latest_version("red") == Version(1002, NOW + 2 * MINUTE, 620, "r")
        assert store.version_slice(1001, 0, 1000) == ids
        assert store.version_position(1002, ids[600]) == 600
        assert store.db.rows("SELECT DISTINCT replaced_at FROM versions") == [(None,)]
        assert store.prune({"red": HOUR}, NOW + 61 * MINUTE).versions == 0
        assert store.prune({"red": HOUR}, NOW + 62 * MINUTE).versions == 1
        assert store.version_slice(1002, 600, 20) == ids[600:]  # the latest


def test_an_empty_ranking(store: Store) -> None:
    version = store.save_version("red", "", [], NOW)
    assert store.version_slice(version, 0, 50) == []
    assert store.latest_version("red") == Version(version, NOW, 0, "")


def test_the_latest_is_by_feed_and_viewer(store: Store) -> None:
    assert store.latest_version("red") is None
    store.mark_asked("red", NOW)
    first = store.save_version("red", "", [1], NOW, "a")
    second = store.save_version("red", "", [2, 3], NOW - 5, "b")  # a clock that was set back
    store.save_version("blue", "", [4], NOW)
    own = store.save_version("red", "did:plc:eve", [5], NOW)
    assert store.latest_version("red") == Version(second, NOW - 5, 2, "b")
    latest = store.latest_version("red", "did:plc:eve")
    assert latest is not None
    assert latest.id == own
    assert store.latest_version("red", "did:plc:dan") is None
    assert store.version_slice(first, 0, 5) == [1]


def test_a_version_is_found_only_by_those_whom_it_is_for(store: Store) -> None:
    own = store.save_version("red", "did:plc:eve", [5], NOW)
    assert store.find_version(own, "red", "did:plc:eve") is not None
    assert store.find_version(own, "red") is None
    assert store.find_version(own, "red", "did:plc:dan") is None
    assert store.find_version(own, "blue", "did:plc:eve") is None
    assert store.find_version(own + 1, "red", "did:plc:eve") is None


def test_a_ranking_of_an_unknown_feed(store: Store) -> None:
    with pytest.raises(StoreError, match="the feed 'green' is not registered"):
        store.save_version("green", "", [1], NOW)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        pytest.param(None, False, id="never asked for"),
        pytest.param(-10, False, id="given to nobody"),
        pytest.param(-1, True, id="perhaps given, where that was noted late"),
        pytest.param(0.5, True, id="given"),
        pytest.param(10, True, id="given by a clock that is ahead"),
    ],
)
def test_a_ranking_that_nobody_was_given_goes_when_it_is_replaced(
    store: Store, asked: float | None, kept: bool
) -> None:
    if asked is not None:
        store.mark_asked("red", NOW + round(asked * MINUTE))
    first = store.save_version("red", "", [1] * 300, NOW)
    own = store.save_version("red", "en", [2], NOW)
    other = store.save_version("blue", "", [3], NOW)
    assert store.version_slice(first, 0, 1) == [1]  # the newest stays, given or not
    latest = store.save_version("red", "", [4], NOW + MINUTE)
    assert store.find_version(first, "red") == (Version(first, NOW, 300, "") if kept else None)
    replaced = store.db.rows("SELECT id, replaced_at FROM versions WHERE replaced_at IS NOT NULL")
    assert replaced == ([(first, NOW + MINUTE)] if kept else [])
    assert store.version_slice(first, 0, 300) == ([1] * 300 if kept else [])
    assert store.find_version(own, "red", "en") == Version(own, NOW, 1, "")
    assert store.find_version(other, "blue") == Version(other, NOW, 1, "")
    assert store.latest_version("red") == Version(latest, NOW + MINUTE, 1, "")


def test_of_one_viewers_rankings_the_newest_few_stay(store: Store) -> None:
    eve, dan = "did:plc:eve", "did:plc:dan en"
    made = {
        who: [store.save_version("red", who, [n, n], NOW + n) for n in range(1, PER_VIEWER + 4)]
        for who in (eve, dan, "en")
    }
    other = store.save_version("blue", eve, [7], NOW)
    for who, all in made.items():
        kept = [id for id in all if store.find_version(id, "red", who)]
        # what languages ask for is everybody's who speaks them: each may be in somebody's hands
        assert kept == (all if who == "en" else all[3:])
        assert [id for id in all if store.version_slice(id, 0, 9)] == kept
    assert store.find_version(other, "blue", eve)


def test_probes_take_no_place_of_what_is_read(store: Store) -> None:
    def save(n: int, probe: bool) -> int:
        return store.save_version("red", "did:plc:eve", [n], NOW + n, "", probe)

    read = save(0, False)
    probes = [save(n, True) for n in range(1, PER_VIEWER + 4)]
    assert store.version_slice(read, 0, 1) == [0]
    kept = [id for id in probes if store.find_version(id, "red", "did:plc:eve")]
    assert kept == probes[-PROBES:]
    latest = store.latest_version("red", "did:plc:eve")
    assert (latest.id, latest.probe) == (probes[-1], True)
    store.keep_version(probes[-1])  # and then it is one that is read
    assert not store.latest_version("red", "did:plc:eve").probe
    for n in range(PROBES + 1):
        save(100 + n, True)
    assert store.find_version(probes[-1], "red", "did:plc:eve")


def test_askers_are_counted_once(store: Store) -> None:
    for n in range(9):
        for who in ("", "en", "de", "did:plc:eve"):
            store.save_version("red", who, [n], NOW + n)
    store.save_version("blue", "ja", [1], NOW)
    assert (store.askers("red", 300), store.askers("red", 2), store.askers("blue", 300)) == (
        3,
        2,
        1,
    )


REFRESH = Recipe(MINUTE, "gravity")


@pytest.mark.parametrize(
    ("ranked", "recipe", "asked", "due"),
    [
        pytest.param(None, REFRESH, None, True, id="never ranked"),
        pytest.param(30, REFRESH, 1, False, id="fresh"),
        pytest.param(61, REFRESH, 1, True, id="asked for, and old"),
        pytest.param(61, REFRESH, 599, True, id="asked for ten minutes ago"),
        pytest.param(61, REFRESH, 601, False, id="not asked for lately"),
        pytest.param(61, REFRESH, None, False, id="never asked for"),
        pytest.param(1, Recipe(MINUTE, "hot"), None, True, id="another recipe"),
        pytest.param(-9999, REFRESH, 1, True, id="ranked in the future"),
    ],
)
def test_feeds_due(
    store: Store, ranked: float | None, recipe: Recipe, asked: float | None, due: bool
) -> None:
    if ranked is not None:
        store.save_version("red", "", [1], NOW - round(ranked * 1e6), "gravity")
    store.save_version("red", "did:plc:eve", [], NOW - 1, "another matter")
    if asked is not None:
        store.mark_asked("red", NOW - round(asked * 1e6))
    assert store.feeds_due({"red": recipe, "green": REFRESH}, NOW) == (["red"] if due else [])


def test_a_ranking_without_posts_is_made_anew_after_seconds(store: Store) -> None:
    store.mark_asked("red", NOW)
    for age, due in ((4, []), (6, ["red"])):
        store.save_version("red", "", [], NOW - age * 1_000_000, "gravity")
        assert store.feeds_due({"red": REFRESH}, NOW) == due


def test_the_one_that_waits_longest_comes_first(store: Store) -> None:
    store.sync_feeds({"new": "1"})
    for name, age in (("red", 2), ("blue", 3)):
        store.save_version(name, "", [], NOW - age * MINUTE, "gravity")
        store.mark_asked(name, NOW)
    feeds = dict.fromkeys(("red", "blue", "new"), REFRESH)
    assert store.feeds_due(feeds, NOW) == ["new", "blue", "red"]


def test_asking_again_and_again_writes_seldom(store: Store) -> None:
    def noted() -> int:
        return store.stats().feeds["red"].asked_at

    store.mark_asked("red", NOW)
    store.mark_asked("red", NOW + MINUTE // 4)
    assert noted() == NOW
    store.mark_asked("red", NOW + MINUTE)
    assert noted() == NOW + MINUTE
    store.mark_asked("red", NOW)  # a clock that was set back
    assert noted() == NOW + MINUTE
