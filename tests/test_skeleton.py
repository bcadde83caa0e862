"""Pages: nothing comes twice, nothing is skipped, whatever happens between two of them."""

from __future__ import annotations

import logging
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedkit import Everything, Field, Gravity, Newest, PerAuthor, Pin, Ranker, Selector
from feedkit.event import AccountChanged, Engaged, PostDeleted, PostWritten
from feedkit.post import Post
from feedkit.ranking import Candidates, _best_first, by_keyset, rank, take_snapshot
from feedkit.settings import FeedConfig
from feedkit.skeleton import BadCursor, page

NOW = datetime(2026, 7, 4, 12, tzinfo=UTC)
LIKES = frozenset({"likes"})
NEWEST = FeedConfig(name="new", filter=Everything(), rank=Newest())
GRAVITY = FeedConfig(name="grave", filter=Everything(), rank=Gravity())
FEEDS = {"new": "", "grave": ""}


def micros(moment):
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


class World:
    """A store with two feeds of the same posts, and what happens to them."""

    def __init__(self, store, seed=0):
        self.store, self.rnd = store, random.Random(seed)
        store.sync_feeds(FEEDS)
        for name in FEEDS:  # as a request does before its page is made
            store.mark_asked(name, micros(NOW))
        self.number = 0
        self.alive = {}  # uri -> author

    def apply(self, *events):
        self.number += 1
        self.store.apply(
            [(e, frozenset(FEEDS) if isinstance(e, PostWritten) else frozenset()) for e in events],
            "test", self.number, micros(NOW), LIKES,
        )  # fmt: skip

    def arrive(self, age=None, author=None):
        event = self.arrival(age, author)
        self.apply(event)
        return event.post.uri

    def arrive_together(self, ages):
        """In one batch, which is quicker."""
        self.apply(*(self.arrival(age) for age in ages))

    def arrival(self, age=None, author=None):
        self.number += 1
        age = self.rnd.choice((0, 0, 0, 1, 2, 5)) if age is None else age
        at = NOW - timedelta(seconds=age)
        author = author or f"did:plc:{self.rnd.choice('abcdefgh') * 24}"
        uri = f"at://{author}/app.bsky.feed.post/{self.number}"
        post = Post(uri=uri, author=author, text="x", created_at=at, seen_at=at, sort_at=at)
        self.alive[uri] = author
        return PostWritten(post, f"3{self.number:012}", True, micros(at))

    def delete(self, uri=""):
        uri = uri or self.rnd.choice(list(self.alive))
        del self.alive[uri]
        self.number += 1
        self.apply(PostDeleted(uri, f"3{self.number:012}", micros(NOW)))

    def like(self):
        self.number += 1
        fan = f"did:plc:{self.number}"
        record = f"at://{fan}/app.bsky.feed.like/{self.number}"
        self.apply(Engaged(record, "like", fan, self.rnd.choice(list(self.alive)), micros(NOW)))

    def something(self):
        self.rnd.choice((self.arrive, self.arrive, self.like, self.like, self.delete))()


def walk(store, feed, limit, between=lambda: None):
    """All pages of one chain, flat, as URIs."""
    cursor, found = "", []
    while True:
        items, cursor, _ = page(store, feed, limit(), cursor, NOW)
        found += [item.uri for item in items]
        assert cursor is None or (items and len(cursor) < 100)
        if cursor is None:
            return found
        between()


@pytest.mark.parametrize("feed", [NEWEST, GRAVITY], ids=["newest", "gravity"])
@pytest.mark.parametrize("seed", range(8))
def test_a_chain_neither_repeats_nor_skips(store, feed, seed):
    world = World(store, seed)
    world.arrive_together([None] * 150)
    for _ in range(60):
        world.like()
    take_snapshot(store, GRAVITY, NOW)
    before = dict(world.alive)
    in_order = walk(store, feed, lambda: 100)
    assert set(in_order) == set(before)

    def between():
        for _ in range(3):
            world.something()
        if world.rnd.random() < 0.3:
            take_snapshot(store, GRAVITY, NOW)

    chain = walk(store, feed, lambda: world.rnd.choice((1, 7, 30, 30)), between)
    assert len(set(chain)) == len(chain)
    # of what was there at the start, all that was not deleted meanwhile, in the same order
    stayed = [uri for uri in in_order if uri in world.alive]
    assert [uri for uri in chain if uri in before and uri in world.alive] == stayed


