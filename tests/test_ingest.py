"""From a source to the store: batches, resumption, what ends it and what does not."""

from __future__ import annotations

import logging
import sqlite3
import threading
from datetime import UTC, datetime

import pytest

from feedkit import Field, Filter, Gravity, Keywords, Newest
from feedkit.event import Engaged, Frame, PostWritten
from feedkit.ingest import Ingest
from feedkit.post import Post
from feedkit.settings import FeedConfig, Service
from feedkit.store import StoreError, Unavailable, open_store, writing

AT = 1783175888000000


class Breaks(Filter):
    """Fails on every post."""

    why: str = Field(default="broken")

    def match(self, post):
        raise RuntimeError(self.why)


def service(**filters):
    feeds = {
        name: FeedConfig(name=name, filter=filter, rank=Gravity() if name == "liked" else Newest())
        for name, filter in filters.items()
    }
    did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
    return Service("feeds.example.com", did, "did:web:feeds.example.com", feeds)


class Recorded:
    """A source of given frames that notes from where it was asked to go on."""

    name = "jetstream ws://example"

    def __init__(self, *frames):
        self._frames, self.asked = frames, None

    def frames(self, cursor, time, stop):
        self.asked = (cursor, time)
        for frame in self._frames:
            if stop.is_set():
                return
            yield frame


def written(number, text="heron"):
    uri = f"at://did:plc:a/app.bsky.feed.post/{number}"
    at = datetime.fromtimestamp(AT / 1e6, UTC)
    post = Post(uri=uri, author="did:plc:a", text=text, created_at=at, seen_at=at, sort_at=at)
    return PostWritten(post, f"3{number:012}", True, AT + number)


def frame(number, *events, **more):
    return Frame(number, AT + number, events, **more)


def test_posts_are_stored_for_the_feeds_that_want_them(store):
    source = Recorded(
        frame(1, written(1)), frame(2, written(2, "wren")), None, frame(3, written(3))
    )
    ingest = Ingest(service(herons=Keywords("heron"), birds=Keywords(["heron", "wren"])), store)
    ingest.run(source, threading.Event())
    assert len(store.newest("herons", None, 9)) == 2
    assert len(store.newest("birds", None, 9)) == 3
    assert ingest.counts["posts"] == 3
    assert ingest.counts["hits"] == 5


def test_it_goes_on_where_it_stopped(store):
    herons = service(herons=Keywords("heron"))
    first = Recorded(frame(7, written(1)), frame(8))
    Ingest(herons, store).run(first, threading.Event())
    assert first.asked == (None, 0)
    again = Recorded()
    Ingest(herons, store).run(again, threading.Event())
    assert again.asked == (8, AT + 8)


def test_another_stream_goes_on_at_the_time_where_the_last_one_stopped(store):
    herons = service(herons=Keywords("heron"))
    Ingest(herons, store).run(Recorded(frame(7, written(1))), threading.Event())
    replayed = Recorded(Frame(99, AT * 2))
    replayed.name = "replay"
    Ingest(herons, store).run(replayed, threading.Event())
    other = Recorded()
    other.name = "firehose ws://example"
    Ingest(herons, store).run(other, threading.Event())
    assert other.asked == (None, AT + 7)


def test_what_was_read_is_written_when_it_is_told_to_stop(store):
    stop = threading.Event()

    class Stopping(Recorded):
        def frames(self, cursor, time, stop):
            yield from super().frames(cursor, time, stop)
            stop.set()

    Ingest(service(herons=Keywords("heron")), store).run(Stopping(frame(1, written(1))), stop)
    assert len(store.newest("herons", None, 9)) == 1


def test_a_quiet_stream_is_written_too(store):
    ingest = Ingest(service(herons=Keywords("heron")), store)
    seen = []

    class Quiet(Recorded):
        def frames(self, cursor, time, stop):
            yield frame(1, written(1))
            import time as clock

            clock.sleep(0.15)
            yield None
            seen.append(len(store.newest("herons", None, 9)))

    ingest.run(Quiet(), threading.Event())
    assert seen == [1]


def test_engagement_is_counted_if_a_feed_needs_it(store):
    record = "at://did:plc:b/app.bsky.feed.like/1"
    like = Engaged(record, "like", "did:plc:b", written(1).post.uri, 2)
    events = (frame(1, written(1)), frame(2, like))
    Ingest(service(herons=Keywords("heron")), store).run(Recorded(*events), threading.Event())
    assert store.find_post(written(1).post.uri).post.likes == 0
    Ingest(service(liked=Keywords("heron")), store).run(Recorded(*events), threading.Event())
    assert store.find_post(written(1).post.uri).post.likes == 1


def test_a_broken_filter_stops_nobody_else(store, caplog):
    ingest = Ingest(service(herons=Keywords("heron"), broken=Breaks()), store)
    ingest.run(Recorded(frame(1, written(1))), threading.Event())
    assert len(store.newest("herons", None, 9)) == 1
    assert "feeds.broken: the filter breaks failed" in caplog.text


def test_records_that_cannot_be_used_are_counted_and_logged(store, caplog):
    bad = frame(1, skipped=(("at://did:plc:a/app.bsky.feed.post/1", "it has no text"),))
    ingest = Ingest(service(herons=Keywords("heron")), store)
    with caplog.at_level(logging.WARNING):
        ingest.run(Recorded(*[bad] * 12, frame(2, written(2))), threading.Event())
    assert ingest.counts["skipped"] == 12
    assert len([r for r in caplog.records if "cannot be used" in r.message]) == 2
    assert len(store.newest("herons", None, 9)) == 1


def test_a_store_that_is_away_ends_the_connection_and_is_read_from_its_cursor_again(
    tmp_path, monkeypatch
):
    """Nothing lost, nothing doubled: another program holds the store for too long."""
    monkeypatch.setattr(writing, "PATIENCE", 0.1)
    url = f"sqlite:///{tmp_path}/feedkit.db"
    with open_store(url) as store:
        store.migrate()
    asked, closed = [], []
    other = sqlite3.connect(tmp_path / "feedkit.db", isolation_level=None)

    class Live(Recorded):
        def frames(self, cursor, time, stop):
            asked.append(cursor)
            try:
                for number in range((cursor or 0) + 1, 41):
                    if number == 25 and len(asked) == 1:
                        other.execute("BEGIN IMMEDIATE")
                    yield frame(number, written(number))
            finally:
                closed.append(number)

    herons = service(herons=Keywords("heron"))
    with open_store(url, timeout=0.1) as store:
        with pytest.raises(Unavailable) as error:
            Ingest(herons, store, batch_events=10).run(Live(), threading.Event())
        assert closed == [30], "while the error is known, too: it holds the generator"
        assert "another program holds its lock" in str(error.value)
        assert store.cursor(Live.name)[0] == 20
        other.execute("ROLLBACK")
        Ingest(herons, store, batch_events=10).run(Live(), threading.Event())
        assert asked == [None, 20]
        assert len(store.newest("herons", None, 99)) == 40
        assert store.stats().posts == 40
    other.close()


def test_a_store_that_cannot_be_written_ends_it_at_once(store):
    ingest = Ingest(service(herons=Keywords("heron")), store)
    store.db.run("DROP TABLE hits", ())
    read = []

    class Endless(Recorded):
        def frames(self, cursor, time, stop):
            for number in range(1, 10**6):
                read.append(number)
                yield frame(number, written(number))

    with pytest.raises(StoreError):
        ingest.run(Endless(), threading.Event())
    assert len(read) <= 500
