"""The page that says why a post is in a feed, and where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from storing import did

from feedkit import Gravity, Keywords, Newest
from feedkit.event import Engaged, PostWritten
from feedkit.ranking import take_snapshot
from feedkit.settings import FeedConfig, Service
from feedkit.testing import post
from feedkit.times import micros
from feedkit.web.app import create_app

NOW = datetime.now(UTC)
URI = f"at://{did('ann')}/app.bsky.feed.post/1"


@pytest.fixture
def client(store):
    feeds = {
        "herons": FeedConfig(name="herons", filter=Keywords(["heron"]), rank=Gravity()),
        "owls": FeedConfig(name="owls", filter=Keywords(["owl"]), rank=Newest()),
        "secret": FeedConfig(name="secret", filter=Keywords(["owl"]), rank=Newest(), served=False),
    }
    made = Service(
        hostname="feeds.example.com", publisher="alice.example.com",
        did="did:web:feeds.example.com", feeds=feeds,
    )  # fmt: skip
    store.sync_feeds(dict.fromkeys(feeds, ""))
    at = NOW - timedelta(hours=2)
    one = replace(post("A heron & <b>a fish</b>"), uri=URI, created_at=at, seen_at=at, sort_at=at)
    like = Engaged("at://did:plc:x/app.bsky.feed.like/1", "like", "did:plc:x", URI, micros(NOW))
    store.apply(
        [(PostWritten(one, "31", True, micros(at)), frozenset({"herons"})), (like, frozenset())],
        "test", 1, micros(NOW), frozenset({"likes"}),
    )  # fmt: skip
    take_snapshot(store, feeds["herons"])
    return create_app(made, store).test_client()


def ask(client, status=200, **query):
    answer = client.get("/why", query_string=query)
    assert answer.status_code == status
    return answer.text


def test_it_tells_the_filter_and_the_place(client):
    text = ask(client, feed="herons", post=URI)
    assert "herons ✓" in text
    assert "keywords: [heron]" in text
    assert "gravity" in text
    assert "1 like" in text
    assert "✗" in ask(client, feed="owls", post=URI).partition("<pre")[2].partition("</pre")[0]


def test_the_app_link_of_a_post_is_taken_too(client):
    link = f"https://bsky.app/profile/{did('ann')}/post/1"
    assert "herons ✓" in ask(client, feed="herons", post=link)


def test_without_a_question_there_is_the_form(client):
    text = ask(client)
    assert '<option value="herons">herons</option>' in text
    assert "secret" not in text
    assert "<pre" not in text


@pytest.mark.parametrize(
    ("status", "query", "says"),
    [
        (404, {"feed": "herons", "post": URI[:-1] + "2"}, "not stored"),
        (404, {"feed": "secret", "post": URI}, "There is no such feed."),
        (404, {"feed": "<script>", "post": URI}, "There is no such feed."),
        (400, {"feed": "herons", "post": "<script>alert(1)</script>"}, "is no post"),
        (400, {"feed": "herons", "post": "https://bsky.app/profile/a.example.com/post/1"}, "handle"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_said(client, status, query, says):
    text = ask(client, status, **query)
    assert says in text
    assert "<script>" not in text


def test_each_post_of_the_first_page_leads_there(client):
    text = client.get("/").text
    link = text.partition("why here?")[0].rpartition('href="')[2].partition('"')[0]
    assert "herons ✓" in client.get(link.replace("&amp;", "&")).text
