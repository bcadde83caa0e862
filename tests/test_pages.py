"""The page for people: what a feed's posts are, in any script, and nothing that could run."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from storing import did

from feedkit import Everything, Gravity, Newest, Pin
from feedkit.event import Engaged, PostWritten
from feedkit.jobs import Jobs
from feedkit.post import External, Image, Video
from feedkit.settings import FeedConfig, Service
from feedkit.testing import post
from feedkit.times import micros
from feedkit.web import pages
from feedkit.web.app import create_app
from feedkit.web.pages import ago, app_link

NOW = datetime.now(UTC)
REPLY = "at://did:plc:x/app.bsky.feed.post/parent"


def service(**feeds):
    made = {
        name: FeedConfig(name=name, filter=Everything(), **{"rank": Newest(), **keys})
        for name, keys in feeds.items()
    }
    return Service(
        hostname="feeds.example.com", publisher="alice.example.com",
        did="did:web:feeds.example.com", feeds=made,
    )  # fmt: skip


def shown(store, made, *posts, likes=0):
    """The page of `made` with these posts in all its feeds, newest first."""
    store.sync_feeds(dict.fromkeys(made.feeds, ""))
    batch = []
    for number, one in enumerate(posts):
        at = NOW - timedelta(minutes=number)
        uri = f"at://{did('ann')}/app.bsky.feed.post/{number}"
        stored = replace(one, uri=uri, created_at=at, seen_at=at, sort_at=at)
        batch.append((PostWritten(stored, f"3{number}", True, micros(at)), frozenset(made.feeds)))
        for liker in range(likes):
            like = f"at://did:plc:l{liker}/app.bsky.feed.like/{number}"
            batch.append((Engaged(like, "like", f"did:plc:l{liker}", uri, micros(at)), frozenset()))
    store.apply(batch, "test", 1, micros(NOW), frozenset({"likes"}))
    answer = create_app(made, store).test_client().get("/")
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.text)


@pytest.mark.parametrize(
    ("content", "html"),
    [
        ({"text": "صباح الخير", "langs": "ar"}, '<p class="text" dir="auto" lang="ar">صباح الخير</p>'),
        ({"text": "今日は", "langs": "ja"}, '<p class="text" dir="auto" lang="ja">今日は</p>'),
        ({"text": "<b>", "langs": '"><i>'}, 'lang="&#34;&gt;&lt;i&gt;">&lt;b&gt;</p>'),
        ({"images": ["a heron", ""]},
         "<span>picture</span> <bdi>a heron</bdi></p> <p class=\"media\"><span>picture</span> "
         "<bdi>without a description</bdi>"),
        ({"images": [Image(alt="<img>")]}, "<bdi>&lt;img&gt;</bdi>"),
        ({"video": "a weir"}, "<span>video</span> <bdi>a weir</bdi>"),
        ({"video": Video(alt="a wink"), "gif": True}, "<span>GIF</span> <bdi>a wink</bdi>"),
        ({"link_card": External("https://example.com/a", "A <title>")},
         '<a href="https://example.com/a" rel="nofollow noopener"><bdi>A &lt;title&gt;</bdi></a>'),
        ({"link_card": "https://example.com/a"}, "<bdi>https://example.com/a</bdi>"),
        ({"reply_to": REPLY}, '<a href="https://bsky.app/profile/did:plc:x/post/parent">answers a post'),
        ({"quote": REPLY}, '<a href="https://bsky.app/profile/did:plc:x/post/parent">quotes a post'),
        ({"labels": ["porn", "<b>"]}, "<span>labelled &lt;b&gt;, porn</span>"),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_post_holds_is_shown(store, content, html):
    assert html in shown(store, service(birds={}), post(**content))


@pytest.mark.parametrize(("likes", "html"), [(0, ""), (1, "<span>1 like</span>"), (2, "2 likes")])
def test_counts_are_shown_where_there_are_any(store, likes, html):
    page = shown(store, service(birds={}), post("x"), likes=likes)
    assert html in page
    assert ("like" in page) == bool(likes)


def test_a_pin_is_marked(store):
    pin = Pin(f"at://{did('ann')}/app.bsky.feed.post/1")
    page = shown(store, service(birds={"select": (pin,)}), post("first"), post("the pinned one"))
    assert page.index("the pinned one") < page.index("first")
    assert page.count("<span>pinned</span>") == 1


def test_a_feed_leads_to_the_app_and_to_its_skeleton(store):
    page = shown(store, service(birds={"description": "Wading <birds>", "publisher": "bob.test"}))
    assert '<a href="https://bsky.app/profile/bob.test/feed/birds">in the app</a>' in page
    assert "/xrpc/app.bsky.feed.getFeedSkeleton?feed=at://bob.test/" in page
    assert '<p class="description" dir="auto">Wading &lt;birds&gt;</p>' in page
    assert "Nothing here yet" in page
    assert "<script" not in page


def test_of_very_many_feeds_only_the_first_show_their_posts(store, monkeypatch):
    monkeypatch.setattr(pages, "FEEDS", 2)
    page = shown(store, service(a={}, b={}, c={}), post("a heron"))
    assert page.count("<h2>") == 3
    assert page.count("a heron") == 2
    assert "Nothing here yet" not in page


def test_a_feed_that_is_looked_at_is_ranked(store):
    made = service(birds={"rank": Gravity()})
    shown(store, made, post("x"))
    jobs = Jobs(made, store)
    assert jobs.rank() == 1
    old = micros(NOW - timedelta(minutes=2))
    store.db.run("UPDATE versions SET created_at = ?", (old,))
    assert jobs.rank() == 1, "somebody looked at the page a moment ago"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (200_000, "2d")]
)
def test_ages_are_as_short_as_in_the_app(seconds, text):
    assert ago(datetime.now(UTC) - timedelta(seconds=seconds)) == text


def test_a_post_has_an_address_in_the_app():
    assert app_link(REPLY) == "https://bsky.app/profile/did:plc:x/post/parent"
