"""Filling feeds from the archive of a Jetstream, and from the stream behind its end."""

# ruff: noqa: F811 (fixtures are imported)

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from _archive import KEY, Archive, Sealed, error
from _history import HOUR, author, uri
from _streams import cbor, cid_of, xrpc_error
from atproto_jetstream.archive import decode_block, read_sealed_header
from atproto_jetstream.archive.downloader import iter_block_frames
from storing import contents
from test_backfill import clean, fold, history, names, service  # noqa: F401
from test_backfill_cli import configured

from feedkit.backfill import Filling, NotPossible, Stopped
from feedkit.backfill.archiving import Archived
from feedkit.cli import run
from feedkit.ingest import Ingest
from feedkit.store import open_store

DAYS = timedelta(days=5)


def fill_history(history):
    """Four days: 60 posts, every tenth about a heron, and what became of some of them."""
    for number in range(60):
        text = "a heron" if number % 10 == 0 else "a wren"
        history.post(f"p{number:02}", 96 - 1.5 * number, text, by=f"b{number % 3}")
        history.like(f"l{number}", 95.9 - 1.5 * number, uri(f"p{number:02}", f"b{number % 3}"))
    return ["p00", "p10", "p20", "p30", "p40", "p50"]


def name_records(history):
    """Let the stream tell the CIDs that the records have."""
    for n, (number, us, collection, message) in enumerate(history.events):
        event = json.loads(message)
        if "record" in event["payload"]:
            event["payload"]["cid"] = cid_of(cbor(event["payload"]["record"]))
        history.events[n] = (number, us, collection, json.dumps(event))


@contextmanager
def archived(history, sealed=None, **layout):
    made = Archive(history, sealed or len(history.events), **layout)
    with made.serving():
        yield made


def fill(made, store, archive, feeds=("herons",), span=DAYS, stop=None, key=KEY, **options):
    """Fill feeds; the outcome, and the bytes that it took."""
    filling = Filling(
        made, store, feeds, replace(made.stream, url=archive.url), stop or threading.Event(),
        quiet=0.3, patience=0.6,
        **({"on_progress": options.pop("on_progress")} if "on_progress" in options else {}),
    )  # fmt: skip
    way = Archived(filling, key, pause=0.01, **options)
    return way.fill(span), way.fetched


def plan(made, store, archive, span=DAYS):
    stream = replace(made.stream, url=archive.url)
    filling = Filling(made, store, ["herons"], stream, threading.Event())
    return Archived(filling, KEY).plan(span)


def test_the_archive_of_the_tests_is_what_the_sdk_reads(history):
    fill_history(history)
    archive = Archive(history, 30, block=7, blocks=3)
    file = archive.segments[0].file
    header = read_sealed_header(file)
    assert (header.block_count, header.event_count) == (3, 21)
    rows = [row for frame in iter_block_frames(file) for row in decode_block(frame)]
    assert [row.seq for row in rows] == list(range(1, 22))
    assert (rows[0].rkey, rows[0].operation, rows[0].did) == ("p00", "create", author("b0"))
    assert rows[0].time_us == history.events[0][1]


@pytest.mark.parametrize("whole", [False, True], ids=["blocks", "whole"])
def test_a_new_feed_gets_the_posts_of_days_ago(history, store, whole):
    expected = fill_history(history)
    made = service(history, herons="heron")
    with archived(history, 100, whole=whole) as archive:
        outcome, spent = fill(made, store, archive)
    assert names(store, "herons") == expected
    assert (outcome.hits, outcome.cut) == (6, True)  # the archive has four days, not five
    assert spent == archive.sent > 0
    assert "likes" not in history.paths[-1]
    assert "cursor=100" in history.paths[0]  # the stream, from the end of the archive on
    clean(store)


