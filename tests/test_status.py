"""`feedkit status`: how a service fares, and what is wrong with it; and the log's formats."""

from __future__ import annotations

import json
import logging
import sys
import threading

import httpx
import msgspec
import pytest
from _streams import server
from storing import SECOND
from test_ingest import Recorded
from test_metrics import INGEST, JOBS, SOURCE, WEB, everything, say
from test_run import Process, answers, configure, free_port, project, slowly, stored  # noqa: F401
from test_web import SERVICE

from feedkit.heartbeat import JobsPulse
from feedkit.heartbeat.figures import Ingesting, Job, Working
from feedkit.heartbeat.pulse import now_us
from feedkit.logs import JsonLines, WrongSetting, write_log
from feedkit.settings import Stream
from feedkit.sharding import Shard
from feedkit.status import as_json, problems, status
from feedkit.store import open_store
from feedkit.store.gaps import mark_filled, open_gaps


def wrong(store, **changes):
    """What is wrong with a service that is well but for `changes`: seconds."""
    now = now_us()
    behind, silent = changes.get("behind", 1), changes.get("silent", 1)
    reading, working = changes.get("reading", 1), changes.get("working", 1)
    figures = Ingesting(clock=now - behind * SECOND, arrived_at=now - silent * SECOND)
    if reading is not None:
        say(store, "ingest", SOURCE, figures, ago=reading)
    if working is not None:
        say(store, "jobs", "jobs", changes.get("jobs", Working()), ago=working)
    if behind is not None:
        store.apply([], SOURCE, 5, now - behind * SECOND, frozenset())
    return status(SERVICE, store, now_us()).problems


