"""Readers on a real network of PLC, PDS and AppView: what each gets in the app, and who is refused.

Runs where `../shared/network` lies beside the project, with FEEDKIT_SLOW; skipped elsewhere.
"""

from __future__ import annotations

import base64
import json
import os
import random
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from functools import partial

import libipld
import pytest
from _lexicon import Lexicons
from _network import SHARED, Running, pytestmark  # noqa: F401
from _plc import Account, base64url

from feedkit.store import open_store
from feedkit.store.interactions import LESS, SEEN

SKELETON = "app.bsky.feed.getFeedSkeleton"
INTERACTIONS = "app.bsky.feed.sendInteractions"
LEXICONS = SHARED / "protocol" / "lexicons"
FEEDS = {
    "new": "filter: everything",
    "grave": "{filter: everything, rank: gravity, refresh: 5s, accepts_interactions: true}",
    "german": "filter: {language: de}",
    "spoken": "{filter: everything, select: [{spoken: {undeclared: no}}]}",
    "pinned": "{filter: everything, select: [{pin: {post: PIN, at: 2}}]}",
    "friends": "{filter: everything, viewer: [follows], accepts_interactions: true}",
    "members": "{filter: everything, viewer: [follows], signed_out: refuse}",
    "chance": "{filter: everything, rank: random, viewer: [{not_interested: {after: 1}}], accepts_interactions: true}",
    "first": "{filter: everything, rank: friends_first, signed_out: grave}",
    "likes": "{filter: everything, rank: affinity, select: [{pin: PIN}]}",
    "nobody": "{filter: {author: alice.test}, viewer: [{follows: {own: no}}], when_empty: grave}",
}
PEOPLE = ("alice", "bob", "carol", "dan", "eve", "frank")


