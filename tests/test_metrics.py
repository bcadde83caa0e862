"""/health, /ready, /metrics: what machines ask of the web processes."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from storing import SECOND, apply, close_threads, written
from test_web import SERVICE, fill, uri

import feedkit
from feedkit.heartbeat import NumberedPulse, Pulse
from feedkit.heartbeat.figures import Ingesting, Job, Requests, Serving, Working
from feedkit.heartbeat.pulse import now_us
from feedkit.store import open_store
from feedkit.store.heartbeats import Beat
from feedkit.web import asked, health
from feedkit.web import health as health_page
from feedkit.web import metrics as page
from feedkit.web.app import create_app
from feedkit.web.asgi import create_front
from feedkit.web.asked import Queries
from feedkit.web.exposition import families
from feedkit.web.front import SKELETON

DOCS = Path(__file__).resolve().parents[1] / "docs" / "operate.md"
TOKEN = "a-token-of-more-than-16"
SOURCE = "jetstream wss://stream.example.com"
INGEST = Ingesting(
    clock=1, arrived_at=1, rate=412.5, events=1000, posts=100, hits=12, skipped=3, memory=5000,
    feeds={"new": 9, "best": 3}, errors=[("best", "regex", 4)], slow=[("new", 'odd"name', 2)],
)  # fmt: skip
JOBS = Working(
    jobs={"rank": Job(9, 2, 1, "OSError: gone", 4.5, 0.25, 1, overdue=8)},
    hydrators={"topics": {"calls": 7}}, errors=[("best", "gravity", 5)],
)  # fmt: skip
WEB = Serving(
    feeds={"new": Requests({200: 5, 503: 1}, [1, 2, 0, 0, 0, 0, 0, 0, 0, 2, 1], 7.5)},
    front={"hit": 4, "miss": 2, "stale": 1},
    errors=[("new", "follows", 6)],
)


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv(page.TOKEN, TOKEN)


def say(store, kind, name, figures, ago=0):
    now = now_us()
    said = msgspec.json.encode(figures).decode()
    store.heartbeats.save(Beat(kind, name, "host", 7, now - 60 * SECOND, now - ago * SECOND, said))


def everything(store):
    fill(store)
    store.db.run("DELETE FROM cursors")
    say(store, "ingest", SOURCE, INGEST)
    say(store, "jobs", "jobs", JOBS)
    say(store, "web", "host:7", WEB)
    store.apply([], SOURCE, 5, now_us() - 3 * SECOND, frozenset())
    store.add_gap(SOURCE, 10 * SECOND, 40 * SECOND, "lost", now_us())
    return create_app(SERVICE, store).test_client()


def scrape(client):
    answer = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name.removeprefix("feedkit_"), *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


# Who may see it


@pytest.mark.parametrize("set_to", ["", "short"])
def test_without_a_token_nothing_is_shown(store, monkeypatch, set_to):
    monkeypatch.setenv(page.TOKEN, set_to)
    answer = (
        create_app(SERVICE, store)
        .test_client()
        .get("/metrics", headers={"authorization": f"Bearer {set_to}"})
    )
    assert answer.status_code == 404
    assert page.TOKEN in answer.get_json()["message"]


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer wrong", TOKEN, f"Basic {TOKEN}", "Bearer ä"]
)
def test_only_who_has_the_token_sees_it(store, given):
    headers = {} if given is None else {"authorization": given}
    answer = create_app(SERVICE, store).test_client().get("/metrics", headers=headers)
    assert answer.status_code == 401
    assert "feedkit_" not in answer.text


# What it says


def test_all_processes_are_told_of_by_any_of_them(store):
    said = scrape(everything(store))
    assert said["store_up",] == 1
    assert said["info", feedkit.__version__] == 1
    assert 3 <= said["stream_lag_seconds", SOURCE] < 30
    assert said["events_per_second", SOURCE] == 412.5
    for name, number in (("events", 1000), ("posts", 100), ("hits", 12), ("skipped", 3)):
        assert said[f"{name}_total", SOURCE] == number
    assert said["matches_total", SOURCE, "new"] == 9 or said["matches_total", "new", SOURCE] == 9
    assert said["plugin_errors_total", "best", "ingest", SOURCE, "regex"] == 4
    assert said["plugin_errors_total", "best", "gravity", "jobs", "jobs"] == 5
    assert said["plugin_errors_total", "follows", "host:7", "new", "web"] == 6
    assert said["job_overdue_total", "rank"] == 8
    assert said["plugin_slow_total", SOURCE, "new", 'odd"name'] == 2
    assert said["job_runs_total", "rank"] == 9
    assert said["job_failures_total", "rank"] == 2
    assert said["job_failing", "rank"] == 1
    assert said["job_seconds_total", "rank"] == 4.5
    assert said["hydrator_total", "calls", "topics"] == 7
    assert 0 <= said["snapshot_age_seconds", "best"] < 60
    assert said["snapshot_posts", "best"] == 120
    assert 0 <= said["newest_post_age_seconds", "new"] < 600
    assert (said["gaps", SOURCE], said["gap_seconds", SOURCE]) == (1, 30)
    assert said["store_bytes",] > 10_000
    assert said["process_memory_bytes", "ingest", SOURCE] == 5000
    assert said["requests_total", "200", "host:7", "new"] == 5
    assert said["requests_total", "503", "host:7", "new"] == 1
    assert said["request_seconds_count", "host:7", "new"] == 6
    assert said["request_seconds_sum", "host:7", "new"] == 7.5
    assert said["request_seconds_bucket", "0.005", "host:7", "new"] == 3
    assert said["request_seconds_bucket", "2.5", "host:7", "new"] == 5
    assert said["request_seconds_bucket", "+Inf", "host:7", "new"] == 6
    assert said["front_total", "hit", "host:7"] == 4


def test_a_reader_that_is_gone_reads_nothing(store):
    client = everything(store)
    say(store, "ingest", SOURCE, INGEST, ago=100)
    said = scrape(client)
    assert said["events_per_second", SOURCE] == 0
    assert said["process_silent_seconds", "ingest", SOURCE] >= 100


def test_a_stream_that_is_read_no_longer_is_left_out(store):
    client = everything(store)
    store.apply([], "firehose wss://old.example.com", 5, now_us() - 9999 * SECOND, frozenset())
    lags = [key for key in scrape(client) if key[0] == "stream_lag_seconds"]
    assert lags == [("stream_lag_seconds", SOURCE)]


def test_all_shards_are_shown(store):
    for number in (1, 2):
        store.apply([], f"{SOURCE} {number}/2", 5, now_us() - number * 100 * SECOND, frozenset())
    said = scrape(create_app(SERVICE, store).test_client())
    lags = {key[1]: value for key, value in said.items() if key[0] == "stream_lag_seconds"}
    assert lags == {
        f"{SOURCE} 1/2": pytest.approx(100, abs=30), f"{SOURCE} 2/2": pytest.approx(200, abs=30)
    }  # fmt: skip


def test_what_each_shard_missed_is_told_by_shard(store):
    shards = [f"{SOURCE} {number}/2" for number in (1, 2)]
    for name in shards:
        store.apply([], name, 5, now_us(), frozenset())
    store.add_gap(shards[1], 10 * SECOND, 40 * SECOND, "lost", now_us())
    said = scrape(create_app(SERVICE, store).test_client())
    assert [said["gaps", name] for name in shards] == [0, 1]
    assert [said["gap_seconds", name] for name in shards] == [0, 30]


def test_a_job_that_has_not_ended_yet_has_no_age(store):
    jobs = {"rank": Job(overdue=3, running=12.5), "prune": Job(runs=1, ended_at=now_us())}
    say(store, "jobs", "jobs", Working(jobs=jobs))
    said = scrape(create_app(SERVICE, store).test_client())
    ages = {key[1]: value for key, value in said.items() if key[0] == "job_age_seconds"}
    assert ages == {"prune": pytest.approx(0, abs=30)}
    assert said["job_running_seconds", "rank"] == 12.5
    assert said["job_running_seconds", "prune"] == 0


def test_figures_that_stand_beside_their_parts_have_no_label_to_sum_over(store):
    store.account_sets.save("list a", frozenset(["did:plc:a"]), 8, 9)
    store.account_sets.failed("list b", "the AppView says no", 9)
    said = scrape(create_app(SERVICE, store).test_client())
    names = ("account_sets", "account_sets_waiting", "account_sets_failing")
    assert [said[name,] for name in names] == [2, 1, 1]
    assert [said[f"viewers{end}",] for end in ("", "_waiting", "_failing")] == [0, 0, 0]


def test_web_processes_that_come_and_go_leave_no_new_series(store, monkeypatch):
    """Each series goes on by a process that begins at 0, as counters may."""
    monkeypatch.setattr(page, "FRESH", 0.0)
    client, seen, pids = create_app(SERVICE, store).test_client(), [], iter(range(10, 99))

    def start(number):
        requests = Requests({200: number}, [number] + [0] * 10, 1.0)
        pulse = NumberedPulse(store, "web", lambda: Serving(feeds={"new": requests}))
        pulse._pid = next(pids)
        pulse.beat()
        return pulse

    def counts():
        said = scrape(client)
        seen.append(frozenset(key for key in said if key[0].startswith("request")))
        return [value for key, value in sorted(said.items()) if key[0] == "requests_total"]

    running = [start(50), start(70)]
    assert counts() == [50, 70]
    for number in range(5):  # deployed anew, time and again
        running[number % 2].end()
        running[number % 2] = start(number)
        counts()
    assert counts() == [4, 3]
    assert len(set(seen)) == 1


def test_a_database_that_does_not_say_how_large_it_is_costs_only_that_figure(new_schema):
    """As relatives of PostgreSQL that lack the function: here one that fails hides it."""
    url = new_schema()
    with open_store(url) as store:
        store.migrate()
        store.db.run("CREATE SCHEMA hiding")
        try:
            store.db.run(
                "CREATE FUNCTION hiding.pg_total_relation_size(oid) RETURNS bigint LANGUAGE plpgsql "
                "AS $$ BEGIN RAISE undefined_function; END $$"
            )
            store.db.run("SELECT set_config('search_path', 'hiding, pg_catalog, ' || "
                         "current_schema(), false)")  # fmt: skip
            said = scrape(create_app(SERVICE, store).test_client())
        finally:
            store.db.run("DROP SCHEMA hiding CASCADE")
    assert said["store_up",] == 1
    assert ("store_bytes",) not in said


def test_a_new_service_has_little_to_say(store):
    said = scrape(create_app(SERVICE, store).test_client())
    assert said["store_up",] == 1
    assert not [key for key in said if key[0].startswith(("stream_", "job_", "request"))]


def test_the_store_is_asked_now_and_then_only(store, monkeypatch):
    client = everything(store)
    assert scrape(client)["events_total", SOURCE] == 1000
    say(store, "ingest", SOURCE, Ingesting(events=2000))
    assert scrape(client)["events_total", SOURCE] == 1000
    monkeypatch.setattr(page, "FRESH", 0.0)
    assert scrape(client)["events_total", SOURCE] == 2000


def test_without_the_store_a_process_tells_of_itself(tmp_path):
    front = create_front(SERVICE, open_store(f"sqlite:///{tmp_path}/nowhere/feedkit.db"))
    front._note("new", 200, 0.002)

    async def test():
        transport = httpx.ASGITransport(front)
        async with httpx.AsyncClient(transport=transport, base_url="http://feeds") as asks:
            return await asks.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})

    text = asyncio.run(test()).text
    assert "feedkit_store_up 0.0" in text
    assert re.search(r'requests_total\{feed="new",process="",status="200"\} 1.0', text)
    assert "stream_lag" not in text


def test_the_page_for_operators_lists_every_figure(store):
    everything(store)
    from feedkit.overview import look

    told = set(re.findall(r"`(feedkit_\w+)", DOCS.read_text("utf-8")))
    with_suffix = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in families(look(SERVICE, store, now_us()))
    }
    assert told == with_suffix


# Requests are counted


@asynccontextmanager
async def asking(front):
    transport = httpx.ASGITransport(front)
    async with httpx.AsyncClient(transport=transport, base_url="http://feeds") as asks:
        yield asks
    for stage in front._stages:
        close_threads(stage, front._store)


def test_requests_are_counted_by_feed_and_answer(store):
    fill(store)
    front = create_front(SERVICE, store)

    async def test():
        async with asking(front) as asks:
            for query in [{"feed": uri("new")}] * 3 + [
                {"feed": uri("best"), "limit": 5},
                {"feed": uri("new"), "limit": 0},
                {"feed": uri("secret")},
                {"feed": uri("nonsense")},
                {},
            ]:
                await asks.get(SKELETON, params=query)
            await asks.get("/")
            await asks.get("/ready")

    asyncio.run(test())
    said = front.figures()
    answers = {name: one.answers for name, one in said.feeds.items()}
    assert answers == {"new": {200: 3, 400: 1}, "best": {200: 1}, "": {400: 3}}
    new = said.feeds["new"]
    assert sum(new.within) == 4
    assert 0 < new.seconds < 10
    assert sum(said.front.values()) == 10, "hits, misses and what was passed on"


def test_requests_are_sorted_by_how_long_they_took(store):
    front = create_front(SERVICE, store)
    for seconds in (0.0005, 0.001, 0.002, 2.5, 2.6, 99):
        front._note("new", 200, seconds)
    new = front.figures().feeds["new"]
    assert new.within == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2]
    assert new.seconds == pytest.approx(104.1035)


def test_what_is_no_feed_of_ours_costs_no_memory():
    queries = Queries({"new": False}, ["mine"])
    wanted = [b"feed=at://x/y/%d" % number for number in range(3000)]
    for query in (*wanted, b"\xff=", b"feed=" + b"x" * 2000, b"feed=mine&feed=new&feed=x"):
        assert queries({"query_string": query, "headers": []}) == ("", None)
    assert len(queries._known) <= asked.MOST_QUERIES
    assert queries({"query_string": b"feed=at://x/y/mine", "headers": []}) == ("mine", None)


def test_a_process_says_so_from_its_start_to_its_end(store):
    """The lifespan of an ASGI server."""
    front = create_front(SERVICE, store)

    def beats():
        return [one.name for one in store.heartbeats.all()]

    async def until(condition):
        for _ in range(200):
            if condition():
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it never came true")

    async def test():
        sent = asyncio.Queue()
        said = []
        for kind in ("startup",):
            await sent.put({"type": f"lifespan.{kind}"})

        async def send(message):
            said.append(message["type"])

        life = asyncio.create_task(front({"type": "lifespan"}, sent.get, send))
        await until(lambda: beats() == [front.name])
        await sent.put({"type": "lifespan.shutdown"})
        await life
        assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        await until(lambda: beats() == [])
        import threading

        await until(lambda: not any(one.name == "pulse" for one in threading.enumerate()))

    asyncio.run(test())


# Health


def test_health_and_readiness(store):
    client = create_app(SERVICE, store).test_client()
    for path in ("/health", "/xrpc/_health", "/ready"):
        assert client.get(path).status_code == 200
    assert client.get("/ready").get_json() == {"status": "ready", "version": feedkit.__version__}
    store.apply([], SOURCE, 5, now_us() - 100 * SECOND, frozenset())
    told = client.get("/ready").get_json()
    assert 100 <= told["streamLagSeconds"] < 160
    assert told["streamTime"].endswith("Z")


def test_health_waits_for_nobody(store, monkeypatch):
    """Not for pages that queue, nor for a store that hangs; it says how the store was."""
    fill(store)
    store.apply([], f"{SOURCE} 1/2", 5, now_us(), frozenset())
    store.apply([], f"{SOURCE} 2/2", 5, now_us() - 500 * SECOND, frozenset())
    store.db.run("DELETE FROM cursors WHERE source NOT LIKE ?", (f"{SOURCE}%",))
    front, go_on = create_front(SERVICE, store), threading.Event()

    async def test():
        async with asking(front) as asks:

            async def health(**more):
                began = time.monotonic()
                answer = await asks.request(url="/health", **({"method": "GET"} | more))
                assert time.monotonic() - began < 0.5
                assert answer.status_code == 200
                return answer.json() if answer.content else None

            assert (await health())["status"] == "starting"
            front._lookout.look()
            told = await health()
            assert told["status"] == "ok"
            assert told["streamLagSeconds"] >= 500, "as the slowest shard"
            assert await health(method="HEAD") is None
            assert (await asks.post("/health")).status_code == 405

            held = [stage._pool.submit(go_on.wait, 30) for stage in front._stages for _ in range(9)]
            try:
                assert (await health())["status"] == "ok"
                monkeypatch.setattr(health_page, "LATE", 0.0)
                told = await health()
                assert told["status"] == "store unavailable"
                assert "the store has not answered for" in told["message"]
                assert told["stale"] == 0
            finally:
                go_on.set()
                for one in held:
                    one.result()

    asyncio.run(test())


def test_health_says_that_the_store_is_away_and_how_many_pages_stood_in(tmp_path):
    front = create_front(SERVICE, open_store(f"sqlite:///{tmp_path}/no/feedkit.db"))
    front._lookout.look()
    front.counts["stale"] += 7

    async def test():
        async with asking(front) as asks:
            answer = await asks.get("/xrpc/_health")
            assert answer.status_code == 200
            assert answer.json()["status"] == "store unavailable"
            assert answer.json()["message"] == health.OUT_OF_REACH, "no host, no user"
            assert answer.json()["stale"] == 7

    asyncio.run(test())


def test_not_ready_without_tables_or_with_those_of_another_version(store_url):
    with open_store(store_url) as store:
        client = create_app(SERVICE, store).test_client()
        answer = client.get("/ready")
        assert (answer.status_code, answer.get_json()["reason"]) == (503, "schema")
        assert "feedkit migrate" in answer.get_json()["message"]
        store.migrate()
        assert client.get("/ready").status_code == 200
        store.db.run("UPDATE schema_versions SET version = version + 1000")
        assert client.get("/ready").status_code == 503
        assert client.get("/health").status_code == 200, "it lives, and may serve old tables"


def test_not_ready_without_the_store(tmp_path):
    client = create_app(SERVICE, open_store(f"sqlite:///{tmp_path}/no/feedkit.db")).test_client()
    answer = client.get("/ready")
    assert (answer.status_code, answer.get_json()["reason"]) == (503, "store")
    answer = client.get("/health")
    assert answer.status_code == 200, "it lives: to restart it would mend nothing"
    assert answer.get_json()["status"] == "store unavailable"
    assert answer.get_json()["message"] == health.OUT_OF_REACH


def test_a_replay_of_an_old_recording_is_no_lag(store):
    apply(store, written("x", "", rev="1"))
    store.db.run("UPDATE cursors SET source = 'replay'")
    assert (
        "streamLagSeconds" not in create_app(SERVICE, store).test_client().get("/ready").get_json()
    )


def test_pulses_of_web_processes_come_every_few_seconds(store):
    began = time.monotonic()
    pulse = Pulse(store, "web", "a:1", Serving)
    pulse.sometimes()
    assert pulse._next > began + 1
