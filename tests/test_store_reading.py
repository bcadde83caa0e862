"""Pages and candidates, on both databases."""

from __future__ import annotations

import random

import pytest
from storing import account, apply, deleted, did, engaged, order, uri, us, written

from feedkit.event import PostWritten
from feedkit.post import Counts
from feedkit.store import Narrowing, Store, candidates
from feedkit.store.database import as_json
from feedkit.store.reading import NEWEST


@pytest.fixture
def store(store: Store) -> Store:
    store.sync_feeds({"red": "1", "blue": "1"})
    return store


BEA = did("bea")


def fill(store: Store, number: int = 60) -> list[str]:
    """Posts of which several share a time; every third is by an account that is then hidden. The
    visible ones of red, newest first."""
    chance = random.Random(1)
    steps = [
        written(
            f"p{n}",
            "red blue" if n % 4 else "red",
            rev="1",
            author=("ann", "bea", "cyd")[n % 3],
            seconds=100,
            made=chance.randint(0, 9),
        )
        for n in range(number)
    ]
    apply(store, *steps, account("bea", "suspended"))
    posts = [step[0].post for step in steps if isinstance(step[0], PostWritten)]
    shown = [(post.sort_at, n, post.uri) for n, post in enumerate(posts) if post.author != BEA]
    return [address for _, _, address in sorted(shown, reverse=True)]


def test_the_newest_come_first_without_the_hidden(store: Store) -> None:
    want = fill(store)
    assert order(store, "red") == want
    assert len(want) == 40
    assert [row.uri for row in store.newest("red", None, 7)] == want[:7]


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_pages_follow_on_one_another(store: Store, limit: int) -> None:
    want, got, before = fill(store), [], None
    while rows := store.newest("red", before, limit):
        assert len(rows) == limit or len(got) + len(rows) == len(want)  # hidden ones leave no hole
        got += [row.uri for row in rows]
        before = rows[-1].sort_at, rows[-1].id
    assert got == want


def test_a_page_is_found_by_the_index(store: Store) -> None:
    """Without it a page costs a sort of the whole feed."""
    fill(store)
    params = ("red", us(5), 3, 5)
    if store.db.sqlite:
        plan = "\n".join(row[3] for row in store.db.rows("EXPLAIN QUERY PLAN " + NEWEST, params))
        assert "SEARCH h USING PRIMARY KEY (feed_id=? AND (sort_at,post_id)<(?,?))" in plan
        assert "ORDER BY" not in plan
    else:
        for other in ("seqscan", "bitmapscan", "sort"):  # for so few rows these are cheaper
            store.db.run(f"SET enable_{other} = off")
        plan = "\n".join(line for (line,) in store.db.rows("EXPLAIN " + NEWEST, params))
        assert "Index Only Scan Backward using hits_pkey" in plan
        assert "Sort" not in plan


@pytest.mark.parametrize("feed", ["green", "", "'; DROP TABLE posts; --"])
def test_an_unknown_feed_is_empty(store: Store, feed: str) -> None:
    fill(store, 3)
    assert store.newest(feed, None, 5) == []
    assert store.candidates(feed, 5) == []


def test_candidates_carry_their_counts(store: Store) -> None:
    want = fill(store)
    apply(store, engaged("dan", "1", want[1]), engaged("dan", "2", want[1], "repost"))
    got = store.candidates("red", 5)
    assert [post.uri for _, post in got] == want[:5]
    assert got[1][1].counts == Counts(1, 1, 0, 0)
    assert got[0][1].likes == 0
    rows = store.newest("red", None, 5)
    assert [number for number, _ in got] == [row.id for row in rows]
    assert [round(post.sort_at.timestamp() * 1e6) for _, post in got] == [r.sort_at for r in rows]


def test_posts_by_id_leaves_out_what_is_gone(store: Store) -> None:
    fill(store, 9)
    rows = store.newest("red", None, 9)
    apply(store, deleted("p0", rev="2"), account("cyd", "takendown"))
    left = {row.id: row for row in rows if row.uri in (uri("p3"), uri("p6"))}
    assert store.posts([row.id for row in rows] + [999]) == left
    assert store.posts([]) == {}


def test_find_post_shows_hidden_ones_too(store: Store) -> None:
    fill(store, 9)
    found = store.find_post(uri("p1", "bea"))
    assert found is not None
    assert (found.hidden, found.feeds, found.rev) == (True, {"red", "blue"}, "1")
    assert store.find_post(uri("nothing")) is None


