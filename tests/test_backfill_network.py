"""On a real network of PLC, PDS, AppView and a Jetstream: a feed added on day two is filled.

Runs where `../shared/network` lies beside the project; skipped elsewhere.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

from _network import pytestmark  # noqa: F401

from feedkit.store import open_store


def configured(folder, network, url, feeds):
    folder.mkdir(exist_ok=True)
    path = folder / "config.yaml"
    config = {
        "service": {
            "hostname": "feeds.example.com",
            "publisher": network.info["accounts"]["alice"]["did"],
        },
        "store": url,
        "stream": {"jetstream": {"url": network.info["jetstreamV2"]}},
        "network": {"plc": network.info["plc"], "appview": network.info["appview"]},
        "feeds": feeds,
    }
    path.write_text(json.dumps(config), "utf-8")
    return path


def feedkit(config, *words):
    command = [sys.executable, "-m", "feedkit", *words, "--config", str(config)]
    return subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True)


def done(config, *words):
    process = feedkit(config, *words)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


def until(condition, what, seconds=20):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"waited for {what}"
        time.sleep(0.02)


def uris(store, feed):
    return {row.uri for row in store.newest(feed, None, 100)}


def test_a_feed_added_on_day_two_is_filled(network, tmp_path, store_url):
    heron = f"heron{store_url.partition(':')[0]}"  # the network remembers the other run
    guest = f"guest{heron[5:]}"
    python = {"python": {"filter": {"keywords": "python"}}}
    bob = network.info["accounts"]["bob"]["did"]
    herons = {
        "herons": {"filter": {"keywords": heron}},
        "bobs": {"filter": {"author": bob}},
    }
    one = configured(tmp_path / "one", network, store_url, python)
    two = configured(tmp_path / "two", network, store_url, python | herons)
    done(one, "migrate")
    with open_store(store_url) as store:
        ingest = feedkit(one, "ingest")
        try:
            assert any("connected" in line for line in ingest.stdout), "ingest ended"
            both = network.post(as_="bob", text=f"python and a {heron}")["uri"]
            until(lambda: both in uris(store, "python"), "the first post")
            seen = network.post(as_="carol", text=f"a {heron}")["uri"]
            gone = network.post(as_="carol", text=f"a {heron}, soon regretted")["uri"]
            edited = network.post(as_="dan", text=f"a {heron}, or so I thought")["uri"]
            network.delete(uri=gone)
            record = {"text": "it was a wren", "createdAt": "2026-01-01T00:00:00.000Z"}
            rkey = edited.rsplit("/", 1)[1]
            network.put(as_="dan", collection="app.bsky.feed.post", rkey=rkey, record=record)
            network.account(name=guest)
            hidden = network.post(as_=guest, text=f"a {heron}, from a guest")["uri"]
            network.deactivate(as_=guest)
            last = network.post(as_="eve", text="python, at last")["uri"]
            until(lambda: last in uris(store, "python"), "the last post")
        finally:
            ingest.send_signal(signal.SIGTERM)
            ingest.communicate(timeout=20)
        # day two: another configuration
        ingest = feedkit(two, "ingest")
        try:
            log = ""
            while "connected" not in log:
                line = ingest.stdout.readline()
                assert line, log
                log += line
            fresh = network.post(as_="eve", text=f"a {heron}, after that")["uri"]
            until(lambda: fresh in uris(store, "herons"), "a new post")
            assert uris(store, "herons") == {fresh}
            said = done(two, "backfill", "herons", "--stream", "24h")
            assert "herons: 3 posts more, from the stream" in said  # one of them hidden
            assert uris(store, "herons") == {both, seen, fresh}
            assert store.find_post(hidden).hidden
            assert store.find_post(gone) is None
            network.activate(as_=guest)
            until(lambda: hidden in uris(store, "herons"), "the guest to be back")
            network.processAll()
            done(two, "backfill", "bobs", "--authors")
            assert both in uris(store, "bobs")
        finally:
            ingest.send_signal(signal.SIGTERM)
            ingest.communicate(timeout=20)
        assert "feeds.herons is new: it begins with what arrives from now on" in log
        assert ingest.returncode == 0


def test_a_search_is_signed_in(network, tmp_path, store_url, monkeypatch):
    bittern = f"bittern{store_url.partition(':')[0]}"
    feeds = {"bitterns": {"filter": {"keywords": bittern}}}
    config = configured(tmp_path / "one", network, store_url, feeds)
    done(config, "migrate")
    found = network.post(as_="bob", text=f"a {bittern}")["uri"]
    network.processAll()
    monkeypatch.setenv("FEEDKIT_APP_PASSWORD", "pw-alice")
    said = done(config, "backfill", "bitterns", "--search", bittern)
    assert "bitterns: 1 post more, from the search" in said
    with open_store(store_url) as store:
        assert uris(store, "bitterns") == {found}
    monkeypatch.setenv("FEEDKIT_APP_PASSWORD", "pw-not")
    process = feedkit(config, "backfill", "bitterns", "--search", bittern)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "does not take this app password" in said