@pytest.mark.parametrize("whole", [False, True], ids=["blocks", "whole"])
def test_the_same_as_from_a_stream_that_goes_back_so_far(history, store, whole, tmp_path):
    fill_history(history)
    history.post("edited", 40, "a wren")
    history.post("p50", 3, "a heron, edited", by="b2", operation="update")
    history.post("edited", 2.9, "a heron at last", operation="update")
    history.delete("p20", 2.8, by="b2")
    history.account("deactivated", 2.7, "b1")
    history.commit("create", "bad", 2.6, author("ann"), "app.bsky.feed.post", {"text": 5})
    history.post("last", 2, "a heron")
    name_records(history)
    made = service(history, herons="heron")
    with archived(history, whole=whole) as archive:
        fill(made, store, archive)
    with open_store(f"sqlite:///{tmp_path}/other.db") as other:
        other.migrate()
        stop = threading.Event()
        Filling(made, other, ["herons"], made.stream, stop, quiet=0.3).from_stream(DAYS)
        assert names(other, "herons") == names(store, "herons")
        assert contents(other) == contents(store)
    assert "p20" not in names(store, "herons")
    assert contents(store)["accounts"] == {author("b1"): "deactivated"}


def test_an_end_that_nobody_wants_is_passed(history, store):
    """The last segments have likes alone; the plan leaves them out, and the stream begins behind."""
    expected = fill_history(history)
    for number in range(50):
        history.like(f"m{number}", 4, uri("p50", "b2"))
    history.post("last", 2, "a heron")
    with archived(history, 170) as archive:
        fill(service(history, herons="heron"), store, archive)
        plans = [body for method, _, body in archive.asked if method == "planSnapshot"]
    assert len(plans) > 2
    assert {body.get("beforeSeq") for body in plans[1:]} == {170}
    assert "cursor=170" in history.paths[0]
    assert names(store, "herons") == sorted([*expected, "last"])


def test_stopped_in_the_stream_it_asks_the_archive_no_more(history, store):
    expected = fill_history(history)
    made = service(history, herons="heron")
    stop = threading.Event()

    def on_progress(done, place):
        if place and "fetched" not in place:
            stop.set()

    with archived(history) as archive:
        with pytest.raises(Stopped):
            fill(made, store, archive, stop=stop, on_progress=on_progress)
        assert names(store, "herons") == []
        asked = len(archive.asked)
        fill(made, store, archive)
        assert len(archive.asked) == asked
    assert names(store, "herons") == expected


def test_a_segment_that_was_written_anew_between_two_runs(history, store, monkeypatch):
    """The byte where it was means nothing in the new one."""
    monkeypatch.setattr("feedkit.backfill.archive.PIECE", 100)
    expected = fill_history(history)
    made = service(history, herons="heron")
    with archived(history, whole=True, blocks=100) as archive:
        archive.before = [("getSegment", None)] * 20 + [("getSegment", error(401, "Expired"))]
        with pytest.raises(NotPossible):
            fill(made, store, archive)
        sealed = archive.segments[0]
        rows = [row for rows in sealed.rows for row in rows]
        sealed.__init__(0, [rows[n : n + 3] for n in range(0, len(rows), 3)], {})
        sealed.checksum += 99
        fill(made, store, archive)
    assert names(store, "herons") == expected


def test_nothing_older_than_asked_for_or_than_kept(history, store):
    fill_history(history)
    made = service(history, herons="heron")
    with archived(history) as archive:
        outcome, spent = fill(made, store, archive, span=timedelta(hours=40))
        assert names(store, "herons") == ["p40", "p50"]
        assert not outcome.cut
    short = service(history, herons="heron", keep=timedelta(hours=24))
    with archived(history) as archive:
        assert fill(short, store, archive)[1] < spent
    first = archive.asked[[method for method, *_ in archive.asked].index("planSnapshot")][2]
    assert first["afterSeq"] >= 80
    assert first["kinds"] == ["commit", "account"]
    assert first["collections"] == ["app.bsky.feed.post"]


def test_a_deletion_behind_the_end_of_the_archive_counts(history, store):
    expected = fill_history(history)
    history.delete("p50", 1, by="b2")
    made = service(history, herons="heron")
    with archived(history, 120) as archive:
        fill(made, store, archive)
    assert names(store, "herons") == expected[:-1]


