"""What processes say of themselves in the store, and what ingest warns of."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter

import pytest
from storing import SECOND, apply, us, written

from feedkit.heartbeat import JobsPulse, NumberedPulse, Pulse, StreamPulse
from feedkit.heartbeat.figures import Ingesting, Job, Serving, Working, blamed, memory, read
from feedkit.heartbeat.pulse import now_us
from feedkit.store import open_store, overview
from feedkit.store.heartbeats import KEPT, WEB_KEPT, Beat

NAME = "jetstream wss://stream.example.com"
MINUTE = 60 * SECOND


NOON = us(0)


def beat(kind="ingest", name=NAME, host="here", pid=1, started_at=NOON, at=NOON, figures="{}"):
    return Beat(kind, name, host, pid, started_at, at, figures)


# The store


def test_who_starts_anew_takes_over_the_row_and_learns_whose_it_was(store):
    assert store.heartbeats.save(beat()) is None
    assert store.heartbeats.save(beat(at=us(10))) == ("here", 1, us(0))
    assert store.heartbeats.save(beat(host="there", pid=2, at=us(20))) == ("here", 1, us(10))
    assert store.heartbeats.all() == [beat(host="there", pid=2, at=us(20))]


def test_those_that_are_gone_for_long_are_forgotten(store):
    store.heartbeats.save(beat("web", "a"))
    store.heartbeats.save(beat("ingest"))
    later = us(0) + WEB_KEPT
    store.heartbeats.save(beat("jobs", "jobs", at=later))
    assert [one.kind for one in store.heartbeats.all()] == ["ingest", "jobs", "web"]
    store.heartbeats.save(beat("jobs", "jobs", at=later + 1))
    assert [one.kind for one in store.heartbeats.all()] == ["ingest", "jobs"]
    store.heartbeats.save(beat("jobs", "jobs", at=us(0) + KEPT + 1))
    assert [one.kind for one in store.heartbeats.all()] == ["jobs"]
    store.heartbeats.forget("jobs", "jobs")
    assert store.heartbeats.all() == []


def test_a_pulse_says_what_its_figures_are(store):
    pulse = Pulse(store, "web", "w:1", lambda: Serving(front={"hit": 3}))
    pulse.beat()
    (said,) = store.heartbeats.all()
    figures = read(said)
    assert isinstance(figures, Serving)
    assert figures.front == {"hit": 3}
    assert figures.cpu > 0
    assert figures.memory == pytest.approx(memory(), rel=0.5)
    pulse.end()
    assert store.heartbeats.all() == []


def test_a_pulse_beats_now_and_then(store):
    pulse = Pulse(store, "web", "w:1", Serving)
    pulse.sometimes()
    store.heartbeats.forget("web", "w:1")
    pulse.sometimes()
    assert store.heartbeats.all() == [], "it is not time yet"


def test_a_store_that_cannot_be_written_stops_nothing_and_is_said_rarely(tmp_path, caplog):
    with open_store(f"sqlite:///{tmp_path}/empty.db") as store:  # it has no tables
        pulse = Pulse(store, "web", "w:1", Serving)
        for _ in range(12):
            pulse.beat()
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "10 times so far" in caplog.text


def test_two_at_the_same_work_are_named(store, caplog):
    mine = Pulse(store, "ingest", NAME, Ingesting)
    mine.beat()
    assert "also at work" not in caplog.text
    store.heartbeats.save(beat(host="there", pid=7, at=now_us() + SECOND))
    mine.beat()
    assert f"process 7 on there is also at work as ingest {NAME}; stop one of them" in caplog.text


def test_the_process_before_is_no_rival(store, caplog):
    store.heartbeats.save(beat(host="there", pid=7, at=now_us() - SECOND))
    Pulse(store, "ingest", NAME, Ingesting).beat()
    assert caplog.text == ""


@pytest.mark.parametrize("said", ["{", "[]", '{"events": "many"}'])
def test_what_another_version_said_otherwise_is_left_out(said):
    assert read(beat(figures=said)) is None
    assert read(beat("nonsense")) is None


def test_processes_alike_go_by_the_lowest_free_number(store):
    """All at the same moment, as the processes of one gunicorn start."""
    pulses, together = [], threading.Barrier(8)
    for pid in range(100, 108):
        pulses.append(NumberedPulse(store, "web", Serving))
        pulses[-1]._pid = pid

    def start(pulse):
        together.wait()
        pulse.beat()
        store.close()

    threads = [threading.Thread(target=start, args=(pulse,)) for pulse in pulses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(pulse.name for pulse in pulses) == list("12345678")
    before = {pulse.name: pulse for pulse in pulses}
    for pulse in pulses:
        pulse.beat()
    assert before == {pulse.name: pulse for pulse in pulses}, "each keeps its own"

    before["3"].end()
    store.db.run("UPDATE heartbeats SET at = at - ? WHERE name = '5'", (61 * SECOND,))
    later = [NumberedPulse(store, "web", Serving) for _ in range(3)]
    for pid, pulse in enumerate(later, 200):
        pulse._pid = pid
        pulse.beat()
    assert [pulse.name for pulse in later] == ["3", "5", "9"], "who ended, who is silent, a new one"
    before["5"].beat()  # it only hung
    assert before["5"].name == "10"
    assert len(store.heartbeats.all()) == 10


def test_a_job_is_noted_from_its_begin_on(store):
    pulse = JobsPulse(store)
    during = []

    def rank():
        pulse.beat()
        during.append(read(store.heartbeats.all()[0]).jobs["rank"])

    pulse.watched(rank, 60)()
    pulse.beat()
    after = read(store.heartbeats.all()[0]).jobs["rank"]
    assert during[0].running > 0
    assert (during[0].runs, during[0].every, during[0].ended_at) == (0, 60, 0)
    assert (after.running, after.runs, after.every) == (0, 1, 60)


# The stream


class Reader:
    """An ingest's figures, as a test needs them."""

    def __init__(self):
        self.counts, self.matches, self.clock = Counter(), Counter(), 0
        self.errors, self.slow = Counter(), Counter()
        self.waiting = ""


