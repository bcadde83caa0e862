"""What goes though it is not too old: beyond a feed's number, beyond the store's size; and what
nobody needs any more."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

import pytest
from storing import START_US, account, apply, contents, did, order, uri, us, written

from feedkit.store import Store, open_store, size
from feedkit.store.interactions import LESS, MORE, SEEN, Interaction, interactions_size
from feedkit.store.pruning import prune

DAYS = {"red": timedelta(days=9), "blue": timedelta(days=9)}
LATER = START_US + 10**15
HOUR = 3600


@pytest.fixture
def store(store: Store) -> Store:
    store.sync_feeds(dict.fromkeys(DAYS, "1"))
    return store


def test_a_feed_keeps_so_many(store: Store) -> None:
    apply(store, *(written(f"p{n}", "red blue" if n == 1 else "red", rev="1", seconds=n)
                   for n in range(10)))  # fmt: skip
    done = store.prune(DAYS, LATER, most={"red": 4, "blue": 4})
    assert (done.hits, done.posts) == (6, 5)
    assert order(store, "red") == [uri(f"p{n}") for n in (9, 8, 7, 6)]
    assert order(store, "blue") == [uri("p1")]
    assert store.prune(DAYS, LATER, most={"red": 4}).hits == 0


def test_of_posts_of_one_time_none_goes_for_its_number(store: Store) -> None:
    apply(store, *(written(f"p{n}", "red", rev="1", seconds=n // 3) for n in range(9)))
    assert store.prune(DAYS, LATER, most={"red": 4}).hits == 3
    assert len(order(store, "red")) == 6


def fill(store: Store, number: int = 3000) -> None:
    for start in range(0, number, 500):
        apply(
            store,
            *(written(f"p{n}", "red" if n % 2 else "blue", rev="1", seconds=n, text="heron " * 90)
              for n in range(start, start + 500)),
            seconds=start + 500,
        )  # fmt: skip
    size.analyze(store.db)


def test_the_oldest_posts_go_where_the_store_is_too_large(store: Store) -> None:
    fill(store)
    before = size.used(store.db)
    assert store.prune(DAYS, LATER, size=before + 1).cut == 0
    assert store.stats().posts == 3000
    gone = 0
    while (done := store.prune(DAYS, LATER, size=before // 2)).cut:
        gone += done.posts
        assert done.cut == us(gone - 1) + 1
    after = size.used(store.db)
    assert 0.4 * before < after <= before // 2, "what is free now is not in use"
    assert 1400 < gone < 2100
    assert order(store, "red")[-1] == uri(f"p{gone + 1 - gone % 2}")


@pytest.mark.parametrize("seconds", [3500, 26 * HOUR], ids=["just now", "yesterday"])
def test_what_one_viewer_sends_pushes_no_post_out(store: Store, seconds: int) -> None:
    fill(store)
    sent = [Interaction(SEEN, uri(f"q{n}"), "red", "x" * 500) for n in range(6000)]
    for who in ("ben", "cat"):  # as others do
        store.interactions.add(did(who), sent[:9], us(1), 9)
    size.analyze(store.db, "interactions", "senders")
    before = size.used(store.db)
    for start in range(0, 6000, 600):
        some = sent[start : start + 600]
        assert store.interactions.add(did("eve"), some, us(60 * start // 600), 600)
    apply(store, seconds=seconds)
    size.analyze(store.db, "interactions", "senders")
    full = size.used(store.db)
    assert full > before + 4_000_000
    done = store.prune(DAYS, LATER, size=before + (full - before) // 3)
    assert (done.cut, done.posts, store.stats().posts) == (0, 0, 3000)
    assert done.interactions >= 2000
    if seconds < 24 * HOUR:
        assert len(store.interactions.seen(did("eve"), 0)) >= 1000
        assert len(store.interactions.seen(did("ben"), 0)) == 9
        assert uri("q5999") in store.interactions.seen(did("eve"), 0)
    assert store.prune(DAYS, LATER).interactions == 0, "there is room"


def rank_for_viewers(store: Store, number: int, seconds: float) -> None:
    for n in range(number):
        store.save_version("red", f"did:plc:{n:024d}", list(range(1, 1001)), us(seconds))
    size.analyze(store.db, "versions", "chunks")


@pytest.mark.parametrize("ago", [1, 2 * HOUR], ids=["just now", "two hours ago"])
def test_rankings_push_no_post_out(store: Store, ago: int) -> None:
    """They can be made anew: the old ones go before anything is measured, newer ones early."""
    fill(store)
    before = size.used(store.db)
    store.mark_asked("red", us(3000))
    store.save_version("red", "", [1, 2, 3], us(3000 - ago))
    rank_for_viewers(store, 1500, 3000 - ago)
    assert size.used(store.db) > 1.5 * before
    most = int(before * 1.2)
    for _ in range(3):
        done = store.prune(DAYS, us(3000), size=most)
        assert (done.cut, done.posts, store.stats().posts) == (0, 0, 3000)
    assert size.used(store.db) <= most
    assert store.latest_version("red").size == 3, "the one for everybody stays"


def test_rankings_that_take_little_stay(store: Store) -> None:
    fill(store)
    rank_for_viewers(store, 10, 2999)
    done = store.prune(DAYS, us(3000), size=size.used(store.db) // 2)
    assert (done.early, done.spared) == (0, False)
    assert done.cut > 0
    assert next(iter(done.held)) == size.POSTS
    assert store.stats().versions == 10


def take_room(store: Store, megabytes: int) -> None:
    """By what cannot go: what `feedkit scores` loaded."""
    scores = [(uri(f"s{n}"), "mood", "9" * 405) for n in range(2000 * megabytes)]
    store.hydration.save_scores(scores)
    size.analyze(store.db, *size.TABLES)


def test_posts_go_by_what_they_take_themselves(store: Store) -> None:
    fill(store)
    before = size.used(store.db)
    take_room(store, 2)
    most = size.used(store.db) - before // 4
    done = store.prune(DAYS, LATER, size=most)
    assert 700 < done.posts < 1400, "a quarter of what posts take, and a little more"
    assert size.used(store.db) <= most


def test_each_feed_keeps_some_posts_where_other_things_take_the_room(store: Store) -> None:
    fill(store)
    before = size.used(store.db)
    take_room(store, 8)
    for _ in range(4):
        done = store.prune(DAYS, LATER, size=before)
        assert (done.cut > 0, done.spared) == (True, True)
        assert next(iter(done.held)) == "scores"
    assert [len(order(store, name)) for name in DAYS] == [1000, 1000]
    assert order(store, "red")[0] == uri("p2999")


def test_what_is_not_feedkits_does_not_count(store: Store) -> None:
    if store.db.sqlite:
        pytest.skip("the file is feedkit's alone")
    fill(store, 500)
    before = size.used(store.db)
    store.db.run(
        "CREATE TABLE theirs AS SELECT repeat('x', 999) AS x FROM generate_series(1, 9999)"
    )
    try:
        store.db.run("ANALYZE theirs")
        assert size.used(store.db) == before
        assert store.prune(DAYS, LATER, size=before).cut == 0
    finally:
        store.db.run("DROP TABLE theirs")


def long(number: int) -> Interaction:
    """All of it as long as the lexicon, or feedback, allows."""
    item = uri(os.urandom(240).hex() + f"{number:06}", "x")
    return Interaction("e" * 200, item, "red", os.urandom(995).hex(), "q" * 100)


def short(number: int) -> Interaction:
    return Interaction(SEEN, uri(f"q{number}"), "red", f"red 1234 {number}", "abcdefghijkl")


@pytest.mark.parametrize("kind", [long, short])
def test_what_interactions_take_is_measured(
    store: Store, kind: Callable[[int], Interaction]
) -> None:
    size.analyze(store.db, *size.TABLES)
    empty = size.used(store.db)
    assert interactions_size(store.db) == 0
    for start in range(0, 4000, 500):
        some = [kind(start + n) for n in range(500)]
        store.interactions.add(did("eve"), some, us(60 * start // 500), 600)
    size.analyze(store.db, "interactions", "senders")
    real = size.used(store.db) - empty
    assert 0.85 < interactions_size(store.db) / real < 1.35


@pytest.mark.parametrize("senders", [3, 40])
def test_long_interactions_push_no_post_out(store: Store, senders: int) -> None:
    """6 kB each, of few who send much or of many who send less than what is kept of each."""
    fill(store)
    size.analyze(store.db, *size.TABLES)
    before = size.used(store.db)
    most = round(before * 1.2)
    for sender in range(senders):
        for start in range(0, 3600 // senders, 90):
            some = [long(start + n) for n in range(90)]
            store.interactions.add(did(f"v{sender}"), some, us(60 * start // 90), 600)
    apply(store, seconds=3500)
    size.analyze(store.db, "interactions", "senders")
    assert size.used(store.db) > 1.2 * most
    done = store.prune(DAYS, LATER, size=most)
    size.analyze(store.db, *size.TABLES)
    assert size.used(store.db) <= most
    assert (done.cut, done.posts, store.stats().posts) == (0, 0, 3000)
    assert interactions_size(store.db) > 0


def test_wishes_stay_longer_than_what_was_seen(store: Store) -> None:
    """`not_interested` counts them for 90 days, or as long as somebody says."""
    done = [
        Interaction(event, uri(f"p{number}"), "red")
        for number, event in enumerate((SEEN, LESS, MORE, "app.example.feed#shrugged"))
    ]
    store.interactions.add(did("eve"), done, us(0), 99)

    def kept(days: float, **how: timedelta) -> set[str]:
        apply(store, seconds=days * 24 * HOUR + 1)
        prune(store.db, DAYS, LATER, **how)
        return {event for (event,) in store.db.rows("SELECT event FROM interactions")}

    assert len(kept(29.9)) == 4
    assert kept(31) == kept(89.9) == {LESS, MORE}
    assert kept(364, wishes=timedelta(days=365)) == {LESS, MORE}
    assert kept(364.1, wishes=timedelta(days=1)) == set()


def test_a_wish_that_is_made_again_is_a_new_one(store: Store) -> None:
    wish = Interaction(LESS, uri("p"), "red")
    for days in (0, 80):
        store.interactions.add(did("eve"), [wish], us(days * 24 * HOUR), 99)
    apply(store, seconds=120 * 24 * HOUR)
    store.prune(DAYS, LATER)
    assert [one.item for one in store.interactions.wishes(did("eve"))] == [uri("p")]


def test_how_much_is_used_follows_what_is_there(store: Store) -> None:
    empty = size.used(store.db)
    fill(store)
    whole = size.used(store.db)
    assert 1_500_000 < whole - empty < 9_000_000
    store.prune({}, LATER)
    size.analyze(store.db)
    assert size.used(store.db) < empty + (whole - empty) / 4


def test_what_another_configuration_named_lately_is_left_alone(store: Store) -> None:
    apply(store, written("p", "red", rev="1"), seconds=5 * HOUR)
    store.sync_feeds({"red": "1"}, us(4.5 * HOUR))
    done = store.prune({}, LATER)
    assert (done.hits, done.feeds) == (0, 1), "blue was named by nobody"
    assert order(store, "red") == [uri("p")]
    apply(store, seconds=5.4 * HOUR)
    assert store.prune({}, LATER).hits == 0
    apply(store, seconds=5.5 * HOUR)
    assert store.prune({}, LATER).feeds == 1
    assert store.stats().posts == 0


def test_naming_feeds_writes_now_and_then(store: Store) -> None:
    def named():
        return dict(store.db.rows("SELECT name, named_at FROM feeds"))

    store.name_feeds(["red"], us(0))
    store.name_feeds(["red"], us(599))
    assert named() == {"red": us(0), "blue": 0}
    store.name_feeds(["red"], us(601))
    assert named()["red"] == us(601)
    store.name_feeds(["red"], us(0))  # the clock went back
    assert named()["red"] == us(0)


def test_accounts_that_were_deleted_long_ago_are_forgotten(store: Store) -> None:
    apply(store, account("ann", "deleted"), account("bea", "suspended"), seconds=HOUR)
    assert store.tidy(LATER).accounts == 0
    apply(store, account("cyd", "deleted"), seconds=50 * HOUR)
    assert store.tidy(LATER).accounts == 0
    apply(store, seconds=74 * HOUR)
    assert store.tidy(LATER).accounts == 1
    assert sorted(contents(store)["accounts"].values()) == ["deleted", "suspended"]
    apply(store, account("cyd", "active"), account("cyd", "deleted"), seconds=75 * HOUR)
    apply(store, seconds=123 * HOUR)
    assert store.tidy(LATER).accounts == 0, "its time begins anew"


def test_gaps_that_cannot_be_filled_are_forgotten(store: Store) -> None:
    apply(store, seconds=0)
    store.add_gap("test", us(0), us(1), "a reason", us(0))
    apply(store, seconds=29 * 24 * HOUR)
    assert store.tidy(LATER).gaps == 0
    apply(store, seconds=31 * 24 * HOUR)
    assert store.tidy(us(0)).gaps == 0, "our clock is slow"
    assert store.tidy(LATER).gaps == 1


def test_sqlite_gives_back_what_it_does_not_need(tmp_path) -> None:
    path = tmp_path / "store.db"
    with open_store(f"sqlite:///{path}") as store:
        store.migrate()
        store.sync_feeds(dict.fromkeys(DAYS, "1"))
        fill(store, 8000)
        store.db.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        before = path.stat().st_size
        store.prune({}, LATER)
        assert store.tidy(LATER, stop=lambda: True).pages == 0
        asked = []
        assert (pages := store.tidy(LATER, stop=lambda: bool(asked.append(1))).pages) >= 1000
        assert len(asked) <= pages / 1000 + 5, "a thousand in one transaction, not one"
        store.db.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        assert path.stat().st_size < before - 4_000_000
        assert store.tidy(LATER).pages == 0
