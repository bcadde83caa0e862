from __future__ import annotations

import pytest
from pydantic import ValidationError

from feedkit import Author, Mentions, Quote, Reply
from feedkit.matcher import Matcher
from feedkit.testing import ALICE, BOB, post

FIRST = post("first", author=BOB)
MIDDLE = post("middle", author=ALICE, reply_to=FIRST)


@pytest.mark.parametrize(
    "account", [ALICE, f"https://bsky.app/profile/{ALICE}", f"at://{ALICE}", f" {ALICE} "]
)
def test_author(account):
    assert Author(account).match(post())
    assert not Author(account).match(post(author=BOB))
    assert not Author(account).match(post(author=""))
    assert Author(account).keys() == {("author", ALICE)}


@pytest.mark.parametrize(
    ("account", "said"),
    [
        ("alice.bsky.social", "feedkit resolve alice.bsky.social"),
        ("@alice.bsky.social", "feedkit resolve alice.bsky.social"),
        ("https://bsky.app/profile/alice.bsky.social", "feedkit resolve alice.bsky.social"),
        ("did:", "complete DID"),
        ("alice", "is no account"),
        ("", "is no account"),
        (f"https://bsky.app/profile/{ALICE}/post/3k", "is no account"),
    ],
)
def test_an_account_is_a_did(account, said):
    with pytest.raises(ValidationError, match=said):
        Author(account)


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
        ("alice.bsky.social", "is a handle"),
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
