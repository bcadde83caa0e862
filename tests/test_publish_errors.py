"""What servers seldom do, done by one on loopback: each time publishing says what and what to do."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from feedkit.cli import run
from feedkit.publish.errors import PublishError
from feedkit.publish.plan import Stored
from feedkit.publish.publishers import Publisher, check_service, find_publishers, resolve_handles
from feedkit.publish.repo import PAGE, Repo
from feedkit.settings import Network, Service

ALICE = "did:plc:alice234567abcdefghijkl2"
NOWHERE = "http://127.0.0.1:9"  # the discard port: refuses
RECORD = {"$type": "app.bsky.feed.generator", "did": "did:web:x", "note": [1, None]}


class Server:
    """PLC, AppView and PDS of one account. `answers`: (status, body, headers) by the end of the
    path, in place of the right answer. `asked`: path and body of every request."""

    def __init__(self):
        self.answers, self.asked, self.records, self.url = {}, [], 3, ""

    def document(self, pds, **more):
        service = {
            "id": "#atproto_pds",
            "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": pds,
        }
        return {"id": ALICE, "service": [service], **more}

    def answer(self, path, query):
        for end, answer in self.answers.items():
            if path.endswith(end):
                return answer
        match path.rpartition("/")[2]:
            case "com.atproto.identity.resolveHandle":
                return 200, {"did": ALICE}, {}
            case "com.atproto.server.createSession":
                session = {
                    "did": ALICE,
                    "handle": "alice.test",
                    "accessJwt": JWT,
                    "refreshJwt": JWT,
                }
                return 200, session, {}
            case "com.atproto.repo.listRecords":
                start = int(query.get("cursor", ["0"])[0])
                some = [
                    {
                        "uri": f"at://{ALICE}/app.bsky.feed.generator/f{n}",
                        "cid": f"bafy{n}",
                        "value": RECORD,
                    }
                    for n in range(start, min(start + PAGE, self.records))
                ]
                more = {"cursor": str(start + PAGE)} if start + PAGE < self.records else {}
                return 200, {"records": some, **more}, {}
            case name if name == ALICE:
                return 200, self.document(self.url), {}
        return 404, {"error": "NotFound"}, {}


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln"  # for ever


@pytest.fixture
def server():
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True  # else an answer in two writes takes 40 ms

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            parts = urlsplit(self.path)
            made.asked.append((parts.path, body))
            status, answer, headers = made.answer(parts.path, parse_qs(parts.query))
            sent = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            headers = {"content-type": "application/json", **headers}
            for name, value in {**headers, "content-length": str(len(sent))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    yield made
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def network(server):
    return Network(plc=server.url, appview=server.url)


@pytest.fixture
def repo(server):
    with Repo(Publisher(ALICE, server.url, ("alice.test",))) as made:
        yield made


def refused(call, *arguments, **more):
    with pytest.raises(PublishError) as error:
        call(*arguments, **more)
    assert "hunter2" not in str(error.value)
    return str(error.value)


def error(status, name, message="", **headers):
    return status, {"error": name, "message": message}, headers


# Who and where


def test_two_names_of_one_account(network, server):
    found = find_publishers(["alice.test", ALICE], network)
    assert found["alice.test"] is found[ALICE]
    assert found[ALICE] == Publisher(ALICE, server.url, ("alice.test", ALICE))


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"resolveHandle": error(400, "InvalidRequest", "Unable to resolve handle")}, "does not know this handle; check its spelling under publisher:"),
        ({"resolveHandle": error(500, "Broken")}, "cannot find out who alice.test is: "),
        ({ALICE: error(404, "NotFound")}, "knows no such account"),
        ({ALICE: error(500, "Broken")}, "answered with status 500 and no document"),
        ({ALICE: (200, b"not JSON", {})}, "answered with status 200 and no document"),
        ({ALICE: (200, {"id": "did:plc:other"}, {})}, "no document of did:plc:alice"),
        ({ALICE: (200, {"id": ALICE, "service": []}, {})}, "names no PDS"),
        ({ALICE: (200, [], {})}, "no document"),
    ],
    ids=range(8),
)  # fmt: skip
def test_an_account_that_cannot_be_found(server, network, answers, says):
    server.answers = answers
    assert says in refused(find_publishers, ["alice.test"], network, pause=0.01)


def test_the_network_is_away(server):
    away = Network(plc=NOWHERE, appview=server.url)
    assert "check the connection and network: plc" in refused(find_publishers, [ALICE], away)
    away = Network(plc=server.url, appview=NOWHERE)
    said = refused(resolve_handles, ["bob.test"], away, pause=0.01)
    assert "name another AppView under network: appview" in said


def test_a_password_goes_over_https_but_on_a_private_network(server, monkeypatch):
    import httpx

    document = server.document("http://pds.example.com")
    monkeypatch.setattr(
        "httpx.get", lambda *_, **__: httpx.Response(200, json=document)
    )  # nobody here answers as https
    said = refused(find_publishers, [ALICE], Network(plc="https://plc.example.com"))
    assert "without https; feedkit sends no password there" in said
    private = Network(plc="http://plc.example.com")
    assert find_publishers([ALICE], private)[ALICE].pds == "http://pds.example.com"


@pytest.mark.parametrize("did", ["did:key:zQ3sh", "did:web:example.com:path"])
def test_accounts_of_other_kinds(network, did):
    assert "accounts are did:plc:… or did:web:HOSTNAME" in refused(find_publishers, [did], network)


def test_a_did_web_is_asked_at_its_host(network, server):
    host = server.url.rpartition(":")[2]
    did = f"did:web:localhost%3A{host}"
    document = {**server.document("http://localhost:1/"), "id": did}
    server.answers = {"/.well-known/did.json": (200, document, {})}
    assert find_publishers([did], network)[did].pds == "http://localhost:1"


def test_a_service_on_ones_own_machine():
    here = Service("localhost:8000", "alice.test", "did:web:localhost%3A8000", {})
    assert "write the host name under which the internet does" in refused(check_service, here)
    check_service(
        Service("localhost", "a.test", "did:web:localhost", {}, network=Network(plc=NOWHERE))
    )


def test_a_service_that_is_a_did_plc_names_its_endpoint(server, network):
    service = Service("feeds.example.com", "alice.test", ALICE, {}, network=network)
    assert "add it with the endpoint https://feeds.example.com" in refused(check_service, service)
    entry = {"id": "#bsky_fg", "type": "BskyFeedGenerator", "serviceEndpoint": "https://x.example"}
    server.answers = {ALICE: (200, {"id": ALICE, "service": [entry]}, {})}
    check_service(service)


# Reading


def test_records_are_read_to_the_last_page_with_all_that_is_in_them(repo, server):
    server.records = 2 * PAGE + 1
    records = repo.records()
    assert len(records) == 2 * PAGE + 1
    assert records["f200"] == Stored("bafy200", RECORD)


def test_what_is_no_record_is_passed_over(repo, server):
    odd = [
        None,
        {},
        {"uri": 1, "cid": "x", "value": {}},
        {"uri": "at://x/y/z", "cid": "c", "value": {}},
    ]
    server.answers = {"listRecords": (200, {"records": odd}, {})}
    assert repo.records() == {"z": Stored("c", {})}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((200, {"records": None}, {}), "gave no list of its feeds"),
        ((200, [], {}), "gave no list of its feeds"),
        ((200, b"{", {}), "gave no sensible answer"),
        ((200, b"hello", {"content-type": "text/plain"}), "gave no list of its feeds"),
        ((502, b"<html>", {"content-type": "text/html"}), "status 502; try again later"),
        (error(400, "RepoTakendown", "gone\nfor ever"), "the account is not active (gone for ever)"),
        (error(400, "InvalidRequest", "Could not find repo: x"), "has no repository of the account"),
        (error(400, "Other", "what else"), "refuses to list its feeds: status 400, Other (what else)"),
    ],
    ids=range(8),
)  # fmt: skip
def test_odd_answers(repo, server, answer, says):
    server.answers = {"listRecords": answer}
    assert says in refused(repo.records)


def test_a_pds_that_is_away():
    with Repo(Publisher(ALICE, NOWHERE, ("alice.test",))) as repo:
        said = refused(repo.records)
    assert said.startswith("alice.test: its PDS http://127.0.0.1:9 cannot be reached (")
    assert said.endswith("check the connection and try again later")


# One account by two names


@pytest.fixture
def publish(server, tmp_path, monkeypatch, capfd):
    """`feedkit publish` with these feeds, by alice.test, who has a record of `off`: what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEEDKIT_APP_PASSWORD", "hunter2")
    monkeypatch.delenv("FEEDKIT_CONFIG", raising=False)
    ours = {"$type": "app.bsky.feed.generator", "did": "did:web:feeds.example.com"}
    there = {"uri": f"at://{ALICE}/app.bsky.feed.generator/off", "cid": "bafy", "value": ours}
    server.answers = {
        "listRecords": (200, {"records": [there]}, {}),
        "putRecord": (200, {"uri": "at://x", "cid": "bafy"}, {}),
    }

    def command(feeds, *words):
        (tmp_path / "config.yaml").write_text(
            "service: {hostname: feeds.example.com, publisher: alice.test}\n"
            f"network: {{plc: '{server.url}', appview: '{server.url}'}}\nfeeds:\n{feeds}"
        )
        code = run(["publish", "--yes", *words])
        told = "".join(capfd.readouterr())
        assert code == 0, told
        return told

    return command


