"""What the app and people get over HTTP."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feedkit import Everything, Gravity, Newest, NotInterested, Pin, Spoken
from feedkit.event import PostWritten
from feedkit.post import Image, Post
from feedkit.ranking import take_snapshot
from feedkit.settings import FeedConfig, Service
from feedkit.store import open_store
from feedkit.web.app import create_app

PUBLISHER = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
SKELETON = "/xrpc/app.bsky.feed.getFeedSkeleton"
NOW = datetime.now(UTC)
SHARED = Path(os.environ.get("FEEDKIT_SHARED") or Path(__file__).resolve().parents[2] / "shared")


def feed(name, **settings):
    settings = {"filter": Everything(), "rank": Newest(), "display_name": name.title(), **settings}
    return FeedConfig(name=name, **settings)


SERVICE = Service(
    hostname="feeds.example.com",
    publisher=PUBLISHER,
    did="did:web:feeds.example.com",
    feeds={
        "new": feed("new", description="All <b>posts</b>."),
        "best": feed("best", rank=Gravity()),
        "pinned": feed("pinned", select=(Pin("at://did:plc:x/app.bsky.feed.post/pin"),)),
        "secret": feed("secret", served=False),
        "empty": feed("empty"),
        "theirs": feed("theirs", publisher="bob.example.com"),
    },
)
FULL = ("new", "best", "pinned", "secret", "theirs")


def uri(name, publisher=PUBLISHER):
    return f"at://{publisher}/app.bsky.feed.generator/{name}"


def fill(store, count=120):
    store.sync_feeds(dict.fromkeys(SERVICE.feeds, ""))
    batch = []
    for n in range(count):
        at = NOW - timedelta(seconds=n)
        post = Post(
            uri=f"at://did:plc:author{n % 7}/app.bsky.feed.post/{n}", author=f"did:plc:author{n % 7}",
            text=f"post {n} <script>alert(1)</script>", langs=("en",), images=(Image("x"),),
            created_at=at, seen_at=at, sort_at=at,
        )  # fmt: skip
        batch.append(
            (PostWritten(post, f"3{n:012}", True, int(at.timestamp() * 1e6)), frozenset(FULL))
        )
    store.apply(batch, "test", 1, int(NOW.timestamp() * 1e6), frozenset())
    take_snapshot(store, SERVICE.feeds["best"])


@pytest.fixture
def client(store):
    fill(store)
    return create_app(SERVICE, store).test_client()


def get(client, query, status=200):
    answer = client.get(f"{SKELETON}?{query}" if query else SKELETON)
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/json"
    assert "null" not in answer.text
    return answer.get_json()


@pytest.mark.parametrize("name", ["new", "best", "pinned"])
def test_pages_lead_through_the_whole_feed(client, name):
    found, cursor = [], ""
    while cursor is not None:
        body = get(client, f"feed={uri(name)}&limit=50&cursor={cursor}")
        assert body.keys() <= {"feed", "cursor"}
        assert len(body["feed"]) <= 50
        found += [item["post"] for item in body["feed"]]
        cursor = body.get("cursor")
    expected = 121 if name == "pinned" else 120
    assert len(found) == len(set(found)) == expected


def test_a_page_holds_fifty_posts_unless_asked_otherwise(client):
    assert len(get(client, f"feed={uri('new')}")["feed"]) == 50
    assert len(get(client, f"feed={uri('new')}&limit=1")["feed"]) == 1
    assert len(get(client, f"feed={uri('new')}&limit=100")["feed"]) == 100


def test_an_empty_feed_is_an_empty_list_without_a_cursor(client):
    assert get(client, f"feed={uri('empty')}") == {"feed": []}


def test_a_pin_says_so(client):
    first = get(client, f"feed={uri('pinned')}&limit=2")["feed"][0]
    reason = {"$type": "app.bsky.feed.defs#skeletonReasonPin"}
    assert first == {"post": "at://did:plc:x/app.bsky.feed.post/pin", "reason": reason}


@pytest.mark.parametrize(
    ("query", "error", "says"),
    [
        ("", "InvalidRequest", "feed is missing"),
        ("feed=", "InvalidRequest", "at:// URI"),
        ("feed=new", "InvalidRequest", "at:// URI"),
        (f"feed=https{uri('new')}", "InvalidRequest", "at:// URI"),
        (f"feed={uri('new')}/more", "InvalidRequest", "at:// URI"),
        (f"feed={uri('nothing')}", "UnknownFeed", "no feed"),
        (f"feed={uri('secret')}", "UnknownFeed", "no feed"),
        (f"feed={uri('new', 'did:plc:somebodyelse')}", "UnknownFeed", "no feed"),
        (f"feed=at://{PUBLISHER}/app.bsky.feed.post/new", "UnknownFeed", "no feed"),
        (f"feed={uri('theirs')}", "UnknownFeed", "no feed"),
        (f"feed={uri('new')}&limit=0", "InvalidRequest", "from 1 to 100"),
        (f"feed={uri('new')}&limit=101", "InvalidRequest", "from 1 to 100"),
        (f"feed={uri('new')}&limit=abc", "InvalidRequest", "from 1 to 100"),
        (f"feed={uri('new')}&limit=", "InvalidRequest", "from 1 to 100"),
        (f"feed={uri('new')}&limit=1e1", "InvalidRequest", "from 1 to 100"),
        (f"feed={uri('new')}&limit=٣", "InvalidRequest", "from 1 to 100"),
        (f"feed={uri('new')}&limit=5&limit=6", "InvalidRequest", "2 times"),
        (f"feed={uri('new')}&cursor=garbage", "InvalidRequest", "leave it out"),
        (f"feed={uri('new')}&cursor=%00", "InvalidRequest", "leave it out"),
        (f"feed={uri('new')}&cursor=%ff", "InvalidRequest", "leave it out"),
        (f"feed={uri('new')}&cursor={'9' * 6000}", "InvalidRequest", "too long"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_with_a_reason(client, query, error, says):
    body = get(client, query, 400)
    assert body.keys() == {"error", "message"}
    assert body["error"] == error
    assert says in body["message"]


def test_an_empty_cursor_is_the_first_page(client):
    assert get(client, f"feed={uri('new')}&cursor=") == get(client, f"feed={uri('new')}")


def test_describe_lists_the_served_feeds(client):
    body = client.get("/xrpc/app.bsky.feed.describeFeedGenerator").get_json()
    assert body["did"] == "did:web:feeds.example.com"
    feeds = [uri(name) for name in ("new", "best", "pinned", "empty")]
    assert body["feeds"] == [{"uri": each} for each in [*feeds, uri("theirs", "bob.example.com")]]


def test_a_publisher_by_handle_is_known_by_its_did_too(client, store):
    assert get(client, f"feed={uri('theirs', 'bob.example.com')}")["feed"]
    get(client, f"feed={uri('theirs', 'did:plc:bob')}", 400)
    store.identities.save("bob.example.com", "did:plc:bob", 1)
    assert get(client, f"feed={uri('theirs', 'did:plc:bob')}")["feed"]
    body = client.get("/xrpc/app.bsky.feed.describeFeedGenerator").get_json()
    assert body["feeds"][-1] == {"uri": uri("theirs", "did:plc:bob")}


def test_the_did_document_leads_to_this_service(client):
    body = client.get("/.well-known/did.json").get_json()
    assert body["id"] == "did:web:feeds.example.com"
    assert body["service"] == [
        {
            "id": "#bsky_fg",
            "type": "BskyFeedGenerator",
            "serviceEndpoint": "https://feeds.example.com",
        }
    ]


def test_a_service_with_a_did_of_its_own_serves_no_document(store):
    store.sync_feeds({})
    app = create_app(replace(SERVICE, did="did:plc:ewvi7nxzyoun6zhxrhs64oiz"), store)
    answer = app.test_client().get("/.well-known/did.json")
    assert (answer.status_code, answer.get_json()["error"]) == (404, "NotFound")


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("get", "/xrpc/app.bsky.feed.getTimeline", 501, "MethodNotImplemented"),
        ("post", "/xrpc/app.bsky.feed.sendInteractions", 401, "AuthMissing"),
        ("get", "/xrpc/app.bsky.feed.sendInteractions", 405, "InvalidRequest"),
        ("get", "/nothing", 404, "NotFound"),
        ("post", SKELETON, 405, "InvalidRequest"),
        ("get", "/static/../app.py", 404, "NotFound"),
        ("put", "/health", 405, "MethodNotAllowed"),
    ],
)
def test_other_paths_are_refused_as_json(client, method, path, status, error):
    answer = getattr(client, method)(path)
    assert (answer.status_code, answer.get_json()["error"]) == (status, error)


INTERACTIONS = "/xrpc/app.bsky.feed.sendInteractions"


@pytest.fixture
def bare(tmp_path):
    """Without a store, for what is refused before anybody looks there."""
    return create_app(SERVICE, open_store(f"sqlite:///{tmp_path}/none.db")).test_client()


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("POST", SKELETON, 405, "GET, HEAD, OPTIONS"),
        ("PUT", SKELETON, 405, "GET, HEAD, OPTIONS"),
        ("OPTIONS", SKELETON, 200, "GET, HEAD, OPTIONS"),
        ("GET", INTERACTIONS, 405, "OPTIONS, POST"),
        ("DELETE", "/health", 405, "GET, HEAD, OPTIONS"),
        ("POST", "/why", 405, "GET, HEAD, OPTIONS"),
        ("PUT", "/xrpc/app.bsky.feed.getTimeline", 405, "GET, HEAD, OPTIONS, POST"),
        ("POST", "/static/page.css", 405, "GET, HEAD, OPTIONS"),
    ],
)
def test_who_takes_the_wrong_method_is_told_the_right_one(bare, method, path, status, allowed):
    answer = bare.open(path, method=method)
    assert answer.status_code == status
    assert ", ".join(sorted(answer.headers["Allow"].split(", "))) == allowed
    if status == 405:
        assert answer.get_json().keys() == {"error", "message"}
        assert answer.headers.getlist("Content-Type") == ["application/json"]


def test_health_says_how_far_the_stream_was_read(client):
    body = client.get("/health").get_json()
    assert body["status"] == "ok"
    assert 0 <= body["streamLagSeconds"] < 3600
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", body["streamTime"])


def test_a_store_that_is_gone_is_503_with_a_reason(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/nowhere/feedkit.db")
    client = create_app(SERVICE, store).test_client()
    answer = client.get(f"{SKELETON}?feed={uri('new')}")
    assert answer.status_code == 503
    assert answer.get_json()["error"] == "Unavailable"
    assert answer.headers["Retry-After"]
    assert str(tmp_path) not in answer.text


def test_each_outage_is_said_in_the_log_not_each_request(tmp_path, monkeypatch, caplog):
    store = open_store(f"sqlite:///{tmp_path}/nowhere/feedkit.db")
    client = create_app(SERVICE, store).test_client()
    ask = lambda: client.get(f"{SKELETON}?feed={uri('best')}").status_code  # noqa: E731
    said = lambda: caplog.text.count("the store cannot be read")  # noqa: E731
    assert {ask() for _ in range(60)} == {503}
    assert said() == 2, "the first and the tenth"
    monkeypatch.setattr("feedkit.web.app.APART", 0.0)
    assert ask() == 503
    assert said() == 3, "another outage"


def test_a_writer_that_hangs_holds_up_no_page(tmp_path):
    """To read is free meanwhile; only the note that somebody asked must wait for it."""
    url = f"sqlite:///{tmp_path}/feedkit.db"
    with open_store(url) as store, open_store(url, timeout=2.0) as serving:
        store.migrate()
        fill(store)
        client = create_app(SERVICE, serving).test_client()

        def ask(name):
            began = time.monotonic()
            assert client.get(f"{SKELETON}?feed={uri(name)}").status_code == 200
            return time.monotonic() - began

        names = ("new", "best", "pinned", "empty")
        asked = "SELECT count(asked_at > 0 OR NULL) FROM feeds"
        with store.db.writing():
            assert max([ask(name) for name in names * 2]) < 1.0
        assert serving.db.rows(asked) == [(0,)]
        for name in names:
            ask(name)
        assert serving.db.rows(asked) == [(4,)], "each next request notes it"


RAW = [b"post=\x80&feed=new", b"feed=at://x/\xff", b"\xc3", b"x=\xed\xa0\x80"]


@pytest.mark.parametrize("raw", RAW, ids=ascii)
@pytest.mark.parametrize("path", ["/why", SKELETON, "/", "/health", "/nothing"])
def test_a_query_that_is_no_text_is_refused(bare, path, raw):
    answer = bare.get(path, environ_overrides={"QUERY_STRING": raw.decode("latin-1")})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "InvalidRequest")


def test_what_is_utf8_is_taken_though_it_is_not_escaped(client):
    raw = f"post=ä&feed={uri('new')}".encode().decode("latin-1")
    assert client.get(SKELETON, environ_overrides={"QUERY_STRING": raw}).status_code == 200


def test_a_bug_is_500_without_a_traceback(store, monkeypatch):
    store.sync_feeds(dict.fromkeys(SERVICE.feeds, ""))
    monkeypatch.setattr("feedkit.web.xrpc.serve", lambda *_: 1 / 0)
    client = create_app(SERVICE, store).test_client()
    answer = client.get(f"{SKELETON}?feed={uri('new')}")
    assert (answer.status_code, answer.get_json()["error"]) == (500, "InternalServerError")
    assert "Zero" not in answer.text


def test_the_page_lists_each_feed_with_its_newest_posts(client):
    page = client.get("/")
    assert page.status_code == 200
    text = page.text
    for name in ("New", "Best", "Pinned", "Empty"):
        assert f"<h2>{name}</h2>" in text
    assert "<h2>Secret</h2>" not in text
    assert "post 0 &lt;script&gt;" in text
    assert "<script>" not in text
    assert "All &lt;b&gt;posts" in text
    assert "Nothing here yet" in text
    assert "https://bsky.app/profile/did:plc:author0/post/0" in text
    with client.get("/static/page.css") as style:
        assert style.status_code == 200


@pytest.mark.skipif(not (SHARED / "protocol").exists(), reason=f"no lexicons at {SHARED}/protocol")
def test_answers_have_the_lexicons_keys(client):
    for path, query in (
        ("getFeedSkeleton", f"feed={uri('pinned')}"),
        ("describeFeedGenerator", ""),
    ):
        lexicon = next((SHARED / "protocol" / "lexicons").rglob(f"{path}.json"))
        main = json.loads(lexicon.read_text())["defs"]["main"]
        schema = main["output"]["schema"]
        body = client.get(f"/xrpc/app.bsky.feed.{path}?{query}").get_json()
        assert set(schema["required"]) <= body.keys() <= schema["properties"].keys()


def test_caches_on_the_way_are_told_whose_a_page_is(store):
    feeds = {
        "new": feed("new"),
        "mine": feed("mine", viewer=(NotInterested(),)),
        "spoken": feed("spoken", select=(Spoken(),)),
    }
    made = replace(SERVICE, feeds=feeds)
    store.sync_feeds(dict.fromkeys(feeds, ""))
    client = create_app(made, store).test_client()
    headers = {name: client.get(f"{SKELETON}?feed={uri(name)}").headers for name in feeds}
    assert headers["mine"]["Cache-Control"] == "private, no-store"
    assert headers["spoken"]["Vary"] == "Accept-Language"
    assert not {"Cache-Control", "Vary"} & set(headers["new"].keys())


ORIGIN, ALLOWED = "Access-Control-Allow-Origin", "Access-Control-Allow-Headers"


@pytest.fixture(scope="module")
def shared_and_own(tmp_path_factory):
    feeds = {
        "new": feed("new"),
        "mine": feed("mine", viewer=(NotInterested(),)),
        "spoken": feed("spoken", select=(Spoken(),)),
    }
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('cors')}/feedkit.db") as store:
        store.migrate()
        store.sync_feeds(dict.fromkeys(feeds, ""))
        yield create_app(replace(SERVICE, feeds=feeds), store).test_client()


@pytest.mark.parametrize(
    ("path", "status", "open_to_all"),
    [
        ("/.well-known/did.json", 200, True),
        ("/xrpc/app.bsky.feed.describeFeedGenerator", 200, True),
        (f"{SKELETON}?feed={uri('new')}", 200, True),
        (f"{SKELETON}?feed={uri('spoken')}", 200, True),
        (f"{SKELETON}?feed={uri('new')}&limit=0", 400, True),
        (f"{SKELETON}?feed={uri('nothing')}", 400, True),
        (SKELETON, 400, True),
        (f"{SKELETON}?feed={uri('mine')}", 200, False),
        (f"{SKELETON}?feed={uri('mine')}&limit=0", 400, False),
        (f"{SKELETON}?feed={uri('new')}&feed={uri('mine')}", 400, False),
        ("/health", 200, False),
        ("/metrics", 404, False),
        ("/", 200, False),
        ("/why", 200, False),
        ("/nothing", 404, False),
    ],
)
def test_scripts_of_any_site_may_read_what_is_for_all(shared_and_own, path, status, open_to_all):
    answer = shared_and_own.get(path, headers={"Origin": "https://a.example"})
    assert answer.status_code == status
    assert answer.headers.getlist(ORIGIN) == (["*"] if open_to_all else [])
    assert "Access-Control-Allow-Credentials" not in answer.headers
    asked = {
        "Origin": "https://a.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "atproto-accept-labelers, authorization",
    }
    preflight = shared_and_own.options(path, headers=asked)
    assert preflight.headers.getlist(ORIGIN) == (["*"] if open_to_all else [])
    if open_to_all:
        assert preflight.status_code == 200
        assert preflight.headers[ALLOWED] == "*", "all but Authorization, which must be named"
        assert preflight.headers["Access-Control-Allow-Methods"] == "GET, HEAD"


def test_what_viewers_tell_is_sent_from_no_script(shared_and_own):
    for answer in (shared_and_own.post(INTERACTIONS), shared_and_own.options(INTERACTIONS)):
        assert ORIGIN not in answer.headers
