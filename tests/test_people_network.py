"""People on a real network of PLC, PDS and AppView: found out, and followed when they change.

Runs where `../shared/network` lies beside the project; skipped elsewhere.
"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from _network import pytestmark  # noqa: F401

from feedkit import Accounts, Author, Everything, InList, Newest
from feedkit.appview import AppView, Gone
from feedkit.ingest import Ingest
from feedkit.jobs import Jobs
from feedkit.people.resolving import Resolving
from feedkit.settings import FeedConfig, Network, Service, Stream
from feedkit.sources import open_source
from feedkit.store import open_store


@pytest.fixture(scope="module")
def dids(network):
    return {name: account["did"] for name, account in network.info["accounts"].items()}


@pytest.fixture
def find(network, tmp_path):
    def find(written):
        (source,) = Accounts(written).sources
        with AppView(network.info["appview"], threading.Event(), pause=0.01) as appview:
            return Resolving(appview, Path(tmp_path)).find(source)

    return find


def test_everything_that_can_be_written(network, dids, find):
    members = network.info["list"]
    rkey = members.rpartition("/")[2]
    pack = network.record(
        as_="alice",
        collection="app.bsky.graph.starterpack",
        record={"name": "friends", "list": members},
        validate=False,
    )["uri"]
    network.processAll()
    listed = {dids["bob"], dids["carol"]}
    for written, meant in (
        ("alice.test", {dids["alice"]}),
        ("https://bsky.app/profile/franklin.test", {dids["frank"]}),
        (members, listed),
        (f"https://bsky.app/profile/alice.test/lists/{rkey}", listed),
        (pack, listed),
        (f"https://bsky.app/starter-pack/alice.test/{pack.rpartition('/')[2]}", listed),
        ({"followed_by": "alice.test"}, {dids["bob"], dids["carol"], dids["dan"]}),
        ({"followers_of": dids["mallory"]}, {dids["frank"]}),
    ):
        assert find(written) == meant, written


@pytest.mark.parametrize(
    "written",
    [
        "nobody.test", {"followed_by": "nobody.test"}, {"followers_of": "did:plc:nobody"},
        "at://did:plc:s3acsdstmy5u3s5bqgppqri5/app.bsky.graph.list/none",
        "at://did:plc:s3acsdstmy5u3s5bqgppqri5/app.bsky.graph.starterpack/none",
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_there(find, written):
    with pytest.raises(Gone):
        find(written)


def test_a_list_of_nobody(network, find):
    made = network.record(
        as_="dan",
        collection="app.bsky.graph.list",
        record={"name": "nobody", "purpose": "app.bsky.graph.defs#curatelist"},
    )["uri"]
    network.processAll()
    assert find(made) == frozenset()


def test_the_feed_follows_the_list(network, dids, tmp_path):
    """Whoever is put on the list comes into the feed with what is stored, and goes again."""
    members = network.info["list"]
    store = open_store(f"sqlite:///{tmp_path}/feedkit.db")
    store.migrate()
    service = Service(
        "feeds.example.com", dids["alice"], "did:web:feeds.example.com",
        {
            name: FeedConfig(name, filter, Newest())
            for name, filter in {
                "friends": InList(members), "others": ~InList(members), "all": Everything(),
                "own": Author("alice.test"),
            }.items()
        },
        network=Network(plc=network.info["plc"], appview=network.info["appview"]),
        stream=Stream(url=network.info["jetstreamV2"], compress=False),
        path=tmp_path / "config.yaml",
    )  # fmt: skip
    jobs = Jobs(service, store)
    jobs.refresh_people()
    stop = threading.Event()
    work = Ingest(service, store)
    assert not work._people.unknown("friends")

    def read():
        work.run(open_source(service.stream, service.engagement), stop)
        store.close()

    def texts(feed):
        return {row.uri for row in store.newest(feed, None, 100)}

    def until(condition):
        for _ in range(500):
            if condition():
                return
            stop.wait(0.02)
        raise AssertionError({name: texts(name) for name in service.feeds})

    def ask_again():
        network.processAll()
        store.db.run("UPDATE account_sets SET due_at = 0")
        jobs.refresh_people()
        jobs._refreshing.decide_again(settle=0)

    reading = threading.Thread(target=read)
    reading.start()
    try:
        until(lambda: texts("all") or not network.post(as_="mallory", text="anybody there?"))
        bob = network.post(as_="bob", text="listed")["uri"]
        eve = network.post(as_="eve", text="not listed yet")["uri"]
        until(lambda: {bob, eve} <= texts("all"))
        assert (bob in texts("friends"), eve in texts("friends")) == (True, False)
        assert (bob in texts("others"), eve in texts("others")) == (False, True)
        item = network.record(
            as_="alice",
            collection="app.bsky.graph.listitem",
            record={"subject": dids["eve"], "list": members},
        )["uri"]
        ask_again()
        assert eve in texts("friends") - texts("others")
        stop.wait(1.2)  # ingest looks once a second
        later = network.post(as_="eve", text="listed now")["uri"]
        until(lambda: later in texts("friends"))
        network.delete(uri=item)
        ask_again()
        assert texts("friends").isdisjoint({eve, later})
        assert {eve, later} <= texts("others")
    finally:
        stop.set()
        reading.join(10)
        store.close()
