"""Jetstream, firehose and recordings, from real servers on loopback."""

from __future__ import annotations

import gzip
import io
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import zstandard
from _streams import (
    DID,
    EVERYTHING,
    LIKE,
    NOW,
    POST,
    REPOST,
    URI,
    V2,
    Script,
    collect,
    commit,
    end,
    firehose,
    firehose_commit,
    firehose_error,
    firehose_post,
    http,
    like_record,
    post_record,
    sends,
    sends_binary,
    server,
    settings,
    v1,
    v2,
    v2_error,
    v2_info,
    v2_post,
    xrpc_error,
)
from websockets.sync.server import ServerConnection

from feedkit.event import Disengaged, Frame, PostWritten
from feedkit.settings import Stream
from feedkit.sources import Source, open_source
from feedkit.sources.jetstream_wire import jetstream_frame
from feedkit.sources.live import LiveSource
from feedkit.sources.position import DAY, HOUR, MINUTE, Position, StartedOver
from feedkit.sources.replay import Replay
from feedkit.sources.syntax import moment

SUBSCRIBE = f"/xrpc/{V2}"
SECOND = 1_000_000
OLD = NOW - 600 * SECOND


def at(us: int) -> str:
    return moment(us).isoformat().replace("+00:00", "Z")


class Gaps(list[tuple[int, int, str]]):
    def __call__(self, from_us: int, to_us: int, reason: str) -> None:
        self.append((from_us, to_us, reason))


def cursors(paths: list[str]) -> list[str | None]:
    """What each connection asked for."""
    asked = [parse_qs(urlsplit(path).query) for path in paths]
    return [query.get("cursor", [None])[0] for query in asked]


def stored(frames: list[Frame]) -> list[int]:
    return [frame.cursor for frame in frames]


def texts(frames: list[Frame]) -> list[str]:
    return [e.post.text for f in frames for e in f.events if isinstance(e, PostWritten)]


def has(text: str) -> Callable[[list[Frame]], bool]:
    return lambda frames: text in texts(frames)


def messages_of(kind: str, *numbered: tuple[int, int, str]) -> list[bytes]:
    """Posts as (sequence number, time, text), as the kind of stream sends them."""
    if kind == "firehose":
        return [firehose_post(seq, at(us), text) for seq, us, text in numbered]
    return [v2_post(seq, at(us), text) for seq, us, text in numbered]


def script_of(kind: str, *messages: bytes, then: str = "stay", code: int = 1000) -> Script:
    send = sends_binary if kind == "firehose" else sends
    return send(*messages, then=then, code=code)


def notice(kind: str, name: str, final: bool) -> bytes:
    if kind == "firehose":
        return firehose_error(name) if final else firehose("#info", {"name": name})
    return v2_error(name) if final else v2_info(name)


both = pytest.mark.parametrize("kind", ["jetstream", "firehose"])


def test_a_connection_that_stands_is_no_problem_though_nothing_comes() -> None:
    refused: list[str] = []

    def answer(connection: ServerConnection, request: Any) -> Any:
        refused.append(source.problem)
        return http(503) if len(refused) == 1 else None

    stop = threading.Event()
    with server(sends(), answer=answer) as running:
        source = open_source(settings("jetstream", running.url), frozenset())
        assert isinstance(source, LiveSource)
        for _ in source.frames(None, 0, stop):
            if running.connections:
                break
        assert (len(refused), "503" in refused[-1], source.problem) == (2, True, "")


# ---- what is asked for


def test_jetstream_asks_for_what_is_needed() -> None:
    with server(sends(v2_post(5))) as running:
        collect(open_source(settings("jetstream", running.url), frozenset({"replies"})), 1)
        collect(open_source(settings("jetstream", running.url), frozenset({"likes"})), 1, 3, NOW)
    first, second = (urlsplit(path) for path in running.paths)
    assert first.path == SUBSCRIBE
    assert parse_qs(first.query) == {
        "kinds": ["commit", "identity", "account", "sync"],
        "collections": [POST],
    }
    assert parse_qs(second.query)["collections"] == [LIKE, POST]
    assert parse_qs(second.query)["cursor"] == ["3"]