def test_beside_a_live_ingest(history, store):
    """Ingest has read to the end; nothing of its cursor moves."""
    expected = fill_history(history)
    history.post("live", 0.1, "a robin")
    last = len(history.events)
    made = service(history, robins="robin", herons="heron")
    with archived(history, 100) as archive:
        made = replace(made, stream=replace(made.stream, url=archive.url))
        fold(service_of(made, "robins"), store, history, range(last, last + 1))
        cursors = store.db.rows("SELECT source, cursor, time FROM cursors")
        fill(made, store, archive)
        assert store.db.rows("SELECT source, cursor, time FROM cursors") == cursors
    assert names(store, "herons") == expected
    assert names(store, "robins") == ["live"]


def service_of(made, *feeds):
    return replace(made, feeds={name: made.feeds[name] for name in feeds})


@pytest.mark.parametrize("whole", [False, True], ids=["blocks", "whole"])
def test_stopped_everywhere_it_pays_for_nothing_twice(history, store, whole, monkeypatch):
    """Stopped after each block in turn, it ends like one that was never stopped, and no block of
    what was written was fetched again."""
    monkeypatch.setattr("feedkit.backfill.sweep.WRITE_EVERY", -1)
    monkeypatch.setattr("feedkit.backfill.sweep.TELL_EVERY", -1)
    expected = fill_history(history)
    made = service(history, herons="heron")
    with archived(history, whole=whole) as archive:
        for _ in range(40):
            stop = threading.Event()

            def on_progress(done, place, stop=stop):
                if "fetched" in place:
                    stop.set()

            try:
                fill(made, store, archive, stop=stop, on_progress=on_progress)
            except Stopped:
                assert names(store, "herons") == []
                continue
            break
        assert names(store, "herons") == expected
        if whole:  # a piece that is larger than the segment comes with what is behind the block
            assert len(archive.asked) > 60
        else:
            assert len(archive.fetched()) == len(set(archive.fetched())) == 24
    clean(store)


def test_a_whole_segment_goes_on_at_the_byte_where_it_was(history, store, monkeypatch):
    monkeypatch.setattr("feedkit.backfill.archive.PIECE", 100)
    expected = fill_history(history)
    made = service(history, herons="heron")
    with archived(history, whole=True, blocks=100) as archive:
        size = sum(map(len, archive.segments[0].blocks)) + 8 * len(archive.segments[0].blocks)
        archive.before = [("getSegment", None)] * 20 + [
            ("getSegment", error(503, "Busy", Retry_After="7200"))
        ]
        with pytest.raises(NotPossible, match=r"left alone for 7200 s; what was found is kept"):
            fill(made, store, archive)
        assert 0 < archive.sent < size / 2
        fill(made, store, archive)
        assert names(store, "herons") == expected
        assert size < archive.sent < size + 2 * 256 + 700  # a header more, and part of a block


def test_a_longer_time_begins_anew(history, store):
    expected = fill_history(history)
    made = service(history, herons="heron")
    with archived(history) as archive:
        archive.before = [("getBlock", None)] * 3 + [("getBlock", error(401, "Expired"))]
        with pytest.raises(NotPossible):
            fill(made, store, archive, span=timedelta(hours=30))
        fill(made, store, archive)
    assert names(store, "herons") == expected
    clean(store)


def test_a_wrong_key_is_said_and_never_shown(history, store, caplog):
    expected = fill_history(history)
    made = service(history, herons="heron")
    caplog.set_level("DEBUG")
    with archived(history) as archive:
        with pytest.raises(NotPossible) as raised:
            fill(made, store, archive, key="another-key")
        said = str(raised.value)
        assert "refuses the key in FEEDKIT_ARCHIVE_KEY (this key is not known)" in said
        fill(made, store, archive)
    assert "another-key" not in said + caplog.text
    assert KEY not in caplog.text
    assert names(store, "herons") == expected


def test_a_quota_is_waited_for(history, store, caplog, monkeypatch):
    monkeypatch.setattr("feedkit.backfill.asking.TRIES", 1)  # and takes none of them
    expected = fill_history(history)
    caplog.set_level("INFO")
    made = service(history, herons="heron")
    with archived(history) as archive:
        archive.before = [
            ("getBlock", None),
            ("getBlock", error(429, "RateLimitExceeded", "too many bytes", Retry_After="1")),
        ]
        fill(made, store, archive)
    assert names(store, "herons") == expected
    assert "(too many bytes): waiting 1 s" in caplog.text