@pytest.fixture
def stream(store):
    made = StreamPulse(store, NAME, Reader())
    made.reader = made._reader
    return made


def looks(stream, caplog, *moments):
    """What is logged when looked at: each moment is (seconds since the start, seconds that the
    stream's clock stands behind, whether something arrived)."""
    said = []
    for seconds, behind, arrived in moments:
        now = us(seconds)
        if arrived:
            stream._arrived_at = now
        stream.reader.clock = now - round(behind * SECOND)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            stream.look(now)
        said.append(" ".join(f"{r.levelname}: {r.getMessage()}" for r in caplog.records))
    return said


def test_a_stream_that_is_read_as_it_comes_is_not_worth_a_word(stream, caplog):
    assert looks(stream, caplog, *((n * 10, 1 + n % 3, True) for n in range(50))) == [""] * 50


def test_silence_is_said_ever_more_rarely_and_its_end_once(stream, caplog):
    looks(stream, caplog, (0, 1, True))
    said = looks(stream, caplog, *((n * 10, n * 10, False) for n in range(1, 120)))
    assert [n for n, text in enumerate(said, 1) if text] == [7, 16, 106]
    assert said[6] == (
        f"WARNING: {NAME}: nothing has arrived for 70 seconds; the feeds get no new posts. Does "
        "the stream's server work, and can this machine reach it? `feedkit doctor` looks"
    )
    assert "17 minutes" in said[105] or "18 minutes" in said[105]
    said = looks(stream, caplog, (1200, 1, True), (1210, 1, True))
    assert said == [f"INFO: {NAME}: it is no longer silent", ""]


