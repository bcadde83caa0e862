"""Registering feeds, and deciding stored posts again, on both databases."""

from __future__ import annotations

import pytest
from storing import apply, contents, counts, engaged, order, uri, written

from feedkit.post import Post
from feedkit.store import Store


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
