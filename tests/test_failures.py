"""Plugins that fail are counted wherever they work, and shown by /metrics and `feedkit status`."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from test_containment import TEXTS, configured, ingested
from test_serving import ANN, FEEDS, World, asker, feed, get
from test_web import SERVICE

from feedkit import ViewerFilter, failures
from feedkit.cli.watching import _lines
from feedkit.heartbeat import Pulse
from feedkit.heartbeat.pulse import now_us
from feedkit.jobs import Jobs
from feedkit.overview import look
from feedkit.plugin import Ranker, Selector
from feedkit.serving import serve
from feedkit.status import as_json, status
from feedkit.store import open_store
from feedkit.web.asgi import create_front
from feedkit.web.exposition import families, without_store

BAD = (
    "ranked: {filter: {keywords: heron}, rank: {bad_ranker: raise}}",
    "chosen: {filter: {keywords: heron}, select: [{bad_selector: raise}]}",
    "filtered: {filter: bad_filter}",
    "waits: {filter: {all: [{keywords: heron}, bird]}}",
)


@pytest.fixture
def sqlite(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.db") as made:
        made.migrate()
        yield made


def told(metrics):
    """How often plugins failed, by kind and name of the process, feed and plugin."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics
        if family.name == "feedkit_plugin_errors"
        for sample in family.samples
    }


def test_the_jobs_count_rankers_selectors_filters_and_hydrators(sqlite, tmp_path):
    service = configured(tmp_path, *BAD)
    ingested(service, sqlite, tmp_path)
    failures.forget()  # the ingest's: it is another process
    sqlite.db.run("UPDATE feeds SET fingerprint = 'before' WHERE name = 'filtered'")
    jobs = Jobs(service, sqlite)
    for _ in range(2):
        assert jobs.once()
    jobs._pulse.beat()
    posts = len(TEXTS)
    assert told(families(look(service, sqlite, now_us()))) == {
        ("jobs", "jobs", "", "bad_hydrator"): 1,
        ("jobs", "jobs", "chosen", "bad_selector"): 2,
        ("jobs", "jobs", "filtered", "bad_filter"): posts,
        ("jobs", "jobs", "ranked", "bad_ranker"): 2,
    }
    said = status(service, sqlite, now_us())
    assert ["ranked", "bad_ranker", 2] in as_json(said)["jobs"]["errors"]
    lines = list(_lines(said, "here"))
    assert "  feeds.ranked: bad_ranker failed 2 times" in lines
    assert "  bad_hydrator failed 1 time" in lines


class Odd(Ranker):
    """Ranks nothing."""

    def score(self, post, request):
        raise LookupError("no scores")


class None_(Selector):
    """Selects nothing."""

    def select(self, posts, request):
        raise LookupError("no selection")


def test_a_web_process_counts_what_fails_for_viewers(store):
    world = World(store)
    uris = [world.arrive(age=n) for n in range(20)]
    poison = sum(uri.endswith("7") for uri in uris)
    assert poison
    assert len(get(store, "broken", asker(ANN)).items) == len(uris) - poison
    mine = replace(feed("mine"), rank=Odd(), select=(None_(),), viewer=FEEDS["mine"].viewer)
    serve(store, {"mine": mine}, mine, 5, "", asker(ANN))
    front = create_front(SERVICE, store)
    Pulse(store, "web", front.name, front.figures).beat()
    name = front.name
    expected = {
        ("web", name, "broken", "broken"): poison,
        ("web", name, "mine", "odd"): 1,
        ("web", name, "mine", "none_"): 1,
    }
    assert told(families(look(SERVICE, store, now_us()))) == expected
    assert told(without_store({name: front.figures()})) == expected, "also where the store is away"
    said = status(SERVICE, store, now_us())
    (web,) = as_json(said)["web"]
    assert ["mine", "odd", 1] in web["errors"]
    assert "  feeds.mine: odd failed 1 time" in list(_lines(said, "here"))
    for stage in front._stages:
        stage.close()


class Leaves(ViewerFilter):
    """Ends the process, if it may."""

    def keep(self, post, viewer):
        sys.exit(3)


class LeavesAtOnce(ViewerFilter):
    """Ends the process before anything is read, if it may."""

    def keep(self, post, viewer):
        return True

    def authors(self, viewer):
        sys.exit(4)


@pytest.mark.parametrize("leaving", [Leaves, LeavesAtOnce])
def test_a_viewer_filter_that_exits_ends_nothing(store, leaving):
    World(store).arrive(age=1)
    left = feed("mine", viewer=(leaving(),))
    assert serve(store, {"mine": left}, left, 5, "", asker(ANN)).items == []
    assert failures.so_far() == {("mine", leaving.yaml_name()): 1}