def test_a_lag_that_grows_is_warned_of(stream, caplog):
    said = looks(stream, caplog, *((n * 10, n * 8, True) for n in range(20)))
    assert [n for n, text in enumerate(said) if text] == [8, 17]  # 64 s behind, and the tenth time
    assert said[8].startswith(f"WARNING: {NAME}: what is read is 64 seconds old, and that gets no")
    (said,) = looks(stream, caplog, (200, 3, True))
    assert said == f"INFO: {NAME}: what is read is new again"


def test_catching_up_is_no_warning(stream, caplog):
    """After an outage of an hour, ten times as fast as the stream."""
    said = looks(stream, caplog, *((n * 10, 3600 - n * 90, True) for n in range(41)))
    assert "WARNING" not in " ".join(said)
    assert said[0] == f"INFO: {NAME}: catching up, 60 minutes behind"
    assert said[-1] == f"INFO: {NAME}: caught up"


def test_falling_behind_while_catching_up_is_not_said_time_and_again(stream, caplog):
    moments = [(n * 10, 300 + 5 * (n % 2), True) for n in range(20)]
    said = looks(stream, caplog, *moments)
    assert sum("WARNING" in text for text in said) <= 2


def test_a_lag_that_hardly_shrinks_does_not_shrink(stream, caplog):
    said = looks(stream, caplog, *((n * 10, 300 - n / 2, True) for n in range(4)))
    assert ["WARNING" in text for text in said] == [False, True, False, False]


def test_a_stream_ahead_of_our_clock_is_warned_of(stream, caplog):
    assert looks(stream, caplog, (0, -59, True)) == [""]
    (said,) = looks(stream, caplog, (10, -600, True))
    assert "the stream's clock is 10 minutes ahead of this machine's; set this machine's" in said


def test_who_waits_for_other_shards_says_so_and_not_that_the_stream_is_silent(stream, caplog):
    stream.reader.waiting = "the shard 1/2"
    stream._arrived_at = us(0)
    with caplog.at_level(logging.INFO):
        for seconds in range(0, 200, 10):
            stream.look(us(seconds))
    assert len(caplog.messages) == 2, "at first, and the tenth time"
    assert caplog.messages[0].startswith(
        f"{NAME}: has been waiting for the shard 1/2 for 70 seconds, and reads nothing until then"
    )
    stream.reader.waiting = ""
    assert "INFO: it waits no longer" in looks(stream, caplog, (210, 1, True))[0].replace(
        f"{NAME}: ", ""
    )


def test_before_the_first_event_there_is_no_lag(stream, caplog):
    stream._arrived_at = us(0)
    with caplog.at_level(logging.INFO):
        stream.look(us(10))
    assert caplog.text == ""


def test_the_ingest_says_what_it_read(store):
    """Through the real ingest: what its heartbeat tells."""
    from test_ingest import AT, Breaks, Recorded, frame, service, written

    from feedkit import Keywords
    from feedkit.ingest import Ingest

    work = Ingest(service(herons=Keywords("heron"), broken=Breaks()), store)
    source = Recorded(frame(1, written(1)), frame(2, written(2, "wren")), None, None)
    pulse = StreamPulse(store, source.name, work)
    beats = []
    work.at_rest = lambda: beats.append(pulse._pulse.beat())
    work.run(source, threading.Event())
    assert beats, "it has a moment now and then"
    (said,) = store.heartbeats.all()
    assert (said.kind, said.name) == ("ingest", source.name)
    figures = read(said)
    assert (figures.events, figures.posts, figures.hits) == (2, 2, 1)
    assert figures.feeds == {"herons": 1}
    assert figures.errors == [("broken", "breaks", 2)]
    assert figures.clock == AT + 2


def test_a_replay_has_no_pulse(store):
    from test_ingest import Recorded, frame, service, written

    from feedkit import Keywords
    from feedkit.ingest import Ingest

    Ingest(service(herons=Keywords("heron")), store).run(
        Recorded(frame(1, written(1))), threading.Event()
    )
    assert store.heartbeats.all() == []