def test_the_services_password_is_its_publishers_by_any_name(publish, server):
    told = publish(f"  linux: {{filter: reply, publisher: '{ALICE}'}}\n", "linux")
    assert f"created at://{ALICE}/app.bsky.feed.generator/linux" in told
    assert [path for path, _ in server.asked if path.endswith("putRecord")]


@pytest.mark.parametrize("publisher", ["alice.test", ALICE])
def test_a_feed_that_rests_keeps_its_record(publish, publisher):
    told = publish(f"  off: {{filter: reply, served: no, publisher: '{publisher}'}}\n")
    assert "  off: rests (served: no); its record stays as it is\n" in told
    assert "unpublish" not in told


# Writing


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (error(401, "AuthenticationRequired", "Invalid: hunter2"), "does not take this app password (Invalid: …); make a new one"),
        (error(401, "AuthFactorTokenRequired", "A code"), "use an app password"),
        (error(401, "AccountTakedown", "No"), "the account is not active (No)"),
        (error(429, "RateLimitExceeded", "Slow"), "has had enough requests for now; run this again then"),
        (error(429, "RateLimitExceeded", "Slow", **{"ratelimit-reset": "4102444800"}), "it takes more at 00:00 UTC, in "),
        (error(429, "RateLimitExceeded", "Slow", **{"ratelimit-reset": "9" * 30}), "for now; run"),
        (error(429, "RateLimitExceeded", "Slow", **{"retry-after": "90"}), "left alone for 90 s"),
        ((200, {"did": "did:plc:mallory", "handle": "m.test", "accessJwt": JWT, "refreshJwt": JWT}, {}), "signed us in as somebody else"),
        ((200, {}, {}), "was asked to sign in, and gave no sensible answer"),
    ],
    ids=range(9),
)  # fmt: skip
def test_signing_in_fails(repo, server, answer, says):
    server.answers = {"createSession": answer}
    assert says in refused(repo.sign_in, "hunter2")


