"""Registering feeds, and deciding stored posts again, on both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from storing import apply, contents, counts, deleted, engaged, order, uri, written

from feedkit.post import Post
from feedkit.store import Answer, Store, StoreError, Unavailable, open_store, writing
from feedkit.store import feeds as deciding


def by_text(post: Post) -> set[str]:
    """A feed for each word of the text."""
    return set(post.text.split())


def decide_all(store: Store, feeds: dict[str, str], limit: int = 1000) -> int:
    """Decide everything again; how many transactions it took."""
    after: int | None = 0
    rounds = 0
    while after is not None:
        after = store.redecide(feeds, by_text, after, limit)
        rounds += 1
    return rounds


def test_the_first_feeds_have_nothing_to_decide(store: Store) -> None:
    assert store.sync_feeds({"red": "1", "blue": "1"}) == set()
    assert store.sync_feeds({"red": "1", "blue": "2"}) == set()  # still no posts


def test_what_changed_is_decided_until_it_is_done(store: Store) -> None:
    store.sync_feeds({"red": "1", "blue": "1"})
    apply(store, written("p", "red", rev="1", text="red"))
    now = {"red": "2", "blue": "1", "green": "1"}
    assert store.sync_feeds(now) == {"red", "green"}
    assert store.sync_feeds(now) == {"red", "green"}, "nothing was decided yet"
    assert store.redecide({"red": "2"}, by_text) is not None
    assert store.sync_feeds(now) == {"red", "green"}, "it was not finished"
    decide_all(store, {"red": "2"})
    assert store.sync_feeds(now) == {"green"}
    decide_all(store, {"green": "1"})
    assert store.sync_feeds(now) == set()


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_stored_posts_move_to_where_they_belong(store: Store, limit: int) -> None:
    store.sync_feeds({"red": "1", "blue": "1", "old": "1"})
    apply(
        store,
        written("stays", "red", rev="1", seconds=1, text="red"),
        written("leaves", "red blue", rev="1", seconds=2, text="blue"),
        written("moves", "red", rev="1", seconds=3, text="blue"),
        written("goes", "red", rev="1", seconds=4, text="yellow"),
        # `old` is not decided again, so what is in it stays in it.
        written("kept", "red old", rev="1", seconds=5, text="yellow"),
        engaged("dan", "1", uri("moves")),
        engaged("dan", "2", uri("goes")),
    )
    rounds = decide_all(store, {"red": "2", "blue": "2"}, limit)
    assert rounds == -(-5 // limit) + 1
    assert order(store, "red") == [uri("stays")]
    assert order(store, "blue") == [uri("moves"), uri("leaves")]
    assert order(store, "old") == [uri("kept")]
    assert counts(store, "moves") == (1, 0, 0, 0)
    held = contents(store)
    assert uri("goes") not in held["posts"]
    assert len(held["engagements"]) == 1
    assert held["tombstones"] == {uri("goes"): ("1", False)}


def test_an_older_commit_does_not_bring_back_what_was_decided_out(store: Store) -> None:
    store.sync_feeds({"red": "1"})
    create = written("p", "red", rev="1", text="red")
    update = written("p", "red", rev="2", text="yellow", created=False)
    apply(store, create, update)
    decide_all(store, {"red": "2"})
    apply(store, create)
    assert order(store, "red") == []
    apply(store, update)  # the filter was changed back: the post may come again as it is
    assert order(store, "red") == [uri("p")]


def test_no_more_than_a_thousand_posts_at_once(store: Store) -> None:
    store.sync_feeds({"red": "1"})
    apply(store, *(written(f"p{n}", "red", rev="1", text="red") for n in range(1001)))
    assert decide_all(store, {"red": "2"}, limit=5000) == 3


def test_a_filter_that_raises_changes_nothing(store: Store) -> None:
    store.sync_feeds({"red": "1"})
    apply(store, *(written(f"p{n}", "red", rev="1", text="") for n in range(3)))

    def broken(post: Post) -> set[str]:
        if post.uri == uri("p2"):
            raise ValueError("broken")
        return set()

    with pytest.raises(ValueError, match="broken"):
        store.redecide({"red": "2"}, broken)
    assert len(order(store, "red")) == 3
    apply(store, written("p3", "red", rev="1"))
    assert len(order(store, "red")) == 4


# Nobody waits while a filter is at work, and nothing is written of what changed meanwhile


def test_ingest_goes_on_while_posts_are_decided_again(store: Store, store_url: str) -> None:
    store.sync_feeds({"red": "1"})
    apply(store, *(written(f"p{n}", "red", rev="1", text="red", seconds=n) for n in range(3)))
    with open_store(store_url) as ingest:

        def decide(post: Post) -> set[str]:
            """Here an ingest writes while the filter is asked."""
            apply(ingest, written(f"q{post.uri[-1]}", "red", rev="1", seconds=9))
            return by_text(post)

        assert store.redecide({"red": "2"}, decide) is not None
    assert len(order(store, "red")) == 6


def test_what_changes_while_it_is_decided_is_decided_once_more(
    store: Store, store_url: str
) -> None:
    store.sync_feeds({"red": "1", "blue": "1"})
    names = ("changes", "goes", "stays")
    apply(store, *(written(name, "red", rev="1", text="red") for name in names))
    asked = []
    with open_store(store_url) as ingest:

        def decide(post: Post) -> set[str]:
            asked.append(post.uri)
            if len(asked) == 3:
                apply(
                    ingest,
                    written("changes", "red", rev="2", text="blue", created=False),
                    deleted("goes", rev="2"),
                )
            return by_text(post)

        store.redecide({"red": "2", "blue": "2"}, decide)
    assert asked[3:] == [uri("changes")]
    assert (order(store, "red"), order(store, "blue")) == ([uri("stays")], [uri("changes")])
    assert contents(store)["tombstones"] == {uri("goes"): ("2", True)}


def test_what_is_found_out_while_it_is_decided_counts(store: Store, store_url: str) -> None:
    store.sync_feeds({"red": "1"})
    apply(store, written("p", "red", rev="1"))
    ((number,),) = store.db.rows("SELECT id FROM posts")
    asked = []
    with open_store(store_url) as hydrator:

        def decide(post: Post) -> frozenset[str]:
            asked.append(dict(post.features))
            if len(asked) == 1:
                answer = Answer(number, "1", {"bird": "0.9"})
                hydrator.hydration.settle([answer], ["red"], lambda post: frozenset({"red"}))
            return frozenset({"red"} if "bird" in post.features else ())

        store.redecide_posts(["red"], decide, [number])
    assert asked == [{}, {"bird": 0.9}]
    assert order(store, "red") == [uri("p")]


def test_a_slow_filter_decides_few_posts_in_one_call(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody could stop it."""
    monkeypatch.setattr(deciding, "LONGEST", 0.0)
    store.sync_feeds({"red": "1"})
    apply(store, *(written(f"p{n}", "red", rev="1", text="red") for n in range(5)))
    assert decide_all(store, {"red": "2"}) == 6
    assert len(order(store, "red")) == 5