class Serving(Running):
    """ingest, jobs and serve, as processes, for feeds of alice's."""

    def start(self, network):
        self.dids = {name: account["did"] for name, account in network.info["accounts"].items()}
        made = network.createFeedGen(endpoint=self.endpoint, rkey="new", publishAs="alice")
        self.did, alice = made["did"], self.dids["alice"]
        for name in FEEDS:
            network.publishFeed(as_="alice", rkey=name, did=self.did, acceptsInteractions=True)
        pin = network.post(as_="dan", text="to begin with")["uri"]
        feeds = "".join(f"  {name}: {said.replace('PIN', pin)}\n" for name, said in FEEDS.items())
        feeds = feeds.replace(": filter: everything\n", ": {filter: everything}\n")
        feeds = feeds.replace(": filter: {language: de}\n", ": {filter: {language: de}}\n")
        self.pin = pin
        (self.folder / "config.yaml").write_text(
            f"""
service: {{hostname: feeds.example.com, did: "{self.did}", publisher: "{alice}"}}
store: sqlite:///{self.folder}/feedkit.db
stream: {{jetstream: {{url: "{network.info["jetstreamV2"]}"}}}}
network: {{plc: "{network.info["plc"]}", appview: "{network.info["appview"]}"}}
feeds:
{feeds}""",
            "utf-8",
        )
        assert self._feedkit("migrate").wait(30) == 0
        self._feedkit("ingest")
        self._feedkit("jobs")
        self._feedkit("serve", "--port", str(self.port), "--workers", "2")
        self.feed = self.address("new")
        self.until(lambda: self.health(), "the web server to answer")
        uri = network.post(as_="dan", text="is anybody there?")["uri"]
        self.until(lambda: uri in self.skeleton(), "the first post")
        self.posts = {}
        for number in range(42):
            name, lang = PEOPLE[number % 6], ("en", "de", "ja")[number // 6 % 3]
            made = network.post(as_=name, text=f"note {number}", langs=[lang])
            self.posts[made["uri"]] = lang
        for uri in list(self.posts)[::5]:
            network.like(as_="bob", uri=uri)
        self.until(lambda: set(self.posts) <= set(self.skeleton()), "all the posts")
        self.until(lambda: self.ask("grave").json()["feed"], "a ranking that is not empty")
        network.processAll()

    def address(self, name):
        return f"at://{self.dids['alice']}/app.bsky.feed.generator/{name}"

    def ask(self, name, token=""):
        """The answer of this service itself."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        query = {"feed": self.address(name)}
        return self.client.get(f"/xrpc/{SKELETON}", params=query, headers=headers)


@pytest.fixture(scope="module")
def serving(network, tmp_path_factory):
    made = Serving(tmp_path_factory.mktemp("serving"))
    try:
        made.start(network)
        yield made
    finally:
        made.stop()


@pytest.fixture
def get(network, serving):
    """A page in somebody's app: its posts, as URIs."""

    def get(name, viewer, **more):
        status, body = network.get_feed(serving.address(name), viewer, **more)
        assert status == 200, body
        return [item["post"]["uri"] for item in body["feed"]]

    return get


@pytest.fixture
def known(serving, get):
    """Wait until whom alice and bob follow is known."""
    for viewer in ("alice", "bob"):
        serving.until(lambda viewer=viewer: authors(get("members", viewer)), "their follows")


def authors(uris):
    return {uri.split("/")[2] for uri in uris}


# ---- personal pages


def test_the_first_page_is_everybodys_and_the_next_ones_own(network, serving, get):
    """Whom they follow is found by the jobs, at the real AppView."""
    network.account(name=f"newcomer{serving.port}")
    newcomer = f"newcomer{serving.port}"
    for subject in ("eve", "frank"):
        network.follow(as_=newcomer, subject=subject)
    network.processAll()
    everybody = get("new", None, limit=50)
    assert get("friends", newcomer, limit=50) == everybody
    theirs = {serving.dids["eve"], serving.dids["frank"]}
    serving.until(lambda: authors(get("friends", newcomer)) == theirs, "what they follow")
    own = [uri for uri in everybody if uri.split("/")[2] in theirs]
    assert get("friends", newcomer, limit=len(own)) == own
    assert authors(get("friends", None)) > theirs, "the signed-out get everybody's"


def test_two_viewers_get_their_own_pages_and_orders(serving, get, known):
    follows = {"alice": ("alice", "bob", "carol", "dan"), "bob": ("bob", "alice", "carol", "eve")}
    for viewer, names in follows.items():
        assert authors(get("friends", viewer, limit=50)) == {serving.dids[name] for name in names}
    first = {viewer: authors(get("first", viewer, limit=8)) for viewer in follows}
    for viewer, names in follows.items():
        assert first[viewer] <= {serving.dids[name] for name in names}
    assert first["alice"] != first["bob"]
    assert get("likes", "bob", limit=30) != get("likes", "alice", limit=30)


def test_only_those_who_are_signed_in_get_a_feed_that_says_so(network, serving, known):
    status, body = network.get_feed(serving.address("members"), None)
    assert (status, body["error"]) == (401, "AuthMissing")
    assert network.get_feed(serving.address("members"), "alice")[0] == 200


def test_what_stands_in_for_an_empty_feed(serving, get, known):
    """alice follows herself not, and the feed has only her posts."""
    serving.until(  # the first ranking may have been made when there was little
        lambda: authors(get("nobody", "alice")) > {serving.dids["alice"]}, "what stands in"
    )
    assert authors(get("nobody", "bob")) == {serving.dids["alice"]}


# ---- what readers do


def interact(network, serving, viewer, *interactions):
    return network.xrpc(
        as_=viewer, method="POST", nsid=INTERACTIONS, body={"interactions": interactions},
        headers={"atproto-proxy": f"{serving.did}#bsky_fg"},
    )  # fmt: skip


def test_show_less_changes_the_next_chain(network, serving, get, known):
    status, body = network.get_feed(serving.address("chance"), "alice", limit=5)
    assert status == 200
    item = body["feed"][2]
    uri, context, request = item["post"]["uri"], item["feedContext"], item["reqId"]
    answer = interact(
        network, serving, "alice",
        {"item": uri, "event": LESS, "feedContext": context, "reqId": request},
        {"item": body["feed"][0]["post"]["uri"], "event": SEEN, "feedContext": context},
    )  # fmt: skip
    assert (answer["status"], answer["body"]) == (200, {})
    assert uri not in get("chance", "alice", limit=100)
    author = uri.split("/")[2]
    serving.until(
        lambda: author not in authors(get("chance", "alice", limit=100)),
        "a chain without the author",
    )
    assert uri in get("chance", "bob", limit=100)
    with open_store(f"sqlite:///{serving.folder}/feedkit.db") as store:
        (kept,) = store.db.rows(
            "SELECT viewer, feed, feed_context, req_id FROM interactions WHERE item = ? AND event = ?",
            (uri, LESS),
        )
        assert kept == (serving.dids["alice"], "chance", context, request)


def test_interactions_that_do_not_fit_are_refused(network, serving):
    answer = interact(network, serving, "alice", *[{"item": "at://x", "event": LESS}])
    assert answer["status"] == 400
    answer = serving.client.post(f"/xrpc/{INTERACTIONS}", json={"interactions": []})
    assert (answer.status_code, answer.json()["error"]) == (401, "AuthMissing")


# ---- tokens


@pytest.fixture
def issue(network, serving):
    """A service token of alice's, by her PDS."""

    def issue(seconds=60, aud="", lxm=SKELETON):
        return service_token(network, "alice", aud or serving.did, seconds, lxm)

    return issue


def service_token(network, viewer, aud, seconds=60, lxm=SKELETON):
    """A service token of the viewer's, by their PDS."""
    answer = network.xrpc(
        as_=viewer, nsid="com.atproto.server.getServiceAuth",
        params={"aud": aud, "lxm": lxm, "exp": int(time.time()) + seconds},
    )  # fmt: skip
    assert answer["status"] == 200, answer
    return answer["body"]["token"]


def parts(token):
    head, claims, signature = token.split(".")
    decoded = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, claims))
    return [*decoded, signature]


