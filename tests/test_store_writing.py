"""The rules of the fold, one by one, on both databases."""

from __future__ import annotations

import pytest
from storing import (
    ALL,
    SECOND,
    Step,
    account,
    apply,
    at,
    contents,
    counts,
    deleted,
    did,
    disengaged,
    engaged,
    order,
    uri,
    us,
    written,
)

from feedkit.event import PostWritten
from feedkit.post import External, Image, Post, Video
from feedkit.store import Store, StoreError


@pytest.fixture
def store(store: Store) -> Store:
    store.sync_feeds({"red": "1", "blue": "1"})
    return store


P, Q = uri("p"), uri("q")
STORED = written("p", "red", rev="1")
OTHER = written("q", "red", rev="1")


@pytest.mark.parametrize(
    ("steps", "want"),
    [
        pytest.param([STORED], ["p"], id="stored"),
        pytest.param([written("p", "", rev="1")], [], id="wanted by no feed"),
        pytest.param([STORED, deleted("p", rev="2")], [], id="deleted"),
        pytest.param([STORED, deleted("p", rev="1")], ["p"], id="stale deletion"),
        pytest.param([STORED, deleted("p", rev="2"), STORED], [], id="replay after its deletion"),
        pytest.param(
            [STORED, deleted("p", rev="2"), written("p", "red", rev="3")], ["p"], id="created again"
        ),
        pytest.param(
            [STORED, written("p", "", rev="2", created=False)], [], id="update leaves all feeds"
        ),
        pytest.param(
            [STORED, written("p", "", rev="2", created=False), STORED],
            [],
            id="replay after it left all feeds",
        ),
        pytest.param(
            [STORED, written("p", "blue", rev="2", created=False)], [], id="update changes feeds"
        ),
        pytest.param(
            [written("p", "", rev="1"), written("p", "red", rev="2", created=False)],
            ["p"],
            id="update joins a feed",
        ),
        pytest.param(
            [written("p", "red", rev="2"), written("p", "", rev="1", created=False)],
            ["p"],
            id="stale update",
        ),
        pytest.param([STORED, account("ann", "deactivated")], [], id="deactivated"),
        pytest.param([STORED, account("ann", "suspended")], [], id="suspended"),
        pytest.param([STORED, account("ann", "takendown")], [], id="takendown"),
        pytest.param([STORED, account("ann", "throttled")], [], id="a state that nobody knows yet"),
        pytest.param([STORED, account("bea", "takendown")], ["p"], id="another account"),
        pytest.param([account("ann", "suspended"), STORED], [], id="later posts start hidden"),
        pytest.param(
            [account("ann", "suspended"), STORED, account("ann", "active")], ["p"], id="shown again"
        ),
        pytest.param(
            [STORED, account("ann", "deactivated"), account("ann", "active")],
            ["p"],
            id="reactivated",
        ),
        pytest.param([STORED, account("ann", "deleted")], [], id="account deleted"),
        pytest.param(
            [STORED, account("ann", "deleted"), account("ann", "active")], [], id="gone for good"
        ),
        pytest.param([account("ann", "deleted"), STORED], [], id="post of a deleted account"),
        pytest.param(
            [account("ann", "deleted"), STORED, account("ann", "active"), STORED],
            [],
            id="replay of a deleted account's post",
        ),
        pytest.param(
            [account("ann", "deleted"), account("ann", "active"), STORED], ["p"], id="a new life"
        ),
    ],
)
@pytest.mark.parametrize("cut", ["one batch", "one by one"])
def test_what_is_in_a_feed(store: Store, steps: list[Step], want: list[str], cut: str) -> None:
    for batch in [steps] if cut == "one batch" else [[step] for step in steps]:
        apply(store, *batch)
    assert order(store, "red") == [uri(name) for name in want]


REPLY = written("r", "", rev="1", author="bea", reply_parent=P)
BOTH = written("r", "", rev="1", author="bea", reply_parent=P, quote=P)
GONE = deleted("r", rev="2", author="bea")