def test_jetstream_v1_asks_in_its_own_words() -> None:
    with server(sends(v1(commit=commit(post_record())))) as running:
        url = f"{running.url}/subscribe?wantedDids={DID}&cursor=5"
        (frame,) = collect(open_source(settings("jetstream", url), EVERYTHING), 1)
    assert (frame.cursor, frame.time) == (NOW, NOW)
    query = parse_qs(urlsplit(running.paths[0]).query)
    assert query == {"wantedCollections": [LIKE, POST, REPOST], "wantedDids": [DID]}


def test_the_firehose_is_asked_for_a_cursor_only() -> None:
    with server(sends_binary(firehose_post(6))) as running:
        collect(open_source(settings("firehose", running.url), EVERYTHING), 1)
        collect(open_source(settings("firehose", f"{running.url}/own/path"), EVERYTHING), 1, 5, NOW)
    assert running.paths == ["/xrpc/com.atproto.sync.subscribeRepos", "/own/path?cursor=5"]


def test_a_source_is_named_after_its_server() -> None:
    for kind in ("jetstream", "firehose"):
        source: Source = open_source(Stream(kind=kind, url="wss://a.example/x?y=1"), EVERYTHING)
        assert source.name == f"{kind} wss://a.example/x"


def test_likes_are_decoded_only_where_needed() -> None:
    like = commit(like_record(), LIKE)
    for engagement, n in ((EVERYTHING, 1), (frozenset[str](), 0)):
        with server(sends(v2(seq=1, **like))) as running:
            frames = collect(open_source(settings("jetstream", running.url), engagement), 1)
        assert len(frames[0].events) == n


# ---- going on


@both
@pytest.mark.parametrize(("then", "code"), [("cut", 0), ("close", 1000), ("close", 1001)])
def test_after_a_cut_it_goes_on_where_it_was(kind: str, then: str, code: int) -> None:
    first = messages_of(kind, (11, NOW, "a"), (12, NOW + 1, "b"))
    second = messages_of(kind, (12, NOW + 1, "b"), (13, NOW + 2, "c"))
    gaps = Gaps()
    with server(script_of(kind, *first, then=then, code=code), script_of(kind, *second)) as running:
        source = open_source(settings(kind, running.url), EVERYTHING, gaps)
        frames = collect(source, has("c"), 10, NOW - 1)
    assert cursors(running.paths) == ["10", "12"]
    expected = ["a", "b", "c"] if kind == "jetstream" else ["a", "b", "b", "c"]
    assert texts(frames) == expected  # Jetstream's cursor is inclusive: its event comes again
    assert gaps == []


@both
def test_small_rewinds_are_processed(kind: str) -> None:
    messages = messages_of(kind, (500, NOW, "a"), (499, NOW - 1, "b"), (501, NOW, "c"))
    with server(script_of(kind, *messages)) as running:
        frames = collect(open_source(settings(kind, running.url), EVERYTHING), 3, 400, NOW)
    assert (stored(frames), texts(frames)) == ([500, 499, 501], ["a", "b", "c"])
    assert running.connections == 1


