"""Names and links to DIDs and URIs, and these to posts, asked of a real HTTP server."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from _appview import FakeAppView, refused, said
from _lookups import ALICE, URI, appview

from feedkit.appview import AppView
from feedkit.identity import (
    Unresolved,
    fetch_post,
    learn_publishers,
    resolve,
    resolve_handle,
    resolve_post,
)
from feedkit.post import Post
from feedkit.rankers.time import Newest
from feedkit.settings import FeedConfig, Network, Service

HANDLE = "com.atproto.identity.resolveHandle"
POSTS = "app.bsky.feed.getPosts"
NOBODY = Network(appview="http://127.0.0.1:9")  # the discard port: refuses


@pytest.fixture
def view():
    with appview() as made:
        yield made


@pytest.fixture
def hasty(monkeypatch):
    """Nothing is asked again."""
    monkeypatch.setattr("feedkit.identity.PATIENCE", 0.0)


@pytest.fixture
def network(view):
    return Network(appview=view.url)


@pytest.mark.parametrize(
    ("pasted", "means"),
    [
        ("alice.test", ALICE),
        ("@alice.test", ALICE),
        (" Alice.Test \n", ALICE),
        (ALICE, ALICE),
        ("did:web:example.com", "did:web:example.com"),
        ("at://alice.test", ALICE),
        ("at://alice.test/app.bsky.feed.post/3k", f"at://{ALICE}/app.bsky.feed.post/3k"),
        (f"{URI}/", URI),
        ("https://bsky.app/profile/alice.test", ALICE),
        (f"https://bsky.app/profile/{ALICE}/", ALICE),
        ("https://bsky.app/profile/alice.test/post/3k", f"at://{ALICE}/app.bsky.feed.post/3k"),
        ("https://bsky.app/profile/alice.test/post/3k?ref=x#y", f"at://{ALICE}/app.bsky.feed.post/3k"),
        ("https://main.bsky.app/profile/alice.test/feed/f", f"at://{ALICE}/app.bsky.feed.generator/f"),
        ("http://bsky.app/profile/alice.test/lists/l", f"at://{ALICE}/app.bsky.graph.list/l"),
    ],
)  # fmt: skip
def test_what_people_paste_is_understood(network, pasted, means):
    assert resolve(pasted, network) == means


@pytest.mark.parametrize(
    "pasted",
    ["", "alice", "https://example.com/alice.test", "did:plc:", "at://", "alice test.com", "at://x/y",
     "https://bsky.app/profile/alice/post/3k", "https://bsky.app/search?q=x", "x" * 5000],
)  # fmt: skip
def test_what_is_nothing_is_refused_before_anybody_is_asked(network, view, pasted):
    with pytest.raises(Unresolved, match="is not a handle, a DID, an at:// URI or a bsky"):
        resolve(pasted, network)
    assert view.asked == []


def test_a_did_is_not_asked_for(network, view):
    assert resolve(URI, network) == URI
    assert view.asked == []


def test_an_unknown_handle_is_named_with_what_the_network_says(network):
    with pytest.raises(
        Unresolved, match=r"says: Unable to resolve handle; is the handle bob\.test"
    ):
        resolve_handle("bob.test", network)


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (
            500,
            b'{"error": "InternalServerError", "message": "down"}',
            r"status 500 \(down\); check",
        ),
        (502, b"<html>Bad gateway</html>", "status 502; check the connection and try again"),
        (429, b"{}", "status 429"),
        (400, b'{"message": "no valid handle"}', r"status 400 \(no valid handle\)"),
        (200, b"[]", "something that is no JSON object"),
        (200, b'{"did": 7}', "without a DID"),
        (200, b'{"did": "nobody"}', "without a DID"),
        (200, b'{"did": null, "message": 5}', "without a DID; "),
        (200, b"\xff\xfe", "something that is no JSON object"),
    ],
)
def test_other_answers_are_told_as_they_are(network, view, hasty, status, body, says):
    view.raw[HANDLE] = (status, body)
    with pytest.raises(Unresolved, match=f"found out who alice.test is: .*{says}"):
        resolve_handle("alice.test", network)
    assert len(view.asked) == 1


def test_a_network_that_is_busy_is_asked_again(monkeypatch):
    monkeypatch.setattr("feedkit.identity.PATIENCE", 30.0)
    monkeypatch.setattr(AppView.__init__, "__defaults__", (0.001,))
    busy = FakeAppView()
    busy.handles = {"alice.test": ALICE}
    busy.before = [refused("busy", 503), None]
    with busy.serving():
        assert resolve_handle("alice.test", Network(appview=busy.address)) == ALICE
    assert len(busy.asked) == 2


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"retry_after": "30"}, r"status 429 and wants to be left alone for 30 s; check"),
        ({}, r"status 429; check"),
    ],
)
def test_nobody_at_a_terminal_waits_long(headers, says):
    busy = FakeAppView()
    busy.always = lambda method, query: said({}, 429, **headers)
    with busy.serving(), pytest.raises(Unresolved, match=says):
        resolve_handle("alice.test", Network(appview=busy.address))
    assert len(busy.asked) == (1 if headers else 2), "for want of patience, not of tries"


def test_a_network_that_is_not_there_is_said_with_a_remedy(hasty):
    with pytest.raises(Unresolved) as caught:
        resolve_handle("alice.test", NOBODY)
    assert str(caught.value) == (
        "it could not be found out who alice.test is: http://127.0.0.1:9 cannot be asked "
        "(Connection refused); check the connection and try again, or name another AppView under "
        "network: appview"
    )


def test_a_post_is_read_as_the_stream_reads_it(network):
    post = fetch_post(URI, network)
    assert post == Post(
        uri=URI,
        author=ALICE,
        cid="bafy",
        text="A heron on the weir #birds",
        langs=("en",),
        tags=frozenset({"birds"}),
        created_at=datetime(2026, 7, 4, 14, 38, 6, 240_000, UTC),
        seen_at=datetime(2026, 7, 4, 14, 38, 8, 85_000, UTC),
        sort_at=datetime(2026, 7, 4, 14, 38, 6, 240_000, UTC),
    )


def test_a_post_that_is_gone_is_said_to_be(network):
    with pytest.raises(Unresolved, match=r"has no post .*/gone: it was deleted, or"):
        fetch_post(f"at://{ALICE}/app.bsky.feed.post/gone", network)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ((400, b'{"message": "Invalid"}'), r"status 400 \(Invalid\)"),
        ((200, b'{"posts": null}'), "answered without posts"),
        ((200, b'{"posts": [null, {"uri": "another"}]}'), "has no post"),
        ((200, f'{{"posts": [{{"uri": "{URI}"}}]}}'.encode()), "there is no record"),
        ((200, f'{{"posts": [{{"uri": "{URI}", "indexedAt": 5, "record": '
               '{"$type": "app.bsky.feed.post", "createdAt": "x"}}]}'.encode()), "it has no text"),
    ],
)  # fmt: skip
def test_a_post_that_cannot_be_read_is_said_why(network, view, raw, says):
    view.raw[POSTS] = raw
    with pytest.raises(Unresolved, match=says):
        fetch_post(URI, network)


@pytest.mark.parametrize(
    "pasted",
    ["alice.test", ALICE, f"at://{ALICE}/app.bsky.feed.like/3k", f"at://{ALICE}/app.bsky.feed.post/",
     "https://bsky.app/profile/alice.test/feed/f", f"at://{ALICE}/app.bsky.feed.post/\udcff"],
)  # fmt: skip
def test_only_a_post_is_a_post(network, pasted):
    with pytest.raises(Unresolved, match="is no post; write at://DID/"):
        resolve_post(pasted, network)


def test_a_post_may_be_pasted_in_any_form(network):
    link = "https://bsky.app/profile/alice.test/post/3mptbyoeyc22k"
    assert resolve_post(link, network) == resolve_post(URI, network) == URI


def service(network, *publishers):
    feeds = {
        f"f{number}": FeedConfig(
            name=f"f{number}", filter=None, rank=Newest(), select=(), publisher=publisher
        )
        for number, publisher in enumerate(publishers)
    }
    return Service(
        hostname="feeds.example.com", publisher="alice.test", did="did:web:feeds.example.com",
        feeds=feeds, network=network,
    )  # fmt: skip


def test_publishers_are_learnt_once_a_day(network, view, store):
    one = service(network, "", ALICE, "alice.test")
    assert learn_publishers(one, store) == []
    assert store.identities.find("alice.test")[0] == ALICE
    assert learn_publishers(one, store) == []
    assert view.asked == [(HANDLE, "alice.test")]


@pytest.mark.parametrize("hours", [25, -25], ids=["a day ago", "by a clock that ran ahead"])
def test_a_publisher_is_asked_for_again_when_the_answer_is_old(network, view, store, hours):
    checked = time.time_ns() // 1000 - hours * 3_600_000_000
    store.identities.save("alice.test", "did:plc:another", checked)
    learn_publishers(service(network, ""), store)
    assert store.identities.find("alice.test")[0] == ALICE


def test_an_unknown_publisher_is_a_problem_and_the_others_are_learnt(network, view, store):
    problems = learn_publishers(service(network, "", "a.unknown.test"), store)
    assert len(problems) == 1
    assert problems[0].startswith("publisher a.unknown.test: ")
    assert problems[0].endswith("the app cannot find this publisher's feeds")
    assert store.identities.find("alice.test")[0] == ALICE
    assert store.identities.find("a.unknown.test") is None
