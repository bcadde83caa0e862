"""The filter `author_rate` and the hydrator `posting_rate`, against an AppView on loopback."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from _appview import FakeAppView, refused, said
from pydantic import ValidationError
from storing import apply, at, did, order, uri, written

from feedkit import AuthorRate, Keywords, Newest, PostingRate
from feedkit.appview import AppView
from feedkit.hydrate import Hydration
from feedkit.hydrate.context import WebContext
from feedkit.matcher import Matcher
from feedkit.settings import FeedConfig, Network, Service
from feedkit.testing import ALICE, BOB, NOW, check_plugin, corpus, post


def stamp(when):
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def entry(author, days, claimed=None, repost=False):
    """A post that the network saw so many days before NOW."""
    seen = NOW - timedelta(days=days)
    made = NOW - timedelta(days=days if claimed is None else claimed)
    item = {
        "post": {
            "author": {"did": BOB if repost else author},
            "record": {"createdAt": stamp(made - timedelta(days=900 * repost))},
            "indexedAt": stamp(seen - timedelta(days=900 * repost)),
        }
    }
    if repost:
        item["reason"] = {"$type": "app.bsky.feed.defs#reasonRepost", "indexedAt": stamp(seen)}
    return item


class Bluesky(FakeAppView):
    """`feeds`: entries by author; who has none is gone."""

    def __init__(self):
        super().__init__()
        self.feeds = {}
        self.always = self._known

    def _known(self, method, query):
        if method != "app.bsky.feed.getAuthorFeed":
            return None
        assert query["limit"] == ["100"]
        assert query["filter"] == ["posts_with_replies"]
        (author,) = query["actor"]
        if author not in self.feeds:
            return refused("Profile not found")
        return said({"feed": self.feeds[author][:100], "cursor": "more"})


@pytest.fixture
def bluesky(monkeypatch):
    monkeypatch.setattr(AppView.__init__, "__defaults__", (0.001,))
    view = Bluesky()
    with view.serving():
        yield view


@pytest.fixture
def rate(bluesky, store):
    def ask(*posts):
        with WebContext(Network(appview=bluesky.address), store) as context:
            return [one.get("author_rate", "?") for one in PostingRate().hydrate(posts, context)]

    return ask


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        # a hundred posts, one every six hours: 99 intervals and the time since the last
        ([entry(ALICE, n / 4) for n in range(100)], 100 / (99 / 4)),
        ([entry(ALICE, n / 4) for n in range(500)], 100 / (99 / 4)),
        # a hundred in two hours, long ago; and today another
        ([entry(ALICE, 0), *(entry(ALICE, 300 + n / 1200) for n in range(99))], 100 / (300 + 98 / 1200)),
        # a hundred within a hundred minutes
        ([entry(ALICE, n / 1440) for n in range(100)], 100 / (99 / 1440)),
        # a hundred at once: they are taken to span a minute
        ([entry(ALICE, 0)] * 100, 100 * 1440),
        # few posts are all there are, and are at least a day's
        ([entry(ALICE, 0)], 1.0),
        ([entry(ALICE, n / 1440) for n in range(5)], 5.0),
        ([entry(ALICE, 10), entry(ALICE, 5)], 0.2),
        # reposts take places, but are not posts
        ([entry(ALICE, n, repost=n % 2 == 0) for n in range(100)], 50 / 99),
        ([entry(ALICE, n, repost=True) for n in range(100)], 0.0),
        # imported today, written over a hundred days
        ([entry(ALICE, 0, claimed=n) for n in range(100)], 100 / 99),
        # an app's clock that is ahead
        ([entry(ALICE, n, claimed=-400) for n in range(100)], 100 / 99),
        ([], None),
        (["nonsense", {}, {"post": {"indexedAt": "yesterday"}}, None], None),
    ],
)  # fmt: skip
def test_posts_a_day(bluesky, rate, entries, expected):
    bluesky.feeds = {ALICE: entries}
    (found,) = rate(post("🐦", seen_at=NOW))
    assert found == (expected if expected is None else pytest.approx(expected, rel=1e-6))


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_an_author_is_asked_once_for_a_batch(bluesky, rate):
    bluesky.feeds = {ALICE: [entry(ALICE, 10), entry(ALICE, 5)], BOB: [entry(BOB, 2)]}
    posts = [post(seen_at=NOW), post(author=BOB, seen_at=NOW),
             post(seen_at=NOW + timedelta(days=10))]  # fmt: skip
    assert rate(*posts) == [pytest.approx(0.2), pytest.approx(0.5), pytest.approx(0.1)]
    assert [query["actor"] for _, query in bluesky.asked] == [[ALICE], [BOB]]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_who_is_gone_does_not_hold_up_the_others(bluesky, rate):
    bluesky.feeds = {BOB: [entry(BOB, 2)]}
    assert rate(post(), post(author=BOB, seen_at=NOW)) == [None, pytest.approx(0.5)]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_who_could_not_be_asked_for_is_asked_again(bluesky, rate):
    bluesky.feeds = {ALICE: [entry(ALICE, 2)], BOB: [entry(BOB, 2)]}
    busy = said({"error": "Busy"}, 503)
    bluesky.before = [None, *[busy] * 4]
    assert rate(post(seen_at=NOW), post(author=BOB), post(author="did:plc:c")) == [
        pytest.approx(0.5), "?", "?",
    ]  # fmt: skip
    bluesky.before = [busy] * 4
    with pytest.raises(Exception, match="503"):
        rate(post())


def test_through_the_store(bluesky, store):
    """Ann posts rarely, Bea all day, Cal is gone."""
    seen = datetime.fromtimestamp(at(0).timestamp(), UTC)
    days = (NOW - seen).total_seconds() / 86_400
    bluesky.feeds = {
        did("ann"): [entry(did("ann"), days + n) for n in range(60)],
        did("bea"): [entry(did("bea"), days + n / 100) for n in range(100)],
    }
    seldom = Keywords("heron") & AuthorRate(most=3)
    feeds = {
        "seldom": FeedConfig("seldom", seldom, Newest()),
        "often": FeedConfig("often", Keywords("heron") & AuthorRate(least=3), Newest()),
        "lenient": FeedConfig(
            "lenient", Keywords("heron") & AuthorRate(most=3, missing=True), Newest()
        ),
    }
    made = Service(
        hostname="feeds.example.com", publisher=did("ann"), did="did:web:feeds.example.com",
        feeds=feeds, hydrators=(PostingRate(),), network=Network(appview=bluesky.address),
    )  # fmt: skip
    store.sync_feeds(dict.fromkeys(feeds, "1"))
    matcher = Matcher(made.feed_filters, made.keeps_missing)
    posts = [written(who, rev="1", author=who, text="A heron") for who in ("ann", "bea", "cal")]
    apply(store, *((event, matcher.match(event.post)) for event, _ in posts))
    Hydration(made, store).once(threading.Event())
    assert order(store, "seldom") == [uri("ann", "ann")]
    assert order(store, "often") == [uri("bea", "bea")]
    assert set(order(store, "lenient")) == {uri("ann", "ann"), uri("cal", "cal")}


@pytest.mark.parametrize(
    ("bounds", "rate", "keeps"),
    [
        ({"most": 10}, 10.0, True),
        ({"most": 10}, 0.0, True),
        ({"least": 0.5}, 0.5, True),
        ({"least": 1, "most": 3}, 2.0, True),
        ({"most": 10}, 10.1, False),
        ({"least": 0.5}, 0.49, False),
        ({"least": 1, "most": 3}, 3.5, False),
        ({"least": 1, "most": 3}, 0.5, False),
        ({"most": 10}, None, None),
        ({"most": 10, "missing": True}, None, True),
        ({"most": 10, "missing": False}, None, False),
    ],
)
@pytest.mark.parametrize("text", ["", "絵 🐦", "مرحبا بالعالم"])
def test_the_filter(bounds, rate, keeps, text):
    assert AuthorRate(**bounds).decide(post(text, features={"author_rate": rate})) is keeps
    assert AuthorRate(**bounds).decide(post(text)) is None


@pytest.mark.parametrize("bad", [{}, {"least": 5, "most": 4}, {"least": -1}])
def test_bounds_make_sense(bad):
    with pytest.raises(ValidationError):
        AuthorRate(**bad)


def test_contract():
    check_plugin(AuthorRate(most=3), post(features={"author_rate": 1.5}))
    check_plugin(PostingRate)
    assert {AuthorRate(most=3).decide(one) for one in corpus()} == {None}
    assert AuthorRate(most=3).explain(post(features={"author_rate": 1.53})) == "1.5 posts a day"
