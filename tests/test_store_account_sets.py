"""Sets of accounts in the store: kept, compared, and never forgotten before posts are decided."""

from __future__ import annotations

import pytest
from storing import apply, did, order, uri, written

from feedkit.store import Store
from feedkit.store.account_sets import State, Undecided

ANN, BEN, CAT = did("ann"), did("ben"), did("cat")


def test_first_known_then_changed(store: Store) -> None:
    sets = store.account_sets
    assert (sets.version(), sets.members(["a"]), sets.states(["a"])) == (0, {}, {})
    assert sets.save("a", frozenset({ANN, BEN}), now=100, due_at=200) == (2, 0)
    assert sets.undecided(["a"]) == [Undecided("a", 1, 100, True, frozenset())]
    assert sets.members(["a", "b"]) == {"a": {ANN, BEN}}
    sets.decided(sets.undecided(["a"]))
    assert sets.undecided(["a"]) == []
    assert sets.save("a", frozenset({ANN, CAT}), now=300, due_at=400) == (1, 1)
    assert sets.undecided(["a"]) == [Undecided("a", 2, 300, False, frozenset({BEN, CAT}))]
    assert sets.states(["a", "b"]) == {"a": State(300, 400, "")}
    assert sets.versions(["a", "b"]) == {"a": 2}
    assert sets.version() == 2


def test_nothing_new_changes_nothing_but_the_times(store: Store) -> None:
    sets = store.account_sets
    sets.save("a", frozenset({ANN}), 100, 200)
    sets.decided(sets.undecided(["a"]))
    assert sets.save("a", frozenset({ANN}), 300, 400, "half of it") == (0, 0)
    assert sets.states(["a"]) == {"a": State(300, 400, "half of it")}
    assert (sets.version(), sets.undecided(["a"])) == (1, [])


def test_an_empty_set_is_known(store: Store) -> None:
    sets = store.account_sets
    sets.failed("a", "away", 50)
    assert sets.members(["a"]) == sets.versions(["a"]) == {}
    assert sets.states(["a"]) == {"a": State(0, 50, "away")}
    sets.save("a", frozenset(), 100, 200)
    assert sets.members(["a"]) == {"a": frozenset()}
    assert sets.undecided(["a"])[0].everything


def test_a_failure_keeps_what_was_known(store: Store) -> None:
    sets = store.account_sets
    sets.save("a", frozenset({ANN}), 100, 200)
    sets.failed("a", "away", 300)
    assert sets.members(["a"]) == {"a": {ANN}}
    assert sets.states(["a"]) == {"a": State(100, 300, "away")}
    assert sets.version() == 1


def test_what_came_meanwhile_stays_undecided(store: Store) -> None:
    sets = store.account_sets
    sets.save("a", frozenset({ANN}), 1, 1)
    sets.decided(sets.undecided(["a"]))
    sets.save("a", frozenset({ANN, BEN}), 2, 2)
    at_work = sets.undecided(["a"])
    sets.save("a", frozenset({BEN, CAT}), 3, 3)
    sets.decided(at_work)
    assert sets.undecided(["a"])[0].dids == {ANN, BEN, CAT}


def test_everybody_stays_everybody_until_it_is_done(store: Store) -> None:
    sets = store.account_sets
    sets.save("a", frozenset({ANN}), 1, 1)
    sets.save("a", frozenset({BEN}), 2, 2)
    assert [change.everything for change in sets.undecided(["a"])] == [True]


def test_versions_are_never_used_twice(store: Store) -> None:
    sets = store.account_sets
    for number, key in enumerate("abc", 1):
        sets.save(key, frozenset({ANN}), number, number)
    assert sets.forget(["a"], before=100) == 1, "a is in use, c has the highest version"
    assert sets.members("abc").keys() == {"a", "c"}
    sets.save("b", frozenset({ANN}), 5, 5)
    assert sets.version() == 4
    assert sets.forget([], before=3) == 1, "c is too new, b has the highest version"
    assert sets.members("abc").keys() == {"b", "c"}


def test_a_hundred_thousand_members(store: Store) -> None:
    members = frozenset(f"did:plc:{number:024}" for number in range(100_000))
    store.account_sets.save("a", members, 1, 1)
    assert store.account_sets.members(["a"]) == {"a": members}


@pytest.mark.parametrize(
    ("dids", "as_authors", "names"),
    [
        ({ANN}, True, ["by", "long"]),
        ({ANN}, False, ["by", "long", "mentions", "answers", "quotes"]),
        ({did("eve")}, False, ["none"]),
        ({BEN, CAT}, True, ["mentions", "answers", "quotes"]),
        ({ANN[:-1]}, False, []),
        (set(), True, []),
        (set(), False, []),
    ],
)
def test_posts_concerning(store: Store, dids: set[str], as_authors: bool, names: list[str]) -> None:
    store.sync_feeds({"red": "1"})
    apply(
        store,
        written("by", "red", rev="1"),
        written("long", "red", rev="1", text=f"at://{CAT}x/ {CAT}xx", links=(f"https://x/{BEN}1",)),
        written("mentions", "red", rev="1", author="ben", mentions=frozenset({ANN, "did:plc:x"})),
        written("answers", "red", rev="1", author="ben", reply_parent=uri("by"), reply_root=uri("y", "cat")),
        written("quotes", "red", rev="1", author="ben", quote=uri("by")),
        written("none", "red", rev="1", author="dan"),
    )  # fmt: skip
    store.db.run(
        "INSERT INTO features SELECT id, 'quoted', ?, 0, 0 FROM posts WHERE uri = ?",
        (f'{{"author": "{did("eve")}"}}', uri("none", "dan")),
    )
    found = store.posts_concerning(frozenset(dids), as_authors)
    uris = dict(store.db.rows("SELECT id, uri FROM posts"))
    assert [uris[number].rpartition("/")[2] for number in found] == names


def test_redecide_posts_leaves_the_others_alone(store: Store) -> None:
    store.sync_feeds({"red": "1", "blue": "1"})
    apply(
        store,
        written("a", "red", rev="1", seconds=1, text="blue"),
        written("b", "red", rev="1", seconds=2, text="blue"),
        written("c", "red", rev="1", seconds=3, text="red"),
    )
    ids = [
        number for (number,) in store.db.rows("SELECT id FROM posts WHERE uri <> ?", (uri("b"),))
    ]
    store.redecide_posts(["red", "blue"], lambda post: frozenset(post.text.split()), ids)
    assert order(store, "red") == [uri("c"), uri("b")]
    assert order(store, "blue") == [uri("a")]