@both
def test_a_bad_message_is_counted_and_the_stream_goes_on(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = messages_of(kind, (11, NOW, "a"), (12, NOW, "b"))
    bad = [b"\xff\xfe", b"", b"{}", *messages_of(kind, (0, NOW, "x"), (2**63, NOW, "y"))]
    with server(script_of(kind, good[0], *bad, good[1])) as running:
        frames = collect(open_source(settings(kind, running.url), EVERYTHING), has("b"), 10, NOW)
    assert texts(frames) == ["a", "b"]
    assert stored(frames) == [11, 11, 11, 11, 11, 11, 12]
    assert [len(frame.skipped) for frame in frames] == [0, 1, 1, 1, 1, 1, 0]
    assert running.connections == 1
    (said,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "a message was skipped" in said


def test_bad_messages_alone_do_not_reset_the_backoff() -> None:
    with server(sends(b"{}", then="close")) as running:
        stream = settings("jetstream", running.url, backoff=0.05, backoff_cap=60.0)
        source, stop = open_source(stream, EVERYTHING), threading.Event()
        threading.Timer(1.2, stop.set).start()
        frames = [frame for frame in source.frames(None, 0, stop) if frame]
    assert frames == []  # and nothing to store: no place in the stream is known yet
    assert running.connections <= 5  # 0.05 + 0.1 + 0.2 + 0.4 + 0.8


@both
def test_an_event_resets_the_backoff(kind: str) -> None:
    message = messages_of(kind, (11, NOW, "a"))
    with server(*[script_of(kind, *message, then="close")] * 5, script_of(kind)) as running:
        stream = settings(kind, running.url, backoff=0.15, backoff_cap=60.0)
        source, stop = open_source(stream, EVERYTHING), threading.Event()
        started = time.monotonic()
        for _ in source.frames(None, 0, stop):
            if running.connections == 6 or time.monotonic() - started > 6:
                stop.set()
        assert time.monotonic() - started < 3  # else 0.15 + 0.3 + 0.6 + 1.2 + 2.4


@both
def test_while_nothing_arrives_the_turn_is_given_back(kind: str) -> None:
    with server(script_of(kind, *messages_of(kind, (1, NOW, "a")))) as running:
        source, stop = open_source(settings(kind, running.url), EVERYTHING), threading.Event()
        last, longest, ticks = time.monotonic(), 0.0, 0
        for frame in source.frames(None, 0, stop):
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            ticks += frame is None
            if ticks > 6:
                stop.set()
    assert longest < 0.4


def test_a_commit_with_several_records_is_one_frame() -> None:
    raw = firehose_commit(
        ("create", f"{POST}/1", post_record(text="a")),
        ("create", f"{LIKE}/2", like_record()),
        ("delete", f"{REPOST}/3", None),
        seq=7,
    )
    with server(sends_binary(raw)) as running:
        (frame,) = collect(open_source(settings("firehose", running.url), EVERYTHING), 1)
    assert [type(event).__name__ for event in frame.events] == [
        "PostWritten",
        "Engaged",
        "Disengaged",
    ]
    assert frame.events[2] == Disengaged(f"at://{DID}/{REPOST}/3", "repost")
    assert frame.cursor == 7


# ---- when the server does not know the place


@both
@pytest.mark.parametrize("first", [True, False])
def test_a_sequence_that_starts_over(kind: str, first: bool, caplog: Any) -> None:
    """At the first message after the stored cursor, or in the middle of a connection."""
    before = [] if first else messages_of(kind, (9_000_001, OLD, "old"))
    anew = messages_of(kind, (12, NOW, "a"), (13, NOW, "b"))
    replayed = messages_of(
        kind, (3, OLD - 2 * MINUTE, "older"), (4, OLD - 1, "again"), (12, NOW, "a"), (13, NOW, "b")
    )
    if kind == "jetstream":
        replayed = replayed[1:]  # the server looks the time up itself
    gaps = Gaps()
    with server(script_of(kind, *before, *anew), script_of(kind, *replayed)) as running:
        source = open_source(settings(kind, running.url), EVERYTHING, gaps)
        frames = collect(source, has("b"), 9_000_000, OLD)
    by_time = "0" if kind == "firehose" else str(OLD - MINUTE)
    assert cursors(running.paths) == ["9000000", by_time]
    assert texts(frames) == ([] if first else ["old"]) + ["again", "a", "b"]
    assert frames[-1].cursor == 13
    assert gaps == []  # what was before is there again, so nothing is lost
    assert "started over" in caplog.text


@both
def test_what_a_new_sequence_does_not_reach_is_a_gap(kind: str) -> None:
    anew = script_of(kind, *messages_of(kind, (5, NOW, "a"), (6, NOW + 1, "b")))
    gaps = Gaps()
    with server(anew) as running:
        source = open_source(settings(kind, running.url), EVERYTHING, gaps)
        collect(source, has("b"), 9_000_000, OLD)
    assert gaps == [(OLD, NOW, "the sequence of the stream started over")]


@both
def test_a_gap_that_cannot_be_written_down_ends_the_source(kind: str) -> None:
    class Broken(Exception):
        pass

    def on_gap(*gap: object) -> None:
        raise Broken

    messages = [notice(kind, "OutdatedCursor", False), *messages_of(kind, (900, NOW, "a"))]
    with server(script_of(kind, *messages)) as running:
        source = open_source(settings(kind, running.url), EVERYTHING, on_gap)
        with pytest.raises(Broken):
            list(source.frames(5, OLD, threading.Event()))


def test_a_mistake_of_our_own_costs_one_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from feedkit.sources import jetstream

    def decode(message: bytes, wanted: frozenset[str]) -> Frame:
        if b"trap" in message:
            raise ZeroDivisionError("oh")
        return jetstream_frame(message, wanted)

    monkeypatch.setattr(jetstream, "jetstream_frame", decode)
    with server(sends(v2_post(1), v2_post(2, text="trap"), v2_post(3))) as running:
        frames = collect(open_source(settings("jetstream", running.url), EVERYTHING), 3)
    assert [len(frame.skipped) for frame in frames] == [0, 1, 0]
    assert "a mistake of feedkit's" in caplog.text


@both
def test_a_sequence_that_starts_over_again_and_again_is_not_read_in_circles(kind: str) -> None:
    restless = messages_of(
        kind, (9_000_001, NOW, "a"), (1, NOW, "b"), (9_000_002, NOW, "c"), (2, NOW, "d")
    )
    with server(script_of(kind, *restless)) as running:
        source = open_source(settings(kind, running.url), EVERYTHING)
        frames = collect(source, has("d"), 9_000_000, OLD)
    assert running.connections == 2
    assert texts(frames) == ["a", "a", "b", "c", "d"]


@both
@pytest.mark.parametrize("final", [True, False])
def test_a_cursor_from_the_future(kind: str, final: bool, caplog: Any) -> None:
    refuses = script_of(kind, notice(kind, "FutureCursor", final), then="stay", code=1008)
    replayed = messages_of(kind, (4, OLD - 1, "again"), (5, NOW, "b"))
    gaps = Gaps()
    with server(refuses, script_of(kind, *replayed)) as running:
        source = open_source(settings(kind, running.url), EVERYTHING, gaps)
        frames = collect(source, has("b"), 900, OLD)
    by_time = "0" if kind == "firehose" else str(OLD - MINUTE)
    assert cursors(running.paths) == ["900", by_time]
    assert (texts(frames), stored(frames)) == (["again", "b"], [4, 5])
    assert gaps == []
    assert "FutureCursor" in caplog.text


@both
def test_a_server_that_refuses_every_cursor_is_read_from_now_on(kind: str, caplog: Any) -> None:
    refuses = script_of(kind, notice(kind, "FutureCursor", True), then="close", code=1008)
    gaps = Gaps()
    with server(refuses, refuses, script_of(kind, *messages_of(kind, (5, NOW, "a")))) as running:
        source = open_source(settings(kind, running.url), EVERYTHING, gaps)
        collect(source, has("a"), 900, OLD)
    assert cursors(running.paths)[0] == "900"
    assert cursors(running.paths)[-1] is None
    assert len(running.paths) == 3
    assert [gap[:2] for gap in gaps] == [(OLD, NOW)]
    assert "may be lost" in caplog.text


@both
def test_a_server_that_refuses_for_ever_is_not_asked_in_a_hurry(kind: str) -> None:
    refuses = script_of(kind, notice(kind, "FutureCursor", True), then="close", code=1008)
    with server(refuses) as running:
        stream = settings(kind, running.url, backoff=0.1, backoff_cap=60.0)
        source, stop = open_source(stream, EVERYTHING), threading.Event()
        threading.Timer(1.0, stop.set).start()
        assert [frame for frame in source.frames(900, OLD, stop) if frame] == []
    assert running.connections <= 7


@both
def test_a_cursor_older_than_what_the_server_has_is_a_gap(kind: str) -> None:
    messages = [notice(kind, "OutdatedCursor", False)]
    messages += messages_of(kind, (900, NOW, "a"), (901, NOW + 1, "b"))
    gaps = Gaps()
    with server(script_of(kind, *messages)) as running:
        source = open_source(settings(kind, running.url), EVERYTHING, gaps)
        frames = collect(source, has("b"), 5, OLD)
    assert texts(frames) == ["a", "b"]
    assert running.connections == 1
    assert [gap[:2] for gap in gaps] == [(OLD, NOW)]


def test_a_cursor_too_old_is_asked_for_by_time() -> None:
    def answer(connection: ServerConnection, request: Any) -> Any:
        query = parse_qs(urlsplit(request.path).query)
        return xrpc_error("CursorTooOld", "the floor is 800") if query["cursor"] == ["5"] else None

    gaps = Gaps()
    script = sends(v2_info("OutdatedCursor", "from 800"), v2_post(800, at(NOW), "a"))
    with server(script, answer=answer) as running:
        source = open_source(settings("jetstream", running.url), EVERYTHING, gaps)
        frames = collect(source, has("a"), 5, OLD)
    assert cursors(running.paths) == ["5", str(OLD - MINUTE)]
    assert stored(frames) == [800]
    assert [gap[:2] for gap in gaps] == [(OLD, NOW)]


@both
def test_a_slow_consumer_loses_nothing(kind: str, caplog: Any) -> None:
    first = [*messages_of(kind, (6, NOW, "a")), notice(kind, "ConsumerTooSlow", True)]
    second = messages_of(kind, (7, NOW, "b"))
    gaps = Gaps()
    with server(
        script_of(kind, *first, then="close", code=1008), script_of(kind, *second)
    ) as running:
        source = open_source(settings(kind, running.url), EVERYTHING, gaps)
        frames = collect(source, has("b"), 5, NOW)
    assert cursors(running.paths) == ["5", "6"]
    assert texts(frames) == ["a", "b"]
    assert gaps == []
    assert "new posts come late" in caplog.text


@both
def test_another_server_than_before_is_read_by_time(kind: str) -> None:
    messages = messages_of(kind, (4, OLD - 1, "again"), (5, NOW, "b"))
    gaps = Gaps()
    with server(script_of(kind, *messages)) as running:
        source = open_source(settings(kind, running.url), EVERYTHING, gaps)
        frames = collect(source, has("b"), None, OLD)
    assert cursors(running.paths) == ["0" if kind == "firehose" else str(OLD - MINUTE)]
    assert texts(frames) == ["again", "b"]
    assert gaps == []


def test_v1_that_no_longer_goes_back_far_enough_is_a_gap() -> None:
    gaps = Gaps()
    with server(sends(v1(commit=commit(post_record())))) as running:
        source = open_source(settings("jetstream", f"{running.url}/subscribe"), EVERYTHING, gaps)
        collect(source, lambda frames: bool(gaps), NOW - 5 * HOUR, NOW - 5 * HOUR)
    assert [gap[:2] for gap in gaps] == [(NOW - 5 * HOUR, NOW)]


def test_v1_whose_clock_was_set_back() -> None:
    anew = sends(v1(time_us=OLD, commit=commit(post_record(text="a"))))
    with server(anew) as running:
        source = open_source(settings("jetstream", f"{running.url}/subscribe"), EVERYTHING)
        frames = collect(source, has("a"), NOW + DAY, NOW + DAY)
    assert cursors(running.paths) == [str(NOW + DAY), str(OLD - MINUTE)]
    assert stored(frames) == [OLD]


def test_v1_events_of_one_moment_are_all_kept() -> None:
    events = [v1(commit=commit(post_record(text=text))) for text in "abc"]
    with server(sends(*events)) as running:
        source = open_source(settings("jetstream", f"{running.url}/subscribe"), EVERYTHING)
        assert texts(collect(source, 3, NOW, NOW)) == ["a", "b", "c"]


def test_an_event_without_a_time_leaves_the_cursor_alone() -> None:
    events = [v1(time_us=us, commit=commit(post_record())) for us in (NOW, None, NOW + 1)]
    with server(sends(*events)) as running:
        source = open_source(settings("jetstream", f"{running.url}/subscribe"), EVERYTHING)
        frames = collect(source, 3)
    assert stored(frames) == [NOW, NOW, NOW + 1]
    assert [frame.time for frame in frames] == [NOW, 0, NOW + 1]


# ---- positions


def position(cursor: int | None = 1000, time: int = NOW, **options: Any) -> Position:
    return Position("a stream", cursor, time, options.pop("on_gap", Gaps()), **options)


@pytest.mark.parametrize(
    ("number", "time_us"),
    [
        (2**62, NOW),  # an absurd number
        (1000 + 2 * 10**9, NOW),
        (1002, NOW + 3 * DAY),  # an absurd time would empty the store: retention goes by it
        (2**62, 2**54),
    ],
)
def test_one_absurd_message_poisons_nothing(number: int, time_us: int) -> None:
    here = position()
    taken = [here.take(Frame(n, t)) for n, t in ((1001, NOW), (number, time_us), (1003, NOW + 1))]
    assert [(f.cursor, f.time) for f in taken] == [(1001, NOW), (1001, 0), (1003, NOW + 1)]
    assert here.take(Frame(1004, NOW)) == Frame(1004, NOW)  # nor later, once it was refuted
    assert here.take(Frame(max(number, 1005), time_us)) == Frame(1004, 0)


@pytest.mark.parametrize("ahead", [(2 * 10**9, 5), (1, 3 * DAY)])
def test_a_jump_is_believed_when_the_next_message_confirms_it(ahead: tuple[int, int]) -> None:
    here = position()
    number, time_us = 1000 + ahead[0], NOW + ahead[1]
    taken = [here.take(Frame(number + n, time_us + n)) for n in range(3)]
    assert [f.cursor for f in taken] == [1000, number + 1, number + 2]
    assert here.take(Frame(number + 3, time_us)).time == time_us


def test_an_absurd_low_number_only_costs_a_look_back() -> None:
    here = position(cursor=9_000_000)
    with pytest.raises(StartedOver):
        here.take(Frame(5, NOW - 2 * DAY))
    assert (here.resume, here.rewound) == ("time", NOW - 2 * DAY - MINUTE)
    assert here.take(Frame(9_000_001, NOW)).cursor == 9_000_001
    assert here.resume == "cursor"


def test_an_old_time_does_not_set_the_streams_clock_back() -> None:
    here = position()
    assert here.take(Frame(1001, NOW - 2 * DAY)) == Frame(1001, 0)
    assert here.time == NOW


def test_a_gap_whose_start_is_not_known() -> None:
    gaps = Gaps()
    here = position(cursor=9_000_000, time=0, on_gap=gaps)
    assert here.take(Frame(5, NOW)).cursor == 5  # no time to go back to
    assert gaps == [(0, NOW, "the sequence of the stream started over")]


def test_a_first_start_has_no_gap() -> None:
    gaps = Gaps()
    here = position(cursor=None, time=0, on_gap=gaps)
    assert (here.resume, here.lost("x")) == ("live", False)
    assert here.take(Frame(2**62, NOW)).cursor == 2**62
    assert gaps == []


# ---- compression


def dictionary(number: int) -> bytes:
    samples = [v2_post(n, text=f"some words of post {n}") for n in range(300)]
    return zstandard.train_dictionary(4096, samples, dict_id=number).as_bytes()


DICTIONARIES = {number: dictionary(number) for number in (1001, 1002)}


class Compressing:
    """A server with a dictionary, that knows only one."""

    def __init__(self, given: list[bytes], known: int) -> None:
        self.given = given
        self.known = known

    def answer(self, connection: ServerConnection, request: Any) -> Any:
        url = urlsplit(request.path)
        if url.path.endswith("getZstdDictionary"):
            return http(200, self.given.pop(0) if len(self.given) > 1 else self.given[0])
        asked = parse_qs(url.query).get("zstdDictionary")
        if asked and asked != [str(self.known)]:
            return xrpc_error("UnknownZstdDictionary", f"the present one is {self.known}")
        return None

    def script(self, *messages: bytes) -> Script:
        def run(connection: ServerConnection) -> None:
            assert connection.request
            if "zstdDictionary" in connection.request.path:
                blob = zstandard.ZstdCompressionDict(DICTIONARIES[self.known])
                compress = zstandard.ZstdCompressor(dict_data=blob).compress
                for message in messages:
                    connection.send(compress(message), text=False)
                end(connection, "stay")
            else:
                sends(*messages)(connection)

        return run


@pytest.mark.parametrize(
    ("given", "known", "asked"),
    [
        ([DICTIONARIES[1001]], 1001, ["1001"]),
        ([DICTIONARIES[1001], DICTIONARIES[1002]], 1002, ["1001", "1002"]),  # retrained
        ([DICTIONARIES[1001]], 1002, ["1001", None]),  # gives out what it does not know
        ([b"nonsense"], 1001, [None]),
        ([b""], 1001, [None]),
        ([b"\x37\xa4\x30\xec" + b"\x01\x00\x00\x00" + b"x" * 50], 1001, [None]),
        ([b"x" * (5 * 2**20)], 1001, [None]),
    ],
)
def test_zstd_dictionaries(given: list[bytes], known: int, asked: list[str | None]) -> None:
    compressing = Compressing(list(given), known)
    script = compressing.script(v2_post(1, text="a"), v2_post(2, text="b"))
    with server(script, answer=compressing.answer) as running:
        stream = settings("jetstream", running.url, compress=True)
        assert texts(collect(open_source(stream, EVERYTHING), has("b"))) == ["a", "b"]
    subscribed = [urlsplit(path) for path in running.paths if V2 in path]
    got = [parse_qs(url.query).get("zstdDictionary", [None])[0] for url in subscribed]
    assert got == asked


def test_without_a_dictionary_the_stream_comes_uncompressed() -> None:
    def answer(connection: ServerConnection, request: Any) -> Any:
        return http(404) if "getZstdDictionary" in request.path else None

    with server(sends(v2_post(1, text="a")), answer=answer) as running:
        stream = settings("jetstream", running.url, compress=True)
        assert texts(collect(open_source(stream, EVERYTHING), 1)) == ["a"]


def test_that_there_is_no_dictionary_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """However often the stream is taken up again."""

    def answer(connection: ServerConnection, request: Any) -> Any:
        return http(404) if "getZstdDictionary" in request.path else None

    scripts = [sends(v2_post(n, text=str(n)), then="cut") for n in (1, 2, 3)]
    with server(*scripts, answer=answer) as running, caplog.at_level(logging.INFO):
        stream = settings("jetstream", running.url, compress=True)
        collect(open_source(stream, EVERYTHING), 3)
    assert sum("getZstdDictionary" in path for path in running.paths) >= 3, "it is asked each time"
    assert caplog.text.count("no zstd dictionary from ") == 1


def test_v1_is_never_compressed() -> None:
    with server(sends(v1(commit=commit(post_record())))) as running:
        stream = settings("jetstream", f"{running.url}/subscribe", compress=True)
        collect(open_source(stream, EVERYTHING), 1)
    assert len(running.paths) == 1


def test_damaged_and_bloated_zstd_frames_are_skipped() -> None:
    blob = zstandard.ZstdCompressionDict(DICTIONARIES[1001])
    compress = zstandard.ZstdCompressor(dict_data=blob).compress
    silent = zstandard.ZstdCompressor(dict_data=blob, write_content_size=False).compress
    other = zstandard.ZstdCompressor(dict_data=zstandard.ZstdCompressionDict(DICTIONARIES[1002]))
    huge = b" " * (33 * 2**20)
    bad = [compress(v2_post(2))[:-9], compress(huge), silent(huge), other.compress(v2_post(3))]
    script = sends_binary(compress(v2_post(1, text="a")), *bad, compress(v2_post(4, text="b")))
    with server(script, answer=Compressing([DICTIONARIES[1001]], 1001).answer) as running:
        stream = settings("jetstream", running.url, compress=True)
        frames = collect(open_source(stream, EVERYTHING), has("b"))
    assert texts(frames) == ["a", "b"]
    reasons = [reason for frame in frames for _, reason in frame.skipped]
    assert len(reasons) == len(bad)
    assert reasons[1] == f"it says that it holds {33 * 2**20:,} bytes"
    assert running.connections == 1


# ---- recordings


def lines(*messages: bytes) -> bytes:
    return b"".join(message + b"\n" for message in messages)


ONE = lines(v1(commit=commit(post_record(text="a"))), v2_post(5, text="b"))
PACKED = {
    "plain.jsonl": ONE,
    "named.jsonl.gz": gzip.compress(ONE),
    "named.jsonl.zst": zstandard.compress(ONE),
    "two-frames.zst": zstandard.compress(ONE[:50]) + zstandard.compress(ONE[50:]),
    "two-members.gz": gzip.compress(ONE[:50]) + gzip.compress(ONE[50:]),
    "gzip-under-another-name.jsonl": gzip.compress(ONE),
    "zstd-under-another-name": zstandard.compress(ONE),
    "no-last-newline": ONE[:-1],
    "blank-lines": b"\n  \n" + ONE.replace(b"\n", b"\r\n\n"),
}


@pytest.mark.parametrize("name", PACKED)
def test_recordings(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(PACKED[name])
    replay = Replay([str(path)], EVERYTHING)
    frames = [frame for frame in replay.frames(None, 0, threading.Event()) if frame]
    assert (texts(frames), stored(frames), replay.bad) == (["a", "b"], [NOW, 5], 0)


def test_recordings_one_after_the_other_and_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(lines(v2_post(1, text="first")))

    class Stdin:
        buffer = io.BufferedReader(io.BytesIO(gzip.compress(ONE)))

    monkeypatch.setattr("sys.stdin", Stdin)
    replay = Replay([str(path), "-"], EVERYTHING)
    frames = [frame for frame in replay.frames(None, 0, threading.Event()) if frame]
    assert texts(frames) == ["first", "a", "b"]


def test_bad_lines_are_named_and_counted(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "events.jsonl"
    bad = [b"nonsense", v2_info("OutdatedCursor"), b"\xff", v1(time_us="soon")]
    skipped = v1(commit=commit(post_record(text=...)))
    path.write_bytes(lines(v2_post(1, text="a"), *bad, skipped, v2_post(2, text="b")))
    replay = Replay([str(path)], EVERYTHING)
    frames = [frame for frame in replay.frames(None, 0, threading.Event()) if frame]
    assert texts(frames) == ["a", "b"]
    assert replay.bad == len(bad)
    said = [record.getMessage() for record in caplog.records]
    assert [one.split(": ")[0] for one in said] == [f"{path}:{n}" for n in range(2, 7)]
    assert said[-1].endswith(f"{URI} skipped, it has no text")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_recording_that_breaks_off_is_read_as_far_as_it_goes(
    pack: Any, tmp_path: Path, caplog: Any
) -> None:
    path = tmp_path / "events"
    noise = [v2_post(n, text=f"{n * 7919 % 10007} {n}") for n in range(1, 20_000)]
    packed = pack(lines(*noise))
    path.write_bytes(packed[: len(packed) * 3 // 4])
    frames = list(Replay([str(path)], EVERYTHING).frames(None, 0, threading.Event()))
    assert 5000 < len(frames) < 20_000
    said = caplog.records[-1].getMessage()
    assert said.startswith(
        (f"{path}: broken off after line {len(frames)}", f"{path}:{len(frames) + 1}: skipped")
    )


def test_a_recording_can_be_stopped(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(lines(*(v2_post(n) for n in range(1, 100))))
    stop, got = threading.Event(), 0
    for _ in Replay([str(path)], EVERYTHING).frames(None, 0, stop):
        got += 1
        stop.set()
    assert got == 1


def test_a_recording_that_is_not_there() -> None:
    with pytest.raises(OSError, match="nowhere"):
        list(Replay(["/nowhere/events.jsonl"], EVERYTHING).frames(None, 0, threading.Event()))


def test_live_and_recorded_give_the_same_events(tmp_path: Path) -> None:
    messages = [
        v2_post(1, text="a"),
        v2("account", seq=2, account={"active": False, "status": "takendown", "did": DID}),
        v2(seq=3, **commit(like_record(), LIKE)),
        v2(seq=4, **commit(collection=POST, operation="delete")),
    ]
    path = tmp_path / "events"
    path.write_bytes(lines(*messages))
    recorded = list(Replay([str(path)], EVERYTHING).frames(None, 0, threading.Event()))
    with server(sends(*messages)) as running:
        live = collect(open_source(settings("jetstream", running.url), EVERYTHING), 4)
    assert live == recorded