def test_newest_is_ordered_by_time_then_arrival(store):
    world = World(store)
    first, second, old = world.arrive(age=5), world.arrive(age=5), world.arrive(age=9)
    newest = world.arrive(age=1)
    assert walk(store, NEWEST, lambda: 1) == [newest, second, first, old]


@pytest.mark.parametrize("feed", [NEWEST, GRAVITY], ids=["newest", "gravity"])
def test_hidden_and_deleted_posts_are_left_out_and_the_page_is_filled(store, feed):
    world = World(store)
    uris = [world.arrive(age=n) for n in range(40)]
    guest = [world.arrive(age=n, author="did:plc:guest") for n in range(20)]
    take_snapshot(store, GRAVITY, NOW)
    world.apply(AccountChanged("did:plc:guest", "deactivated"))
    world.apply(PostDeleted(uris[0], "3zzzzzzzzzzzz", micros(NOW)))
    items, cursor, _ = page(store, feed, 30, "", NOW)
    assert [item.uri for item in items] == uris[1:31]
    items, cursor, _ = page(store, feed, 30, cursor, NOW)
    assert ([item.uri for item in items], cursor) == (uris[31:], None)
    world.apply(AccountChanged("did:plc:guest", "active"))
    assert set(guest) < set(walk(store, feed, lambda: 30))


def test_a_feed_without_a_snapshot_yet_is_newest_first_to_the_end_of_the_chain(store):
    world = World(store)
    uris = [world.arrive(age=n) for n in range(10)]

    def between():
        take_snapshot(store, GRAVITY, NOW)

    assert walk(store, GRAVITY, lambda: 3, between) == uris


def expire(store, now):
    """There is a new ranking, and those before it go."""
    before = store.latest_version("grave").id
    take_snapshot(store, GRAVITY, now)
    keep = {"new": timedelta(days=9), "grave": timedelta(days=9)}
    store.prune(keep, micros(now + timedelta(hours=2)))
    assert store.find_version(before, "grave") is None


def test_an_expired_version_goes_on_after_the_last_post(store):
    world = World(store)
    uris = [world.arrive(age=n * 3600) for n in range(10)]
    take_snapshot(store, GRAVITY, NOW)
    items, cursor, _ = page(store, GRAVITY, 4, "", NOW)
    later = NOW + timedelta(hours=2)
    world.arrive(age=60)
    expire(store, later)
    items, cursor, version = page(store, GRAVITY, 30, cursor, later)
    assert ([item.uri for item in items], cursor) == (uris[4:], None)
    assert version == store.latest_version("grave").id


def test_an_expired_version_whose_last_post_is_gone_goes_on_at_its_place(store):
    world = World(store)
    uris = [world.arrive(age=n * 3600) for n in range(12)]
    take_snapshot(store, GRAVITY, NOW)
    cursor = page(store, GRAVITY, 4, "", NOW).cursor
    world.delete(uris[3])
    expire(store, NOW + timedelta(hours=2))
    left = page(store, GRAVITY, 30, cursor, NOW + timedelta(hours=2))
    assert [item.uri for item in left.items] == uris[4:]


@pytest.mark.parametrize("moment", ["find_version", "version_slice"])
@pytest.mark.parametrize("first", [True, False], ids=["first page", "later page"])
def test_a_version_that_expires_while_its_page_is_read(store, monkeypatch, first, moment):
    world = World(store)
    uris = [world.arrive(age=n * 3600) for n in range(90)]
    take_snapshot(store, GRAVITY, NOW)
    cursor = "" if first else page(store, GRAVITY, 35, "", NOW).cursor
    later, called = NOW + timedelta(hours=2), getattr(store, moment)

    def expiring(*args):
        monkeypatch.setattr(store, moment, called)
        expire(store, later)
        return called(*args)

    monkeypatch.setattr(store, moment, expiring)
    items, cursor, version = page(store, GRAVITY, 35, cursor, NOW)
    after = 0 if first else 35
    assert [item.uri for item in items] == uris[after : after + 35]
    assert [item.place for item in items] == list(range(after, after + 35))
    assert version == store.latest_version("grave").id
    left = page(store, GRAVITY, 100, cursor, NOW)
    assert ([item.uri for item in left.items], left.cursor) == (uris[after + 35 :], None)