# The jobs


def test_runs_of_jobs_are_counted_with_their_failures(store):
    pulse = JobsPulse(store, lambda: {"topics": Counter(calls=2)})
    wrong = [ValueError("x" * 1000), None, OSError("gone"), OSError("away")]

    def rank():
        if error := wrong.pop(0):
            raise error
        return 7

    watched = pulse.watched(rank)
    assert watched.__name__ == "rank"
    with pytest.raises(ValueError, match="xxx"):
        watched()
    assert watched() == 7
    for _ in range(2):
        with pytest.raises(OSError, match=r"gone|away"):
            watched()
    pulse.beat()
    figures = read(store.heartbeats.all()[0])
    assert isinstance(figures, Working)
    assert figures.hydrators == {"topics": {"calls": 2}}
    job = figures.jobs["rank"]
    assert isinstance(job, Job)
    assert (job.runs, job.failures, job.failing, job.problem) == (4, 3, 2, "OSError: away")
    assert 0 < job.ended_at <= now_us()


def test_plugins_are_blamed_in_order():
    counts = Counter({("b", "x"): 1, ("a", "y"): 2})
    assert json.loads(json.dumps(blamed(counts))) == [["a", "y", 2], ["b", "x", 1]]


# Cheap look-ups


def test_how_it_stands_with_the_feeds(store):
    store.sync_feeds({"a": "", "b": ""})
    apply(store, written("x", "a", rev="1", seconds=5), written("y", "a b", rev="1", seconds=9))
    store.save_version("b", "", [1], us(20))
    store.save_version("b", "", [1, 2], us(30))
    store.mark_asked("a", us(40))
    states = overview.feed_states(store.db)
    assert states == {"a": (us(9), us(40), 0, 0), "b": (us(9), 0, us(30), 2)}
    assert overview.hits_since(store.db, us(5)) == {"a": 1, "b": 1}
    assert overview.hits_since(store.db, us(4)) == {"a": 2, "b": 1}
    assert overview.clocks(store.db) == {"test": us(0)}


def test_how_large_the_store_is(store):
    before = overview.size(store.db)
    assert before > 0
    apply(store, *(written(f"p{n}", "", rev="1", text="x" * 3000) for n in range(1)))
    store.sync_feeds({"a": ""})
    apply(store, *(written(f"q{n}", "a", rev="1", text="x" * 3000) for n in range(300)))
    assert overview.size(store.db) > before + 300 * (300 if not store.db.sqlite else 3000)
    store.db.run("ANALYZE")
    assert overview.estimated_rows(store.db)["posts"] == 300


def test_what_is_asked_of_hydrators(store):
    store.sync_feeds({"a": ""})
    apply(store, written("x", "a", rev="1"))
    store.db.run("INSERT INTO pending (post_id, feed_id) SELECT 1, id FROM feeds")
    store.db.run(
        "INSERT INTO features VALUES (1, 'bird', '', 0, 5), (2, 'bird', '1', 0, ?)", (1 << 62,)
    )
    assert overview.pending(store.db) == {"a": 1}
    assert overview.asked_words(store.db, ["bird", "cat"]) == {"bird": 1, "cat": 0}


def test_whom_nothing_is_known_of(store):
    store.account_sets.save("list a", frozenset(["did:plc:a"]), us(0), us(9))
    store.account_sets.failed("list b", "the AppView says no", us(9))
    assert overview.account_sets(store.db) == (2, 1, 1, {"list b": "the AppView says no"})
    store.viewers.asked("did:plc:v", us(0), True)
    store.viewers.failed("did:plc:v", us(0), us(9), "gone")
    store.viewers.asked("did:plc:w", us(-5000), True)
    assert overview.viewers(store.db, us(-3600)) == (1, 1, 1, {"did:plc:v": "gone"})
    assert overview.viewers(store.db, us(1)) == (0, 0, 0, {})