@contextmanager
def locked(store: Store, store_url: str, seconds: float) -> Iterator[None]:
    """Another program holds the store's lock, for so long; `store` waits 0.1 s for one."""
    if store.db.pooled:
        pytest.skip("its time-outs go with each transaction, so that none can be shorter here")
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with open_store(store_url) as other, other.db.writing():
            held.set()
            over.wait(seconds)

    store.db.rows("PRAGMA busy_timeout = 100" if store.db.sqlite else "SET lock_timeout = 100")
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    try:
        yield
    finally:
        over.set()
        holder.join()


def test_a_batch_waits_for_a_lock(
    store: Store, store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.sync_feeds({"red": "1"})
    caplog.set_level("INFO")
    with locked(store, store_url, 1.0):
        apply(store, written("p", "red", rev="1"), seconds=5)
    assert order(store, "red") == [uri("p")]
    assert store.cursor("test") is not None
    assert "events wait, for up to 30 s, until a lock is free: store " in caplog.messages[0]
    assert caplog.messages[-1] == "events are stored again, after 1 s"


def test_a_lock_that_is_not_free_in_time_is_a_fault(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.sync_feeds({"red": "1"})
    monkeypatch.setattr(writing, "PATIENCE", 0.3)
    began = time.monotonic()
    with locked(store, store_url, 20.0), pytest.raises(Unavailable, match="lock"):
        apply(store, written("p", "red", rev="1"))
    assert 0.3 < time.monotonic() - began < 5
    assert order(store, "red") == []


def test_no_other_fault_is_waited_for(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.sync_feeds({"red": "1"})
    if store.db.sqlite:
        store.db.rows("PRAGMA query_only = 1")
    else:
        store.db.rows("SET default_transaction_read_only = on")
    with pytest.raises(StoreError, match="read-only"):
        apply(store, written("p", "red", rev="1"))
    assert not caplog.records
