"""Real recorded events through the whole pipeline: stream, matcher, store, page.

Runs where `../shared/data` lies beside the project; skipped elsewhere.
"""

from __future__ import annotations

import gzip
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard
from websockets.sync.server import serve

from feedkit import Everything, Gravity, Keywords, Newest
from feedkit.ingest import Ingest
from feedkit.ranking import take_snapshot
from feedkit.settings import FeedConfig, Service, Stream
from feedkit.skeleton import page
from feedkit.sources import open_source
from feedkit.sources.replay import Replay
from feedkit.store import open_store

SHARED = Path(os.environ.get("FEEDKIT_SHARED") or Path(__file__).resolve().parents[2] / "shared")
DATA = SHARED / "data"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"no recorded events at {DATA}")

FEEDS = {
    "all": FeedConfig("all", Everything(), Gravity(likes=1, reposts=1, replies=1, quotes=1)),
    "cats": FeedConfig("cats", Keywords(["cat", "gato", "chat", "猫", "고양이", "kedi"]), Newest()),
}
SERVICE = Service("feeds.example.com", "did:plc:x", "did:web:feeds.example.com", FEEDS)


def new_store(folder, name="feedkit"):
    store = open_store(f"sqlite:///{folder}/{name}.db")
    store.migrate()
    return store


def stored(store):
    """What of each post does not depend on who saw it when."""
    return {
        post.uri: (post.cid, post.text, post.created_at, post.langs, post.tags, post.links,
                   post.reply_parent, post.quote, post.images, post.external, post.counts)
        for _, post in store.candidates("all", 10**6)
    }  # fmt: skip


def walk(store, feed):
    cursor, uris = "", []
    while cursor is not None:
        items, cursor, _ = page(store, feed, 100, cursor, datetime.now(UTC))
        uris += [item.uri for item in items]
    return uris


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.jsonl.gz")))
def test_every_recorded_event_goes_through(store_url, name):
    store = open_store(store_url)
    store.migrate()
    ingest = Ingest(SERVICE, store)
    source = Replay([str(DATA / name)], SERVICE.engagement)
    ingest.run(source, threading.Event())
    with gzip.open(DATA / name) as lines:
        events = [json.loads(line) for line in lines]
    commits = [e.get("commit") or e.get("payload", {}) for e in events]
    posts = {
        (event.get("did") or event["payload"]["did"], commit["rkey"])
        for event, commit in zip(events, commits, strict=True)
        if commit.get("collection") == "app.bsky.feed.post" and commit["operation"] == "create"
    }
    assert source.bad == 0
    assert ingest.counts["skipped"] == 0
    assert not ingest._matcher.errors
    for feed in FEEDS.values():
        take_snapshot(store, feed)
    found = {tuple(uri.split("/")[2::2]) for uri in walk(store, FEEDS["all"])}
    visible = min(len(posts), FEEDS["all"].depth)
    assert len(found) == visible
    assert found <= posts
    assert len(walk(store, FEEDS["cats"])) == len(store.candidates("cats", 10**6))
    store.close()


def test_150_relay_frames_and_productions_jetstream_give_the_same_posts(tmp_path):
    folder = DATA / "firehose-corpus"
    blob = (folder / "frames.bin.zst").read_bytes()
    data = zstandard.ZstdDecompressor().decompressobj().decompress(blob)
    frames, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        frames.append(data[at + 4 : at + 4 + size])
        at += 4 + size

    def relay(connection):
        for frame in frames:
            connection.send(frame)
        connection.recv()

    over_firehose = new_store(tmp_path, "firehose")
    with serve(relay, "127.0.0.1", 0) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        source = open_source(Stream("firehose", url), SERVICE.engagement)
        stop = threading.Event()

        class UntilQuiet:
            name = source.name

            def frames(self, cursor, time, stop):
                got = 0
                for frame in source.frames(cursor, time, stop):
                    got += frame is not None
                    yield frame
                    if got == len(frames):
                        stop.set()

        Ingest(SERVICE, over_firehose).run(UntilQuiet(), stop)
        server.shutdown()
        serving.join()
    over_jetstream = new_store(tmp_path, "jetstream")
    source = Replay([str(folder / "expected_v1.jsonl")], SERVICE.engagement)
    Ingest(SERVICE, over_jetstream).run(source, threading.Event())
    posts = stored(over_firehose)
    assert len(frames) == 150
    assert len(posts) >= 10
    assert posts == stored(over_jetstream)
    over_firehose.close()
    over_jetstream.close()
