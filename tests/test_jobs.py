"""The jobs do their work once when called, and go on when one of them fails."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from _lookups import ALICE, appview
from storing import account, apply, deleted, engaged, order, uri, written

from feedkit import Field, Gravity, Keywords, Mix, Newest, PerAuthor, Ranker
from feedkit.jobs import Jobs, clock, work
from feedkit.jobs.clock import Contained, on_their_clocks
from feedkit.ranking import take_snapshot
from feedkit.settings import FeedConfig, Network, Service
from feedkit.skeleton import page
from feedkit.store import Pruned, StoreError, open_store
from feedkit.store.heartbeats import AWAY, KEPT, WEB_KEPT, Beat
from feedkit.times import micros

MINUTE = 60_000_000


class Broken(Ranker):
    """Works on nothing."""

    note: str = Field(default="", description="a note")

    def score(self, post, request):
        raise ZeroDivisionError("no posts today")


def service(network=None, publisher="did:plc:x", **feeds):
    return Service(
        hostname="feeds.example.com",
        publisher=publisher,
        did="did:web:feeds.example.com",
        feeds={name: FeedConfig(name=name, **keys) for name, keys in feeds.items()},
        network=network or Network(),
    )


HERONS = {"filter": Keywords("heron"), "rank": Newest()}
BEST = {"filter": Keywords("heron"), "rank": Gravity()}


def register(store, made):
    store.sync_feeds({name: feed.filter.fingerprint() for name, feed in made.feeds.items()})


def fill(store, feeds="birds", number=3):
    apply(store, *(written(f"p{n}", feeds, rev=f"3{n}", seconds=n, text=f"heron {n}", author=f"a{n}")
                   for n in range(number)))  # fmt: skip


def first_page(store, made, name):
    found = page(store, made.feeds[name], 30, "", datetime.now(UTC))
    return [item.uri.rpartition("/")[2] for item in found.items]


def now():
    return micros(datetime.now(UTC))


def test_rank_takes_the_feeds_that_are_due_and_no_others(store):
    made = service(birds=BEST, quiet=BEST, plain=HERONS)
    register(store, made)
    fill(store, "birds quiet plain")
    jobs = Jobs(made, store)
    assert jobs.rank() == 2  # never ranked yet; `newest` has no snapshots
    assert store.latest_version("birds").size == 3
    assert store.latest_version("plain") is None
    assert jobs.rank() == 0  # nobody asks
    store.mark_asked("birds", now())
    assert jobs.rank() == 0  # asked for, but fresh
    take_snapshot(store, made.feeds["birds"], datetime.now(UTC) - timedelta(minutes=2))
    assert jobs.rank() == 1  # asked for, and its last snapshot is older than its refresh


def test_rank_goes_by_the_refresh_of_each_feed(store):
    slow = {**BEST, "refresh": timedelta(minutes=10)}
    made = service(birds=BEST, slow=slow)
    register(store, made)
    fill(store, "birds slow")
    for name in made.feeds:
        take_snapshot(store, made.feeds[name], datetime.now(UTC) - timedelta(minutes=2))
        store.mark_asked(name, now())
    assert Jobs(made, store).rank() == 1
    assert store.latest_version("birds").created_at > now() - MINUTE
    assert store.latest_version("slow").created_at < now() - MINUTE


def test_feeds_that_nobody_asks_for_are_ranked_one_at_a_time_where_there_is_time(store):
    made = service(birds=BEST, terns=BEST, mixed={**BEST, "select": (Mix("birds", 2),)})
    register(store, made)
    fill(store)
    for name, minutes in (("birds", 60), ("terns", 90), ("mixed", 4)):
        take_snapshot(store, made.feeds[name], datetime.now(UTC) - timedelta(minutes=minutes))
    apply(store, written("new", "birds terns", rev="9"))
    jobs = Jobs(made, store)
    assert jobs.rank() == 1
    assert store.latest_version("terns").created_at > now() - MINUTE
    assert store.latest_version("birds").created_at < now() - 59 * MINUTE
    store.mark_asked("mixed", now())  # who asks comes first, and birds with it
    assert jobs.rank() == 2
    assert "new" in first_page(store, made, "birds")
    assert jobs.rank() == 0
    # The old ones of what was asked for may be in somebody's hands; that of terns was given to nobody.
    assert store.stats().versions == 5


def test_a_quiet_feed_gets_its_turn_beside_those_that_are_asked_for(store, monkeypatch):
    made = service(birds=BEST, terns=BEST)
    register(store, made)
    fill(store)
    for name in ("birds", "terns"):
        take_snapshot(store, made.feeds[name], datetime.now(UTC) - timedelta(minutes=60))
    store.mark_asked("birds", now())
    monkeypatch.setattr(work, "SPARE", 0.0)  # as if birds had taken all of the time
    assert Jobs(made, store).rank() == 1
    monkeypatch.undo()
    take_snapshot(store, made.feeds["birds"], datetime.now(UTC) - timedelta(minutes=2))
    assert Jobs(made, store).rank() == 2
    assert store.latest_version("terns").created_at > now() - MINUTE


def test_ranking_a_quiet_feed_does_not_keep_what_it_mixes_in_busy(store):
    made = service(birds=BEST, mixed={**BEST, "select": (Mix("birds", 2),)})
    register(store, made)
    fill(store)
    for name, minutes in (("birds", 4), ("mixed", 60)):
        take_snapshot(store, made.feeds[name], datetime.now(UTC) - timedelta(minutes=minutes))
    jobs = Jobs(made, store)
    assert [jobs.rank(), jobs.rank()] == [1, 0]
    assert store.latest_version("mixed").created_at > now() - MINUTE


def test_a_feed_that_is_ranked_in_another_way_is_due_at_once(store):
    made = service(birds=BEST)
    register(store, made)
    fill(store)
    Jobs(made, store).rank()
    changed = service(birds={**BEST, "select": (PerAuthor(most=1, window=5),)})
    assert Jobs(changed, store).rank() == 1
    assert Jobs(changed, store).rank() == 0


def with_terns_mixed_in(store):
    """A service whose birds take in every other post from terns, and three posts of each."""
    mixing = {**BEST, "select": (Mix("terns", 2),)}
    made = service(birds=mixing, terns={**BEST, "filter": Keywords("tern")})
    register(store, made)
    apply(store, *(written(f"{name}{n}", feed, rev=f"3{name}{n}", seconds=n, author=f"a{name}{n}")
                   for name, feed in (("h", "birds"), ("t", "terns")) for n in range(3)))  # fmt: skip
    return made


def test_a_feed_with_another_mixed_in(store):
    made = with_terns_mixed_in(store)
    apply(store, *(engaged(f"l{name}", "k", uri(name, f"a{name}")) for name in ("h1", "t0")))
    jobs = Jobs(made, store)
    jobs.rank_all()
    assert first_page(store, made, "birds") == ["h1", "t0", "h2", "t2", "h0", "t1"]
    apply(store, deleted("t2", rev="4", author="at2"), account("at0", "suspended"))
    assert first_page(store, made, "birds") == ["h1", "h2", "h0", "t1"]
    store.mark_asked("birds", now())  # keeps what is mixed in fresh, too
    for name in made.feeds:
        store.save_version(name, "", [], now() - 10 * MINUTE, made.feeds[name].recipe)
    assert jobs.rank() == 2
    assert store.latest_version("terns").size == 1
    assert first_page(store, made, "birds") == ["h1", "t1", "h2", "h0"]


def test_what_is_mixed_in_comes_newest_first_where_its_ranking_is_replaced_meanwhile(store):
    made = with_terns_mixed_in(store)
    apply(store, engaged("l", "k", uri("t0", "at0")))
    take_snapshot(store, made.feeds["terns"])
    store.db.run("DELETE FROM chunks")
    take_snapshot(store, made.feeds["birds"], feeds=made.feeds)
    assert first_page(store, made, "birds") == ["h2", "t2", "h1", "t1", "h0", "t0"]


def test_two_feeds_mixed_into_each_other(store):
    made = service(birds={**BEST, "select": (Mix("terns", 2),)},
                   terns={**BEST, "select": (Mix("birds", 2),)})  # fmt: skip
    register(store, made)
    apply(store, *(written(f"{feed[0]}{n}", feed, rev=f"3{feed}{n}", seconds=n)
                   for feed in ("birds", "terns") for n in range(2)))  # fmt: skip
    jobs = Jobs(made, store)
    for _ in range(3):
        jobs.rank_all()
        assert first_page(store, made, "birds") == ["b1", "t1", "b0", "t0"]
        assert first_page(store, made, "terns") == ["t1", "b1", "t0", "b0"]


def test_likes_decide_the_order(store):
    made = service(birds=BEST)
    register(store, made)
    fill(store)
    apply(store, *(engaged(f"l{n}", "k", uri("p0", "a0")) for n in range(5)), seconds=9)
    Jobs(made, store).rank()
    assert first_page(store, made, "birds")[0] == "p0"


def test_a_broken_ranker_falls_back_to_newest_and_is_named(store, caplog):
    made = service(birds={**BEST, "rank": Broken()})
    register(store, made)
    fill(store)
    assert Jobs(made, store).rank() == 1
    assert first_page(store, made, "birds") == ["p2", "p1", "p0"]
    assert "feeds.birds: the ranker broken failed (ZeroDivisionError" in caplog.text


def test_prune_forgets_what_no_feed_keeps(store, caplog):
    made = service(birds={**HERONS, "keep": timedelta(hours=1)})
    store.sync_feeds({"birds": HERONS["filter"].fingerprint(), "gone": "x"})
    apply(
        store,
        written("old", "birds", rev="31", text="heron"),
        written("new", "birds", rev="32", text="heron", seconds=7200),
        written("theirs", "gone", rev="33", text="heron", seconds=7200),
        seconds=7200,
    )
    with caplog.at_level(logging.INFO):
        pruned = Jobs(made, store).prune()
    assert (pruned.hits, pruned.posts, pruned.feeds) == (2, 2, 1)
    assert order(store, "birds") == [uri("new")]
    assert "pruned 2 hits and 2 posts" in caplog.text


def test_a_changed_filter_decides_stored_posts_again(store):
    made = service(birds=HERONS, weir={"filter": Keywords("weir"), "rank": Newest()})
    register(store, made)
    apply(
        store,
        written("heron", "birds", rev="31", seconds=1, text="a heron"),
        written("both", "birds weir", rev="32", seconds=2, text="a heron at the weir"),
        written("weir", "weir", rev="33", seconds=3, text="the weir"),
        written("tern", "birds", rev="34", seconds=4, text="heron, tern"),
    )
    # Narrower in one respect, wider in another: it takes a post that only the other feed kept.
    other = service(birds={**HERONS, "filter": Keywords(["tern", "weir"])}, weir={
        "filter": Keywords("weir"), "rank": Newest()})  # fmt: skip
    jobs = Jobs(other, store)
    assert jobs.decide_again() == 1
    assert order(store, "birds") == [uri("tern"), uri("weir"), uri("both")]
    assert order(store, "weir") == [uri("weir"), uri("both")]
    assert store.find_post(uri("heron")) is None, "nobody keeps it any more"
    assert jobs.decide_again() == 0, "it is recorded as done"


def test_a_new_feed_takes_the_posts_of_others(store):
    register(store, service(birds=HERONS))
    fill(store)
    made = service(birds=HERONS, more={"filter": Keywords("1"), "rank": Newest()})
    assert Jobs(made, store).decide_again() == 1
    assert order(store, "more") == [uri("p1", "a1")]


def test_deciding_again_goes_through_all_of_a_large_store(store):
    register(store, service(birds=HERONS))
    fill(store, number=1500)
    made = service(birds={**HERONS, "filter": Keywords(["1", "1499"])})
    Jobs(made, store).decide_again()
    assert order(store, "birds") == [uri("p1499", "a1499"), uri("p1", "a1")]


def test_publishers_are_learnt_or_named_in_the_log(store, caplog):
    with appview() as view:
        made = service(Network(appview=view.url), "alice.test", birds={
            **HERONS, "publisher": ""}, other={**HERONS, "publisher": "bob.test"})  # fmt: skip
        Jobs(made, store).learn_publishers()
    assert store.identities.find("alice.test")[0] == ALICE
    assert "publisher bob.test: " in caplog.text


def test_once_does_all_of_it_whether_due_or_not(store):
    register(store, service(birds={**BEST, "filter": Keywords("a")}))
    apply(
        store,
        written("ant", "birds", rev="31", text="a"),
        written("both", "birds", rev="32", text="a heron", seconds=1),
    )
    made = service(birds=BEST)
    assert Jobs(made, store).once() is True
    assert first_page(store, made, "birds") == ["both"]
    before = store.latest_version("birds").id
    Jobs(made, store).once()
    assert store.latest_version("birds").id > before


def test_once_leaves_it_to_the_process_that_does_the_jobs(store, store_url, caplog):
    made = service(birds=BEST)
    register(store, made)
    fill(store)
    with open_store(store_url) as other:
        owner = other.ownership()
        assert owner.acquire()
        assert Jobs(made, store).once() is False
        assert store.latest_version("birds") is None
        assert "another process does the jobs of this store" in caplog.text
        owner.release()
        eventually(Jobs(made, store).once)
        assert owner.acquire(), "it has let go of them"
        owner.release()


def test_a_store_that_is_too_large_is_told_with_what_takes_the_room(store, caplog):
    caplog.set_level(logging.INFO)
    jobs = Jobs(service(birds=BEST), store)
    held = {"rankings": 5_000_000, "posts": 3_000_000, "scores": 9, "tombstones": 8}
    jobs._tell_of_size(Pruned(held=held, early=7))
    jobs._tell_of_size(Pruned(held=held, cut=micros(datetime(2026, 7, 4, tzinfo=UTC))))
    for _ in range(11):
        jobs._tell_of_size(Pruned(held=held, cut=1, spared=True))
    jobs._tell_of_size(Pruned())
    begins = "allows (rankings 5 MB, posts 3 MB, scores 9 bytes)"
    assert [one.partition(": max: ")[2] for one in caplog.messages] == [
        f"{begins}: 7 rankings for viewers went early",
        f"{begins}: posts from before 2026-07-04 00:00:00 UTC go, whatever keep: says; allow more, "
        "or keep less",
        *[f"{begins}, most of which is no posts: the oldest go, but for the newest 1000 of each "
          "feed; allow more"] * 2,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (StoreError("the disk is full"), "the job prune failed, once: the disk is full"),
        (KeyError("oops"), "the job prune failed, once; please report this"),
    ],
)
def test_a_job_that_fails_does_not_stop_the_others(store, caplog, monkeypatch, error, says):
    made = service(birds=BEST)
    register(store, made)
    fill(store)
    jobs = Jobs(made, store)

    def fails(*_):
        raise error

    monkeypatch.setattr(store, "prune", fails)
    assert jobs.once() is False
    assert store.latest_version("birds").size == 3
    assert says in caplog.text
    assert ("Traceback" in caplog.text) == isinstance(error, KeyError)


def test_on_the_clock_all_jobs_run_and_go_on_when_the_store_fails(store, caplog, monkeypatch):
    with appview() as view:
        made = service(Network(appview=view.url), "alice.test", birds=BEST)
        register(store, made)
        fill(store)
        real, failing = store.feeds_due, [2]

        def feeds_due(*arguments):
            if failing[0]:
                failing[0] -= 1
                raise StoreError("the server is gone")
            return real(*arguments)

        monkeypatch.setattr(store, "feeds_due", feeds_due)
        stop = threading.Event()
        thread = threading.Thread(target=Jobs(made, store).run, args=(stop,))
        with caplog.at_level(logging.INFO):
            thread.start()
            until = time.monotonic() + 10
            while time.monotonic() < until and not (
                store.latest_version("birds") and store.identities.find("alice.test")
                and "works again" in caplog.text
            ):  # fmt: skip
                time.sleep(0.05)
            stop.set()
            began = time.monotonic()
            thread.join()
    assert time.monotonic() - began < 5
    assert store.latest_version("birds").size == 3
    assert store.identities.find("alice.test")[0] == ALICE
    assert caplog.text.count("the job rank failed") == 1, "the second time is not worth saying"
    assert "the job rank works again" in caplog.text


def test_failures_are_said_ever_more_rarely_and_the_end_of_them_once(caplog):
    left = [StoreError("gone")] * 11 + [None, None] + [StoreError("gone again")]

    def work():
        if error := left.pop(0):
            raise error

    job = Contained(work)
    with caplog.at_level(logging.INFO):
        done = [job() for _ in range(14)]
    assert done == [False] * 11 + [True, True, False]
    assert [record.getMessage() for record in caplog.records] == [
        "the job work failed, once: gone",
        "the job work failed, 10 times in a row: gone",
        "the job work works again",
        "the job work failed, once: gone again",
    ]


def test_ranking_ends_between_two_feeds_when_told_to(store):
    made = service(**{f"f{n}": BEST for n in range(5)})
    register(store, made)
    fill(store, " ".join(made.feeds))
    jobs = Jobs(made, store)
    jobs._stop.set()
    assert jobs.rank() == 0


def test_posts_deleted_since_are_not_ranked(store):
    made = service(birds=BEST)
    register(store, made)
    fill(store)
    apply(store, deleted("p1", rev="39", author="a1", seconds=9))
    Jobs(made, store).rank()
    assert sorted(first_page(store, made, "birds")) == ["p0", "p2"]


# Jobs that take longer than their clock


def test_a_job_that_is_due_while_it_is_at_work_is_said_once_and_done_again(
    store, caplog, monkeypatch
):
    """Not in APScheduler's words, each time; nor twice at once."""
    monkeypatch.setattr(clock, "LATE", 0.1)
    go_on, runs, due, others = threading.Event(), [], [], []

    def slow():
        runs.append("began")
        assert go_on.wait(30)
        runs.append("ended")

    def other():
        others.append(len(due))

    stop = threading.Event()
    with on_their_clocks(
        [(slow, 0.05), (other, 0.05)], store, lambda job, every: job, stop, due.append
    ):  # fmt: skip
        eventually(lambda: due.count("slow") >= 8)
        assert runs == ["began"]
        assert set(due) <= {"slow", "other"}
        go_on.set()
        eventually(lambda: len(runs) >= 4)
    assert runs[:4] == ["began", "ended"] * 2
    assert max(others) >= 3, "others go on meanwhile"
    assert "maximum number" not in caplog.text
    said = [one for one in caplog.messages if one.startswith("the job slow has been at work for ")]
    assert 1 <= len(said) <= 3, "again only of a run that takes ten times as long"
    assert "it is not done twice at once, but again when it ends" in said[0]


