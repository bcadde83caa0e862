"""A recording is what the stream sent, whole, whatever happens in between."""

from __future__ import annotations

import gzip
import json
import os
import signal
import threading
import time
from datetime import timedelta

import pytest
import zstandard
from _streams import (
    LIKE,
    NOW,
    commit,
    end,
    like_record,
    post_record,
    sends,
    server,
    settings,
    v1,
    v2,
    v2_info,
    v2_post,
)
from test_sources import DICTIONARIES, Compressing

from feedkit.cli import run
from feedkit.event import PostWritten
from feedkit.recording import CannotRecord, record
from feedkit.sources.replay import Replay

ENOUGH = timedelta(seconds=30)  # of stream time; the test's own clock would take as long


def at(second, millisecond=0):
    return f"2026-07-04T14:38:{second:02}.{millisecond:03}Z"


POSTS = [v2_post(1, at(0), "heron"), v2_post(2, at(10), "wren"), v2_post(3, at(31), "owl")]


def texts(file):
    found = Replay([str(file)], frozenset())
    frames = list(found.frames(None, 0, threading.Event()))
    assert not found.bad
    return [e.post.text for f in frames for e in f.events if isinstance(e, PostWritten)]


@pytest.mark.parametrize(
    ("name", "opened"),
    [("r.jsonl", open), ("r.jsonl.gz", gzip.open), ("r.jsonl.zst", zstandard.open)],
)
def test_a_recording_holds_the_messages_as_they_came(tmp_path, name, opened):
    file = tmp_path / name
    with server(sends(*POSTS)) as streaming:
        done = record(
            file, settings("jetstream", streaming.url), frozenset(), ENOUGH, threading.Event()
        )
    assert (done.messages, done.span, done.finished) == (3, timedelta(seconds=31), True)
    with opened(file, "rb") as lines:
        assert lines.read() == b"".join(message + b"\n" for message in POSTS)
    assert texts(file) == ["heron", "wren", "owl"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_version_1_of_jetstream_is_recorded_too(tmp_path):
    messages = [
        v1(time_us=NOW + 20_000_000 * n, commit=commit(post_record(text=f"{n}"))) for n in range(3)
    ]
    with server(sends(*messages)) as streaming:
        url = f"{streaming.url}/subscribe"
        stream = settings("jetstream", url)
        record(tmp_path / "r", stream, frozenset(), ENOUGH, threading.Event())
    assert "wantedCollections=app.bsky.feed.post" in streaming.paths[-1]
    assert texts(tmp_path / "r") == ["0", "1", "2"]


def test_only_what_is_needed_is_asked_for_and_written(tmp_path):
    messages = [
        v2_post(1, at(0)),
        v2("identity", seq=2, time=at(1)),
        v2(seq=3, time=at(2), **commit(like_record(), LIKE)),
        b"nonsense",
        v2("account", seq=4, time=at(3), account={"active": False, "status": "deactivated"}),
        v2_post(5, at(31)),
    ]
    with server(sends(*messages)) as streaming:
        stream = settings("jetstream", streaming.url)
        record(tmp_path / "few", stream, frozenset(), ENOUGH, threading.Event())
        assert "collections=app.bsky.feed.post" in streaming.paths[-1]
        assert "like" not in streaming.paths[-1]
        record(tmp_path / "all", stream, frozenset({"likes"}), ENOUGH, threading.Event())
        assert "collections=app.bsky.feed.like" in streaming.paths[-1]
    found = [
        [json.loads(line)["payload"]["seq"] for line in (tmp_path / name).read_bytes().splitlines()]
        for name in ("few", "all")
    ]
    assert found == [[1, 4, 5], [1, 3, 4, 5]]


def test_what_came_compressed_is_written_as_it_was(tmp_path):
    known = Compressing([DICTIONARIES[1001]], 1001)
    with server(known.script(*POSTS), answer=known.answer) as streaming:
        stream = settings("jetstream", streaming.url, compress=True)
        record(tmp_path / "r", stream, frozenset(), ENOUGH, threading.Event())
    assert "zstdDictionary=1001" in streaming.paths[-1]
    assert (tmp_path / "r").read_bytes().splitlines() == POSTS


def test_what_the_server_no_longer_has_is_a_gap(tmp_path):
    later = [v2_info("OutdatedCursor", "it is gone"), *POSTS[2:]]
    with server(sends(POSTS[0], then="cut"), sends(*later)) as streaming:
        stream = settings("jetstream", streaming.url)
        done = record(tmp_path / "r", stream, frozenset(), ENOUGH, threading.Event())
    assert (done.messages, done.gaps) == (2, 1)


def stopped(file, stream, stop_at=2):
    """A recording that is interrupted after so many messages."""
    stop = threading.Event()

    def progress(messages, span):
        if messages >= stop_at:
            stop.set()

    return record(file, stream, frozenset(), ENOUGH, stop, progress)


@pytest.mark.parametrize("torn", [b"", b'{"$type":"message","payl'], ids=["whole", "torn"])
def test_an_interrupted_recording_goes_on_where_it_ended(tmp_path, torn):
    file, part = tmp_path / "r.jsonl", tmp_path / "r.jsonl.part"
    with server(sends(*POSTS[:2]), sends(*POSTS[1:])) as streaming:
        stream = settings("jetstream", streaming.url)
        done = stopped(file, stream)
        assert (done.messages, done.finished) == (2, False)
        assert not file.exists()
        with part.open("ab") as cut:
            cut.write(torn)
        done = record(file, stream, frozenset(), ENOUGH, threading.Event())
    assert "cursor=2" in streaming.paths[-1]
    assert (done.messages, done.finished) == (3, True)
    assert texts(file) == ["heron", "wren", "owl"]
    assert not part.exists()


def test_one_that_was_killed_while_it_was_packed_needs_no_stream(tmp_path):
    part = tmp_path / "r.jsonl.gz.part"
    with server(sends(*POSTS)) as streaming:
        stream = settings("jetstream", streaming.url)
        record(tmp_path / "r.jsonl.gz", stream, frozenset(), ENOUGH, threading.Event())
    header = {"recording": streaming.url, "collections": ["app.bsky.feed.post"]}
    part.write_bytes(b"\n".join([json.dumps(header).encode(), *POSTS, b""]))
    (tmp_path / "r.jsonl.gz").unlink()
    done = record(tmp_path / "r.jsonl.gz", stream, frozenset(), ENOUGH, threading.Event())
    assert done.finished
    assert texts(tmp_path / "r.jsonl.gz") == ["heron", "wren", "owl"]


def test_recordings_are_not_mixed(tmp_path):
    file = tmp_path / "r.jsonl"
    with server(sends(*POSTS[:2])) as streaming:
        stopped(file, settings("jetstream", streaming.url))
    for stream, needed in [
        (settings("jetstream", "ws://127.0.0.1:1"), frozenset()),
        (settings("jetstream", streaming.url), frozenset({"likes"})),
    ]:
        with pytest.raises(CannotRecord, match="go on with the same, or remove it"):
            record(file, stream, needed, ENOUGH, threading.Event())


def test_what_cannot_be_recorded_is_said(tmp_path):
    file = tmp_path / "r.jsonl"
    with pytest.raises(CannotRecord, match="name a Jetstream"):
        record(file, settings("firehose", "ws://x"), frozenset(), ENOUGH, threading.Event())
    with server(sends()) as streaming:
        stream = settings("jetstream", streaming.url)
        with pytest.raises(CannotRecord, match="nothing arrived"):
            record(file, stream, frozenset(), timedelta(seconds=0.3), threading.Event())
    assert list(tmp_path.iterdir()) == []


CONFIG = """\
service: {hostname: feeds.example.com, publisher: alice.example.com}
stream: {jetstream: {url: "URL", compress: no, backoff: 1s}}
feeds:
  birds: {filter: {keywords: heron}, rank: gravity}
"""


@pytest.fixture
def quiet(monkeypatch):
    """The command takes the signals over, for good."""
    monkeypatch.setenv("FEEDKIT_LOG", "ERROR")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("quiet")
def test_the_command_is_told_to_stop(tmp_path, capsys):
    def script(connection):
        for message in POSTS[:2]:
            connection.send(message, text=True)
        until = time.monotonic() + 5
        while b"wren" not in part.read_bytes() and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)
        end(connection, "stay")

    file, part = tmp_path / "r.jsonl", tmp_path / "r.jsonl.part"
    with server(script, sends(*POSTS[1:])) as streaming:
        asked = ["record", "--config", str(config(tmp_path, streaming.url)), str(file)]
        assert run(asked) == 130
        said = f"{file}.part: 2 messages, 0:10 of the stream; the same command goes on with it\n"
        assert capsys.readouterr().err == said
        assert not file.exists()
        assert run([*asked, "--minutes", "0.5"]) == 0
    assert texts(file) == ["heron", "wren", "owl"]


def config(folder, url):
    file = folder / "config.yaml"
    file.write_text(CONFIG.replace("URL", url))
    return file


@pytest.mark.usefixtures("quiet")
def test_the_command(tmp_path, capsys):
    file = tmp_path / "r.jsonl.zst"
    with server(sends(*POSTS)) as streaming:
        made = str(config(tmp_path, streaming.url))
        asked = ["record", "--config", made, "--minutes", "0.5", str(file)]
        assert run(asked) == 0
        assert "collections=app.bsky.feed.like" in streaming.paths[-1]  # gravity needs them
    assert capsys.readouterr().out == f"{file}: 3 messages, 0:31 of the stream\n"
    assert run(asked) == 1
    assert "exists already" in capsys.readouterr().err
    assert run([*asked, "--overwrite", "--url", "https://example.com"]) == 1
    assert capsys.readouterr().err.startswith("--url: ")