@pytest.mark.parametrize(
    ("method", "answer", "says"),
    [
        ("putRecord", error(400, "InvalidSwap", "Record was at x"), "linux: its record was changed meanwhile"),
        ("putRecord", error(400, "InvalidRequest", "bad hunter2"), "refuses to write linux: status 400, InvalidRequest (bad …)"),
        ("putRecord", error(503, "Down", "later"), "was asked to write linux, and answered with status 503 (later); try again later"),
        ("uploadBlob", error(413, "BlobTooLarge", "2 MB"), "finds the picture too large (2 MB); make it smaller"),
        ("uploadBlob", (200, {}, {}), "did not say where it keeps the picture"),
    ],
    ids=range(5),
)  # fmt: skip
def test_writing_fails(repo, server, method, answer, says):
    repo.sign_in("hunter2")
    server.answers = {method: answer}
    if method == "putRecord":
        assert says in refused(repo.put, "linux", RECORD, "bafy")
    else:
        assert says in refused(repo.upload, b"\xff\xd8\xff", "image/jpeg")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_password_is_not_sent_on(repo, server, status):
    server.answers = {"createSession": (status, {}, {"location": f"{server.url}/elsewhere"})}
    assert f"refuses to sign in: status {status}" in refused(repo.sign_in, "hunter2")
    assert [path for path, _ in server.asked] == ["/xrpc/com.atproto.server.createSession"]


@pytest.mark.parametrize("before", [None, "bafyold"])
def test_a_record_is_sent_whole_and_only_over_what_was_seen(repo, server, before):
    repo.sign_in("hunter2")
    server.answers = {"putRecord": (200, {"uri": "at://x", "cid": "bafy"}, {})}
    repo.put("linux", RECORD, before)
    _, body = server.asked[-1]
    assert json.loads(body) == {
        "repo": ALICE, "collection": "app.bsky.feed.generator", "rkey": "linux",
        "record": RECORD, "swapRecord": before,
    }  # fmt: skip
