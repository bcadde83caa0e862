from __future__ import annotations

import pytest
from pydantic import ValidationError

from feedkit import Author, FollowedBy, InList, Keywords, Mentions, Quote, Reply
from feedkit.accounts import accounts_in, bind
from feedkit.matcher import Matcher
from feedkit.testing import ALICE, BOB, check_plugin, post

FIRST = post("first", author=BOB)
MIDDLE = post("middle", author=ALICE, reply_to=FIRST)


def told(filter, members):
    """The filter, once it is known whom all that it names means."""
    bind(filter, {s: frozenset(members) for a in accounts_in(filter) for s in a.sources})


@pytest.mark.parametrize(
    "account", [ALICE, f"https://bsky.app/profile/{ALICE}", f"at://{ALICE}", f" {ALICE} "]
)
def test_author(account):
    assert Author(account).match(post())
    assert not Author(account).match(post(author=BOB))
    assert not Author(account).match(post(author=""))
    assert Author(account).keys() == {("author", ALICE)}


LIST = f"at://{ALICE}/app.bsky.graph.list/3l2s5xxv2ze2c"


@pytest.mark.parametrize(
    "filter",
    [
        Author(LIST), InList(LIST), FollowedBy("carol.test"),
        Author([ALICE, LIST, {"followed_by": "carol.test"}]), Author("bob.test"),
    ],
    ids=str,
)  # fmt: skip
def test_by_author(filter):
    theirs, other = post(author=BOB), post(author="did:plc:nobody")
    assert [filter.decide(theirs), filter.decide(other)] == [None, None]
    assert [(~filter).decide(theirs), (~filter).decide(other)] == [None, None]
    assert Matcher({"feed": filter, "not": ~filter}).match(theirs) == frozenset()
    told(filter, {BOB})
    assert [filter.decide(theirs), filter.decide(other)] == [True, False]
    assert [(~filter).decide(theirs), (~filter).decide(other)] == [False, True]
    assert {("author", BOB)} <= filter.keys()
    assert Matcher({"feed": filter, "not": ~filter}).match(theirs) == {"feed"}
    assert filter.explain(theirs)
    check_plugin(filter, theirs, other)


def test_those_who_are_known_match_while_others_are_not():
    filter = Author([ALICE, LIST])
    assert [filter.decide(post()), (~filter).decide(post())] == [True, False]
    assert filter.decide(post(author=BOB)) is None
    assert Matcher({"feed": filter | Keywords("heron")}).match(post("a heron", author=BOB))
    assert not Matcher({"feed": filter & Keywords("heron")}).match(post("a heron", author=BOB))


def test_a_list_of_nobody_is_not_anybody():
    for filter, made in (
        (Mentions(LIST), post(mentions=[BOB])),
        (Reply(to=LIST), MIDDLE),
        (Reply(thread=LIST), MIDDLE),
        (Quote(of=LIST), post(quote=FIRST)),
    ):
        assert filter.decide(made) is None
        told(filter, set())
        assert filter.decide(made) is False
        told(filter, {BOB})
        assert filter.decide(made) is True
        check_plugin(filter, made)


def test_a_reply_is_decided_as_far_as_it_can_be():
    assert Reply(to=LIST).decide(FIRST) is False
    assert Reply(to=LIST, thread=ALICE).decide(MIDDLE) is False
    assert Reply(to=ALICE, thread=LIST).decide(MIDDLE) is False
    assert Reply(to=BOB, thread=LIST).decide(MIDDLE) is None
    assert Reply(to=[FIRST.uri, LIST]).decide(MIDDLE) is True
    assert Mentions(LIST).decide(post()) is False


def test_why_names_the_list():
    filter = Author([ALICE, LIST, {"followed_by": "carol.test"}])
    told(filter, {BOB})
    assert filter.explain(post(author=BOB)) == f"{{followed_by: carol.test}}, {LIST}"
    assert filter.explain(post()) == ""


@pytest.mark.parametrize(
    ("filter", "made", "matches"),
    [
        (Reply(), MIDDLE, True),
        (Reply(), FIRST, False),
        (Reply(), post(quote=FIRST), False),
        (Reply(to=BOB), MIDDLE, True),
        (Reply(to=ALICE), MIDDLE, False),
        (Reply(to=FIRST.uri), MIDDLE, True),
        (Reply(to=FIRST.uri), post(reply_to=MIDDLE), False),
        (Reply(to=[ALICE, BOB]), post(reply_to=MIDDLE), True),
        (Reply(thread=BOB), post(reply_to=MIDDLE), True),
        (Reply(thread=FIRST.uri), post(reply_to=MIDDLE), True),
        (Reply(thread=FIRST.uri), FIRST, False),
        (Reply(thread=ALICE), post(reply_to=MIDDLE), False),
        (Reply(thread=BOB, to=BOB), post(reply_to=MIDDLE), False),
        (Reply(to_self=True), post(author=ALICE, reply_to=MIDDLE), True),
        (Reply(to_self=True), MIDDLE, False),
        (Reply(to_self=False), MIDDLE, True),
        (Reply(to_self=False), post(author=ALICE, reply_to=MIDDLE), False),
        (Quote(), post(quote=FIRST), True),
        (Quote(), MIDDLE, False),
        (Quote(), post(), False),
        (Quote(of=BOB), post(quote=FIRST), True),
        (Quote(of=ALICE), post(quote=FIRST), False),
        (Quote(of=FIRST.uri), post(quote=FIRST), True),
        (Quote(of=MIDDLE.uri), post(quote=FIRST), False),
        (
            Quote(of=f"https://bsky.app/profile/{BOB}/post/{FIRST.uri.rpartition('/')[2]}"),
            post(quote=FIRST),
            True,
        ),
    ],
)
def test_reply_and_quote(filter, made, matches):
    assert filter.match(made) is matches


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("https://bsky.app/profile/alice.bsky.social/post/3k", "names its author by handle"),
        ("at://alice.bsky.social/app.bsky.feed.post/3k", "is no post"),
        ("alice", "is no account"),
    ],
)
def test_whom_and_what_are_checked(to, said):
    for make in (lambda: Reply(to=to), lambda: Reply(thread=to), lambda: Quote(of=to)):
        with pytest.raises(ValidationError, match=said):
            make()


def test_they_say_to_whom():
    assert Reply().explain(MIDDLE) == f"to {FIRST.uri}"
    assert Quote().explain(post(quote=FIRST)) == f"of {FIRST.uri}"


@pytest.mark.parametrize(
    ("filter", "mentions", "matches"),
    [
        (Mentions(), [BOB], True),
        (Mentions(), [], False),
        (Mentions(BOB), [ALICE, BOB], True),
        (Mentions(BOB), [ALICE], False),
        (Mentions([ALICE, BOB]), [BOB], True),
        (Mentions(BOB), [], False),
    ],
)
def test_mentions(filter, mentions, matches):
    made = post("@bob", mentions=mentions)
    assert filter.match(made) is matches
    assert bool(Matcher({"feed": filter}).match(made)) is matches


def test_mentions_says_whom():
    assert Mentions(BOB).explain(post(mentions=[ALICE, BOB])) == BOB
    assert Mentions().explain(post(mentions=[ALICE, BOB])) == f"{ALICE}, {BOB}"