def joined(head, claims, signature):
    return ".".join([*(base64url(json.dumps(part).encode()) for part in (head, claims)), signature])


def refused(serving, token, error):
    answer = serving.ask("friends", token)
    assert (answer.status_code, answer.json()["error"]) == (401, error), answer.text
    assert answer.json()["message"]
    sent = serving.client.post(
        f"/xrpc/{INTERACTIONS}", json={"interactions": []},
        headers={"authorization": f"Bearer {token}"},
    )  # fmt: skip
    assert sent.status_code == 401
    assert serving.ask("new", token).status_code == 200, "nobody looks for shared feeds"


def test_tokens_that_prove_nothing_are_refused(serving, issue, known):
    good = issue()
    page = [item["post"] for item in serving.ask("friends", good).json()["feed"]]
    assert serving.dids["frank"] not in authors(page), "alice's own page"
    head, claims, signature = parts(good)
    bob = claims | {"iss": serving.dids["bob"]}
    changed = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    for token, error in (
        (joined(head, bob, signature), "BadJwtSignature"),
        (joined(head, claims | {"exp": claims["exp"] + 30}, signature), "BadJwtSignature"),
        (joined(head, claims, changed), "BadJwtSignature"),
        (joined(head | {"alg": "none"}, claims, signature), "BadJwtSignature"),
        (joined(head | {"alg": "none"}, claims, ""), "BadJwt"),
        (joined(head | {"alg": "HS256"}, claims, signature), "BadJwtSignature"),
        (issue(lxm="app.bsky.feed.getFeed"), "BadJwtLexiconMethod"),
        (issue(aud="did:web:other.example.com"), "BadJwtAudience"),
    ):
        refused(serving, token, error)
    brief = issue(seconds=2)
    time.sleep(max(parts(brief)[1]["exp"] + 1.1 - time.time(), 0))
    refused(serving, brief, "JwtExpired")


def test_both_forms_of_the_audience_are_taken(serving, issue, known):
    forms = [issue(), issue(aud=f"{serving.did}#bsky_fg")]
    pages = [serving.ask("friends", token).json()["feed"] for token in forms]
    assert [item["post"] for item in pages[0]] == [item["post"] for item in pages[1]]
    assert serving.dids["frank"] not in authors(item["post"] for item in pages[1])


def test_a_did_key_can_be_anybodys_and_is_refused(serving):
    account = Account()
    account.did = (
        f"did:key:{libipld.encode_multibase('z', b'' + bytes((0xE7, 1)) + account.point())}"
    )
    now = int(time.time())
    refused(serving, account.token(aud=serving.did, iat=now, exp=now + 60), "BadJwtIss")


class Listener:
    """Counts who connects."""

    def __init__(self, port):
        self.came = 0
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self):
        with suppress(OSError):
            while True:
                self._socket.accept()[0].close()
                self.came += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def test_a_did_web_that_points_at_this_machine_is_refused_and_nobody_is_asked(serving):
    with ExitStack() as stack:
        listeners = [stack.enter_context(Listener(0))]
        for port in (80, 443):
            with suppress(OSError):  # it is taken, or the system keeps it to itself
                listeners.append(stack.enter_context(Listener(port)))
        port, name = listeners[0].port, socket.gethostname()
        now = int(time.time())
        for host in (
            "127.0.0.1", f"127.0.0.1%3A{port}", "localhost", f"localhost%3A{port}", "a.localhost",
            "127.1", "2130706433", "0x7f000001", "[::1]", "10.0.0.1", f"{name}.local", name,
        ):  # fmt: skip
            account = Account(f"did:web:{host}")
            refused(serving, account.token(aud=serving.did, iat=now, exp=now + 60), "BadJwtIss")
        assert [listener.came for listener in listeners] == [0] * len(listeners)
        with suppress(OSError):  # the listeners do count
            socket.create_connection(("127.0.0.1", port)).close()
        serving.until(lambda: listeners[0].came, "a connection that is counted")


# ---- through the AppView