def test_the_longer_a_job_is_at_work_the_more_rarely_it_is_said(caplog):
    job, now = Contained(lambda: None), time.monotonic()
    for seconds in (None, 3, 9, 12, 20, 110, 121, 600, 1300, 14400):
        job._began = seconds and now - seconds
        job.overdue()
    told = [
        one.partition(" at work for ")[2].partition(" and is due")[0] for one in caplog.messages
    ]
    assert told == ["12 s", "2 minutes", "22 minutes", "4 hours"]


def test_how_often_jobs_were_overdue_is_shown(store):
    jobs = Jobs(service(birds=BEST), store)
    for _ in range(3):
        jobs._pulse.overdue("rank")
    jobs._pulse.ran("rank", 0.1)
    jobs._pulse.beat()
    from feedkit.heartbeat.figures import read

    assert read(store.heartbeats.all()[0]).jobs["rank"].overdue == 3


def test_a_wrong_clock_forgets_no_process_of_another_host(store):
    def beat(kind, host, at):
        store.heartbeats.save(Beat(kind, f"{kind} {host}", host, 1, 0, at, "{}"))

    def known():
        return {one.name for one in store.heartbeats.all()}

    noon = now()
    for kind in ("web", "ingest"):
        beat(kind, "right", noon)
    for ahead in (WEB_KEPT + 1, KEPT + 1, 99 * KEPT):
        beat("web", "ahead", noon + ahead)
        beat("jobs", "ahead", noon + ahead)
        assert known() == {"web right", "ingest right", "web ahead", "jobs ahead"}
    beat("web", "right", noon + 1)
    assert "web ahead" in known()
    # A host that is gone is forgotten all the same, once another one says how late it is.
    beat("web", "third", noon + AWAY + 2)
    beat("web", "ahead", noon + 99 * KEPT)
    assert known() == {"ingest right", "web third", "web ahead", "jobs ahead"}


def eventually(condition):
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.02)
