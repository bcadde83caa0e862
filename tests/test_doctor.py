"""`feedkit doctor`: a service that is well on loopback, and each fault found and its remedy named."""

from __future__ import annotations

import json
import logging
import os
import socket
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from threading import Thread

import msgspec
import pytest
from _healthy import ALICE, NAMES, POST, SERVICE, Authority, World, uri
from _streams import sends, server, v2_post
from storing import written

from feedkit.cli import run
from feedkit.config import load_config
from feedkit.doctor import asking, database, stream, visit
from feedkit.doctor.checks import checks, examine
from feedkit.doctor.visit import Visit
from feedkit.heartbeat.figures import Job, Working
from feedkit.ranking import take_snapshot
from feedkit.store import open_store
from feedkit.store.heartbeats import Beat

NOWHERE = "http://127.0.0.1:9"  # the discard port: refuses
STREAM = "ws://127.0.0.1:9"
SECOND = 1_000_000
PATIENT = 60.0  # seconds


def now():
    return time.time_ns() // 1000


class Service:
    """A service that is well: its configuration, its store, the servers around it."""

    def __init__(self, world, folder, store_url):
        self.world, self.folder, self.url, self.stream = world, folder, store_url, STREAM
        self.more, self.publisher, self.hostname = "", "alice.test", "feeds.example.com"
        self.did = f", did: '{SERVICE}'"

    @property
    def source(self):
        return f"jetstream {self.stream}"

    def write(self):
        (self.folder / "config.yaml").write_text(
            f"service: {{hostname: {self.hostname}, publisher: {self.publisher}{self.did}}}\n"
            f"store: '{self.url}'\nstream: {{jetstream: {{url: '{self.stream}'}}}}\n"
            f"network: {{plc: '{self.world.url}', appview: '{self.world.url}'}}\n"
            "feeds:\n  plain: {filter: reply, display_name: plain}\n"
            f"  ranked: {{filter: reply, rank: gravity, display_name: ranked}}\n{self.more}"
        )
        return load_config(self.folder / "config.yaml", {})

    def fill(self, newest=None):
        """Posts, a ranking and a sign of life, as ingest and jobs leave them."""
        service = self.write()
        with open_store(self.url) as store:
            store.migrate()
            store.sync_feeds(dict.fromkeys(service.feeds, "x"))
            store.apply(
                [written("a", " ".join(NAMES), rev="3mptbypcq372f")],
                self.source, 7, now() if newest is None else newest, frozenset(),
            )  # fmt: skip
            take_snapshot(store, service.feeds["ranked"])
        self.beat()
        return self

    def beat(self, ago=1, **jobs):
        """What the process that does the jobs said so many seconds ago."""
        at, figures = now() - ago * SECOND, msgspec.json.encode(Working(jobs=jobs)).decode()
        with open_store(self.url) as store:
            store.heartbeats.save(Beat("jobs", "jobs", "here", 1, at, at, figures))

    def examine(self, *names, at="", longest=PATIENT, backfill=False):
        """What each check says, by its name and what it is about."""
        service = self.write()
        feeds = [service.feeds[name] for name in names] or service.feeds.values()
        looking = Visit(service, feeds, at, backfill)
        found = list(examine(looking, longest))
        assert [(one.name, one.about) for one in found] == [
            (check.name, check.about) for check in checks(looking)
        ]
        return {f"{one.name} {one.about}".rstrip(): one.verdict for one in found}

    def failed(self, *names, **how):
        """What is not well."""
        return {name: one for name, one in self.examine(*names, **how).items() if one.ok is False}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in [n for n in os.environ if n.startswith(("FEEDKIT_", "DATABASE_", "SSL_CERT"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(database, "ROOM", 0)  # this machine's disk may be as full as it likes
    for place, name in ((asking, "LONGEST"), (visit, "PATIENCE")):
        monkeypatch.setattr(place, name, PATIENT)  # and it as busy
    logging.getLogger("feedkit.sources").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("feedkit.sources").setLevel(logging.NOTSET)


@pytest.fixture
def world():
    made = World()
    with made.serving() as made.url:
        yield made


@pytest.fixture
def service(world, tmp_path):
    return Service(world, tmp_path, f"sqlite:///{tmp_path}/store.db").fill()


def test_a_service_that_is_well(world, tmp_path, store_url):
    made = Service(world, tmp_path, store_url).fill()
    found = made.examine()
    assert {name: one for name, one in found.items() if one.ok is not True} == {}
    assert {"hostname", "feed plain", "record ranked", "app ranked", "publisher alice.test"} < set(
        found
    )
    assert ("disk" in found) == store_url.startswith("sqlite")


def test_nothing_is_written(service):
    def content():
        with closing(sqlite3.connect(service.folder / "store.db")) as db:
            return list(db.iterdump())

    before = content()
    service.examine()
    assert content() == before
    files = {file.name for file in service.folder.iterdir()}
    assert files - {"store.db-shm", "store.db-wal"} == {"store.db", "config.yaml"}


# From the outside


@pytest.fixture
def authority(tmp_path):
    folder = tmp_path / "tls"
    folder.mkdir()
    return Authority(folder)


@pytest.mark.parametrize(
    ("how", "believed", "says", "remedy"),
    [
        ({"alone": True}, True, "the certificate is signed by itself alone", "Caddy does so"),
        ({"host": "other.example"}, True, "the certificate is for another name", "service: host"),
        ({"good_for": timedelta(days=-1)}, True, "the certificate has expired", "renew it"),
        ({}, False, "nobody whom one knows here has signed", "fullchain.pem"),
        ({"good_for": timedelta(hours=5)}, True, "is good for 5 hours more", "renew it"),
    ],
    ids=["self-signed", "other-name", "expired", "unknown-authority", "ends-soon"],
)
def test_certificates(service, authority, monkeypatch, how, believed, says, remedy):
    if believed:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with service.world.serving(authority.context(**how)) as service.world.endpoint:
        found = service.examine()
    assert found["hostname"].ok is False
    assert says in found["hostname"].said
    assert remedy in found["hostname"].remedy
    if "hours" not in says:
        assert (found["feed plain"].ok, "see hostname" in found["feed plain"].said) == (None, True)
    assert found["database"].ok
    assert found["record plain"].ok


def test_a_good_certificate(service, authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with service.world.serving(authority.context()) as service.world.endpoint:
        found = service.examine()
    assert found["hostname"].said.endswith("its certificate is good for 60 days")
    assert not [one for one in found.values() if one.ok is False]


def test_no_tls_where_it_should_be(service):
    found = service.failed(at=service.world.url.replace("http:", "https:"))
    assert list(found) == ["hostname"]
    assert "does not speak TLS" in found["hostname"].said
    assert "Caddy" in found["hostname"].remedy


def test_a_host_that_the_dns_does_not_know(service):
    found = service.failed(at="https://feeds.invalid")
    assert list(found) == ["hostname"]
    assert "DNS" in found["hostname"].said
    assert "feeds.invalid" in found["hostname"].said


def test_nothing_listens(service):
    service.world.endpoint = NOWHERE
    found = service.examine()
    assert "nothing listens at port 9" in found["hostname"].said
    assert "`feedkit serve`" in found["hostname"].remedy
    assert {found[name].ok for name in ("describe", "feed plain", "feed ranked")} == {None}
    assert found["app plain"].ok


def test_a_server_that_says_nothing_holds_up_nobody(service):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        service.world.endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = service.examine(longest=6)
    assert "no answer within 6 s" in found["hostname"].said
    assert "hangs" in found["hostname"].remedy
    assert found["database"].ok
    assert found["record plain"].ok


@pytest.mark.parametrize(
    ("answer", "says", "remedy"),
    [
        ((301, b"", {"location": "https://www.example.com/"}), "leads on to https://www", "follow"),
        ((502, b"<html>Bad Gateway"), "its proxy finds no feedkit", "$PORT"),
        ((200, b"<html>Hello"), "is no feedkit", "`feedkit serve`"),
        ((404, {"error": "NotFound"}), "is no feedkit: status 404", "proxy"),
        (
            (200, {"status": "store unavailable", "message": "it cannot be read"}),
            "says 'store unavailable': it cannot be read",
            "see database",
        ),
    ],
    ids=["redirect", "bad-gateway", "other-page", "not-found", "store"],
)
def test_something_else_answers(service, answer, says, remedy):
    service.world.answers["_health"] = answer
    found = service.failed()["hostname"]
    assert says in found.said
    assert remedy in found.remedy + found.said


def document(endpoint="https://feeds.example.com", did=SERVICE, kind="BskyFeedGenerator"):
    one = {"id": "#bsky_fg", "type": kind, "serviceEndpoint": endpoint}
    return {"id": did, "service": [one]}


@pytest.mark.parametrize(
    ("answer", "says", "remedy"),
    [
        ((404, {"message": "not found"}), "404 (not found) and no document", "check service: did"),
        ((200, document(did="did:plc:other")), "is of 'did:plc:other'", "service: hostname"),
        ((200, document(kind="Feeds")), "names no service #bsky_fg", "add it to the document"),
        ((200, {"id": SERVICE, "service": None}), "names no service #bsky_fg", "with the endpoint"),
    ],
    ids=["gone", "of-another", "other-type", "no-service"],
)
def test_the_document_of_the_service(service, answer, says, remedy):
    service.world.answers[SERVICE] = answer
    found = service.failed(at=service.world.url)["did"]
    assert says in found.said
    assert remedy in found.remedy


def test_a_did_web_and_its_document(service):
    service.did, own = "", "did:web:feeds.example.com"
    service.world.answers["did.json"] = 200, document("https://old.example.com", own)
    found = service.failed(at=service.world.url)["did"]
    assert "sends the app to https://old.example.com" in found.said
    service.world.answers["did.json"] = 200, document("https://feeds.example.com", SERVICE)
    found = service.failed(at=service.world.url)["did"]
    assert (SERVICE in found.said, "restart" in found.remedy) == (True, True)
    service.world.answers["did.json"] = 200, document(did=own)
    assert service.examine(at=service.world.url)["did"].ok


@pytest.mark.parametrize(
    ("answer", "says", "remedy"),
    [
        ((500, {"error": "Oops"}), "status 500 (Oops)", "`feedkit serve`"),
        ((200, {"did": "did:web:x", "feeds": []}), "is 'did:web:x'", "restart the web"),
        ((200, {"did": SERVICE, "feeds": [{"uri": uri("plain")}]}), "not offer ranked", "restart"),
        (
            (200, {"did": SERVICE, "feeds": [{"uri": uri(n)} for n in (*NAMES, "old")]}),
            "still offers old", "restart",
        ),
        (
            (200, {"did": SERVICE, "feeds": [{"uri": uri(n).replace(ALICE, "alice.test")} for n in NAMES]}),
            "under another account or a handle: at://alice.test/", "`feedkit worker`",
        ),
    ],
    ids=["error", "other-did", "lacks", "more", "by-handle"],
)  # fmt: skip
def test_what_is_offered(service, answer, says, remedy):
    service.world.answers["app.bsky.feed.describeFeedGenerator"] = answer
    found = service.failed()
    assert list(found) == ["describe"]
    assert says in found["describe"].said
    assert remedy in found["describe"].remedy


@pytest.mark.parametrize(
    ("date", "says"), [(-600, "10 minutes ahead of"), (2700, "45 minutes behind")]
)
def test_the_clock(service, date, says):
    service.world.date = date
    found = service.failed()
    assert list(found) == ["clock"]
    assert f"this machine's clock is {says} that of http://" in found["clock"].said
    assert "set-ntp" in found["clock"].remedy


@pytest.mark.parametrize(
    ("answer", "says", "remedy"),
    [
        ((200, {"feed": [], "cursor": None}), "its cursor or reqId is no text", "report"),
        ((200, {"feed": [{"post": "at://alice.test/app.bsky.feed.post/3"}]}), "is no address", ""),
        ((200, {"feed": [{"post": POST}] * 2}), "it has 2 posts", "report"),
        ((200, {"feeds": []}), "no list `feed`", "report"),
        ((200, b"{}", {"content-type": "text/html"}), "not JSON", "report"),
        ((400, {"error": "UnknownFeed"}), "does not know at://did:plc:alice", "restart the web"),
        ((500, {"error": "InternalServerError", "message": "x"}), "ServerError: x", "the log"),
        ((200, {"feed": []}), "but without a post", "`feedkit show ranked`"),
    ],
    ids=["null", "handle", "too-many", "no-list", "html", "unknown", "broken", "empty"],
)
def test_the_probe_of_a_feed(service, answer, says, remedy):
    service.world.answers["app.bsky.feed.getFeedSkeleton"] = answer
    found = service.failed("ranked")
    assert list(found) == ["feed ranked"]
    assert says in found["feed ranked"].said
    assert remedy in found["feed ranked"].remedy


def test_a_feed_for_the_signed_in_may_refuse(service):
    service.more = (
        "  mine: {filter: reply, display_name: mine, viewer: follows, signed_out: refuse}\n"
    )
    refusal = 401, {"error": "AuthMissing", "message": "sign in"}
    service.world.answers["app.bsky.feed.getFeedSkeleton"] = refusal
    found = service.examine("mine")
    assert (found["feed mine"].ok, "refuses" in found["feed mine"].said) == (True, True)
    assert service.failed("plain")["feed plain"].said.startswith("answers with status 401")


# The store


def test_no_database_and_none_is_made(service):
    service.url = f"sqlite:///{service.folder}/none.db"
    found = service.examine()
    assert "there is no such file" in found["database"].said
    assert found["database"].remedy == "run `feedkit migrate`"
    assert {found[name].ok for name in ("writing", "disk", "stream", "gaps", "jobs", "posts")} == {
        None
    }
    assert found["feed plain"].ok
    assert not (service.folder / "none.db").exists()


def test_a_server_of_postgresql_that_is_away(service):
    pytest.importorskip("psycopg")
    service.url = "postgresql://me:secret@127.0.0.1:9/feeds"
    found = service.examine()
    assert "the server cannot be reached" in found["database"].said
    assert "secret" not in str(found)
    assert found["record plain"].ok


@pytest.mark.parametrize(("change", "says"), [("- 1", "run `feedkit migrate`"), ("+ 1", "upgrade")])
def test_tables_of_another_version(world, tmp_path, store_url, change, says):
    made = Service(world, tmp_path, store_url).fill()
    with open_store(store_url) as store:
        newest = "(SELECT max(version) FROM schema_versions)"
        store.db.run(
            f"DELETE FROM schema_versions WHERE version = {newest}" if change == "- 1"
            else f"UPDATE schema_versions SET version = version + 1 WHERE version = {newest}"
        )  # fmt: skip
    found = made.failed()
    assert list(found) == ["database"]
    assert says in found["database"].remedy


def test_a_database_that_cannot_be_written(world, tmp_path, store_url):
    made = Service(world, tmp_path, store_url).fill()
    if store_url.startswith("sqlite"):
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            found = made.failed()
            other.execute("ROLLBACK")
        says = ("another program holds its lock", "Close it")
    else:
        made.url = store_url.replace("options=", "options=-cdefault_transaction_read_only%3Don%20")
        found = made.failed()
        says = ("the server is read-only", "Connect to the primary")
    assert list(found) == ["writing"]
    assert says[0] in found["writing"].said
    assert says[1] in found["writing"].said + found["writing"].remedy


def test_a_journal_that_is_not_wal(service):
    with closing(sqlite3.connect(service.folder / "store.db")) as db:
        db.execute("PRAGMA journal_mode = delete")
    found = service.failed()
    assert list(found) == ["database"]
    assert "'delete'" in found["database"].said
    assert "`feedkit migrate`" in found["database"].remedy


def test_too_little_room(service, monkeypatch):
    monkeypatch.setattr(database, "ROOM", 10**18)
    found = service.failed()
    assert list(found) == ["disk"]
    assert "keep:" in found["disk"].remedy
    assert " free beside a database of " in found["disk"].said


def test_feeds_without_posts_and_feeds_that_nobody_registered(service):
    service.more = "  empty: {filter: reply, display_name: empty}\n"
    found = service.failed("empty")
    assert found["posts"].said == "the store does not know empty"
    assert "`feedkit worker`" in found["posts"].remedy
    with open_store(service.url) as store:
        store.sync_feeds({"empty": "x"})
    service.world.answers["app.bsky.feed.getFeedSkeleton"] = 200, {"feed": []}
    found = service.examine("empty")
    assert (found["posts"].ok, found["posts"].said) == (False, "no posts in empty")
    assert "`feedkit why --text 'such a post' empty`" in found["posts"].remedy
    assert "backfill" not in found["posts"].remedy
    assert (found["feed empty"].ok, "see posts" in found["feed empty"].said) == (True, True)
    remedy = service.failed("empty", backfill=True)["posts"].remedy
    assert "`feedkit backfill empty --stream 24h`" in remedy


# Stream and jobs


def test_a_stream_of_which_nothing_was_read(service):
    service.stream = "ws://127.0.0.1:10"
    found = service.failed()
    assert list(found) == ["stream"]
    assert "nothing was read from jetstream ws://127.0.0.1:10 yet" in found["stream"].said
    assert "`feedkit worker`" in found["stream"].remedy


def test_a_stream_that_is_away(world, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "WATCHED", 1.0)
    made = Service(world, tmp_path, f"sqlite:///{tmp_path}/store.db").fill(now() - 3600 * SECOND)
    found = made.failed()
    assert list(found) == ["stream"]
    assert "the stream is away: http://127.0.0.1:9: nothing listens" in found["stream"].said
    assert "check stream: url" in found["stream"].remedy


def test_an_ingest_that_hangs_and_a_quiet_network(world, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "WATCHED", 1.0)
    made = Service(world, tmp_path, f"sqlite:///{tmp_path}/store.db")
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - 1800))
    with server(sends(v2_post(7, at))) as quiet:
        made.stream = quiet.url
        made.fill(now() - 3600 * SECOND)
        found = made.examine()["stream"]
    assert (found.ok, "the network is quiet; " in found.said) == (None, True)
    monkeypatch.setattr(stream, "WATCHED", PATIENT)
    with server(sends(v2_post(7, at), v2_post(8, at))) as busy:
        made.stream = busy.url
        made.fill(now() - 3600 * SECOND)
        found = made.failed()
    assert list(found) == ["stream"]
    assert "ingest is 30 minutes behind the stream" in found["stream"].said
    assert "`feedkit ingest`" in found["stream"].remedy


def test_a_stream_whose_clock_is_ahead(world, tmp_path):
    made = Service(world, tmp_path, f"sqlite:///{tmp_path}/store.db").fill(now() + 3600 * SECOND)
    found = made.failed()
    assert list(found) == ["stream"]
    assert "its clock is 60 minutes ahead of this machine's" in found["stream"].said
    assert "timedatectl" in found["stream"].remedy


def test_gaps(service):
    with open_store(service.url) as store:
        store.add_gap("x", 0, now() - 3 * 86_400 * SECOND, "long ago", now() - 2 * 86_400 * SECOND)
        assert service.examine()["gaps"].ok
        end = now() - 60 * SECOND
        store.add_gap("jetstream x", end - 600 * SECOND, end, "it forgot", now())
    found = service.failed()
    assert list(found) == ["gaps"]
    assert found["gaps"].said.startswith("10 minutes up to 20")
    assert found["gaps"].said.endswith("of jetstream x: it forgot")
    assert "`feedkit worker`" in found["gaps"].remedy
    assert "`feedkit backfill --gaps`" in service.failed(backfill=True)["gaps"].remedy
    with open_store(service.url) as store:
        store.backfills.mark_filled([gap.id for gap in store.backfills.open_gaps()], now())
    assert service.examine()["gaps"].ok


def overdue(service):
    with open_store(service.url) as store:
        store.db.run("UPDATE versions SET created_at = ?", (now() - 3600 * SECOND,))
        store.mark_asked("ranked", now())


def test_jobs_that_do_nothing(service, monkeypatch):
    monkeypatch.setattr(stream, "TURN", 0.5)
    overdue(service)
    found = service.failed()
    assert list(found) == ["jobs"]
    assert (
        "rankings are overdue: ranked; the newest of them is 60 minutes old" in found["jobs"].said
    )
    assert "`feedkit jobs`" in found["jobs"].remedy
    assert service.examine("plain")["jobs"].ok, "nothing of this one is ranked"


@pytest.mark.parametrize(
    ("ago", "jobs", "says", "remedy"),
    [
        (7200, {}, "the jobs were last heard of 2 hours ago", "start `feedkit worker`"),
        (1, {"rank": Job(), "prune": Job(failing=1, problem="OSError: x")}, "prune failed once: OSError: x", "log"),
        (1, {"tidy": Job(failing=2), "rank": Job(failing=3, problem="y")},
         "the job rank failed 3 times in a row: y; also tidy", "the log of `feedkit jobs`"),
    ],
    ids=["gone", "once", "several"],
)  # fmt: skip
def test_jobs_that_are_gone_or_fail(service, ago, jobs, says, remedy):
    service.beat(ago, **jobs)
    for names in ((), ("plain",)):  # where nothing is ranked nothing grows old
        found = service.failed(*names)
        assert list(found) == ["jobs"]
        assert says in found["jobs"].said
        assert remedy in found["jobs"].remedy


def test_jobs_that_nobody_does(service):
    with open_store(service.url) as store:
        store.heartbeats.forget("jobs", "jobs")
    found = service.failed("plain")
    assert list(found) == ["jobs"]
    assert (found["jobs"].said, "`feedkit jobs`" in found["jobs"].remedy) == (
        "the jobs are done by nobody",
        True,
    )


def test_jobs_at_work(service, monkeypatch):
    monkeypatch.setattr(stream, "TURN", PATIENT)
    overdue(service)
    loaded = service.write()

    def work():
        time.sleep(1)
        with open_store(service.url) as store:
            take_snapshot(store, loaded.feeds["ranked"])

    thread = Thread(target=work)
    thread.start()
    found = service.examine()["jobs"]
    thread.join()
    assert found.ok


# Publishers, records, the app


def test_a_publisher_whom_nobody_knows(service):
    service.publisher = "nobody.test"
    found = service.examine()
    said = found["publisher nobody.test"].said
    assert said.startswith(f"{service.world.url} does not know this handle"), "its name comes once"
    assert "write the account's DID" in found["publisher nobody.test"].remedy
    assert found["publisher nobody.test"].ok is False
    assert {found[name].ok for name in ("record plain", "app plain", "feed plain")} == {None}
    assert "see publisher" in found["record plain"].said


def test_an_appview_that_is_away_is_nobodys_fault(service):
    service.write()
    text = (service.folder / "config.yaml").read_text()
    text = text.replace(f"appview: '{service.world.url}'", f"appview: '{NOWHERE}'")
    (service.folder / "config.yaml").write_text(text)
    loaded = load_config(service.folder / "config.yaml", {})
    found = {one.name: one.verdict for one in examine(Visit(loaded, loaded.feeds.values()))}
    assert (found["publisher"].ok, found["record"].ok, found["app"].ok) == (None, None, None)
    assert "check the connection" in found["publisher"].remedy
    assert found["database"].ok


def test_records(service):
    service.world.records["ranked"]["did"] = "did:web:old.example.com"
    found = service.failed()
    assert list(found) == ["record ranked"]
    assert "leads to the service 'did:web:old.example.com'" in found["record ranked"].said
    assert "run `feedkit publish ranked`" in found["record ranked"].remedy

    service.world.records["ranked"] |= {"did": SERVICE, "displayName": "Before"}
    found = service.failed()["record ranked"]
    assert "display_name: «Before» → «ranked»" in found.said
    assert "`feedkit publish ranked`" in found.remedy

    record = service.world.records.pop("ranked")
    found = service.failed()
    assert "has no record of it" in found["record ranked"].said
    service.world.records |= {"ranked": {**record, "displayName": "ranked"}, "gone": record}
    found = service.failed()
    assert list(found) == ["records"]
    assert found["records"].remedy.startswith("run `feedkit unpublish gone`")
    service.world.records.clear()
    found = service.examine()
    assert (found["record plain"].ok, found["app plain"].ok) == (None, None)
    assert found["record plain"].said == "not published yet"


def test_a_feed_that_rests_keeps_its_record(service):
    service.more = "  resting: {filter: reply, display_name: resting, served: no}\n"
    service.world.records["resting"] = {**service.world.records["plain"], "displayName": "x"}
    found = service.examine("plain")["records"]
    assert (found.ok, found.remedy) == (True, "")
    assert found.said == "none of a feed that is gone; resting rests (served: no)"


def test_one_account_by_two_names(service):
    service.more = (
        f"  mine: {{filter: reply, display_name: mine, publisher: '{ALICE}'}}\n"
        f"  off: {{filter: reply, display_name: off, served: no, publisher: '{ALICE}'}}\n"
    )
    for name in ("mine", "off"):
        service.world.records[name] = {**service.world.records["plain"], "displayName": name}
    found = service.examine("plain", "mine")["records"]
    assert (found.ok, found.said) == (True, "none of a feed that is gone; off rests (served: no)")


def test_a_record_in_the_account_that_had_the_feed_is_named_by_its_address(service):
    """By the feed's name `unpublish` would delete the record that the other account now has."""
    bob = "did:plc:bob234567abcdefghijklm2a"
    service.more = f"  given: {{filter: reply, display_name: given, publisher: '{bob}'}}\n"
    service.world.records["given"] = service.world.records["plain"]
    service.world.answers[bob] = (
        200,
        {
            **service.world.document(bob, "#atproto_pds", "AtprotoPersonalDataServer", NOWHERE),
        },
    )
    found = service.failed("plain")
    assert list(found) == ["records"]
    assert f"`feedkit unpublish {uri('given')}`" in found["records"].remedy


@pytest.mark.parametrize(
    ("skeleton", "says", "remedy"),
    [
        ({"feed": [{"post": POST}] * 3}, "shows none of the feed's first 3 posts", "`feedkit show plain`"),
        ({"feed": []}, "without a post, as the service has none", ""),
        (None, "what the service answers see feed", ""),
    ],
    ids=["hidden", "empty", "unreached"],
)  # fmt: skip
def test_an_app_that_shows_nothing(service, skeleton, says, remedy):
    service.world.answers["app.bsky.feed.getFeed"] = 200, {"feed": []}
    if skeleton is None:
        service.world.endpoint = NOWHERE
    service.world.answers["app.bsky.feed.getFeedSkeleton"] = 200, skeleton
    found = service.examine("plain")["app plain"]
    assert found.ok is None
    assert says in found.said
    assert remedy in found.remedy


@pytest.mark.parametrize(
    ("method", "answer", "ok", "says"),
    [
        ("getFeedGenerator", (400, {"message": "could not find feed"}), False, "find feed"),
        ("getFeedGenerator", (200, {"view": {"did": "did:web:x"}}), False, "'did:web:x'"),
        ("getFeedGenerator", (429, {"error": "RateLimitExceeded"}), None, "RateLimit"),
        ("getFeed", (502, {"message": "feed unavailable"}), False, "feed unavailable"),
        ("getFeed", (503, {}), None, "status 503"),
    ],
    ids=["unknown", "other-did", "busy", "unavailable", "down"],
)
def test_what_the_app_makes_of_it(service, method, answer, ok, says):
    service.world.answers[f"app.bsky.feed.{method}"] = answer
    found = service.examine("plain")["app plain"]
    assert found.ok is ok
    assert says in found.said
    if ok is False:
        assert found.remedy


def test_a_check_with_a_mistake_does_not_stop_the_others(service, monkeypatch):
    monkeypatch.setattr(Visit, "filled", lambda self: 1 / 0)
    found = service.failed()
    assert list(found) == ["posts"]
    assert "the check itself failed: ZeroDivisionError" in found["posts"].said


# The command


@pytest.fixture
def feedkit(capfd, service, monkeypatch):
    monkeypatch.chdir(service.folder)

    def command(*words):
        service.write()
        code = run(["doctor", *words])
        out, err = capfd.readouterr()
        assert err == "" or out == ""
        return code, out or err

    return command


def test_the_command(feedkit, service):
    code, told = feedkit()
    assert code == 0
    assert "✓ record plain: at://did:plc:alice" in told
    assert told.endswith("\n19 checks, 0 failed\n")
    service.world.records["ranked"]["did"] = "did:web:old.example.com"
    service.world.slow["com.atproto.repo.listRecords"] = 0.5
    code, told = feedkit()
    assert code == 1
    assert "✗ record ranked: it leads to the service 'did:web:old" in told
    assert "\n    → run `feedkit publish ranked`, which brings it here" in told
    assert feedkit("plain")[0] == 0
    assert feedkit("plian")[0] == 1
    assert feedkit("--at", "feeds.example.com")[0] == 2


def test_the_command_for_machines(feedkit, service):
    service.world.endpoint = NOWHERE
    code, told = feedkit("--json", "plain")
    found = json.loads(told)
    assert (code, found["ok"]) == (1, False)
    checks = {(one["check"], one["about"]): one for one in found["checks"]}
    assert checks["hostname", ""]["ok"] is False
    assert checks["hostname", ""]["remedy"].startswith("start the web process")
    assert checks["feed", "plain"]["ok"] is None
    assert set(checks["clock", ""]) == {"check", "about", "ok", "said", "remedy"}


def test_many_feeds_that_are_well_are_counted(feedkit, service):
    names = [f"f{number}" for number in range(25)]
    service.more = "".join(f"  {n}: {{filter: reply, display_name: {n}}}\n" for n in names)
    service.world.names += names
    for name in names:
        service.world.records[name] = {**service.world.records["plain"], "displayName": name}
    with open_store(service.url) as store:
        store.sync_feeds(dict.fromkeys(names, "x"))
        store.apply([written("b", " ".join(names), rev="3mptbypcq372g")], "x", 1, 0, frozenset())
    service.world.records["f7"]["did"] = "did:web:x"
    code, told = feedkit()
    assert code == 1
    assert "✗ record f7" in told
    assert "record f8" not in told
    assert "✓ 26 more checks of record" in told
    assert "✓ 27 more checks of feed" in told
