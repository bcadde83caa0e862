"""Malformed and odd events and requests: each gets its own assertion, none ends anything.

The cases are those of `../shared/data/hostile.jsonl`; the test is skipped where that is absent.
Where a case leaves a choice, docs/decisions.md says what we chose. Below these: requests that no
client of ours would send, byte by byte, to the server as it is served.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from _plc import FakePLC
from test_serving_process import configure, fill, query, serving

from feedkit import Everything, Gravity, Keywords, Language, LinksTo, Newest, Regex
from feedkit.ingest import Ingest
from feedkit.settings import FeedConfig, Service
from feedkit.sources.decode import BadFrame, StreamNotice
from feedkit.sources.firehose_wire import firehose_frame
from feedkit.sources.jetstream_wire import jetstream_frame
from feedkit.sources.replay import Replay
from feedkit.store import open_store
from feedkit.web.app import create_app

SHARED = Path(os.environ.get("FEEDKIT_SHARED") or Path(__file__).resolve().parents[2] / "shared")
FILE = SHARED / "data" / "hostile.jsonl"

AUTHOR = "did:plc:44ybard66vv44zksje25o7dz"
URI = f"at://{AUTHOR}/app.bsky.feed.post/3mptbyoeyc22k"
SEEN = datetime.fromtimestamp(1783175888, UTC).replace(microsecond=85434)
CANARY = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3mptbyoeyc22k"

CASES = {}
if FILE.exists():
    for line in FILE.read_text("utf-8").splitlines():
        case = json.loads(line)
        CASES[case["id"]] = case


def canary():
    record = {
        "$type": "app.bsky.feed.post",
        "text": "still here",
        "createdAt": "2026-07-04T14:38:08Z",
    }
    commit = {"rev": "3mptbypcq372f", "operation": "create", "collection": "app.bsky.feed.post",
              "rkey": "3mptbyoeyc22k", "record": record, "cid": "bafyreiainko5un5pbcdosvxpbisjnjzemojnry6nsgtdftdgslbu37kxai"}  # fmt: skip
    return {
        "did": CANARY.split("/")[2],
        "time_us": 1783175888999999,
        "kind": "commit",
        "commit": commit,
    }


FILTERS = {
    "all": Everything(),
    "cafe": Keywords("café"),
    "feed": Keywords("feed"),
    "fediblock": Keywords("fediblock"),
    "family": Keywords("👨‍👩‍👧‍👦"),
    "english": Language("en"),
    "japanese": Language("ja"),
    "evil": LinksTo("evil.test"),
    "example": LinksTo("example.com"),
    "redos": Regex(r"(a+)+$"),
    "redos_spaces": Regex(r"(\w+\s?)*$"),
}


class Outcome:
    """What is left in a fresh store after the events of a case and one good event after them."""

    def __init__(self, case, folder):
        lines = [json.dumps(event).encode() for event in case.get("events", [])]
        if "event" in case:
            lines = [json.dumps(case["event"]).encode()]
        elif "raw" in case:
            lines = [case["raw"].encode()]
        elif "raw_b64" in case:
            lines = [base64.b64decode(case["raw_b64"])]
        self.lines = lines
        feeds = {
            name: FeedConfig(
                name=name, filter=filter, rank=Gravity() if name == "all" else Newest()
            )
            for name, filter in FILTERS.items()
        }
        self.service = Service("feeds.example.com", AUTHOR, "did:web:feeds.example.com", feeds)
        self.store = open_store(f"sqlite:///{folder}/feedkit.db")
        self.store.migrate()
        recorded = folder / "events.jsonl"
        recorded.write_bytes(b"\n".join([*lines, json.dumps(canary()).encode()]) + b"\n")
        self.source = Replay([str(recorded)], self.service.engagement)
        self.ingest = Ingest(self.service, self.store)
        self.ingest.run(self.source, threading.Event())

    def feeds(self, uri=URI):
        found = self.store.find_post(uri)
        return found.feeds if found else frozenset()

    @property
    def post(self):
        found = self.store.find_post(URI)
        assert found is not None, "the post is not stored"
        return found.post

    @property
    def uris(self):
        return {row.uri for row in self.store.newest("all", None, 100)} - {CANARY}


@pytest.fixture
def outcome(request, tmp_path):
    outcome = Outcome(CASES[request.param], tmp_path)
    yield outcome
    outcome.store.close()


def dropped(o):
    assert not o.uris


def stored(o):
    assert o.uris == {URI}


def sorted_by_seen(o):
    assert o.post.sort_at == SEEN


def check(**expected):
    def assertion(o):
        for name, value in expected.items():
            assert getattr(o.post, name) == value

    return assertion


def both(*assertions):
    def assertion(o):
        for each in assertions:
            each(o)

    return assertion


def in_feeds(*names):
    def assertion(o):
        asked = {name for name in o.feeds() if not name.startswith("redos")}
        assert asked == {"all", *names}

    return assertion


def notice(name, decode):
    def assertion(o):
        with pytest.raises(StreamNotice) as raised:
            decode(o.lines[0], frozenset({"app.bsky.feed.post"}))
        assert raised.value.name == name

    return assertion


def short_year(o):
    assert o.post.sort_at == datetime(1970, 1, 1, tzinfo=UTC)


def no_cursor_poisoned(o):
    dropped(o)
    cursor, time = o.store.cursor("replay")
    assert cursor == time == canary()["time_us"]


def recreated(o):
    texts = [
        e["commit"].get("record", {}).get("text") for e in CASES["recreate-same-rkey"]["events"]
    ]
    assert o.post.text == texts[-1]
    assert texts[-1] != texts[0]


def nothing_engaged(o):
    assert o.store.stats().engagements == 0


def rkey_opaque(o):
    event = CASES["rkey-not-tid"]["event"]
    uri = f"at://{event['did']}/app.bsky.feed.post/{event['commit']['rkey']}"
    assert o.uris == {uri}


def did_web(o):
    event = CASES["did-web"]["event"]
    assert o.uris == {f"at://{event['did']}/app.bsky.feed.post/3mptbyoeyc22k"}


def account_state(state):
    def assertion(o):
        event = next(e for e in (json.loads(line) for line in o.lines))
        late = canary()
        late["did"] = event["did"]
        frame = jetstream_frame(json.dumps(late).encode(), frozenset({"app.bsky.feed.post"}))
        batch = [(frame.events[0], frozenset({"all"}))]
        o.store.apply(batch, "replay", frame.cursor, frame.time, frozenset())
        found = o.store.find_post(frame.events[0].post.uri)
        if state == "gone":
            assert found is None
        else:
            assert found.hidden

    return assertion


def no_crash(o):
    assert o.ingest.counts["events"] >= 1


def firehose_too_big(o):
    dropped(o)  # as JSON it is no event at all; the firehose's own form is in test_decode.py


def bad_frame(o):
    dropped(o)
    with pytest.raises(BadFrame):
        jetstream_frame(o.lines[0], frozenset({"app.bsky.feed.post"}))


ASSERTIONS = {
    "time-far-future": sorted_by_seen,
    "time-year-0000": sorted_by_seen,
    "time-short-year": short_year,
    "time-9999-negative-offset": sorted_by_seen,
    "time-no-timezone": sorted_by_seen,
    "time-leap-second": sorted_by_seen,
    "time-9-digit-fraction": check(sort_at=datetime(2025, 12, 5, 10, 16, 59, 783492, UTC)),
    "time-not-a-string": dropped,
    "time-missing": dropped,
    "time_us-string": dropped,
    "time_us-huge": no_cursor_poisoned,
    "delete-before-create": stored,
    "delete-unknown": dropped,
    "recreate-same-rkey": recreated,
    "like-before-post": check(likes=0),
    "unlike": both(dropped, nothing_engaged),
    "repost-with-via": dropped,
    "utf8-invalid-bytes": dropped,
    "lone-surrogate": check(text="bad  end"),
    "nul-in-rkey": dropped,
    "zero-width-real": in_feeds("japanese"),
    "fullwidth": in_feeds("japanese", "feed"),
    "homoglyph-cyrillic": in_feeds("english"),
    "combining-flood": in_feeds("english"),
    "nfd-vs-nfc": in_feeds("english", "cafe"),
    "emoji-zwj": in_feeds("english", "family"),
    "text-3000-bytes": stored,
    "redos": stored,
    "redos-spaces": stored,
    "bigint-5000-digits": no_cursor_poisoned,
    "nan": no_cursor_poisoned,
    "dup-keys": check(text="second"),
    "record-null": dropped,
    "record-missing": dropped,
    "text-missing": dropped,
    "text-empty": check(text=""),
    "type-suffix": stored,
    "type-missing": dropped,
    "unknown-fields": stored,
    "cid-garbage": stored,
    "rkey-not-tid": rkey_opaque,
    "did-web": did_web,
    "did-bad": dropped,
    "op-unknown": dropped,
    "frame-not-object": bad_frame,
    "frame-empty": dropped,
    "langs-wrong": both(check(langs=("no",)), in_feeds()),
    "langs-region": in_feeds("english"),
    "langs-case": in_feeds("japanese"),
    "langs-many": in_feeds("english"),
    "langs-null": both(check(langs=()), in_feeds()),
    "facet-negative-length": stored,
    "facet-splits-utf8": stored,
    "facet-no-features": stored,
    "facet-hashtag-variant": check(tags=frozenset()),
    "facet-index-missing": stored,
    "entities-legacy": check(links=()),
    "embed-gallery": check(images=()),
    "embed-image-as-string": stored,
    "embed-alt-missing": stored,
    "embed-link-hostile": stored,
    "reply-self-cycle": stored,
    "self-labels": check(labels=frozenset({"porn"})),
    "account-takendown": account_state("hidden"),
    "account-deleted": account_state("gone"),
    "account-unknown-status": account_state("hidden"),
    "identity-no-handle": no_crash,
    "v2-error": notice("ConsumerTooSlow", jetstream_frame),
    "v2-info": notice("OutdatedCursor", jetstream_frame),
    "firehose-toobig": firehose_too_big,
    "firehose-error-frame": notice("FutureCursor", firehose_frame),
}

REQUESTS = {
    "req-00": (400, "UnknownFeed"),
    "req-01": (400, "InvalidRequest"),
    "req-03": (400, "InvalidRequest"),
    "req-04": (400, "InvalidRequest"),
    "req-06": (200, None),
    "req-07": (400, "InvalidRequest"),
    "req-09": (400, "InvalidRequest"),
    "req-10": (400, "InvalidRequest"),
    "req-12": (400, "UnknownFeed"),
}

missing = pytest.mark.skipif(not CASES, reason=f"no hostile events at {FILE}")


@missing
def test_every_case_has_an_assertion():
    assert CASES.keys() == ASSERTIONS.keys() | REQUESTS.keys()


@missing
@pytest.mark.parametrize("outcome", ASSERTIONS if CASES else [], indirect=True)
def test_event(outcome, request):
    assert outcome.store.find_post(CANARY) is not None, "the next event was lost"
    assert not outcome.ingest._matcher.errors
    ASSERTIONS[request.node.callspec.params["outcome"]](outcome)


@missing
@pytest.mark.parametrize("name", REQUESTS if CASES else [])
def test_request(name, tmp_path):
    outcome = Outcome({"events": []}, tmp_path)
    client = create_app(outcome.service, outcome.store).test_client()
    feed = f"at://{AUTHOR}/app.bsky.feed.generator/all"
    query = CASES[name]["query"]
    query = "" if query == "(no feed)" else query.replace("feed=F", f"feed={feed}")
    answer = client.get(f"/xrpc/app.bsky.feed.getFeedSkeleton?{query}")
    status, error = REQUESTS[name]
    assert answer.status_code == status, answer.text
    assert answer.get_json().get("error") == error
    outcome.store.close()


# ---- byte by byte


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    url = f"sqlite:///{folder}/feedkit.db"
    with pytest.MonkeyPatch.context() as patch, FakePLC().serving() as plc:
        for name in ("FEEDKIT_CONFIG", "FEEDKIT_LOG", "DATABASE_URL", "PORT", "WEB_CONCURRENCY"):
            patch.delenv(name, raising=False)
        fill(url)
        configure(folder, url, plc)
        with serving(folder) as process:
            yield process
            assert "Traceback" not in process.said


def ask(server, target, *headers, method=b"GET"):
    """Status, headers and body of the answer to a request as these bytes."""
    if isinstance(target, str):
        target = target.encode()
    lines = [method + b" " + target + b" HTTP/1.1", *headers, b"connection: close", b"", b""]
    if not any(line.lower().startswith(b"host:") for line in headers):
        lines.insert(1, b"host: feeds")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"\r\n".join(lines))
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    said = [line.partition(":") for line in rest]
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in said}, body


@pytest.mark.parametrize(
    "headers",
    [
        [b"connection: upgrade", b"connection: keep-alive", b"upgrade: websocket"],
        [b"host: [::1"],
        [b"accept-language: \xff;q=\xfe, */*;q=1e309"],
        [b"cookie: \x80=\x81", b"authorization: Bearer \xff"],
        [b"x-forwarded-proto: ws", b"x-forwarded-host: \xe4", b"forwarded: host=\xe4"],
    ],
    ids=["upgrade", "host", "language", "who", "forwarded"],
)
def test_no_header_spoils_the_page_that_all_share(server, headers, request):
    page = query("new", cursor=f"0.{10**16 + request.node.callspec.indices['headers']}.1")
    status, _, body = ask(server, page, *headers)  # the first who asks for this page
    assert (status, len(json.loads(body)["feed"])) == (200, 50)


@pytest.mark.parametrize("path", ["/why?", "/?", query("new") + "&"], ids=["why", "index", "page"])
@pytest.mark.parametrize("raw", [b"x=\x80", b"post=\xe9&feed=new"], ids=ascii)
def test_raw_bytes_in_a_query_are_refused(server, path, raw):
    """By gunicorn, or by Flask where gunicorn lets them through, see tests/test_web.py."""
    assert ask(server, path.encode() + raw)[0] == 400


def test_scripts_may_read_a_page_that_is_remembered_and_no_personal_one(server):
    origin = b"origin: https://a.example"
    for _ in range(2):  # made, then remembered
        _, headers, _ = ask(server, query("new", limit=7), origin)
        assert headers["access-control-allow-origin"] == "*"
    _, headers, _ = ask(server, query("friends"), origin)
    assert "access-control-allow-origin" not in headers
    wish = b"access-control-request-headers: atproto-accept-labelers"
    status, headers, body = ask(server, query("new"), origin, wish, method=b"OPTIONS")
    assert (status, body) == (200, b"")
    assert headers["access-control-allow-headers"] == "*"
    status, headers, _ = ask(server, query("new"), method=b"DELETE")
    assert (status, set(headers["allow"].split(", "))) == (405, {"GET", "HEAD", "OPTIONS"})
