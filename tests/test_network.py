"""Against a real network of PLC, PDS, AppView and a Jetstream: what a reader sees in the app.

Runs where `../shared/network` lies beside the project; skipped elsewhere.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

SHARED = Path(os.environ.get("FEEDKIT_SHARED") or Path(__file__).resolve().parents[2] / "shared")
SCRIPT = SHARED / "network" / "network.sh"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason=f"no test network at {SCRIPT}")


class Network:
    """The network's control endpoint: `network.post(as_="bob", text="…")` calls the action."""

    def __init__(self, info):
        self.info = info
        self._client = httpx.Client(base_url=info["control"], timeout=60)

    def __getattr__(self, action):
        def call(**arguments):
            arguments = {key.rstrip("_"): value for key, value in arguments.items()}
            answer = self._client.post(f"/{action}", json=arguments)
            assert answer.status_code == 200, f"{action}: {answer.text}"
            return answer.json()

        return call

    def get_feed(self, feed, viewer="alice", **parameters):
        """app.bsky.feed.getFeed as the viewer's app asks for it: status, body."""
        query = {"feed": feed, "viewer": viewer, **parameters}
        answer = self._client.get("/getFeed", params=query).json()
        return answer["status"], answer["body"]


@pytest.fixture(scope="module")
def network():
    process = subprocess.Popen(
        [SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    line = process.stdout.readline()
    assert line, "the test network did not start"
    network = Network(json.loads(line))
    yield network
    network.shutdown()
    network._client.close()
    process.wait(30)
    process.stdout.close()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Running:
    """A feedkit service on the network: ingest and serve, as processes."""

    def __init__(self, folder):
        self.folder, self.port, self.processes = folder, free_port(), []
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.endpoint)

    def start(self, network, stream):
        made = network.createFeedGen(endpoint=self.endpoint, rkey="python", publishAs="alice")
        self.feed = made["feed"]
        (self.folder / "config.yaml").write_text(
            f"""
service:
  hostname: feeds.example.com
  did: {made["did"]}
  publisher: {network.info["accounts"]["alice"]["did"]}
store: sqlite:///{self.folder}/feedkit.db
stream: {json.dumps(stream)}
network: {{plc: "{network.info["plc"]}", appview: "{network.info["appview"]}"}}
feeds:
  python:
    display_name: Python
    filter: {{keywords: [python, "#python"]}}
""",
            "utf-8",
        )
        self._feedkit("migrate").wait(30)
        self._feedkit("ingest")
        self._feedkit("serve", "--port", str(self.port), "--workers", "1")
        self.until(lambda: self.health(), "the web server to answer")

    def _feedkit(self, *verb):
        with (self.folder / f"{verb[0]}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "feedkit", *verb, "--config", str(self.folder / "config.yaml")],
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def health(self):
        try:
            return self.client.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def skeleton(self, **parameters):
        query = {"feed": self.feed, "limit": 100, **parameters}
        answer = self.client.get("/xrpc/app.bsky.feed.getFeedSkeleton", params=query)
        assert answer.status_code == 200, answer.text
        return [item["post"] for item in answer.json()["feed"]]

    def until(self, condition, what, seconds=15.0):
        """Wait for `condition`; returns how many seconds it took."""
        began = time.monotonic()
        while not condition():
            waited = time.monotonic() - began
            assert waited < seconds, f"waited {waited:.1f} s for {what}\n{self.logs()}"
            time.sleep(0.005)
        return time.monotonic() - began

    def logs(self):
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def stop(self):
        self.client.close()
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(15)


@pytest.fixture(scope="module", params=["jetstream", "firehose"])
def running(request, network, tmp_path_factory):
    url = network.info["jetstreamV2" if request.param == "jetstream" else "subscribeRepos"]
    folder = tmp_path_factory.mktemp(request.param)
    running = Running(folder)
    try:
        running.start(network, {request.param: {"url": url}})
        # a first post: once it is there, the stream is connected
        uri = network.post(as_="frank", text="python, to begin with")["uri"]
        running.until(lambda: uri in running.skeleton(), "the first post")
        yield running
    finally:
        running.stop()


def hydrated(network, running):
    """The posts that alice's app shows, in order."""
    network.processAll()
    status, body = network.get_feed(running.feed, limit=50)
    assert status == 200, body
    return [item["post"]["uri"] for item in body["feed"]]


def test_a_post_comes_back_hydrated_in_the_skeletons_order(network, running):
    uris = [network.post(as_="bob", text=f"python, note {n}")["uri"] for n in range(5)]
    other = network.post(as_="bob", text="nothing of the kind")["uri"]
    running.until(lambda: set(uris) <= set(running.skeleton()), "the new posts")
    skeleton = running.skeleton(limit=50)
    assert [uri for uri in skeleton if uri in uris] == uris[::-1]
    assert other not in skeleton
    assert hydrated(network, running) == skeleton


def test_several_records_of_one_commit_all_arrive(network, running):
    record = {"$type": "app.bsky.feed.post", "createdAt": "2026-01-01T00:00:00.000Z"}
    writes = [
        {
            "$type": "com.atproto.repo.applyWrites#create",
            "collection": "app.bsky.feed.post",
            "value": {**record, "text": f"python, part {n}"},
        }
        for n in range(4)
    ]
    uris = [made["uri"] for made in network.applyWrites(as_="carol", writes=writes)["results"]]
    running.until(lambda: set(uris) <= set(running.skeleton()), "all posts of the commit")


def test_a_deleted_post_is_gone_within_a_second(network, running):
    uri = network.post(as_="bob", text="python, soon regretted")["uri"]
    running.until(lambda: uri in running.skeleton(), "the post")
    network.delete(uri=uri)
    running.until(lambda: uri not in running.skeleton(), "its deletion", seconds=1.0)
    assert uri not in hydrated(network, running)


def test_posts_of_accounts_that_go_are_hidden_and_come_back(network, running):
    name = f"guest{running.port}"
    network.account(name=name)
    uri = network.post(as_=name, text="python, from a guest")["uri"]
    running.until(lambda: uri in running.skeleton(), "the post")
    for away, back in (
        (lambda: network.deactivate(as_=name), lambda: network.activate(as_=name)),
        (lambda: network.takedown(as_=name), lambda: network.takedown(as_=name, undo=True)),
    ):
        away()
        running.until(lambda: uri not in running.skeleton(), "its account to go", seconds=1.0)
        back()
        running.until(lambda: uri in running.skeleton(), "its account to come back", seconds=1.0)
    network.deleteAccount(as_=name)
    running.until(lambda: uri not in running.skeleton(), "the account's deletion", seconds=1.0)


def test_an_update_is_matched_again(network, running):
    uri = network.post(as_="dan", text="python, first thoughts")["uri"]
    running.until(lambda: uri in running.skeleton(), "the post")
    record = {"text": "second thoughts", "createdAt": "2026-01-01T00:00:00.000Z"}
    rkey = uri.rsplit("/", 1)[1]
    network.put(as_="dan", collection="app.bsky.feed.post", rkey=rkey, record=record)
    running.until(lambda: uri not in running.skeleton(), "the update", seconds=1.0)


def test_the_stream_goes_on_after_a_cut(network, running):
    network.dropSockets(service="pds")
    network.dropSockets(service="jetstream")
    uri = network.post(as_="eve", text="python, after the cut")["uri"]
    running.until(lambda: uri in running.skeleton(), "the post after the cut")


def test_latency_from_commit_to_skeleton(network, running, capsys):
    seen = []
    for number in range(60):
        began = time.monotonic()
        uri = network.post(as_="alice", text=f"python, {number} on the clock")["uri"]
        running.until(lambda uri=uri: uri in running.skeleton(limit=5), "the post")
        seen.append((time.monotonic() - began) * 1000)
    p50, p99 = statistics.median(seen), statistics.quantiles(seen, n=100)[98]
    with capsys.disabled():
        kind = (
            "firehose"
            if "subscribeRepos" in (running.folder / "config.yaml").read_text()
            else "jetstream"
        )
        print(
            f"\n{kind}: from asking the PDS to the skeleton, {len(seen)} posts: "
            f"p50 {p50:.0f} ms (aim 300), p99 {p99:.0f} ms (aim 1000)"
        )
