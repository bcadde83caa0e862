"""`feedkit doctor` on a real network of PLC, PDS and AppView: all is well, then what is broken.

Runs where `../shared/network` lies beside the project; skipped elsewhere.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time

import pytest
from _network import Running, pytestmark  # noqa: F401

from feedkit.cli import run
from feedkit.doctor import stream
from feedkit.store import open_store

GENERATOR = "app.bsky.feed.generator"


class Published(Running):
    """A service of two feeds, one of them ranked, with all its processes; `did` is its own."""

    def start(self, network, hostname="doctor.example.com"):
        self.network, self.hostname = network, hostname
        self.did = network.createFeedGen(endpoint=self.endpoint)["did"]
        self.alice = network.info["accounts"]["alice"]["did"]
        self.write()
        self._feedkit("migrate").wait(60)
        self._feedkit("serve", "--port", str(self.port), "--workers", "1")
        self._feedkit("ingest")
        self._feedkit("jobs")
        self.until(lambda: self.health(), "the web server to answer")

    def write(self, **python):
        info = self.network.info
        feed = {"display_name": "Python", "filter": {"keywords": "python"}, **python}
        hot = {"display_name": "Hot", "filter": {"keywords": "python"}, "rank": "gravity"}
        (self.folder / "config.yaml").write_text(
            f"service: {{hostname: {self.hostname}, publisher: alice.test, did: '{self.did}'}}\n"
            f"store: sqlite:///{self.folder}/feedkit.db\n"
            f"stream: {{jetstream: {{url: '{info['jetstreamV2']}'}}}}\n"
            f"network: {{plc: '{info['plc']}', appview: '{info['appview']}'}}\n"
            f"feeds: {json.dumps({'python': feed, 'hot': hot})}\n"
        )

    def change(self, one, other):
        """The configuration, with something else in it."""
        path = self.folder / "config.yaml"
        text = path.read_text()
        assert one in text
        path.write_text(text.replace(one, other))

    def record(self, name, **fields):
        """Somebody changes the record by hand."""
        answer = self.network.xrpc(
            nsid="com.atproto.repo.getRecord",
            params={"repo": self.alice, "collection": GENERATOR, "rkey": name},
        )
        record = {**answer["body"]["value"], **fields}
        self.network.put(as_="alice", collection=GENERATOR, rkey=name, record=record)
        self.network.processAll()

    def end(self, verb):
        number = ["migrate", "serve", "ingest", "jobs"].index(verb)
        self.processes[number].terminate()
        self.processes[number].wait(30)


@pytest.fixture(scope="module")
def published(network, tmp_path_factory):
    made = Published(tmp_path_factory.mktemp("doctor"))
    try:
        made.start(network)
        yield made
    finally:
        made.stop()


@pytest.fixture
def feedkit(published, capfd, monkeypatch):
    for name in [name for name in os.environ if name.startswith("FEEDKIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FEEDKIT_APP_PASSWORD", "pw-alice")
    monkeypatch.setenv("FEEDKIT_CONFIG", str(published.folder / "config.yaml"))

    def command(*words):
        code = run(list(words))
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return code, out + err

    return command


@pytest.fixture
def doctor(feedkit):
    """What is not well, and what could not be found out, by check: what is said, and the remedy."""

    def examine(*words):
        code, told = feedkit("doctor", "--json", *words)
        found = json.loads(told)
        assert code == (0 if found["ok"] else 1)
        named = {f"{one['check']} {one['about']}".rstrip(): one for one in found["checks"]}
        failed = {n: (o["said"], o["remedy"]) for n, o in named.items() if o["ok"] is False}
        return failed, {n: (o["said"], o["remedy"]) for n, o in named.items() if o["ok"] is None}

    return examine


def test_from_the_first_day_to_faults(published, network, feedkit, doctor, monkeypatch):
    # before publishing: what is not there yet is no fault
    network.post(as_="bob", text="python is fun")
    until(lambda: not doctor()[0], "all to be well")
    failed, unknown = doctor()
    assert failed == {}
    assert set(unknown) == {"record python", "record hot", "app python", "app hot"}
    assert unknown["record python"] == ("not published yet", "run `feedkit publish python`")

    assert feedkit("publish", "--yes")[0] == 0
    network.processAll()
    until(lambda: doctor() == ({}, {}), "the AppView to know the feeds")

    # the record leads to another service
    published.record("python", did="did:web:old.example.com")
    failed, unknown = doctor()
    assert "leads to the service 'did:web:old.example.com'" in failed["record python"][0]
    assert "run `feedkit publish python`" in failed["record python"][1]
    assert "app python" in {**failed, **unknown}
    assert "record hot" not in failed
    assert feedkit("publish", "--yes")[0] == 0
    network.processAll()
    until(lambda: doctor() == ({}, {}), "all to be well again")

    # the record is not what the configuration says
    published.record("hot", displayName="By hand")
    failed, _ = doctor()
    assert list(failed) == ["record hot"]
    assert "display_name: «By hand» → «Hot»" in failed["record hot"][0]
    assert feedkit("publish", "--yes")[0] == 0

    # the configuration goes on, the service does not
    published.did, own = network.createFeedGen(endpoint=published.endpoint)["did"], published.did
    published.write()
    failed, _ = doctor("python")
    assert f"the running service is '{own}'" in failed["describe"][0]
    assert "restart the web process" in failed["describe"][1]
    assert "leads to the service" in failed["record python"][0]
    published.did = own
    published.write()
    assert doctor() == ({}, {})

    # the document of the service
    network.setFeedGenEndpoint(did=own, endpoint="http://127.0.0.1:9")
    failed, unknown = doctor()
    assert "nothing listens at port 9" in failed["hostname"][0]
    assert "app python" in failed
    assert "see hostname" in unknown["feed python"][0]
    assert doctor("--at", published.endpoint)[0].keys() == {"app python", "app hot"}
    network.setFeedGenEndpoint(did=own, endpoint=published.endpoint)
    until(lambda: doctor() == ({}, {}), "all to be well again")

    # a record is left of a feed that is gone; one is missing
    network.publishFeed(as_="alice", rkey="gone", did=own, displayName="Gone")
    assert feedkit("unpublish", "hot", "--yes")[0] == 0
    failed, unknown = doctor()
    assert "run `feedkit unpublish gone`" in failed["records"][1]
    assert "has no record of it" in failed["record hot"][0]
    assert unknown.keys() == {"app hot"}
    assert feedkit("unpublish", "gone", "--yes")[0] == 0
    assert feedkit("publish", "--yes")[0] == 0

    # a publisher whom nobody knows; another database, without tables
    published.change("publisher: alice.test", "publisher: nobody.test")
    failed, _ = doctor("python")
    assert "does not know this handle" in failed["publisher nobody.test"][0]
    assert "write the account's DID" in failed["publisher nobody.test"][1]
    published.write()
    sqlite3.connect(published.folder / "empty.db").close()
    published.change("feedkit.db", "empty.db")
    failed, _ = doctor()
    assert "feedkit migrate" in " ".join(failed["database"])
    published.write()
    assert doctor() == ({}, {})

    # nobody ranks; nobody reads; nobody answers
    published.end("jobs")
    with_old_ranking(published)
    failed, _ = doctor()
    assert failed.keys() == {"jobs"}
    assert "`feedkit jobs`" in failed["jobs"][1]
    published.end("ingest")
    monkeypatch.setattr(stream, "LAG", 1_000_000)  # nobody wants to wait a minute here
    network.post(as_="bob", text="nobody reads this")
    time.sleep(2)
    failed, _ = doctor()
    assert "behind the stream" in failed["stream"][0]
    assert "`feedkit ingest`" in failed["stream"][1]
    published.end("serve")
    failed, unknown = doctor()
    assert f"nothing listens at port {published.port}" in failed["hostname"][0]
    assert "feed unavailable" in failed["app python"][0]
    assert {"describe", "feed python", "feed hot"} <= unknown.keys()


def with_old_ranking(published):
    """As if the jobs had stopped an hour ago."""
    now = time.time_ns() // 1000
    with open_store(f"sqlite:///{published.folder}/feedkit.db") as store:
        store.db.run("UPDATE versions SET created_at = ?", (now - 3_600_000_000,))
        store.mark_asked("hot", now)


def until(true, what, seconds=60):
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, f"waited in vain for {what}"
        time.sleep(0.5)