def test_a_service_that_is_well(store):
    assert wrong(store) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"behind": 100}, "what is stored is 100 seconds old; it comes late"),
        ({"behind": -100}, "its clock is 100 seconds ahead of this machine's; set this machine's"),
        ({"behind": 7300, "reading": None}, "2 hours old; nobody reads it: start `feedkit worker`"),
        ({"behind": 100, "silent": 90}, "nothing has arrived for 9"),
        ({"behind": 700, "reading": 600}, "who reads it was last heard of 10 minutes ago; start"),
        ({"working": 300}, "the jobs were last heard of 5 minutes ago; start `feedkit worker`"),
        ({"working": None}, "the jobs were never heard of; start `feedkit worker`"),
        (
            {"jobs": Working(jobs={"rank": Job(failing=3, problem="OSError: gone"), "prune": Job()})},
            "the job rank failed 3 times in a row: OSError: gone",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_once(store, changes, says):
    (problem,) = wrong(store, **changes)
    assert says in problem


def test_a_minute_is_no_fault(store):
    assert wrong(store, behind=50, silent=50, reading=50, working=50) == []


@pytest.mark.parametrize(
    ("silent", "events", "says"),
    [
        (1, 0, "was not reached yet: no such host; is stream: right in the configuration?"),
        (1, 5, None),  # a connection may break for a moment
        (90, 5, "nothing has arrived for 90 seconds (no such host); `feedkit doctor` looks"),
    ],
)
def test_why_nothing_arrives_is_said(store, silent, events, says):
    say(store, "jobs", "jobs", Working())
    now = now_us()
    figures = Ingesting(arrived_at=now - silent * SECOND, events=events, problem="no such host")
    say(store, "ingest", SOURCE, figures)
    seen = status(SERVICE, store, now)
    assert [says in one for one in seen.problems] == ([True] if says else [])
    (stream,) = as_json(seen)["streams"]
    assert stream["problem"] == "no such host"


def test_a_stream_that_cannot_be_reached_is_told_at_once(store):
    """Through the real source and the real ingest, at a port where nobody listens."""
    from feedkit.heartbeat import StreamPulse
    from feedkit.ingest import Ingest
    from feedkit.sources import open_source

    store.sync_feeds(dict.fromkeys(SERVICE.feeds, "1"))
    url = f"ws://127.0.0.1:{free_port()}"
    stream = Stream(url=url, compress=False, backoff=0.05, backoff_cap=0.05)
    source, stop = open_source(stream, frozenset()), threading.Event()
    work = Ingest(SERVICE, store)
    pulse = StreamPulse(store, source.name, work, lambda: source.problem)
    seen, times = [], iter(range(200))

    def rest():
        pulse.sometimes()
        seen[:] = status(SERVICE, store, now_us()).problems
        if "was not reached yet" in str(seen) or next(times, None) is None:
            stop.set()

    work.at_rest = rest
    work.run(source, stop)
    assert any(
        one.startswith(f"jetstream {url}: was not reached yet: ") and "refused" in one
        for one in seen
    ), seen


def test_shards_without_the_first_are_told_of(store):
    """They read nothing, for ever. Through the real ingest and its heartbeat."""
    from feedkit.heartbeat import StreamPulse
    from feedkit.ingest import Ingest

    say(store, "jobs", "jobs", Working())
    store.take_over(SOURCE, Shard(2, 2))
    name = f"{SOURCE} 1/2: nothing was read yet, and nobody reads it: start `feedkit worker`"
    other = f"{SOURCE} 2/2: nothing was read yet, and nobody reads it: start `feedkit worker`"
    assert status(SERVICE, store, now_us()).problems == [name, other]

    store.sync_feeds(dict.fromkeys(SERVICE.feeds, "1"))
    source, stop = Recorded(), threading.Event()
    source.name = f"{SOURCE} 2/2"
    work = Ingest(SERVICE, store, shard=Shard(2, 2))
    pulse, seen = StreamPulse(store, source.name, work), []

    def rest():
        pulse.look(now_us())
        pulse._pulse.beat()
        seen.append(status(SERVICE, store, now_us()).problems)
        pulse._arrived_at -= 600 * SECOND
        if len(seen) == 2:
            stop.set()

    work.at_rest = rest
    work.run(source, stop)
    assert seen[0] == [name], "it waits for a moment, which is no fault"
    assert seen[1] == [name, f"{SOURCE} 2/2: has been waiting for the shard 1/2 for 10 minutes, "
                       "and reads nothing until then; start all shards, and stop those of another "
                       "number"]  # fmt: skip


@pytest.mark.parametrize(
    ("every", "minutes", "says"),
    [(1, 9, None), (1, 11, "11 minutes"), (600, 90, None), (600, 110, "110 minutes")],
)
def test_a_job_that_hangs_is_told_of(store, every, minutes, says):
    pulse, go_on, began = JobsPulse(store), threading.Event(), threading.Event()

    def rank():
        began.set()
        assert go_on.wait(30)

    at_work = threading.Thread(target=pulse.watched(rank, every))
    at_work.start()
    try:
        assert began.wait(10)
        pulse._began["rank"] -= minutes * 60
        pulse.beat()
        found = wrong(store, working=None)
        if says is None:
            assert found == []
        else:
            (problem,) = found
            assert problem.startswith(f"the job rank has been at work for {says}; does what it ")
    finally:
        go_on.set()
        at_work.join()
    pulse.beat()
    assert wrong(store, working=None) == [], "it has ended"


def test_what_was_missed_and_not_filled_is_wrong_for_a_day(store):
    now = now_us()
    hour = 3600 * SECOND
    store.add_gap(SOURCE, now - 99 * hour, now - 98 * hour, "long ago", now)
    assert wrong(store) == []
    for number in (1, 2):  # each shard notes it
        begin = now - 3 * hour + number * SECOND
        store.add_gap(f"{SOURCE} {number}/2", begin, now - 2 * hour, "it was away", now)
    (problem,) = wrong(store)
    assert problem.startswith("posts from 20")
    assert "may be missing in the feeds: it was away; `feedkit backfill --gaps` fetch" in problem
    mark_filled(store.db, [gap.id for gap in open_gaps(store.db)], now)
    assert wrong(store) == []


def test_a_service_that_never_ran(store):
    assert status(SERVICE, store, now_us()).problems == [
        "nothing was read from the stream yet; start `feedkit worker`"
    ]


def test_all_of_it_as_json(store):
    everything(store)
    store.account_sets.failed("list b", "the AppView says no", 9)
    said = json.loads(json.dumps(as_json(status(SERVICE, store, now_us()))))
    (stream,) = said["streams"]
    assert (stream["source"], stream["eventsPerSecond"]) == (SOURCE, INGEST.rate)
    assert 3 <= stream["lagSeconds"] < 600
    assert stream["errors"] == [["best", "regex", 4]]
    assert said["jobs"]["errors"] == [["best", "gravity", 5]]
    assert said["web"][0]["errors"] == [["new", "follows", 6]]
    assert said["jobs"]["jobs"]["rank"]["overdue"] == JOBS.jobs["rank"].overdue
    assert said["feeds"]["new"]["posts"] == 120
    assert said["feeds"]["new"]["lastHour"] == 120
    assert said["feeds"]["empty"] == {
        "posts": 0, "lastHour": 0, "newest": None, "rankedAt": None, "askedAt": None, "pending": 0
    }  # fmt: skip
    assert said["feeds"]["best"]["rankedAt"].endswith("Z")
    assert said["gaps"] == [
        {
            "source": SOURCE,
            "from": "1970-01-01T00:00:10Z",
            "to": "1970-01-01T00:00:40Z",
            "reason": "lost",
        }
    ]
    assert said["accountSets"]["problems"] == {"list b": "the AppView says no"}
    assert said["jobs"]["jobs"]["rank"]["problem"] == JOBS.jobs["rank"].problem
    assert said["web"][0]["requests"] == sum(WEB.feeds["new"].answers.values())
    assert said["store"]["posts"] == 120
    assert (said["store"]["freeBytes"] is None) == (not store.db.sqlite)


# As real processes


def said_by(folder, *line):
    with Process(folder, "status", *line) as one:
        code = one.process.wait(60)
    return code, one.said


def test_a_service_at_work(project, monkeypatch):  # noqa: F811
    """ingest, jobs and web processes say how they fare, and `status` and /metrics tell of it."""
    monkeypatch.setenv("FEEDKIT_METRICS_TOKEN", "0123456789abcdef")
    monkeypatch.setenv("FEEDKIT_LOG_FORMAT", "json")
    code, said = said_by(project)
    assert (code, said.splitlines()[-1]) == (
        1,
        "✗ nothing was read from the stream yet; start `feedkit worker`",
    )
    port = free_port()
    with server(slowly(30)) as stream:
        configure(project, stream.url)
        with Process(project, "run", "--port", str(port)) as run:
            run.until(lambda: answers(port), "answer")
            run.until(lambda: stored(project) == 30, "posts")
            url = f"http://127.0.0.1:{port}"
            feed = "at://did:plc:alice234567abcdefghijkl2/app.bsky.feed.generator/words"
            for _ in range(7):
                httpx.get(f"{url}/xrpc/app.bsky.feed.getFeedSkeleton", params={"feed": feed})

            def told():
                with open_store(f"sqlite:///{project}/feedkit.db") as store:
                    beats = store.heartbeats.all()
                figures = {one.kind: msgspec.json.decode(one.figures) for one in beats}
                return (
                    figures.get("ingest", {}).get("events") == 30
                    and "rank" in figures.get("jobs", {}).get("jobs", {})
                    and sum(
                        sum(feed["answers"].values())
                        for one in beats if one.kind == "web"
                        for feed in msgspec.json.decode(one.figures).get("feeds", {}).values()
                    ) == 7
                )  # fmt: skip

            run.until(told, "heartbeats", 30)
            code, said = said_by(project, "--json")
            answer = httpx.get(
                f"{url}/metrics", headers={"authorization": "Bearer 0123456789abcdef"}
            )
            assert run.stop() == 0
    found = json.loads(said)
    assert found["streams"][0]["events"] == 30
    assert found["feeds"]["words"]["posts"] == 30
    assert found["jobs"]["jobs"]["rank"]["failures"] == 0
    assert code == 1, "the events are of another year"
    assert "old; it comes late" in found["problems"][0]
    assert answer.status_code == 200
    assert 'feedkit_matches_total{feed="words"' in answer.text
    code, said = said_by(project)
    assert "words" in said
    assert "job rank: " in said
    lines = [line for line in run.said.splitlines() if line.startswith("{")]
    loggers = {json.loads(line)["logger"] for line in lines}
    assert {"feedkit", "gunicorn.error"} <= loggers
    rest = [line for line in run.said.splitlines() if not line.startswith("{")]
    assert all(line.startswith(("migrated: ", "2 feeds on ")) for line in rest), rest


# The log


def test_a_line_of_the_log_as_json():
    try:
        raise ValueError("«oops»\nand more")
    except ValueError:
        record = logging.LogRecord(
            "feedkit.x", logging.ERROR, "x.py", 1, "%s failed", ("a\nb",), sys.exc_info()
        )
    record.created = 1_783_175_888.123
    line = JsonLines().format(record)
    assert "\n" not in line
    said = json.loads(line)
    assert said.pop("exception").endswith("ValueError: «oops»\nand more")
    assert said == {
        "time": "2026-07-04T14:38:08.123+00:00", "level": "error", "logger": "feedkit.x",
        "message": "a\nb failed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"FEEDKIT_LOG": "loud"}, "FEEDKIT_LOG: 'LOUD' is no level"),
        (
            {"FEEDKIT_LOG_FORMAT": "xml"},
            "FEEDKIT_LOG_FORMAT: 'xml' is no format; write text or json",
        ),
    ],
)
def test_settings_of_the_log_that_cannot_be(environ, says):
    with pytest.raises(WrongSetting, match="^" + says):
        write_log(environ, sys.stderr)


def test_serve_says_what_is_wrong_with_the_settings_of_the_log(project, monkeypatch):  # noqa: F811
    monkeypatch.setenv("FEEDKIT_LOG_FORMAT", "xml")
    with Process(project, "serve", "--port", "0") as serve:
        assert serve.ended() == 1
    assert serve.said == "FEEDKIT_LOG_FORMAT: 'xml' is no format; write text or json\n"


def test_problems_need_no_counting(store):
    from feedkit.overview import look

    assert (
        list(problems(look(SERVICE, store, now_us()))) == status(SERVICE, store, now_us()).problems
    )