def test_a_quota_that_takes_long_ends_it_for_now(history, store):
    expected = fill_history(history)
    made = service(history, herons="heron")
    with archived(history) as archive:
        archive.before = [("getBlock", None)] * 10 + [
            ("getBlock", error(429, "RateLimitExceeded", "too many bytes", Retry_After="3600"))
        ]
        with pytest.raises(NotPossible, match=r"too many bytes\) and wants .* for 3600 s.*go on"):
            fill(made, store, archive)
        assert names(store, "herons") == []
        before = archive.fetched()
        assert len(before) == 11
        fill(made, store, archive)
        after = archive.fetched()[11:]
    assert names(store, "herons") == expected
    assert set(before[:10]).isdisjoint(after)


def test_a_wait_ends_when_it_is_told_to_stop(history, store):
    fill_history(history)
    stop = threading.Event()
    made = service(history, herons="heron")
    with archived(history) as archive:
        archive.before = [("getBlock", error(429, "Quota", Retry_After="600"))]
        threading.Timer(0.5, stop.set).start()
        with pytest.raises(Stopped):
            fill(made, store, archive, stop=stop)


@pytest.mark.parametrize("whole", [False, True], ids=["blocks", "whole"])
def test_a_server_that_goes_away_in_the_middle_is_asked_again(history, store, whole):
    expected = fill_history(history)
    made = service(history, herons="heron")
    with archived(history, whole=whole) as archive:
        archive.cut = 4
        archive.before = [("planSnapshot", error(500, "Oops")), ("listSegments", error(502, "Bad"))]
        fill(made, store, archive)
    assert names(store, "herons") == expected


def test_a_server_that_stays_away(history, store):
    expected = fill_history(history)
    made = service(history, herons="heron")
    with archived(history) as archive:
        archive.before = [("getBlock", None)] * 4 + [
            ("getBlock", error(500, "Oops", "no disk"))
        ] * 5
        with pytest.raises(NotPossible, match=r"status 500 \(no disk\); what was found is kept"):
            fill(made, store, archive)
        rows = store.db.rows("SELECT cursor FROM backfills")
        assert rows[0][0] == 20
        fill(made, store, archive)
    assert names(store, "herons") == expected


