"""What the app sends of its readers: what is kept of it, and what is refused."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from _trials import trials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storing import at, clear, did, uri, us

from feedkit.feedback import A_MINUTE, BadInteractions, TooMany, context, record
from feedkit.filters import Everything
from feedkit.rankers import Newest
from feedkit.settings import FeedConfig
from feedkit.store import interactions
from feedkit.store.interactions import LESS, MORE, SEEN

EVE, BEN = did("eve"), did("ben")
POST = uri("p")
FEEDS = {
    name: FeedConfig(name, Everything(), Newest(), accepts_interactions=name != "grey")
    for name in ("red", "blue", "grey")
}
SHARED = Path(os.environ.get("FEEDKIT_SHARED") or Path(__file__).resolve().parents[2] / "shared")
RED = f"at://{BEN}/app.bsky.feed.generator/red"
GREY = RED.replace("/red", "/grey")


def did_(event=SEEN, item=POST, **rest):
    return {"event": event, "item": item, **rest}


def body(*sent, **rest):
    return json.dumps({"interactions": list(sent), **rest}).encode()


def kept(store):
    rows = store.db.rows(
        "SELECT viewer, event, item, feed, at, author, feed_context, req_id FROM interactions"
    )
    return sorted(rows)


def send(store, *sent, viewer=EVE, seconds=0.0, feed=RED, **rest):
    return record(store, viewer, body(*sent, feed=feed, **rest), FEEDS, at(seconds))


# What is kept


def test_what_the_app_sends_is_kept_as_it_is(store):
    said = context("red", 17, 4)
    sent = [
        did_(SEEN, uri("p", "ann"), feedContext=said, reqId="r1"),
        did_(LESS, uri("q", "ben")),
        did_("app.example.feed#shrugged", uri("q", "ben"), mood=["new", None]),
    ]
    assert send(store, *sent, feed=RED) == 3
    assert kept(store) == sorted([
        (EVE, SEEN, uri("p", "ann"), "red", us(0), did("ann"), said, "r1"),
        (EVE, LESS, uri("q", "ben"), "red", us(0) + 1, did("ben"), "", ""),
        (EVE, "app.example.feed#shrugged", uri("q", "ben"), "red", us(0) + 2, did("ben"), "", ""),
    ])  # fmt: skip


def test_what_a_real_app_sent(store):
    recorded = SHARED / "network" / "recorded" / "sendInteractions.json"
    if not recorded.exists():
        pytest.skip(f"{recorded} is not here")
    told = json.loads(recorded.read_text())
    viewer, sent = told["claims"]["iss"], told["request"]["body"].encode()
    assert record(store, viewer, sent, FEEDS, at(0)) == 0, "of a feed that is not ours"
    sent = json.dumps(json.loads(sent) | {"feed": RED}).encode()
    assert record(store, viewer, sent, FEEDS, at(0)) == 2
    assert [row[1] for row in kept(store)] == [SEEN, LESS]
    assert kept(store)[0][6:] == ("ctx-0", "req-1")
    assert len(store.interactions.seen(viewer, 0)) == 1
    assert [wish.event for wish in store.interactions.wishes(viewer)] == [LESS]


def test_what_is_sent_twice_is_kept_once_with_the_last_time(store):
    send(store, did_(reqId="r1"), did_(MORE))
    send(store, did_(reqId="r2"), did_(MORE), seconds=60)
    assert [(row[1], row[4], row[7]) for row in kept(store)] == [
        (SEEN, us(60), "r2"), (MORE, us(60) + 1, ""),
    ]  # fmt: skip
    assert send(store, did_(reqId="a"), did_(reqId="b"), seconds=120) == 2  # twice in one request
    assert [row[7] for row in kept(store) if row[1] == SEEN] == ["b"]


def test_more_and_less_of_one_post_are_both_kept(store):
    send(store, did_(MORE), did_(LESS))
    assert [row[1] for row in kept(store)] == [LESS, MORE]


@pytest.mark.parametrize(
    ("sent", "said", "feeds"),
    [
        (RED, "", ["red"]),
        (RED, context("blue", 0, 1), ["red"]),
        (None, context("blue", 0, 1), ["blue"]),
        (f"at://{BEN}/app.bsky.feed.generator/green", "", []),
        (f"at://{BEN}/app.bsky.feed.generator/green", context("blue", 0, 1), ["blue"]),
        (f"at://{BEN}/app.bsky.feed.post/red", "", []),
        (None, "red", []),
        (None, "", []),
        (None, context("green", 1, 1), []),
        (None, context("grey", 1, 1), []),
        (GREY, "", []),
    ],
    ids=["named", "both", "by context", "a foreign one", "foreign, but", "no feed", "not ours",
         "nothing said", "of a feed that is gone", "context of one that does not ask",
         "one that does not ask"],
)  # fmt: skip
def test_only_what_comes_from_a_feed_that_asks_is_kept(store, sent, said, feeds):
    number = send(store, did_(feedContext=said), feed=sent)
    assert ([row[3] for row in kept(store)], number) == (feeds, len(feeds))


def test_what_is_not_kept_does_not_count(store):
    for _ in range(2):
        assert send(store, *[did_()] * A_MINUTE, feed=GREY) == 0
    assert send(store, did_()) == 1


def test_a_request_may_hold_as_many_as_a_minute(store):
    """The lexicon sets no limit, and an app may send what was seen in an hour at once."""
    posts = (did_(item=uri(f"p{number}")) for number in range(A_MINUTE))
    assert send(store, *posts) == A_MINUTE
    assert len(kept(store)) == A_MINUTE


@pytest.mark.parametrize(
    ("said", "feed"),
    [
        (context("red", 17, 4), "red"),
        (context("red", 0, -1, "grave"), "red"),  # of the stand-in
        (context("red", 0, -1, "red"), "red"),  # of the feed itself, as everybody gets it
        (context("red", 0, -1, f"at://{BEN}/app.bsky.feed.post/tip"), "red"),
    ],
)
def test_a_context_says_whose_ranking_it_was(store, said, feed):
    assert send(store, did_(feedContext=said), feed=None) == 1
    assert (kept(store)[0][3], kept(store)[0][6]) == (feed, said)
    assert len(said.split(" ")) == (3 if said == "red 17 4" else 4)


def test_of_one_viewer_only_the_newest_are_kept(store, monkeypatch):
    monkeypatch.setattr(interactions, "MOST_KEPT", 800)
    send(store, did_(item=uri("his")), viewer=BEN)
    for number in range(20):
        posts = (did_(item=uri(f"p{number * 100 + n}")) for n in range(100))
        send(store, *posts, seconds=60 * number)
        held = store.interactions.seen(EVE, 0)
        assert len(held) <= 800
        assert held == {uri(f"p{(number + 1) * 100 - 1 - n}") for n in range(len(held))}
    assert len(held) > 200
    assert store.interactions.seen(BEN, 0) == {uri("his")}


def test_what_names_no_post_or_no_event_is_passed_over(store):
    sent = [{"event": SEEN}, {"item": uri("p")}, {}, did_(None), did_(SEEN, None), did_("")]
    assert send(store, *sent) == 0
    assert send(store) == 0
    assert send(store, *sent, did_(MORE)) == 1
    assert [row[1] for row in kept(store)] == [MORE]


def test_what_no_database_holds_is_left_out(store):
    sent = {"interactions": [did_(feedContext="a\0b\ud83dc", reqId="\0")], "feed": RED}
    assert record(store, EVE, sent, FEEDS, at(0)) == 1
    assert kept(store)[0][6:] == ("abc", "")


def test_the_longest_there_may_be(store):
    long = "did:web:" + "x" * 250 + ".example.org"
    item = f"at://{long}/app.bsky.feed.post/" + "y" * 512
    sent = did_("e" * 200, item, feedContext="é" * 1000, reqId="r" * 100)
    assert send(store, sent, viewer="did:web:" + "z" * 290) == 1


# What is refused


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"", "the body is no JSON"),
        (b"{", "the body is no JSON"),
        (b"\xff", "the body is no JSON"),
        (b"[" * 100_000, "the body is no JSON"),
        (b"[]", "the body is no JSON object"),
        (b"null", "the body is no JSON object"),
        (b"{}", "interactions: it is missing"),
        (b'{"interactions": {}}', "interactions: it is missing, or no list"),
        (body(*[did_()] * 601), "interactions: 601 are too many; send at most 600"),
        (body(did_(), 7), r"interactions\[1\]: it is no object"),
        (body(did_(item=7)), r"interactions\[0\].item: it is no address of a post"),
        (body(did_(item="at://alice.example/app.bsky.feed.post/3k")), r"item: it is no address"),
        (body(did_(item=f"at://{BEN}/app.bsky.feed.like/3k")), r"item: it is no address"),
        (body(did_(item=uri("x" * 513))), r"item: it is no address"),
        (body(did_(item=f"at://did:web:{'x' * 990}/app.bsky.feed.post/3")), "item: it is no"),
        (body(did_(event=["more"])), r"interactions\[0\].event: it is no text"),
        (body(did_(event="x" * 201)), r"event: it is longer than 200 bytes"),
        (body(did_(feedContext=5)), "feedContext: it is no text"),
        (body(did_(feedContext="é" * 1001)), "feedContext: it is longer than 2000 bytes"),
        (body(did_(reqId="x" * 101)), "reqId: it is longer than 100 bytes"),
        (body(did_(), feed="red"), "feed: it is no at:// address of a feed"),
        (body(did_(), feed=5), "feed: it is no at:// address"),
        (body(did_(), feed="at://red.example/app.bsky.feed.generator/red"), "with a DID"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else "",
)
def test_bad_bodies(store, sent, message):
    with pytest.raises(BadInteractions, match=message):
        record(store, EVE, sent, FEEDS, at(0))
    assert kept(store) == []


def test_one_bad_interaction_and_nothing_of_the_request_is_kept(store):
    with pytest.raises(BadInteractions):
        send(store, did_(), did_(item="x"))
    assert kept(store) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from([SEEN, uri("p"), RED]),
    lambda inside: st.lists(inside) | st.dictionaries(
        st.sampled_from(["interactions", "item", "event", "feed", "feedContext", "reqId"]), inside
    ),
    max_leaves=12,
)  # fmt: skip


@settings(
    max_examples=trials(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(JSON | st.lists(JSON).map(lambda sent: {"interactions": sent}))
def test_whatever_is_sent_is_kept_or_refused(store, sent):
    clear(store)
    try:
        number = record(store, EVE, sent, FEEDS, at(0))
    except BadInteractions:
        number = 0
    assert len(kept(store)) <= number


# So many in a minute


def test_so_many_in_a_minute_and_no_more(store):
    for number in range(6):
        send(store, *(did_(item=uri(f"p{number}x{n}")) for n in range(100)), seconds=number)
    with pytest.raises(TooMany, match="more than 600 interactions in a minute"):
        send(store, did_(MORE), seconds=59)
    assert len(kept(store)) == A_MINUTE
    assert send(store, did_(MORE), viewer=BEN, seconds=59) == 1  # others may
    assert send(store, did_(MORE), seconds=60) == 1


def test_the_same_again_and_again_counts_too(store):
    for _ in range(6):
        send(store, *[did_()] * 100)
    with pytest.raises(TooMany):
        send(store, did_())


def test_several_at_once_do_not_get_round_it(store):
    refused = []

    def hurry(name):
        try:
            for number in range(20):
                send(store, *(did_(item=uri(f"{name}{number}x{n}")) for n in range(10)))
        except TooMany:
            refused.append(name)
        finally:
            store.close()

    threads = [threading.Thread(target=hurry, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept(store)) == A_MINUTE
    assert len(refused) >= 1