def test_is_deleted(store: Store) -> None:
    apply(store, *(written(name, "red", rev="1") for name in ("gone", "unwanted", "there")))
    apply(store, deleted("gone", rev="2"), written("unwanted", "", rev="2", created=False))
    apply(store, account("bea", "takendown"))
    known = {name: store.is_deleted(uri(name)) for name in ("gone", "unwanted", "there", "new")}
    assert known == {"gone": True, "unwanted": False, "there": False, "new": False}
    assert store.is_deleted(uri("never-stored", "bea"))
    assert not store.is_deleted("no address")


def test_the_streams_clock(store: Store) -> None:
    assert store.stream_clock() == 0
    apply(store, seconds=5)
    store.apply([], "other", 1, us(9), frozenset())
    assert store.stream_clock() == us(9)


def test_gaps(store: Store) -> None:
    store.add_gap("jetstream", 1, 2, "the server had nothing older", 10)
    store.add_gap("jetstream", 3, 4, "too slow", 20)
    assert store.gaps(0)[0] == ("jetstream", 1, 2, "the server had nothing older", 10)
    assert [gap[3] for gap in store.gaps(11)] == ["too slow"]


def test_identities(store: Store) -> None:
    assert store.identities.find("ann.example.com") is None
    store.identities.save("ann.example.com", did("ann"), 5)
    store.identities.save("ann.example.com", did("bea"), 6)
    assert store.identities.find("ann.example.com") == (did("bea"), 6)


def test_stats(store: Store) -> None:
    fill(store, 9)
    apply(store, engaged("dan", "1", uri("p0")), deleted("p3", rev="2"), seconds=9)
    store.mark_asked("red", us(5))
    stats = store.stats()
    assert (stats.posts, stats.hidden, stats.engagements, stats.tombstones) == (8, 3, 1, 1)
    assert (stats.accounts, stats.versions) == (1, 0)
    assert stats.cursors == {"test": (9, us(9))}
    assert stats.feeds["red"].hits == 8
    assert stats.feeds["red"].newest == us(9)
    assert (stats.feeds["red"].asked_at, stats.feeds["blue"].asked_at) == (us(5), 0)


@pytest.mark.parametrize("dearer", [10**9, 1, 0], ids=["by_time", "either", "by_author"])
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_candidates_of_some_authors(
    store: Store, monkeypatch: pytest.MonkeyPatch, dearer: int, limit: int
) -> None:
    monkeypatch.setattr(candidates, "DEARER", dearer)
    want = fill(store)
    for feed in ("red", "blue"):
        everything = [post for _, post in store.candidates(feed, 1000)]
        assert feed == "blue" or [post.uri for post in everything] == want
        for authors in ([], ["ann"], ["ann", "cyd"], ["bea"], ["ann", "bea", "nobody"]):
            dids = frozenset(map(did, authors))
            found = store.candidates(feed, limit, narrowing=[Narrowing(dids)])
            assert [post for _, post in found] == [p for p in everything if p.author in dids][
                :limit
            ]
            assert [store.find_post(post.uri).id for _, post in found] == [id for id, _ in found]


def test_a_small_feed_is_looked_through_by_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much the viewer's authors wrote in others."""
    monkeypatch.setattr(candidates, "DEARER", 2)
    for n in range(60):
        feed = ("red",) if n == 7 else ("blue",)
        apply(store, written(f"p{n}", *feed, rev=f"{n:02}", author="ann" if n < 20 else "bea"))
    anns = as_json([did("ann")])
    assert candidates._few(store.db, "blue", anns, 1000)
    assert not candidates._few(store.db, "red", anns, 1000)


@pytest.mark.parametrize("dearer", [10**9, 0], ids=["by_time", "by_author"])
def test_candidates_in_which_somebody_stands(
    store: Store, monkeypatch: pytest.MonkeyPatch, dearer: int
) -> None:
    monkeypatch.setattr(candidates, "DEARER", dearer)
    ann, cyd = did("ann"), did("cyd")
    apply(
        store,
        written("to-ann", "red", rev="1", mentions=frozenset([ann])),
        written("to-ann-too", "red", rev="1", mentions=frozenset([ann]), author="cyd"),
        written("to-both", "red", rev="1", mentions=frozenset([ann, cyd]), author="cyd"),
        written("to-nobody", "red", rev="1", author="cyd"),
    )

    def found(*of: object) -> set[str]:
        return {
            post.uri.rpartition("/")[2]
            for _, post in store.candidates("red", 9, narrowing=[Narrowing(*of)])
        }

    assert found(None, (ann,)) == {"to-ann", "to-ann-too", "to-both"}
    assert found({cyd}, (ann,)) == {"to-ann-too", "to-both"}
    assert found({cyd}, (ann, cyd)) == {
        "to-ann-too",
        "to-both",
    }
    assert found({did("eve")}, (ann,)) == set()