@pytest.mark.parametrize("whole", [False, True], ids=["blocks", "whole"])
@pytest.mark.parametrize("harm", [b"", b"not a block", None], ids=["empty", "text", "half"])
def test_a_damaged_block_ends_it_and_it_goes_on_once_it_is_mended(history, store, whole, harm):
    expected = fill_history(history)
    made = service(history, herons="heron")
    with archived(history, whole=whole) as archive:
        sealed = archive.segments[2]
        good = sealed.blocks[1]
        sealed.blocks[1] = good[: len(good) // 2] if harm is None else harm
        with pytest.raises(NotPossible) as raised:
            fill(made, store, archive)
        assert f"block 1 of {sealed.name}, behind 20" in str(raised.value)
        assert "is damaged (" in str(raised.value)
        assert "ask for less" in str(raised.value)
        assert names(store, "herons") == []
        assert store.db.rows("SELECT cursor FROM backfills") == [(45,)]
        sealed.blocks[1] = good
        asked = len(archive.fetched())
        fill(made, store, archive)
        assert ("seg_0000000001.jss", "1") not in archive.fetched()[asked:]
    assert names(store, "herons") == expected


def test_a_block_damaged_on_its_way_is_fetched_again(history, store):
    expected = fill_history(history)
    made = service(history, herons="heron")
    with archived(history) as archive:
        archive.before = [("getBlock", None)] * 4 + [("getBlock", (200, {}, b"nonsense"))]
        fill(made, store, archive)
    assert names(store, "herons") == expected


@pytest.mark.parametrize("renamed", [False, True], ids=["same", "renamed"])
@pytest.mark.parametrize("whole", [False, True], ids=["blocks", "whole"])
def test_a_segment_that_was_written_anew_is_planned_again(history, store, whole, renamed):
    """The server takes deleted rows out of a segment meanwhile: other bytes, other checksum."""
    expected = fill_history(history)
    made = service(history, herons="heron")
    with archived(history, whole=whole, blocks=6) as archive:
        answer = archive.answer
        count = 0

        def rewriting(method, query, body, headers):
            nonlocal count
            if method.startswith("get"):
                count += 1
                if count == 4:
                    for sealed in archive.segments:
                        rows = [row for rows in sealed.rows for row in rows]
                        parts = [rows[n : n + 3] for n in range(0, len(rows), 3)]
                        sealed.__init__(sealed.number, parts, {})
                        sealed.checksum += 99
                        sealed.name += "x" * renamed
            return answer(method, query, body, headers)

        archive.answer = rewriting
        fill(made, store, archive)
    assert names(store, "herons") == expected


def test_a_stream_that_has_forgotten_the_end_of_the_archive(history, store):
    """What was sealed meanwhile is fetched; where nothing was, it says so and keeps the rest."""
    expected = fill_history(history)
    made = service(history, herons="heron")
    refusing = []
    answer = history._answer

    def too_old(connection, request):
        answered = answer(connection, request)
        cursor = int(request.path.rpartition("cursor=")[2])
        if cursor < history.oldest:
            refusing.append(cursor)
            return xrpc_error("CursorTooOld", "the floor is higher")
        return answered

    history._answer = too_old
    history.oldest = 110
    with history.serving(), archived(history, 60) as archive:
        with pytest.raises(NotPossible, match="does not go back to where its archive ends"):
            fill(made, store, archive)
        assert names(store, "herons") == []
        spent = archive.sent
        archive.seal(115)
        _, more = fill(made, store, archive)
        assert more < spent
    assert refusing[0] == 60
    assert names(store, "herons") == expected


def test_an_archive_that_has_nothing_of_that_time_leaves_it_to_the_stream(history, store):
    fill_history(history)
    made = service(history, herons="heron")
    with archived(history, 20) as archive:
        _, spent = fill(made, store, archive, span=timedelta(hours=24))
        assert spent == 0
    assert names(store, "herons") == ["p50"]


def test_what_the_stream_would_show_as_its_time_counts(history, store):
    """The server has fetched an old post anew, and says when it was made."""
    fill_history(history)
    made = service(history, herons="heron")
    shown = dict.fromkeys(range(41, 43), history.now - 200 * HOUR)
    with archived(history, shown=shown) as archive:
        fill(made, store, archive)
    assert names(store, "herons") == ["p00", "p10", "p30", "p40", "p50"]


def test_bad_rows_are_left_out(history, store):
    expected = fill_history(history)
    made = service(history, herons="heron")
    with archived(history, 4) as archive:
        rows = [  # in the places of likes
            (5, history.now, 1, "app.bsky.feed.post", "no did", "x", "3mptbypcq372f", b"\xff"),
            (6, history.now, 5, "", author("ann"), "", "", b"\xa0"),
            (7, history.now, 5, "", author("ann"), "", "", b""),
            (8, history.now, 9, "app.bsky.feed.post", author("ann"), "x", "r", b"\xa0"),
            (9, history.now, 1, "app.bsky.feed.post", author("ann"), "x", "r", b"\x01"),
        ]
        archive.segments.append(Sealed(1, [rows], {}))
        archive.seal(len(history.events))
        fill(made, store, archive)
    assert names(store, "herons") == expected


def test_the_plan_says_what_it_would_take(history, store):
    fill_history(history)
    made = service(history, herons="heron")
    with archived(history) as archive:
        planned = plan(made, store, archive)
        assert (planned.segments, planned.blocks, planned.parted) == (0, 24, 6)
        assert planned.bytes == sum(len(one.file) for one in archive.segments)
        less = plan(made, store, archive, timedelta(hours=30))
        assert 0 < less.blocks < 10
        assert archive.sent == 0
        archive.whole = True
        planned = plan(made, store, archive)
        assert (planned.segments, planned.blocks, planned.begun) == (6, 0, False)
        archive.whole = False
        archive.before = [("getBlock", None)] * 20 + [("getBlock", error(401, "Expired"))]
        with pytest.raises(NotPossible):
            fill(made, store, archive)
        planned = plan(made, store, archive)
        assert (planned.blocks, planned.begun) == (4, True)
        fill(made, store, archive)
    assert len(archive.fetched()) == 25


def test_an_old_jetstream_and_one_without_an_archive(history, store):
    fill_history(history)
    made = service(history, herons="heron")
    stream = replace(made.stream, url="ws://127.0.0.1:9/subscribe?x=1")
    filling = Filling(made, store, ["herons"], stream, threading.Event())
    with pytest.raises(NotPossible, match=r"v1, which has no archive; .* --jetstream"):
        Archived(filling, KEY)
    with archived(history) as archive:
        archive.before = [("listSegments", error(404, "NotFound", "no such method"))]
        with pytest.raises(NotPossible, match=r"has no archive .*--jetstream"):
            fill(made, store, archive)


@pytest.mark.parametrize(
    ("method", "answer", "said"),
    [
        ("listSegments", (200, {}, b"<html>"), "answered listSegments with nonsense"),
        ("planSnapshot", (200, {}, b'{"segments": 5}'), "answered planSnapshot with nonsense"),
        ("planSnapshot", (302, {"location": "http://127.0.0.1:9/"}, b""), "has no archive"),
        ("planSnapshot", error(400, "InvalidRequest", "what?"), r"status 400 \(what\?\)"),
        (
            "planSnapshot",
            (200, {}, b'{"plannedThroughSeq": 0, "sealedTipSeq": 9, "segments": []}'),
            "plans the same again",
        ),
        ("getSegment", (200, {}, b"jss0" + b"\0" * 2000), "does not give parts"),
    ],
)
def test_an_archive_that_answers_nonsense(history, store, method, answer, said):
    fill_history(history)
    made = service(history, herons="heron")
    with archived(history, whole=True) as archive:
        archive.before = [(method, answer)]
        with pytest.raises(NotPossible, match=said):
            fill(made, store, archive)


def test_the_command(history, tmp_path, capsys, monkeypatch):
    expected = fill_history(history)
    history.post("now", 0.0003, "a wren")
    url = f"sqlite:///{tmp_path}/store.db"
    with archived(history, 100) as archive, open_store(url) as store:
        store.migrate()
        config = configured(tmp_path, history, url, herons="heron")
        words = ["backfill", "herons", "--archive", "5d", "--config", str(config)]
        words += ["--jetstream", archive.url]
        monkeypatch.delenv("FEEDKIT_ARCHIVE_KEY", raising=False)
        assert run(words) == 1
        assert "put one into FEEDKIT_ARCHIVE_KEY" in capsys.readouterr().err
        monkeypatch.setenv("FEEDKIT_ARCHIVE_KEY", "ключ")
        assert run(words) == 1
        assert "ключ" not in capsys.readouterr().err
        monkeypatch.setenv("FEEDKIT_ARCHIVE_KEY", f" {KEY}\n")
        assert run([*words, "--dry-run"]) == 0
        said = capsys.readouterr().out
        assert "herons: 20 blocks of 5 segments, " in said
        assert " kB at most, from 20" in said
        assert archive.sent == 0
        assert run([*words, "--dry-run", "--authors"]) == 2
        assert run(words) == 0
        shown = capsys.readouterr()
        assert "herons: 6 posts more, from the archive" in shown.out
        assert "kB were fetched from the archive" in shown.err
        assert KEY not in shown.out + shown.err + config.read_text()
        assert names(store, "herons") == expected
        clean(store)


def test_an_ingest_that_is_far_behind_is_started_first(history, store):
    fill_history(history)
    made = service(history, herons="heron")
    Ingest(made, store)
    fold(made, store, history, range(1, 2))
    with archived(history) as archive, pytest.raises(NotPossible, match="start `feedkit ingest`"):
        fill(made, store, archive, span=timedelta(hours=30))