@pytest.mark.parametrize(
    ("steps", "want"),
    [
        pytest.param([engaged("bea", "1", P)], (1, 0, 0, 0), id="like"),
        pytest.param([engaged("bea", "1", P, "repost")], (0, 1, 0, 0), id="repost"),
        pytest.param([REPLY], (0, 0, 1, 0), id="reply"),
        pytest.param([written("r", "", rev="1", author="bea", quote=P)], (0, 0, 0, 1), id="quote"),
        pytest.param([BOTH], (0, 0, 1, 1), id="reply and quote"),
        pytest.param([BOTH, GONE], (0, 0, 0, 0), id="reply and quote deleted"),
        pytest.param([REPLY, REPLY], (0, 0, 1, 0), id="the same reply again"),
        pytest.param(
            [REPLY, written("s", "", rev="2", author="bea", reply_parent=P)],
            (0, 0, 2, 0),
            id="two replies of one person",
        ),
        pytest.param(
            [written("r", "red", rev="1", author="bea", reply_parent=P), GONE],
            (0, 0, 0, 0),
            id="a stored reply deleted",
        ),
        pytest.param(
            [written("r", "red", rev="3", author="bea", reply_parent=P), GONE],
            (0, 0, 1, 0),
            id="a stale deletion of a stored reply",
        ),
        pytest.param(
            [written("r", "red", rev="1", author="bea", created=False, reply_parent=P)],
            (0, 0, 0, 0),
            id="an update is no new reply",
        ),
        pytest.param(
            [engaged("bea", "1", P), engaged("bea", "1", P)], (1, 0, 0, 0), id="the same like again"
        ),
        pytest.param(
            [engaged("bea", "1", P), engaged("bea", "2", P)], (1, 0, 0, 0), id="a second like"
        ),
        pytest.param(
            [engaged("bea", "1", P), engaged("cyd", "1", P)], (2, 0, 0, 0), id="likes of two"
        ),
        pytest.param([engaged("bea", "1", P), disengaged("bea", "1")], (0, 0, 0, 0), id="unliked"),
        pytest.param(
            [engaged("bea", "1", P), engaged("bea", "2", P), disengaged("bea", "2")],
            (1, 0, 0, 0),
            id="the second like undone",
        ),
        pytest.param(
            [engaged("bea", "1", P), engaged("bea", "2", P), disengaged("bea", "1")],
            (0, 0, 0, 0),
            id="the like that counted undone",
        ),
        pytest.param(
            [
                *(engaged("bea", "1", P), engaged("bea", "2", P), disengaged("bea", "1")),
                engaged("bea", "2", P),
            ],
            (0, 0, 0, 0),
            id="a replay of the second like, after the first was undone",
        ),
        pytest.param(
            [
                *(engaged("bea", "1", P), engaged("bea", "2", P), disengaged("bea", "1")),
                engaged("bea", "3", P),
            ],
            (1, 0, 0, 0),
            id="liked anew",
        ),
        pytest.param(
            [engaged("bea", "1", P), disengaged("bea", "1", "repost")],
            (1, 0, 0, 0),
            id="undo of another kind",
        ),
        pytest.param(
            [engaged("bea", "1", P), disengaged("cyd", "1")], (1, 0, 0, 0), id="undo by another"
        ),
        pytest.param(
            [engaged("bea", "1", P), account("bea", "deactivated")],
            (1, 0, 0, 0),
            id="what a deactivated account liked stays",
        ),
        pytest.param(
            [account("ann", "suspended"), engaged("bea", "1", P)],
            (1, 0, 0, 0),
            id="a hidden post is liked",
        ),
        pytest.param(
            [engaged("bea", "1", P), written("p", "blue", rev="2", created=False)],
            (1, 0, 0, 0),
            id="an update keeps the counts",
        ),
        pytest.param(
            [engaged("bea", "1", P), deleted("p", rev="2"), written("p", "red", rev="3")],
            (0, 0, 0, 0),
            id="a fresh post has none",
        ),
        pytest.param(
            [
                *(engaged("bea", "1", P), deleted("p", rev="2"), written("p", "red", rev="3")),
                disengaged("bea", "1"),
            ],
            (0, 0, 0, 0),
            id="undo of a like for the post's former self",
        ),
        pytest.param(
            [
                *(engaged("bea", "1", P), deleted("p", rev="2"), written("p", "red", rev="3")),
                engaged("bea", "1", P),
            ],
            (1, 0, 0, 0),
            id="a record key used again for the fresh post",
        ),
    ],
)
@pytest.mark.parametrize("cut", ["one batch", "one by one"])
def test_counts(store: Store, steps: list[Step], want: tuple[int, int, int, int], cut: str) -> None:
    steps = [STORED, *steps]
    for batch in [steps] if cut == "one batch" else [[step] for step in steps]:
        apply(store, *batch)
    assert counts(store, "p") == want


def test_engagement_that_comes_before_its_post_is_dropped(store: Store) -> None:
    apply(store, engaged("bea", "1", P), REPLY, STORED)
    assert counts(store, "p") == (0, 0, 0, 0)


@pytest.mark.parametrize("need", sorted(ALL))
def test_only_what_some_feed_needs_is_followed(store: Store, need: str) -> None:
    apply(store, STORED, engagement=frozenset({need}))
    apply(
        store,
        *(engaged("bea", "1", P), engaged("bea", "1", P, "repost"), BOTH),
        engagement=frozenset({need}),
    )
    followed = dict(zip(("likes", "reposts", "replies", "quotes"), counts(store, "p"), strict=True))
    assert followed == dict.fromkeys(followed, 0) | {need: 1}
    assert len(contents(store)["engagements"]) == 1
    apply(store, disengaged("bea", "1"), disengaged("bea", "1", "repost"), GONE, engagement=ALL)
    assert counts(store, "p") == (0, 0, 0, 0)


def test_an_update_replaces_the_record_and_keeps_the_place(store: Store) -> None:
    apply(store, written("p", "red", rev="1", seconds=10, made=5, text="old"))
    before = store.find_post(P)
    apply(store, written("p", "red blue", rev="2", seconds=90, made=20, created=False, text="new"))
    after = store.find_post(P)
    assert before is not None
    assert after is not None
    assert (after.id, after.post.text, after.rev) == (before.id, "new", "2")
    assert after.feeds == {"red", "blue"}
    assert after.post.seen_at == before.post.seen_at  # it was seen when it was created
    assert [row.sort_at for row in store.newest("red", None, 9)] == [us(10)]


