"""Any request, any answer: thousands of random ones against the whole application in one process,
each answer checked against its lexicon.

1,500 of them each time, 10,000 with FEEDKIT_SLOW. The lexicons are read where `../shared/protocol`
lies beside the project; a smaller check that needs none is made everywhere.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from _lexicon import Lexicons, Wrong
from _plc import Account, FakePLC, plc_did
from msgspec.structs import fields
from storing import close_threads

from feedkit import (
    Affinity,
    Blend,
    BlendPart,
    CoLiked,
    Everything,
    Follows,
    FriendsFirst,
    Gravity,
    HideSeen,
    Language,
    Mix,
    Newest,
    NotInterested,
    PerAuthor,
    Pin,
    Random,
    Shuffle,
    Spoken,
    UnseenFirst,
)
from feedkit.event import Engaged, PostDeleted, PostWritten
from feedkit.post import Post, Viewer
from feedkit.ranking import by_keyset, take_snapshot
from feedkit.settings import FeedConfig, Network, Service
from feedkit.store import open_store
from feedkit.store.interactions import LESS, MORE, SEEN, Interaction
from feedkit.times import micros
from feedkit.viewers import Viewers
from feedkit.web import asgi, xrpc
from feedkit.web import front as fronts

SHARED = Path(os.environ.get("FEEDKIT_SHARED") or Path(__file__).resolve().parents[2] / "shared")
LEXICONS = SHARED / "protocol" / "lexicons"
SKELETON = "app.bsky.feed.getFeedSkeleton"
INTERACTIONS = "app.bsky.feed.sendInteractions"
COUNT = 10_000 if os.environ.get("FEEDKIT_SLOW") else 1_500
PUBLISHER = plc_did(99)
AUTHORS = [plc_did(200 + number) for number in range(9)]
PIN = f"at://{PUBLISHER}/app.bsky.feed.post/tip"
GONE = f"at://{AUTHORS[0]}/app.bsky.feed.post/gone"


def feed(name, rank=None, **given):
    return FeedConfig(
        name=name, filter=given.pop("filter", Everything()), rank=rank or Newest(), **given
    )


FEEDS = {
    one.name: one
    for one in (
        feed("new"),
        feed("german", filter=Language(["de"])),
        feed("grave", Gravity(), select=(PerAuthor(2),), accepts_interactions=True),
        feed("mixed", Blend((BlendPart(Gravity()), BlendPart(Newest()))), select=(Mix("grave"), Shuffle())),
        feed("spoken", select=(Spoken(),)),
        feed("spoken_grave", Gravity(), select=(Spoken(), Pin(PIN)), accepts_interactions=True),
        feed("pinned", select=(Pin(PIN, at=3), Pin(GONE)), accepts_interactions=True),
        feed("gone", select=(Pin(GONE),), when_empty="new"),
        feed("friends", viewer=(Follows(),), accepts_interactions=True),
        feed("first", FriendsFirst(), viewer=(NotInterested(),), select=(Pin(PIN, at=2),)),
        feed("liked", Affinity(), viewer=(HideSeen(),), signed_out="grave", accepts_interactions=True),
        feed("co_liked", CoLiked(), signed_out="spoken"),
        feed("unseen", UnseenFirst(), signed_out="refuse", select=(Spoken(), PerAuthor(3))),
        feed("chance", Random(), viewer=(Follows(own=False),), when_empty=PIN),
        feed("or_new", viewer=(Follows(own=False),), when_empty="grave", signed_out="empty"),
        feed("empty"),
        feed("tip", when_empty=PIN),
        feed("or_grave", when_empty="grave", accepts_interactions=True),
    )
}  # fmt: skip
EMPTY = {"empty", "tip", "or_grave"}
OTHERS = {"secret": feed("secret", served=False)}
SERVICE = Service(
    hostname="feeds.example.com",
    publisher=PUBLISHER,
    did="did:web:feeds.example.com",
    feeds=FEEDS | OTHERS,
)


class World:
    """The application as it is served, on a store in which things go on."""

    def __init__(self, store, plc, seed):
        self.store, self.rnd, self.number, self.alive = store, random.Random(seed), 0, []
        store.sync_feeds(dict.fromkeys(SERVICE.feeds, ""))
        network = Network(plc=plc.address, appview="http://127.0.0.1:9")
        service = Service(**{**vars_of(SERVICE), "network": network})
        self.front = asgi.create_front(service, store)
        # Three viewers of whom all is known, one of whom nothing is, one who follows nobody.
        self.viewers = [Account(plc_did(number)) for number in range(5)]
        plc.add(*self.viewers)
        self.follows, self.german = {}, set()
        now = micros(datetime.now(UTC))
        for number, viewer in enumerate(self.viewers[:4]):
            follows = AUTHORS[number * 2 : number * 2 + 3] if number < 3 else ()
            self.follows[viewer] = {*follows, viewer.did}
            store.viewers.asked(viewer.did, now, True)
            store.viewers.save(viewer.did, {"follows": follows}, now, now + 10**12, "")
        self.apply(self.written(GONE), *[self.arrival() for _ in range(150)])
        self.apply(PostDeleted(GONE, "3zzzzzzzzzzzz", now), *[self.liking() for _ in range(200)])
        self.rank()

    def apply(self, *events):
        self.number += 1
        now = micros(datetime.now(UTC))
        full = frozenset(FEEDS) - EMPTY
        batch = []
        for event in events:
            feeds = full if isinstance(event, PostWritten) else frozenset()
            if feeds and "de" not in event.post.langs:
                feeds -= {"german"}
            batch.append((event, feeds))
        self.store.apply(batch, "test", self.number, now, frozenset({"likes"}))

    def written(self, uri):
        at = datetime.now(UTC) - timedelta(seconds=self.rnd.choice((0, 1, 60, 5000)))
        post = Post(
            uri=uri, author=uri.split("/")[2], text="x", created_at=at, seen_at=at, sort_at=at,
            langs=self.rnd.choice(((), ("de",), ("en", "ja"))),
        )  # fmt: skip
        if "de" in post.langs:
            self.german.add(uri)
        return PostWritten(post, f"3{self.number:012}", True, micros(at))

    def arrival(self):
        self.number += 1
        author = self.rnd.choice([*AUTHORS, self.viewers[0].did])
        self.alive.append(f"at://{author}/app.bsky.feed.post/{self.number}")
        return self.written(self.alive[-1])

    def delete(self):
        uri = self.alive.pop(self.rnd.randrange(len(self.alive)))
        self.number += 1
        self.apply(PostDeleted(uri, f"3{self.number:012}", micros(datetime.now(UTC))))

    def liking(self):
        self.number += 1
        fan = self.rnd.choice([viewer.did for viewer in self.viewers] + AUTHORS)
        uri = f"at://{fan}/app.bsky.feed.like/{self.number}"
        return Engaged(uri, "like", fan, self.rnd.choice(self.alive), micros(datetime.now(UTC)))

    def arrive(self):
        self.apply(self.arrival())

    def like(self):
        self.apply(self.liking())

    def rank(self):
        for one in FEEDS.values():
            if not by_keyset(one):
                take_snapshot(self.store, one, feeds=FEEDS)

    def expire(self):
        later = micros(datetime.now(UTC) + timedelta(hours=2))
        self.store.prune(dict.fromkeys(SERVICE.feeds, timedelta(days=9)), later)

    def something(self):
        self.rnd.choices(
            (self.arrive, self.delete, self.like, self.rank, self.expire), (30, 10, 30, 4, 1)
        )[0]()

    def close(self):
        for stage in self.front._stages:
            close_threads(stage, self.store)

    async def ask(self, path, query="", method="GET", body=b"", **headers):
        """Status, headers and body of the answer to a request."""
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": path,
            "query_string": query.encode("ascii"), "scheme": "http",
            "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 9),
            "headers": [(b"host", b"feeds")]
            + [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        sent = []

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        await self.front(scope, receive, send)
        start, *bodies = sent
        return start["status"], dict(start["headers"]), b"".join(b["body"] for b in bodies)

    async def skeleton(self, query, who=None, language="", token=None):
        headers = {"accept_language": language} if language else {}
        if who is not None or token:
            now = int(time.time())
            token = token or who.token(iat=now, exp=now + 60)
            headers["authorization"] = f"Bearer {token}"
        return await self.ask(f"/xrpc/{SKELETON}", query, **headers)


def vars_of(service):
    return {name: getattr(service, name) for name in service.__dataclass_fields__}


@pytest.fixture
def plc():
    with FakePLC().serving() as serving:
        yield serving


@pytest.fixture
def make(plc, monkeypatch):
    """Makes a world in a store, and ends it."""
    # One thread each: its connection can be closed here, and one request follows another anyway.
    monkeypatch.setattr(asgi, "SHARING", 1)
    monkeypatch.setattr(asgi, "VIEWERS", 1)
    # However busy the machine is, each viewer is known: what stands in else has tests of its own.
    monkeypatch.setattr(xrpc, "SHORT", 30.0)
    made = []

    def make(store, seed):
        made.append(World(store, plc, seed))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(store, make):
    return make(store, 1)


def address(name, publisher=PUBLISHER):
    return f"at://{publisher}/app.bsky.feed.generator/{name}"


# ---- what every answer must be


def shape(body):
    """The shape of getFeedSkeleton without a lexicon."""
    assert body.keys() <= {"feed", "cursor", "reqId"}
    for item in body["feed"]:
        assert item.keys() <= {"post", "reason", "feedContext"}
        assert re.fullmatch(
            r"at://did:[a-z]+:[\w.:%-]+/app\.bsky\.feed\.post/[\w.~:-]+", item["post"], re.A
        )
        assert item.get("reason", {"$type": "app.bsky.feed.defs#skeletonReasonPin"}) == {
            "$type": "app.bsky.feed.defs#skeletonReasonPin"
        }
        assert isinstance(item.get("feedContext", ""), str)
        assert len(item.get("feedContext", "").encode()) <= 2000
    assert isinstance(body.get("cursor", ""), str)
    assert 0 < len(body.get("reqId", "x")) <= 100
    assert "null" not in json.dumps(body)


def right_error(status, body):
    assert status in (400, 401), body
    assert body.keys() == {"error", "message"}
    assert all(isinstance(text, str) and text for text in body.values())


OURS = re.compile(
    r"[se]?\d{1,19}\.\d{1,19}\.\d{1,19}(\.\d{1,10}(\.\d{1,19}){2}|\.\d{1,10})?|[se]?", re.A
)


class Reader:
    """Asks at random, and knows what the answers may be."""

    def __init__(self, world, check):
        self.world, self.rnd, self.check = world, world.rnd, check
        self.cursors, self.counts = [], Counter()

    def request(self):
        rnd = self.rnd
        given = {"name": rnd.choice(sorted(FEEDS)), "limit": str(rnd.randint(1, 100))}
        given["who"] = rnd.choice([None, None, *self.world.viewers])
        given["language"] = rnd.choice(["", "", "de", "en-GB,en;q=0.9", "ja, *;q=0.1", "xx,;q=k"])
        given["kind"] = rnd.choices(
            ["first", "real", "cut", "foreign", "forged", "limit", "feed", "token", "twice"],
            [28, 36, 6, 8, 8, 4, 4, 4, 2],
        )[0]
        if given["kind"] in ("real", "cut"):
            if not self.cursors:
                return given | {"kind": "first"}
            name, who, language, cursor = rnd.choice(self.cursors[-300:])
            given |= {"name": name, "who": who, "language": language, "cursor": cursor}
            if given["kind"] == "cut":
                given["cursor"] = cursor[: rnd.randrange(1, len(cursor))]
        if given["kind"] == "foreign" and self.cursors:  # of another feed, or another viewer
            given["cursor"] = rnd.choice(self.cursors[-300:])[-1]
            given["name"] = rnd.choice(("german", "friends", given["name"]))
        if given["kind"] == "forged":
            numbers = [
                rnd.choice((0, rnd.randint(0, 400), 2**63 - 1, 2**63, 10**18)) for _ in range(3)
            ]
            given["cursor"] = rnd.choice(
                [rnd.choice(["", "s", "e", "ss", "se"]) + ".".join(map(str, numbers)),
                 "".join(rnd.choices("0123456789.se\0é∞-+", k=rnd.randint(1, 30))),
                 "9" * rnd.choice((20, 100, 600)), "s", "e", "0.-1.5", "eof", "null", "1e3.1.1"]
            )  # fmt: skip
        if given["kind"] == "limit":
            given["limit"] = rnd.choice(["0", "101", "abc", "-1", "1.5", "", "1e1", "10000", "٣"])
        return given

    async def ask(self, number):
        given, rnd = self.request(), self.rnd
        kind, name, who, cursor = (
            given["kind"],
            given["name"],
            given["who"],
            given.get("cursor", ""),
        )
        uri, token = address(name), None
        if kind == "feed":
            uri = rnd.choice(
                [address("none"), address("secret"), address(name, plc_did(7)), name, "", uri + "/x",
                 uri.replace(".generator", ".post"), address("\0"), address("x" * 600)]
            )  # fmt: skip
        if kind == "token":
            who = rnd.choice(self.world.viewers)
            now = int(time.time())
            token = rnd.choice(
                [who.token(iat=now - 90, exp=now - 30), who.token(exp=now + 60, iat=now, lxm=INTERACTIONS),
                 who.token(exp=now + 60, iat=now)[:-9], "x"]
            )  # fmt: skip
        values = [("feed", uri), ("limit", given["limit"])]
        values += [("cursor", cursor)] if cursor else []
        values += [rnd.choice(values)] if kind == "twice" else []
        query = urlencode(values)
        status, headers, raw = await self.world.skeleton(query, who, given["language"], token)
        assert headers[b"content-type"] == b"application/json", (given, raw)
        body = json.loads(raw)
        self.counts[kind, status] += 1
        at = f"request {number}, {query}, {given}: {status} {raw[:300]!r}"
        try:
            self.judge(given, status, headers, body)
        except (AssertionError, Wrong, KeyError) as error:
            raise AssertionError(f"{at}\n{error}") from error

    def judge(self, given, status, headers, body):
        kind, name, who, cursor = (
            given["kind"],
            given["name"],
            given["who"],
            given.get("cursor", ""),
        )
        one = FEEDS[name]
        if status != 200:
            right_error(status, body)
        if kind in ("limit", "twice"):
            assert (status, body["error"]) == (400, "InvalidRequest")
        elif kind == "feed":
            assert status == 400
            assert body["error"] in ("UnknownFeed", "InvalidRequest")
        elif kind == "token":
            assert status == (401 if one.personal else 200)
        elif status == 401:
            assert (one.signed_out, who, body["error"]) == ("refuse", None, "AuthMissing")
        elif status == 400:
            assert kind in ("cut", "foreign", "forged"), "a request without fault is refused"
            assert body["error"] == "InvalidRequest"
            assert "leave it out" in body["message"] or "too long" in body["message"]
        elif not OURS.fullmatch(cursor):
            raise AssertionError("a forged cursor is taken")
        if status == 200:
            self.page(given, headers, body)

    def page(self, given, headers, body):
        shape(body)
        self.check(body)
        one, uris = FEEDS[given["name"]], [item["post"] for item in body["feed"]]
        assert len(uris) <= int(given["limit"])
        assert len(set(uris)) == len(uris), "twice on a page"
        assert ("reqId" in body) == one.accepts_interactions
        pins = {item["post"] for item in body["feed"] if "reason" in item}
        cursor = given.get("cursor", "")
        assert not pins or cursor in ("", "s", "e") or cursor.count(".") == 5, "a pin came again"
        if one.name == "german":
            assert headers[b"content-language"] == b"de"
            assert set(uris) <= self.world.german, "another feed's posts"
        who = given["who"]
        if (
            one.name == "friends"
            and who in self.world.follows
            and given.get("cursor", "")[:1] != "s"
        ):
            theirs = {uri.split("/")[2] for uri in uris}
            assert theirs <= self.world.follows[who], "somebody else's page"
        stood_in = cursor[:1] == "s" or any(
            len(i.get("feedContext", "").split()) > 3 for i in body["feed"]
        )
        if one.by_language and not one.personal and given["language"] == "de" and not stood_in:
            assert headers[b"content-language"] == b"de"
        if cursor := body.get("cursor"):
            assert uris, "an empty page with a cursor"
            assert cursor != given.get("cursor")
            assert len(cursor) < 100
            if given["kind"] in ("first", "real"):
                self.cursors.append((one.name, given["who"], given["language"], cursor))


def checker():
    """Checks a page against the lexicon, where that is at hand."""
    if not LEXICONS.exists():
        return lambda body: None
    lexicons = Lexicons(LEXICONS)
    schema = lexicons.output(SKELETON)
    return lambda body: lexicons.check(body, schema, SKELETON)


@pytest.fixture
def filled(tmp_path, make, monkeypatch):
    monkeypatch.setattr(fronts, "FRESH", 0.01)  # most answers are made, not remembered
    with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        store.migrate()
        yield make(store, 7)


def test_thousands_of_requests(filled):
    """Feeds × rankings × cursors × limits × who asks, while posts come and go."""
    reader = Reader(filled, checker())

    async def all_of_them():
        for number in range(COUNT):
            if number % 10 == 0:
                filled.something()
            await reader.ask(number)

    asyncio.run(all_of_them())
    told = reader.counts
    assert sum(told.values()) == COUNT
    assert told["first", 200] + told["real", 200] > COUNT / 2
    for kind, status in (
        ("cut", 400), ("foreign", 200), ("foreign", 400), ("forged", 400), ("forged", 200), ("limit", 400), ("feed", 400),
        ("token", 401), ("first", 401), ("twice", 400),
    ):  # fmt: skip
        assert told[kind, status], f"no request of the kind {kind} was answered {status}: {told}"


@pytest.mark.skipif(not LEXICONS.exists(), reason=f"no lexicons at {LEXICONS}")
def test_the_check_against_the_lexicon_sees_what_the_appview_refuses():
    check = checker()
    item = {"post": f"at://{AUTHORS[0]}/app.bsky.feed.post/1"}
    check({"feed": [item], "cursor": "x"})
    for bad in (
        {}, {"feed": None}, {"feed": [item], "cursor": None}, {"feed": [item], "cursor": 5},
        {"feed": [{"post": "at://alice.example.com/app.bsky.feed.post/1"}]}, {"feed": [{}]},
        {"feed": [item | {"reason": {}}]}, {"feed": [item | {"feedContext": "x" * 2001}]},
        {"feed": [item], "reqId": "x" * 101}, {"feed": [item | {"reason": None}]},
        {"feed": [item | {"post": "https://x"}]},
    ):  # fmt: skip
        with pytest.raises(Wrong):
            check(bad)


@pytest.mark.skipif(not LEXICONS.exists(), reason=f"no lexicons at {LEXICONS}")
def test_what_describes_the_service_fits_its_lexicon(world):
    nsid = "app.bsky.feed.describeFeedGenerator"
    status, _, raw = asyncio.run(world.ask(f"/xrpc/{nsid}"))
    assert status == 200
    lexicons = Lexicons(LEXICONS)
    lexicons.check(json.loads(raw), lexicons.output(nsid), nsid)
    assert len(json.loads(raw)["feeds"]) == len(FEEDS)


def test_each_feed_leads_each_viewer_from_page_to_page_to_an_end(world):
    """The pages that every kind of asker gets, on each kind of database."""
    check = checker()

    async def walk(name, who, language):
        seen, cursor = [], ""
        while True:
            query = f"feed={address(name)}&limit=23" + (f"&cursor={cursor}" if cursor else "")
            status, _, raw = await world.skeleton(query, who, language)
            body = json.loads(raw)
            if status == 401:
                assert (who, FEEDS[name].signed_out) == (None, "refuse")
                return None
            assert status == 200, raw
            check(body)
            seen += [item["post"] for item in body["feed"]]
            cursor = body.get("cursor", "")
            if not cursor:
                return seen

    async def all_of_them():
        askers = [(None, ""), (None, "de"), *[(viewer, "ja") for viewer in world.viewers]]
        for name in sorted(FEEDS):
            for who, language in askers:
                if (seen := await walk(name, who, language)) is not None:
                    assert len(set(seen)) == len(seen)
                    assert set(seen) <= {*world.alive, PIN}, name
                    if name not in ("empty", "or_new", "friends", "unseen"):
                        assert seen, (name, who, language)

    asyncio.run(all_of_them())


def test_a_cursor_that_nobody_was_given_is_refused(world):
    for name, cursor in (
        ("unseen", "s0.5.5"),
        ("new", "s0.5.5"),
        ("new", "e0.5.5"),
        ("tip", "e0.5.5"),
    ):
        query = f"feed={address(name)}&cursor={cursor}"
        status, _, raw = asyncio.run(world.skeleton(query, world.viewers[0]))
        assert (status, json.loads(raw)["error"]) == (400, "InvalidRequest"), (name, cursor)


def test_a_pin_that_is_gone_takes_nobodys_place(world):
    """A page of one post, as the app's first look at a feed."""
    pages = []
    for name in ("gone", "new"):
        status, _, raw = asyncio.run(world.skeleton(f"feed={address(name)}&limit=1"))
        assert status == 200
        pages.append(json.loads(raw))
    assert len(pages[0]["feed"]) == 1
    assert pages[0]["feed"] == pages[1]["feed"]
    assert pages[0]["cursor"].startswith(pages[1]["cursor"])


def test_all_that_plugins_may_need_of_a_viewer_is_loaded(world):
    """Each need by the name of its field, as plugins write it."""
    viewer, now = world.viewers[0], datetime.now(UTC)
    at = micros(now)
    world.store.viewers.save(viewer.did, {"followers": AUTHORS}, at, at + 10**12, "")
    done = [Interaction(event, world.alive[n]) for n, event in enumerate((SEEN, MORE, LESS))]
    world.store.interactions.add(viewer.did, done, at, 100)
    viewers = Viewers(SERVICE, world.store)
    for field in fields(Viewer)[1:]:
        loaded = viewers.load(viewer.did, frozenset({f"viewer.{field.name}"}), now)
        assert getattr(loaded, field.name), field.name
