"""Against a real network of PLC, PDS, AppView and a Jetstream: what a reader sees in the app.

Runs where `../shared/network` lies beside the project; skipped elsewhere.
"""

from __future__ import annotations

import statistics
import time

import pytest
from _network import Running, pytestmark  # noqa: F401


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