def test_what_is_dated_in_the_future_is_sorted_by_when_it_was_seen(store: Store) -> None:
    apply(store, written("p", "red", rev="1", seconds=10, made=99))
    apply(store, written("q", "red", rev="2", seconds=20, made=-99))
    assert [row.sort_at for row in store.newest("red", None, 9)] == [us(10), us(-99)]


def test_ids_are_never_used_twice(store: Store) -> None:
    used = set()
    for rev in range(1, 6, 2):
        apply(store, written("p", "red", rev=str(rev)))
        used.add(store.newest("red", None, 1)[0].id)
        apply(store, deleted("p", rev=str(rev + 1)))
    assert len(used) == 3


def test_posts_of_one_moment_are_ordered_as_they_came(store: Store) -> None:
    apply(store, *(written(f"p{n}", "red", rev="1") for n in range(50)))
    assert order(store, "red") == [uri(f"p{n}") for n in reversed(range(50))]


def test_a_deleted_account_takes_the_engagement_of_its_posts_along(store: Store) -> None:
    apply(store, STORED, OTHER, engaged("bea", "1", P), BOTH)
    apply(store, account("ann", "deleted"))
    held = contents(store)
    assert not held["posts"]
    assert not held["engagements"]
    assert held["accounts"] == {did("ann"): "deleted"}


def test_the_whole_record_comes_back(store: Store) -> None:
    full = Post(
        uri=P,
        author=did("ann"),
        cid="bafy",
        text="Ein 猫 'quoted' \"text\" \\ {} % ? %s \n",
        langs=("de", "ja"),
        tags=frozenset({"a", "b"}),
        links=("https://docs.example.com/",),
        domains=frozenset({"example.com", "docs.example.com"}),
        mentions=frozenset({did("bea")}),
        labels=frozenset({"porn"}),
        images=(Image("alt", "cid", "image/png", 3, 4),),
        gallery=True,
        video=Video("alt", "cid", "video/mp4", 3, 4, True),
        external=External("https://example.com", "t", "d"),
        quote=Q,
        reply_parent=Q,
        reply_root=Q,
        created_at=at(1),
        features={"bird": 0.5},
    )
    apply(store, (PostWritten(full, "1", True, us(2)), frozenset({"red"})))
    found = store.find_post(P)
    assert found is not None
    assert (found.post.seen_at, found.post.sort_at) == (at(2), at(1))
    for name in set(Post.__struct_fields__) - {"sort_at", "seen_at", "counts"}:
        assert getattr(found.post, name) == getattr(full, name), name


def test_the_cursor_moves_in_the_same_transaction(store: Store) -> None:
    assert store.cursor("test") is None
    store.apply([STORED], "test", 7, us(3), ALL)
    assert store.cursor("test") == (7, us(3))
    with pytest.raises(StoreError, match="the feed 'green' is not registered"):
        store.apply([OTHER, written("s", "red green", rev="1")], "test", 8, us(4), ALL)
    assert store.cursor("test") == (7, us(3))
    assert order(store, "red") == [P]
    store.apply([], "test", 9, 0, ALL)  # a frame without a time
    assert store.cursor("test") == (9, us(3))
    assert store.cursor("other") is None


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(written("q", "red", rev="\ud800"), id="a lone surrogate"),
        pytest.param((PostWritten(Post(uri=Q), "1", True, 2**80), frozenset({"red"})), id="a time"),
    ],
)
def test_a_value_that_cannot_be_written_leaves_nothing_half_done(store: Store, bad: Step) -> None:
    with pytest.raises(StoreError, match="refuses a value"):
        store.apply([STORED, bad], "test", 1, us(1), ALL)
    assert not contents(store)["posts"]
    assert store.cursor("test") is None
    apply(store, STORED)
    assert order(store, "red") == [P]


def test_what_a_batch_did_is_counted(store: Store) -> None:
    done = store.apply(
        [
            *(STORED, OTHER, STORED, engaged("bea", "1", P), disengaged("bea", "1")),
            *(written("p", "blue", rev="2", created=False), deleted("q", rev="2")),
            account("bea", "active"),
        ],
        "test", 1, us(1), ALL,
    )  # fmt: skip
    assert (done.stored, done.updated, done.removed, done.stale) == (2, 1, 1, 1)
    assert (done.engaged, done.disengaged, done.accounts) == (1, 1, 1)


def test_a_large_batch_is_written_whole(store: Store) -> None:
    steps = [written(f"p{n}", "red blue", rev="1", seconds=n) for n in range(3000)]
    steps += [engaged("bea", f"{n}", uri(f"p{n}")) for n in range(3000)]
    apply(store, *steps)
    assert len(store.newest("blue", None, 9999)) == 3000
    assert counts(store, "p2999") == (1, 0, 0, 0)
    assert store.newest("red", None, 1)[0].sort_at == us(0) + 2999 * SECOND
