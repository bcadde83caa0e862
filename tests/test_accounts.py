"""People as a parameter: what may be written, what it means, and what is not known yet."""

from __future__ import annotations

import pickle
from functools import cached_property

import pytest
from pydantic import ValidationError

from feedkit import Accounts, Author, FollowedBy, InList, Mentions
from feedkit.accounts import (
    AccountsOrPosts,
    Authors,
    Followed,
    Lists,
    NotKnownYet,
    Source,
    accounts_in,
    bind,
    read_file,
    supposing_nobody,
)
from feedkit.matcher import Matcher
from feedkit.plugin import Field, Filter
from feedkit.testing import ALICE, BOB, check_plugin, post

LIST = f"at://{ALICE}/app.bsky.graph.list/3l2s5xxv2ze2c"
PACK = f"at://{ALICE}/app.bsky.graph.starterpack/3l2s5xxv2ze2d"
POST = f"at://{ALICE}/app.bsky.feed.post/3l3qo2vuowo2b"
PAGE = "https://bsky.app/profile"


@pytest.mark.parametrize(
    ("written", "kind", "about"),
    [
        (ALICE, "did", ALICE),
        (f" {ALICE}\n", "did", ALICE),
        (f"at://{ALICE}/", "did", ALICE),
        (f"{PAGE}/{ALICE}/?x=1", "did", ALICE),
        ("did:web:localhost%3A2583", "did", "did:web:localhost%3A2583"),
        ("alice.test", "handle", "alice.test"),
        ("@Alice.Test", "handle", "alice.test"),
        ("at://alice.test", "handle", "alice.test"),
        (f"{PAGE}/alice.test", "handle", "alice.test"),
        ("bsky.app/profile/alice.test#top", "handle", "alice.test"),
        (LIST, "list", LIST),
        (f"{PAGE}/{ALICE}/lists/3l2s5xxv2ze2c", "list", LIST),
        (f"{PAGE}/Alice.test/lists/3k?x", "list", "at://alice.test/app.bsky.graph.list/3k"),
        (PACK, "starter_pack", PACK),
        (f"https://bsky.app/starter-pack/{ALICE}/3l2s5xxv2ze2d", "starter_pack", PACK),
        (f"https://bsky.app/start/{ALICE}/3l2s5xxv2ze2d", "starter_pack", PACK),
        ({"followed_by": "@alice.test"}, "followed_by", "alice.test"),
        ({"followers_of": f"{PAGE}/{ALICE}"}, "followers_of", ALICE),
        ({"file": "people.txt"}, "file", "people.txt"),
    ],
)
def test_what_may_be_written(written, kind, about):
    made = Accounts(written)
    if kind == "did":
        assert (made.dids, made.sources) == ({about}, ())
    else:
        assert (made.dids, made.sources) == (frozenset(), (Source(kind, about),))
    assert Accounts(*made.written()) == made, "what it says it was written as means the same"
    assert Author(written).accounts == made


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("did:plc:", "not a complete DID"),
        ("alice", "'alice' is no account; write a DID, a handle, a list"),
        ("", "is no account"),
        ("people.txt", r"looks like a file; write \{file: people.txt\}"),
        ("./people", r"write \{file: ./people\}"),
        ("https://go.bsky.app/abc", "a short link; open it, and write the address"),
        (POST, "is a post; write a DID"),
        (f"{PAGE}/{ALICE}/post/3k", "is a post"),
        (f"{PAGE}/alice.test/feed/3k", "no account's page, list or starter pack"),
        (f"at://{ALICE}/app.bsky.feed.generator/3k", "app.bsky.graph.list/KEY"),
        (f"at://{ALICE}/app.bsky.graph.list", "app.bsky.graph.list/KEY"),
        (f"at://{ALICE}/app.bsky.graph.list/a/b", "app.bsky.graph.list/KEY"),
        ("at://alice/app.bsky.graph.list/3k", "is no account"),
        ({"folowed_by": "alice.test"}, "by 'folowed_by'; did you mean 'followed_by'"),
        ({"everyone": "x"}, "there are followed_by, followers_of or file"),
        ({}, "this mapping is empty"),
        ({"followed_by": []}, "followed_by names nobody"),
        ({"followed_by": LIST}, "followed_by takes accounts"),
        ({"followed_by": {"file": "x"}}, "not a mapping"),
        ({"file": ""}, "needs the path"),
        (5, "'5' is no account"),
        ([], "at least 1 item"),
        ([ALICE, "bob"], "'bob' is no account"),
    ],
)
def test_what_may_not(written, said):
    with pytest.raises(ValidationError, match=said):
        Author(written)


@pytest.mark.parametrize(
    ("make", "written", "said"),
    [
        (InList, "alice.test", "'alice.test' is a handle; write the address of a list"),
        (InList, ALICE, "is a DID; write the address of a list"),
        (InList, {"followed_by": ALICE}, "this is a mapping; write the address"),
        (FollowedBy, LIST, "followed_by takes accounts"),
        (FollowedBy, {"followers_of": ALICE}, "did you mean 'followed_by'"),
    ],
)
def test_conveniences_take_what_is_theirs(make, written, said):
    with pytest.raises(ValidationError, match=said):
        make(written)


def test_followed_by_is_written_short():
    assert FollowedBy(["alice.test", BOB]).accounts == Accounts(
        {"followed_by": ["alice.test", BOB]}
    )