def test_a_version_whose_posts_are_lost_ends_the_page(store):
    world = World(store)
    for _ in range(9):
        world.arrive()
    take_snapshot(store, GRAVITY, NOW)
    store.db.run("DELETE FROM chunks")
    assert page(store, GRAVITY, 5, "", NOW)[:2] == ([], None)


def test_a_full_last_page_has_no_cursor(store):
    world = World(store)
    for _ in range(6):
        world.arrive()
    take_snapshot(store, GRAVITY, NOW)
    for feed in (NEWEST, GRAVITY):
        assert page(store, feed, 6, "", NOW).cursor is None
        assert page(store, feed, 5, "", NOW).cursor
    other = FeedConfig(name="other", filter=Everything(), rank=Newest())
    assert page(store, other, 5, "", NOW)[:2] == ([], None)


@pytest.mark.parametrize(
    "cursor",
    ["garbage", "1.2", "1.2.3.4.5", "-1.2.3", "1.2.x", "0.99999999999999999999.1", "\0", "１.2.3",
     f"0.{2**63}.1", "0..1", "eof", "1783175888085434::bafy"],
)  # fmt: skip
def test_a_cursor_that_is_none_of_ours_is_refused(store, cursor):
    World(store)
    with pytest.raises(BadCursor, match="leave it out to start anew"):
        page(store, NEWEST, 5, cursor, NOW)


def test_a_cursor_of_another_feed_gives_nothing_of_that_feed(store):
    World(store)
    store.apply(
        [(PostWritten(Post(uri="at://did:plc:a/app.bsky.feed.post/1", sort_at=NOW, created_at=NOW),
                      "3aaaaaaaaaaaa", True, micros(NOW)), frozenset({"grave"}))],
        "test", 1, micros(NOW), LIKES,
    )  # fmt: skip
    take_snapshot(store, GRAVITY, NOW)
    version = store.latest_version("grave").id
    assert page(store, GRAVITY, 5, f"{version}.0.1", NOW).items
    assert page(store, NEWEST, 5, f"{version}.0.1", NOW)[:2] == ([], None)


# ---- pins


def pinned(name, *pins):
    rank = Newest() if name == "new" else Gravity()
    return FeedConfig(name=name, filter=Everything(), rank=rank, select=pins)


@pytest.mark.parametrize("name", FEEDS)
def test_a_pin_is_at_its_place_once_and_the_rest_follows(store, name):
    world = World(store)
    uris = [world.arrive(age=n) for n in range(9)]
    take_snapshot(store, GRAVITY, NOW)
    feed = pinned(name, Pin(uris[6], at=2))
    items, _, _ = page(store, feed, 4, "", NOW)
    assert [item[:2] for item in items] == [
        (uris[0], False), (uris[6], True), (uris[1], False), (uris[2], False)
    ]  # fmt: skip
    for limit in (1, 2, 3, 100):
        chain = walk(store, feed, lambda limit=limit: limit)
        assert sorted(chain) == sorted(uris)
        assert [uri for uri in chain if uri != uris[6]] == uris[:6] + uris[7:]


def test_a_pinned_post_need_not_be_stored_but_must_not_be_deleted_or_hidden(store):
    world = World(store)
    there, gone, hidden = (world.arrive(age=n, author=f"did:plc:{n}") for n in range(3))
    world.apply(PostDeleted(gone, "3zzzzzzzzzzzz", micros(NOW)))
    world.apply(AccountChanged("did:plc:2", "takendown"))
    elsewhere = "at://did:plc:x/app.bsky.feed.post/elsewhere"
    for uri, expected in ((elsewhere, [elsewhere, there]), (gone, [there]), (hidden, [there])):
        items, _, _ = page(store, pinned("new", Pin(uri)), 30, "", NOW)
        assert [item.uri for item in items] == expected


