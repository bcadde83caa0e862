"""A real network of PLC, PDS, AppView and a Jetstream beside the project, and a service on it."""

from __future__ import annotations

import json
import os
import signal
import socket
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
            return self.client.get("/ready").status_code == 200
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