class Both:
    """The same request to this service, as its viewer's PDS asks, and through the AppView."""

    def __init__(self, network, serving):
        self.network, self.serving, self._tokens = network, serving, {}
        lexicons = Lexicons(LEXICONS)
        self._fits = partial(lexicons.check, schema=lexicons.output(SKELETON), home=SKELETON)

    def direct(self, name, viewer, more):
        """Status and body of this service's own answer; a page fits the lexicon."""
        answer = self.serving.client.get(
            f"/xrpc/{SKELETON}", params={"feed": self.serving.address(name), **more},
            headers={"authorization": f"Bearer {self.token(viewer)}"} if viewer else {},
        )  # fmt: skip
        if answer.status_code == 200:
            self._fits(answer.json())
        return answer.status_code, answer.json()

    def token(self, viewer):
        made, token = self._tokens.get(viewer, (0, ""))
        if time.monotonic() - made > 30:
            token = service_token(self.network, viewer, self.serving.did)
            self._tokens[viewer] = time.monotonic(), token
        return token

    def differ(self, name, viewer, more):
        """What the viewer's app shows, and in what it differs from the skeleton ("": in nothing).
        A ranking may have been made anew between the two requests; then the next is the same."""
        status, body = self.direct(name, viewer, more)
        app = self.network.get_feed(self.serving.address(name), viewer, **more)
        if shown(*app) != shown(status, body):
            status, body = self.direct(name, viewer, more)
        return *app, "" if shown(*app) == shown(status, body) else f"the skeleton: {status} {body}"


def shown(status, body):
    """What of an answer is the same in the skeleton and in the app."""
    if status != 200:
        return status, body["error"], body["message"]
    posts = [item["post"] for item in body["feed"]]
    return status, [post if isinstance(post, str) else post["uri"] for post in posts]


def test_the_appview_takes_each_page_as_it_is(network, serving, known):
    """Feeds × rankings × who asks × cursors × limits: each answer fits the lexicon, and the AppView
    makes of it the page with these posts. 400 requests; 10,000 with FEEDKIT_SLOW=all."""
    rnd, cursors, told, both = random.Random(3), [], Counter(), Both(network, serving)
    for _ in range(10_000 if os.environ.get("FEEDKIT_SLOW") == "all" else 400):
        name, viewer = rnd.choice(list(FEEDS)), rnd.choice((None, "alice", "bob", "carol"))
        more = {"limit": rnd.choice((1, 2, 7, 30, 50, 100))}
        kind = rnd.choice(("first", "first", "next", "next", "next", "forged"))
        if kind == "next" and cursors:
            name, viewer, more["cursor"] = rnd.choice(cursors[-40:])
        elif kind == "forged":
            more["cursor"] = rnd.choice(("garbage", "1.2.3", "s0.5.5", "e1.1.1", "0.9", "9" * 300))
        status, body, differs = both.differ(name, viewer, more)
        told[kind, status] += 1
        at = (name, viewer, more, status, str(body)[:300])
        assert not differs, (*at, differs)
        if status == 401:
            assert (name, viewer) == ("members", None), at
        elif status == 400:
            assert kind == "forged", at
            assert body["error"] == "InvalidRequest", at
        else:
            assert status == 200, at
            uris = [item["post"]["uri"] for item in body["feed"]]
            assert len(uris) == len(set(uris)) <= more["limit"], at
            assert all(item["post"]["record"]["text"] for item in body["feed"]), at
            assert uris or kind != "first" or name in ("members", "nobody"), at
            if cursor := body.get("cursor"):
                cursors.append((name, viewer, cursor))
    assert told["first", 200] > 100, told
    assert told["next", 200] > 100, told
    assert told["forged", 400], told
    print(f"requests by kind and answer: {dict(told)}")


def test_the_app_shows_what_the_skeleton_says(network, serving, get):
    for name in ("new", "grave", "german", "pinned"):
        skeleton = [item["post"] for item in serving.ask(name).json()["feed"]]
        assert get(name, None, limit=50) == skeleton


def test_a_pin_says_so_in_the_app(network, serving):
    status, body = network.get_feed(serving.address("pinned"), "alice", limit=5)
    assert status == 200
    reasons = [item.get("reason", {}).get("$type") for item in body["feed"]]
    assert reasons == [None, "app.bsky.feed.defs#reasonPin", None, None, None]
    assert body["feed"][1]["post"]["uri"] == serving.pin


@pytest.mark.parametrize("viewer", ["alice", None])
def test_the_languages_of_the_app_come_here_and_are_answered(network, serving, viewer):
    for name, lang in (("spoken", "de"), ("spoken", "ja"), ("german", "en")):
        query = {"feed": serving.address(name), "viewer": viewer, "lang": lang, "limit": 30}
        answer = network._client.get("/getFeed", params=query).json()
        assert answer["status"] == 200
        told = "de" if name == "german" else lang
        assert answer["headers"]["content-language"] == told
        shown = {serving.posts[item["post"]["uri"]] for item in answer["body"]["feed"]}
        assert shown == {told}