def test_pins_alone_keep_a_feed_on_the_keyset():
    assert by_keyset(pinned("new", Pin("at://did:plc:x/app.bsky.feed.post/1")))
    assert not by_keyset(pinned("new", PerAuthor()))
    assert not by_keyset(GRAVITY)


# ---- ranking


def candidates(count):
    posts = []
    for n in range(count):
        at = NOW - timedelta(minutes=n)
        posts.append((n + 1, Post(uri=f"at://did:plc:a/app.bsky.feed.post/{n}", sort_at=at)))
    return Candidates.of(posts)


class Backwards(Ranker):
    """Oldest first, or what goes wrong."""

    wrong: str = Field(default="")

    def score(self, post, request):
        if self.wrong == "raise":
            raise RuntimeError("no numbers today")
        if self.wrong == "nan":
            return float("nan")
        if self.wrong == "text":
            return "high"
        return (request.now - post.sort_at).total_seconds()


class Odd(Selector):
    """Invents, repeats or fails."""

    how: str

    def select(self, posts, request):
        if self.how == "invent":
            return [*posts, Post(uri="at://did:plc:b/app.bsky.feed.post/new")]
        if self.how == "repeat":
            return [*posts, *posts]
        raise RuntimeError("no selection today")


def test_equal_scores_are_newest_first():
    class Flat(Ranker):
        """All alike."""

        def score(self, post, request):
            return 1.0

    feed = FeedConfig(name="f", filter=Everything(), rank=Flat())
    assert rank(feed, candidates(5), NOW) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("wrong", ["raise", "nan", "text"])
def test_a_broken_ranker_falls_back_to_newest_and_is_named(caplog, wrong):
    feed = FeedConfig(name="f", filter=Everything(), rank=Backwards(wrong))
    with caplog.at_level(logging.ERROR):
        assert rank(feed, candidates(3), NOW) == [1, 2, 3]
    assert "feeds.f: the ranker backwards failed" in caplog.text
    fine = FeedConfig(name="f", filter=Everything(), rank=Backwards())
    assert rank(fine, candidates(3), NOW) == [3, 2, 1]


@pytest.mark.parametrize("how", ["invent", "repeat", "raise"])
def test_a_broken_selector_is_passed_over_and_named(caplog, how):
    feed = FeedConfig(name="f", filter=Everything(), rank=Backwards(), select=(Odd(how),))
    with caplog.at_level(logging.ERROR):
        assert rank(feed, candidates(3), NOW) == [3, 2, 1]
    assert "feeds.f: the selector odd failed" in caplog.text


def pages(store, feed, limit, between=lambda: None):
    """All pages of one chain."""
    cursor = ""
    for _ in range(1000):
        found = page(store, feed, limit(), cursor, NOW)
        yield found
        cursor = found.cursor
        if cursor is None:
            return
        between()
    raise AssertionError("the chain has no end")


def merged(ranked, pins):
    """The feed in one piece: `pins` (URI, place) among `ranked`, by the rule alone."""
    coming = sorted(dict(pins).items(), key=lambda pin: pin[1])
    rest = [uri for uri in ranked if uri not in dict(pins)]
    whole = []
    while coming or rest:
        due = coming and (coming[0][1] <= len(whole) + 1 or not rest)
        whole.append((coming.pop(0)[0], True) if due else (rest.pop(0), False))
    return whole


@pytest.mark.parametrize("name", FEEDS)
@pytest.mark.parametrize("seed", range(4))
def test_each_pin_comes_once_at_its_place_over_any_limits(store, name, seed):
    world = World(store, seed)
    world.arrive_together(range(world.rnd.choice((0, 1, 12, 130))))
    take_snapshot(store, GRAVITY, NOW)
    ranked = walk(store, pinned(name), lambda: 100)
    uris = [*ranked[::9], *(f"at://did:plc:x/app.bsky.feed.post/{n}" for n in range(9))]
    pins = [(uri, world.rnd.choice((1, 1, 2, 30, 31, 100, world.rnd.randint(1, 100))))
            for uri in world.rnd.sample(uris, (1, 2, 5, 9)[seed])]  # fmt: skip
    feed = pinned(name, *(Pin(uri, at=at) for uri, at in pins))
    whole = merged(ranked, pins)
    mixed = iter(lambda: world.rnd.choice((1, 1, 2, 30, 100)), 0)
    for limit in (*range(1, 101), 0, 0, 0):
        found = [*pages(store, feed, lambda: limit or next(mixed))]  # noqa: B023
        assert [item[:2] for one in found for item in one.items] == whole, (limit, pins)
        if limit:
            assert all(len(one.items) == limit for one in found[:-1])
        assert all(len(one.cursor) < 100 for one in found[:-1])