def test_equal_by_what_was_written():
    one = Author([LIST, ALICE, {"followed_by": "bob.test"}])
    other = Author([{"followed_by": ["@Bob.test"]}, f"{PAGE}/{ALICE}", LIST, LIST])
    bind(one, dict.fromkeys(one.accounts.sources, frozenset({BOB})))
    assert one == other
    assert (hash(one), one.fingerprint()) == (hash(other), other.fingerprint())
    for another in (Author(ALICE), Author([LIST, ALICE]), Author([LIST, ALICE, "bob.test"])):
        assert another != one
        assert another.fingerprint() != one.fingerprint()
    again = pickle.loads(pickle.dumps(one))
    assert (again, again.accounts.known) == (one, {ALICE, BOB})


def test_a_set_like_others_once_it_is_known():
    made = Accounts(ALICE, LIST)
    made.bind({Source("list", LIST): frozenset({BOB})})
    assert set(made) == {ALICE, BOB}
    assert len(made) == 2
    assert made & {BOB, "x"} == {BOB} == {BOB, "x"} & made
    assert made | {"x"} == {ALICE, BOB, "x"}
    assert made - {ALICE} == {BOB}
    assert not made.isdisjoint(["x", ALICE])
    assert made.isdisjoint(["x"])
    assert made.via(BOB) == [LIST]
    empty = Accounts(LIST)
    empty.bind({Source("list", LIST): frozenset()})
    assert (bool(empty), len(empty), bool(Accounts())) == (True, 0, False)


def test_long_lists_are_not_copied():
    made = Accounts(LIST, PACK, "carol.test", ALICE)
    by_kind = {source.kind: source for source in made.sources}
    long = frozenset(f"did:plc:{number:024}" for number in range(1_000))
    for start in (0, 500):
        other = frozenset(f"did:plc:{number:024}" for number in range(start, start + 1_200))
        made.bind({by_kind["list"]: long, by_kind["starter_pack"]: other,
                   by_kind["handle"]: frozenset({BOB})})  # fmt: skip
        assert {id(members) for members in made.sets} >= {id(long), id(other)}
        assert len(made.sets) == 3, "and those who are few in one set together"
        assert made.known == set(made) == {*long, *other, BOB, ALICE}
        assert len(made) == len(made.known)
        for did in (min(long), max(other), ALICE, BOB):
            assert did in made
            assert not made.isdisjoint([did, "did:plc:x"])
        assert "did:plc:x" not in made
        assert made.isdisjoint(["did:plc:x"])
        assert Mentions(made).keys() == {("mention", did) for did in made.known}


def test_what_is_not_known_yet():
    made = Accounts(ALICE, LIST)
    assert ALICE in made
    assert not made.isdisjoint([ALICE, BOB])
    assert made.isdisjoint([])
    assert made.known == {ALICE}
    for ask in (
        lambda: BOB in made,
        lambda: made.isdisjoint([BOB]),
        lambda: len(made),
        lambda: list(made),
        lambda: made & {BOB},
    ):
        with pytest.raises(NotKnownYet, match=f"whom {LIST} means"):
            ask()
    assert Accounts(ALICE).missing == ()


class Regulars(Filter):
    """A plugin that goes through its accounts, and remembers what it made of them."""

    accounts: Accounts = Field(description="who")

    @cached_property
    def _starts(self) -> frozenset[str]:
        return frozenset(f"at://{did}/" for did in self.accounts)

    def match(self, post):
        return any(post.uri.startswith(start) for start in self._starts)

    def keys(self):
        return {("author", did) for did in self.accounts}


def test_a_plugin_need_not_know_that_sets_change():
    filter = Regulars(LIST)
    theirs = post(author=BOB)
    check_plugin(filter)
    assert [filter.decide(theirs), (~filter).decide(theirs)] == [None, None]
    assert Matcher({"feed": filter}).match(theirs) == frozenset()
    for members in ({BOB}, {ALICE}, {ALICE, BOB}):
        bind(~filter, {Source("list", LIST): frozenset(members)})
        assert bool(Matcher({"feed": filter}).match(theirs)) is (BOB in members)
        check_plugin(filter, theirs)


def test_supposing_nobody_is_undone():
    filter = ~Mentions([LIST, ALICE])
    with supposing_nobody(filter):
        assert filter.decide(post(mentions=[BOB])) is True
        assert filter.decide(post(mentions=[ALICE])) is False
    assert filter.decide(post(mentions=[BOB])) is None


def test_kinds_of_sets():
    assert AccountsOrPosts(POST, BOB).concern(POST)
    assert AccountsOrPosts(POST, BOB).concern(f"at://{BOB}/app.bsky.feed.post/x")
    assert not AccountsOrPosts(POST, BOB).concern(f"{POST}x")
    assert all(issubclass(kind, Authors) for kind in (Lists, Followed))
    assert [type(a) for a in accounts_in(InList(LIST))] == [Lists]


def test_a_file(tmp_path):
    file = tmp_path / "people.txt"
    file.write_text(
        f"\ufeff# our people\n\n{ALICE}  # the boss\n@bob.test\n  {LIST}\n{PAGE}/carol.test#x\n"
        f"nobody\n{POST}\n",
        "utf-8",
    )
    sources, problems = read_file(file)
    assert sources == {
        Source("did", ALICE), Source("handle", "bob.test"), Source("list", LIST),
        Source("handle", "carol.test"),
    }  # fmt: skip
    assert [number for number, _ in problems] == [7, 8]
    assert "'nobody' is no account" in problems[0][1]
    assert "is a post; write its author" in problems[1][1]
    file.write_bytes(b"\xff\xfe")
    assert "cannot be read" in read_file(file)[1][0][1]
    assert "No such file" in read_file(tmp_path / "none")[1][0][1]
    assert "Is a directory" in read_file(tmp_path)[1][0][1]
