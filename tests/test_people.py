"""Sets of people, from the network to the feeds: found out, kept, taken up, decided again."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from _appview import FakeAppView, said
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storing import clear, did, order, uri, written

from feedkit import (
    AtLeastOf,
    Author,
    Boost,
    Everything,
    FollowedBy,
    Gravity,
    InList,
    Keywords,
    Mentions,
    Newest,
    Quote,
    QuotedPost,
    Reply,
    Top,
)
from feedkit.appview import AppView
from feedkit.cli.group import open_checked
from feedkit.event import Frame
from feedkit.explain import explain
from feedkit.ingest import Ingest
from feedkit.jobs import Jobs
from feedkit.people import Membership, refreshing
from feedkit.settings import FeedConfig, Network, Service
from feedkit.store import open_store
from feedkit.testing import post

ANN, BEN, CAT, DAN = map(did, ("ann", "ben", "cat", "dan"))
LIST = f"at://{ANN}/app.bsky.graph.list/3k"
OTHER = f"at://{ANN}/app.bsky.graph.list/3m"


@pytest.fixture
def appview(monkeypatch):
    monkeypatch.setattr("feedkit.appview.PAUSE", 0.001)
    monkeypatch.setattr(AppView.__init__, "__defaults__", (0.001,))
    view = FakeAppView()
    view.lists = {LIST: [BEN], OTHER: []}
    view.handles = {"cat.test": CAT}
    view.follows = {"cat.test": [DAN]}
    with view.serving():
        yield view


@pytest.fixture
def service_of(appview, tmp_path):
    def make(*, rank=None, **filters):
        feeds = {
            name: FeedConfig(name, filter, rank or Newest()) for name, filter in filters.items()
        }
        return Service(
            "feeds.example.com", ANN, "did:web:feeds.example.com", feeds,
            network=Network(appview=appview.address), path=Path(tmp_path) / "config.yaml",
        )  # fmt: skip

    return make


class Steps:
    """A source of the steps that it is given: steps, or something to do between them."""

    name = "steps"

    def __init__(self, *steps):
        self._steps = steps

    def frames(self, cursor, time, stop):
        for number, step in enumerate(self._steps, (cursor or 0) + 1):
            if callable(step):
                step()
                yield None
            else:
                event, _ = step
                yield Frame(number, 0, (event,))


def refreshed(service, store):
    """Asks the network now, whether it is due or not, and decides again."""
    store.db.run("UPDATE account_sets SET due_at = 0")
    jobs = Jobs(service, store)
    jobs.refresh_people()
    jobs._refreshing.decide_again(settle=0)
    return jobs


def now(seconds=0.0):
    return time.time_ns() // 1000 + int(seconds * 1_000_000)


def test_from_the_list_to_the_feed(service_of, store, appview):
    service = service_of(friends=Author([LIST, "cat.test"]) | FollowedBy("cat.test"))
    refreshed(service, store)
    work = Ingest(service, store)
    work.run(
        Steps(*(written(name, rev="1", author=name) for name in ("ann", "ben", "cat", "dan"))),
        threading.Event(),
    )
    assert order(store, "friends") == [uri(n, n) for n in ("dan", "cat", "ben")]
    assert sorted(method for method, _ in appview.asked) == [
        "app.bsky.actor.getProfiles", "app.bsky.graph.getFollows", "app.bsky.graph.getList",
    ]  # fmt: skip


def test_ingest_takes_a_change_up_between_batches(service_of, store, appview, monkeypatch):
    monkeypatch.setattr("feedkit.people.membership.EVERY", 0.0)
    service = service_of(friends=InList(LIST))
    refreshed(service, store)
    work = Ingest(service, store, batch_events=1)

    def change():
        appview.lists[LIST] = [CAT]
        refreshed(service_of(friends=InList(LIST)), store)

    work.run(
        Steps(
            written("1", rev="1", author="ben"), written("2", rev="1", author="cat"),
            change,
            written("3", rev="1", author="ben"), written("4", rev="1", author="cat"),
        ),
        threading.Event(),
    )  # fmt: skip
    assert order(store, "friends") == [uri("4", "cat")], "and what ben said is decided again"


def test_ingest_looks_once_a_second_at_most(service_of, store, monkeypatch):
    service = service_of(friends=InList(LIST), own=Author(ANN))
    refreshed(service, store)
    work = Ingest(service, store, batch_events=1)
    looks = []
    version = store.account_sets.version
    monkeypatch.setattr(store.account_sets, "version", lambda: looks.append(1) or version())
    began = time.monotonic()
    work.run(Steps(*(written(str(n), rev="1") for n in range(200))), threading.Event())
    took = time.monotonic() - began
    assert len(order(store, "own")) == 200
    assert 1 <= len(looks) <= 1 + took


def test_dids_alone_ask_nobody(service_of, store, appview, monkeypatch):
    service = service_of(own=Author(ANN), to=Reply(to=BEN))
    monkeypatch.setattr(store.account_sets, "version", lambda: pytest.fail("asked the store"))
    work = Ingest(service, store)
    work.wait_for_people(threading.Event())
    work.run(Steps(written("a", rev="1")), threading.Event())
    Jobs(service, store).refresh_people()
    assert (order(store, "own"), appview.asked) == ([uri("a")], [])


def test_while_nobody_knows_neither_it_nor_its_negation_matches(service_of, store, caplog):
    service = service_of(
        friends=InList(LIST), others=~InList(LIST), both=InList(LIST) | Keywords("heron")
    )
    work = Ingest(service, store)
    work.run(
        Steps(written("a", rev="1", author="ben"), written("b", rev="1", text="a heron")),
        threading.Event(),
    )
    assert [order(store, name) for name in ("friends", "others", "both")] == [[], [], [uri("b")]]


def test_the_network_is_away_at_the_first_start(service_of, store, appview, caplog):
    appview.always = lambda method, query: said(b"", 502)
    service = service_of(friends=InList(LIST))
    jobs = Jobs(service, store)
    with caplog.at_level(logging.WARNING):
        jobs.refresh_people()
    (record,) = caplog.records
    assert f"accounts {LIST}: {appview.address} answered with status 502" in record.message
    assert "until it is known, filters with it match nothing (friends)" in record.message
    caplog.clear()
    store.db.run("UPDATE account_sets SET due_at = 0")
    jobs.refresh_people()
    assert not caplog.records, "it is told once"
    appview.always = None
    store.db.run("UPDATE account_sets SET due_at = 0")
    with caplog.at_level(logging.INFO):
        jobs.refresh_people()
    assert "1 now, 1 came" in caplog.text
    assert "found out again" in caplog.text
    assert not Membership(service, store).unknown("friends")


def test_whose_votes_count_cannot_be_asked(service_of, store, appview, caplog):
    appview.always = lambda method, query: said(b"", 502)
    Jobs(service_of(all=Everything(), rank=Top(votes_from=LIST)), store).refresh_people()
    (record,) = (r for r in caplog.records if r.levelno == logging.WARNING)
    assert record.message.endswith("until it is known, no votes by them count")


def test_the_last_known_set_is_kept(service_of, store, appview, caplog):
    service = service_of(friends=InList(LIST))
    refreshed(service, store)
    Ingest(service, store).run(Steps(written("a", rev="1", author="ben")), threading.Event())
    for trouble in ("away", "gone"):
        if trouble == "away":
            appview.always = lambda method, query: said(b"", 502)
        else:
            appview.always, appview.lists = None, {}
        caplog.clear()
        refreshed(service, store)
        assert "those who it meant until now are kept" in caplog.text
        assert order(store, "friends") == [uri("a", "ben")]
    again = service_of(friends=InList(LIST))
    Ingest(again, store).run(Steps(written("b", rev="1", author="ben")), threading.Event())
    assert order(store, "friends") == [uri("b", "ben"), uri("a", "ben")]


def test_what_never_was_means_nobody(service_of, store, appview, caplog):
    service = service_of(others=~Author(["nobody.test", LIST]), friends=Author([LIST, "none.test"]))
    refreshed(service, store)
    assert "Unable to resolve handle; it means nobody, is it written right?" in caplog.text
    Ingest(service, store).run(
        Steps(written("a", rev="1", author="ben"), written("b", rev="1")), threading.Event()
    )
    assert (order(store, "friends"), order(store, "others")) == ([uri("a", "ben")], [uri("b")])


def test_a_new_filter_does_not_empty_a_feed_while_nobody_is_known(service_of, store, appview):
    before = service_of(friends=Author(BEN))
    Ingest(before, store).run(Steps(written("a", rev="1", author="ben")), threading.Event())
    appview.always = lambda method, query: said(b"", 502)
    after = service_of(friends=InList(LIST))
    jobs = refreshed(after, store)
    assert jobs.decide_again() == 0
    assert order(store, "friends") == [uri("a", "ben")]
    appview.always = None
    refreshed(after, store)
    assert order(store, "friends") == [uri("a", "ben")]
    assert jobs.decide_again() == 0, "that was done with it"
    appview.lists[LIST] = [CAT]
    refreshed(after, store)
    assert order(store, "friends") == []


def test_nothing_is_decided_by_half_of_what_a_filter_names(service_of, store, appview):
    before = service_of(friends=InList(LIST))
    refreshed(before, store)
    Ingest(before, store).run(Steps(written("a", rev="1", author="ben")), threading.Event())
    appview.always = lambda method, query: said(b"", 502) if query.get("list") == [OTHER] else None
    after = service_of(friends=InList(LIST) & ~InList(OTHER))
    for members in ([], [BEN]):  # ben goes, and is back before anything is decided
        appview.lists[LIST] = members
        store.db.run("UPDATE account_sets SET due_at = 0")
        jobs = Jobs(after, store)
        jobs.refresh_people()
    assert jobs._refreshing.decide_again(settle=0) == 0
    assert order(store, "friends") == [uri("a", "ben")]
    appview.always = None
    refreshed(after, store)
    assert order(store, "friends") == [uri("a", "ben")]
    assert not store.account_sets.undecided(jobs._people._keys)


def test_what_is_due(service_of, store, appview, tmp_path):
    (tmp_path / "us.txt").write_text(f"{ANN}\n", "utf-8")
    service = service_of(friends=Author([LIST, "cat.test", {"file": "us.txt"}]))
    jobs = Jobs(service, store)
    assert jobs.refresh_people() == 3
    assert jobs.refresh_people() == 0
    waits = {
        key.partition(" ")[0]: round((state.due_at - now()) / 1e6)
        for key, state in store.account_sets.states(jobs._people._keys).items()
    }
    assert waits == {
        "list": refreshing.USUAL, "handle": refreshing.HANDLE, "file": refreshing.FILE,
    }  # fmt: skip
    store.db.run("UPDATE account_sets SET due_at = ?", (now(10 * 86_400),))
    assert jobs.refresh_people() == 3, "our clock was wrong"
    appview.lists[LIST] = [f"did:plc:{n:024}" for n in range(20_000)]
    store.db.run("UPDATE account_sets SET due_at = 0")
    jobs.refresh_people()
    states = store.account_sets.states([f"list {LIST}"])
    wait = (states[f"list {LIST}"].due_at - now()) / 1e6
    assert wait == pytest.approx(200 * refreshing.A_REQUEST, abs=5), "large ones are asked seldom"


def test_it_gives_up_while_the_network_is_away(service_of, store, appview):
    appview.always = lambda method, query: said(b"", 403)
    lists = [f"at://{ANN}/app.bsky.graph.list/{n}" for n in range(20)]
    service = service_of(friends=Author(lists))
    Jobs(service, store).refresh_people()
    assert len(appview.asked) == refreshing.GIVE_UP
    appview.always = None
    appview.lists = {one: [BEN] for one in lists}
    Jobs(service, store).refresh_people()
    assert len(Membership(service, store).unknown("friends")) == refreshing.GIVE_UP


def test_a_file_is_read_again(service_of, store, tmp_path):
    file = tmp_path / "us.txt"
    file.write_text(f"{BEN}\n", "utf-8")
    service = service_of(friends=Author({"file": "us.txt"}), all=Everything())
    refreshed(service, store)
    Ingest(service, store).run(
        Steps(*(written(n, rev="1", author=n) for n in ("ben", "cat"))), threading.Event()
    )
    file.write_text(f"{CAT}\n", "utf-8")
    refreshed(service, store)
    assert order(store, "friends") == [uri("cat", "cat")]
    file.write_text("nonsense\n", "utf-8")
    refreshed(service, store)
    assert order(store, "friends") == [uri("cat", "cat")]


def test_ingest_waits_until_all_was_tried(service_of, store, appview, caplog):
    service = service_of(friends=InList(LIST))
    work = Ingest(service, store)
    work.wait_for_people(threading.Event(), 0.3)
    assert f"nobody has found out yet whom {LIST} means" in caplog.text
    other = (
        open_store(f"sqlite:///{store.place.removeprefix('sqlite:///')}")
        if store.db.sqlite
        else store
    )

    def ask():
        refreshed(service_of(friends=InList(LIST)), other)
        other.close()

    later = threading.Timer(0.3, ask)
    if store.db.sqlite:
        later.start()
    else:
        ask()
    began = time.monotonic()
    work.wait_for_people(threading.Event(), 20)
    assert time.monotonic() - began < 10
    work.run(Steps(written("a", rev="1", author="ben")), threading.Event())
    assert order(store, "friends") == [uri("a", "ben")]
    if store.db.sqlite:
        later.join()


def test_a_change_waits_until_every_ingest_has_taken_it_up(service_of, store, appview):
    service = service_of(friends=InList(LIST), all=Everything())
    jobs = refreshed(service, store)
    appview.lists[LIST] = [CAT]
    store.db.run("UPDATE account_sets SET due_at = 0")
    jobs.refresh_people()
    assert jobs.decide_people_again() == 0
    store.db.run("UPDATE account_sets SET changed_at = changed_at - ?", (31_000_000,))
    assert jobs.decide_people_again() == 1
    assert jobs.decide_people_again() == 0


def test_being_stopped_loses_nothing(service_of, store, appview):
    service = service_of(friends=InList(LIST), all=Everything())
    refreshed(service, store)
    Ingest(service, store).run(Steps(written("a", rev="1", author="cat")), threading.Event())
    appview.lists[LIST] = [CAT]
    store.db.run("UPDATE account_sets SET due_at = 0")
    jobs = Jobs(service, store)
    jobs.refresh_people()
    jobs._stop.set()
    assert jobs._refreshing.decide_again(settle=0) == 0
    assert order(store, "friends") == []
    assert Jobs(service, store)._refreshing.decide_again(settle=0) == 1
    assert order(store, "friends") == [uri("a", "cat")]


def test_rankers_are_bound_too(service_of, store):
    service = service_of(all=Everything(), rank=Boost(ranker=Gravity(), filter=InList(LIST)))
    refreshed(service, store)
    assert service.feeds["all"].rank.filter.lists.known == {BEN}
    assert Membership(service, store).deciding(service.feeds["all"].rank.filter.lists.sources) == []


@pytest.mark.parametrize(
    ("filter", "alone"),
    [
        (InList(LIST), True),
        (~(InList(LIST) & Keywords("heron")) | Keywords("tern"), True),
        (AtLeastOf(1, [Author(LIST), Keywords("heron")]), True),
        (Mentions(LIST), False),
        (InList(LIST) | Quote(of=LIST), False),
        (QuotedPost(InList(LIST)), False),
        (~QuotedPost(Keywords("heron") & InList(LIST)), False),
    ],
    ids=str,
)
def test_what_an_index_by_authors_can_find(service_of, store, filter, alone):
    members = Membership(service_of(some=filter), store)
    assert [members.by_author_alone(source) for source in members.sources] == [alone]


def test_commands_know_whom_lists_mean(service_of, store, store_url):
    refreshed(service_of(friends=InList(LIST)), store)
    service = replace(service_of(friends=InList(LIST)), store=store_url)
    theirs = post(author=BEN)
    unknown = explain(service.feeds["friends"].filter, theirs)
    assert (unknown.verdict, LIST in unknown.because) == (None, True)
    open_checked(service).close()
    known = explain(service.feeds["friends"].filter, theirs)
    assert (known.verdict, known.because) == (True, LIST)


PEOPLE = ("ann", "ben", "cat", "dan")
some_people = st.frozensets(st.sampled_from(PEOPLE).map(did))
posts = st.lists(
    st.tuples(st.sampled_from(PEOPLE), st.sampled_from(("", "mentions", "reply", "quote")), st.sampled_from(PEOPLE)),
    max_size=8,
)  # fmt: skip


def feeds():
    """Every way in which a filter uses accounts, and a feed that keeps all posts."""
    a, b = InList(LIST), Author([OTHER, "cat.test"])
    return {
        "all": Everything(), "in": a, "not": ~a, "both": a & b, "either": a | ~b,
        "mentions": Mentions(LIST), "to": Reply(to=[OTHER]), "thread": ~Reply(thread=LIST),
        "quote": Quote(of=[OTHER, LIST]), "quoting": Quote(of=OTHER) & Author(LIST),
    }  # fmt: skip


def stream(made):
    for number, (author, what, whom) in enumerate(made):
        about = uri("x", whom)
        content = {
            "mentions": {"mentions": frozenset({did(whom)})},
            "reply": {"reply_parent": about, "reply_root": about},
            "quote": {"quote": about},
        }.get(what, {})
        yield written(f"p{number}", rev="1", author=author, seconds=number, **content)


@settings(
    max_examples=25 if os.environ.get("FEEDKIT_SLOW") else 10, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    made=posts,
    before=st.tuples(some_people, some_people),
    after=st.tuples(some_people, some_people),
)
def test_deciding_again_is_as_if_it_had_been_so_from_the_start(
    service_of, store, appview, made, before, after
):
    held = []
    for history in ((before, after), (after,)):
        clear(store)
        for number, (first, second) in enumerate(history):
            appview.lists = {LIST: sorted(first), OTHER: sorted(second)}
            service = service_of(**feeds())
            refreshed(service, store)
            if not number:
                Ingest(service, store).run(Steps(*stream(made)), threading.Event())
        held.append({name: order(store, name) for name in feeds()})
    assert held[0] == held[1]
    assert len(held[0]["all"]) == len(made)


@pytest.mark.parametrize(
    ("filter", "content"),
    [
        (InList(LIST), {"author": "ben"}),
        (Mentions(LIST), {"mentions": frozenset({BEN})}),
        (Reply(to=LIST), {"reply_parent": uri("x", "ben"), "reply_root": uri("x")}),
        (Reply(thread=LIST), {"reply_parent": uri("x"), "reply_root": uri("x", "ben")}),
        (Quote(of=LIST), {"quote": uri("x", "ben")}),
    ],
    ids=str,
)
def test_stored_posts_follow_a_change(service_of, store, appview, filter, content):
    service = service_of(all=Everything(), some=filter)
    refreshed(service, store)
    Ingest(service, store).run(Steps(written("a", rev="1", **content)), threading.Event())
    for members, found in (([CAT], 0), ([BEN, CAT], 1), ([], 0)):
        appview.lists[LIST] = members
        refreshed(service, store)
        assert len(order(store, "some")) == found
    assert len(order(store, "all")) == 1