@pytest.mark.parametrize("name", FEEDS)
def test_pins_are_neither_repeated_nor_lost_while_things_happen(store, name):
    world = World(store, 3)
    world.arrive_together(range(60))
    at = {f"at://did:plc:x/app.bsky.feed.post/{n}": n for n in (1, 2, 5, 6, 31, 60)}
    own = list(world.alive)[40]
    feed = pinned(name, *(Pin(uri, at=n) for uri, n in at.items()), Pin(own, at=5))
    for _ in range(8):
        take_snapshot(store, GRAVITY, NOW)

        def between():
            for _ in range(3):
                world.something()
            take_snapshot(store, GRAVITY, NOW)

        before = dict(world.alive)
        limits = iter(lambda: world.rnd.choice((1, 2, 3, 30)), 0)
        chain = [i for one in pages(store, feed, lambda: next(limits), between) for i in one.items]  # noqa: B023
        uris = [item.uri for item in chain]
        assert len(set(uris)) == len(uris)
        assert {uri for uri in before if uri in world.alive} <= set(uris) | {own}
        assert [item.uri for item in chain if item.pinned and item.uri != own] == [*at]
        places = {item.uri: place for place, item in enumerate(chain, 1) if item.pinned}
        for uri, place in at.items():
            assert places[uri] in (place, place + 1) or place == 60  # own has one of the places


def test_a_pin_that_goes_between_two_pages_leaves_the_others(store):
    world = World(store)
    uris = [world.arrive(age=n) for n in range(9)]
    guest = world.arrive(age=99, author="did:plc:guest")
    tip = "at://did:plc:x/app.bsky.feed.post/tip"
    feed = pinned("new", Pin(guest, at=2), Pin(tip, at=2))
    whole = [[uris[0], guest], [tip, uris[1]], [uris[2], uris[3]]]

    def shown():
        for one in pages(store, feed, lambda: 2):
            yield [item.uri for item in one.items]

    assert list(shown())[:3] == whole
    chain = shown()
    assert next(chain) == whole[0]
    world.apply(AccountChanged("did:plc:guest", "deactivated"))  # its place was passed
    assert [next(chain), next(chain)] == whole[1:]
    assert next(shown()) == [uris[0], tip]  # who is gone takes nobody's place
    chain = shown()
    next(chain)
    world.apply(AccountChanged("did:plc:guest", "active"))
    assert next(chain) == [uris[1], uris[2]]


def test_a_cursor_of_before_pins_had_places_goes_on_without_them(store):
    world = World(store)
    uris = [world.arrive(age=n) for n in range(9)]
    feed = pinned("new", Pin(uris[8], at=2), Pin(uris[7], at=90))
    first = page(store, feed, 3, "", NOW)
    assert [item.uri for item in first.items] == [uris[0], uris[8], uris[1]]
    old = ".".join(first.cursor.split(".")[:4])
    assert [item.uri for item in page(store, feed, 30, old, NOW).items] == uris[2:7]
    assert [item.uri for item in page(store, feed, 30, first.cursor, NOW).items] == uris[2:8]


@given(st.lists(st.sampled_from([0.0, -0.0, 1.5, 3.0, -2.0]) | st.just(0.0), max_size=60))
def test_the_best_first_is_a_stable_sort(scores):
    """Also where nearly all have nothing, which goes another way."""
    want = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    assert _best_first(scores) == want
    mostly = [0.0] * 90 + scores[:10] + [0.0] * 9
    want = sorted(range(len(mostly)), key=mostly.__getitem__, reverse=True)
    assert _best_first(mostly) == want
