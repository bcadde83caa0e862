"""Gaps that the stream has forgotten in part, or that were filled in two goes; and the archive."""

# ruff: noqa: F811 (fixtures are imported)

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from _archive import KEY
from _history import HOUR, History
from _streams import server
from storing import order
from test_backfill import DAY, clean, fill, history, names, service  # noqa: F401
from test_backfill_archive import archived, name_records
from test_backfill_cli import configured

from feedkit.backfill import Filling, Stopped, beginning, stretch
from feedkit.backfill.archiving import Archived
from feedkit.cli import run
from feedkit.store import open_store


class First(History):
    """A Jetstream v1: its cursor is a time, and it does not say how far back it goes."""

    def _script(self, connection):
        query = parse_qs(urlsplit(connection.request.path).query)
        cursor = int(query.get("cursor", ["0"])[0])
        for number, us, _, message in list(self.events):
            if us >= cursor and number >= self.oldest:
                told = json.loads(message)["payload"]
                keys = ("rev", "operation", "collection", "rkey", "record", "cid")
                commit = {key: told[key] for key in keys if key in told}
                first = {"did": told["did"], "time_us": us, "kind": "commit", "commit": commit}
                connection.send(json.dumps(first), text=True)
        while not self.over.wait(0.05):
            connection.ping()

    @contextmanager
    def serving(self):
        self.over = threading.Event()
        with server(self._script) as made:
            self.url = f"{made.url}/subscribe"
            yield made
            self.over.set()


@pytest.fixture
def first():
    made = First()
    with made.serving():
        yield made


@pytest.fixture
def brisk(monkeypatch):
    """The command does not wait as long as it would for a stream far away."""
    for name, seconds in (("quiet", 0.3), ("patience", 1.0)):
        monkeypatch.setitem(Filling.__init__.__kwdefaults__, name, seconds)


def filling(made, store, stop=None, feeds=("herons",), url=""):
    stream = replace(made.stream, url=url or made.stream.url)
    stop = stop or threading.Event()
    return Filling(made, store, list(feeds), stream, stop, quiet=0.3, patience=1.0)


def gap(store, history, begin, end, reason):
    store.add_gap("jetstream x", history.now - begin * HOUR, history.now - end * HOUR, reason, 1)


def left(store, history):
    """The open gaps: reason, and how many hours ago they begin and end."""

    def ago(us):
        return round((history.now - us) / HOUR, 2)

    return [(gap.reason, ago(gap.from_us), ago(gap.to_us)) for gap in store.backfills.open_gaps()]


@pytest.mark.parametrize("refuses", ["", "CursorTooOld"], ids=["says so", "refuses"])
def test_a_stream_that_begins_inside_a_gap_fills_the_rest_of_it(history, store, refuses):
    history.post("old", 20, "a heron")
    history.post("border", 14, "a wren")
    history.post("new", 12, "a heron")
    history.post("end", 0.001, "a wren")
    history.oldest, history.refuses = 2, refuses
    gap(store, history, 21, 11, "outage")
    made = service(history, herons="heron")
    outcome, lost = filling(made, store).fill_gaps(filling(made, store).gaps()[0])
    assert names(store, "herons") == ["new"]
    assert outcome.hits == 1
    # One that refuses does not say where it begins: it is asked for less and less.
    assert left(store, history) == [("outage", 21, 13.5 if refuses else 14)]
    assert lost == store.backfills.open_gaps()
    clean(store)


def test_gaps_behind_one_that_is_refused_are_filled(history, store):
    history.post("old", 20, "a heron")
    history.post("border", 14, "a wren")
    history.post("new", 12, "a heron")
    history.post("end", 0.001, "a wren")
    history.oldest, history.refuses = 2, "CursorTooOld"
    gap(store, history, 21, 19, "the night")
    gap(store, history, 12, 11, "the morning")
    made = service(history, herons="heron")
    filling(made, store).fill_gaps(filling(made, store).gaps()[0])
    assert left(store, history) == [("the night", 21, 19)]
    assert names(store, "herons") == ["new"]


def test_one_that_goes_on_knows_where_the_stream_began(history, store, monkeypatch):
    monkeypatch.setattr(stretch, "NOTE_EVERY", 0.05)
    monkeypatch.setattr(stretch, "WRITE_EVERY", 0.05)
    history.post("night", 20, "a heron")
    for number in range(60):
        history.post(f"n{number}", 10 - number / 60, "a wren")
    history.post("end", 0.001, "a heron")
    history.oldest = 2
    gap(store, history, 21, 19, "the night")
    made, stop = service(history, herons="heron"), threading.Event()
    history.pace = 0.02
    way = filling(made, store, stop)
    threading.Timer(0.7, stop.set).start()
    with pytest.raises(Stopped):
        way.fill_gaps(way.gaps()[0])
    assert store.db.rows("SELECT cursor FROM backfills") > [(0,)]
    history.pace = 0
    outcome, lost = filling(made, store).fill_gaps(way.gaps()[0])
    assert outcome.cut
    assert [one.reason for one in lost] == ["the night"]
    assert left(store, history) == [("the night", 21, 19)]


def test_a_first_version_that_says_nothing(first, store):
    first.post("missed", 60, "a heron")
    first.post("recent", 5, "a heron")
    first.post("end", 0.001, "a wren")
    first.oldest = 2
    gap(store, first, 61, 59, "weekend")
    gap(store, first, 6, 4, "today")
    made = service(first, herons="heron")
    outcome, _ = filling(made, store).fill_gaps(filling(made, store).gaps()[0])
    assert outcome.cut
    assert left(store, first) == [("weekend", 61, 59), ("today", 6, 5)]


def test_a_first_version_that_forgot_while_it_was_interrupted_begins_again(first, store):
    first.post("one", 40, "a heron")
    first.post("two", 5, "a heron")
    first.post("end", 0.001, "a wren")
    first.oldest = 2
    made = service(first, herons="heron")
    way = filling(made, store)
    run_ = way.begun("stream", first.now - 45 * HOUR, lambda run: True)
    before = first.now - 41 * HOUR
    store.db.run("UPDATE backfills SET cursor = ?, time = ?, began = since", (before, before))
    outcome = way.from_stream(45 / 24 * DAY)
    assert outcome.cut
    assert outcome.began == first.now - 5 * HOUR
    assert run_.id


def test_a_busy_stream_is_not_taken_at_its_word(history, store):
    """Nothing was said, but there was nothing for hours, and then a lot."""
    for number in range(beginning.ENOUGH + 5):
        history.post(f"n{number}", 10 - number / 1000, "a wren")
    history.post("end", 0.001, "a heron")
    outcome = fill(service(history, herons="heron"), store, ["herons"])
    assert (outcome.cut, outcome.began) == (True, history.now - 10 * HOUR)


def test_a_quiet_stream_is(history, store):
    for number in range(beginning.ENOUGH + 5):
        history.post(f"n{number}", 10 - number / 4, "a wren")
    assert not fill(service(history, herons="heron"), store, ["herons"]).cut


def test_how_far_a_first_version_went_back_is_said(first, tmp_path, capsys, brisk):
    first.post("recent", 30, "a heron")
    first.post("end", 0.001, "a wren")
    url = f"sqlite:///{tmp_path}/store.db"
    config = str(configured(tmp_path, first, url, herons="heron"))
    with open_store(url) as store:
        store.migrate()
    assert run(["backfill", "--all", "--stream", "2d", "--config", config]) == 0
    said = capsys.readouterr()
    assert "the stream does not go back so far; it was read from its oldest on, 20" in said.err
    assert "1 post more" in said.out


def days(history):
    for number in range(40):
        text = "a heron" if number % 10 == 5 else "a wren"
        history.post(f"p{number:02}", 80 - 2 * number + 0.0001, text)
    name_records(history)
    history.oldest = 31  # the stream has 20 hours


def test_what_the_stream_has_forgotten_comes_from_the_archive(
    history, tmp_path, capsys, monkeypatch, brisk
):
    days(history)
    url = f"sqlite:///{tmp_path}/store.db"
    with archived(history, 35) as archive, open_store(url) as store:
        history.url = archive.url
        config = str(configured(tmp_path, history, url, herons="heron"))
        store.migrate()
        gap(store, history, 72, 68, "long ago")
        gap(store, history, 24, 8, "half")
        monkeypatch.delenv("FEEDKIT_ARCHIVE_KEY", raising=False)
        assert run(["backfill", "--gaps", "--dry-run", "--config", config]) == 0
        assert "as far as the stream goes back\n" in capsys.readouterr().out
        assert run(["backfill", "--gaps", "--config", config]) == 1
        said = capsys.readouterr()
        assert "(half): filled" in said.out
        assert said.out.count("lost, the stream has forgotten it") == 2
        assert "`feedkit backfill --gaps` with a key in FEEDKIT_ARCHIVE_KEY" in said.err
        assert left(store, history) == [("long ago", 72, 68), ("half", 24, 20)]
        assert order(store, "herons") == [u for u in order(store, "herons") if "p35" in u]
        monkeypatch.setenv("FEEDKIT_ARCHIVE_KEY", "not-the-key")
        assert run(["backfill", "--gaps", "--config", config]) == 1
        assert "not from the archive: " in capsys.readouterr().err
        monkeypatch.setenv("FEEDKIT_ARCHIVE_KEY", KEY)
        assert run(["backfill", "--gaps", "--dry-run", "--config", config]) == 0
        assert "and the rest from the archive" in capsys.readouterr().out
        assert run(["backfill", "--gaps", "--config", config]) == 0
        said = capsys.readouterr()
        assert said.out.count(": filled") == 2
        assert "were fetched from the archive" in said.err
        assert store.backfills.open_gaps() == []
        assert [u.rpartition("/")[2] for u in order(store, "herons")] == ["p35", "p05"]
        clean(store)


def test_a_stream_without_an_archive_names_the_command_that_fills_it(
    first, tmp_path, capsys, brisk
):
    first.post("end", 0.001, "a wren")
    url = f"sqlite:///{tmp_path}/store.db"
    config = str(configured(tmp_path, first, url, herons="heron"))
    with open_store(url) as store:
        store.migrate()
        gap(store, first, 72, 68, "long ago")
        assert run(["backfill", "--gaps", "--config", config]) == 1
    told = "`feedkit backfill --gaps --jetstream wss://jetstream.us-east.bsky.network"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("feeds", [["herons", "wrens"], ["herons"]])
def test_the_archive_for_all_feeds_closes_the_gaps_of_its_time(history, store, feeds):
    days(history)
    made = service(history, herons="heron", wrens="none")
    gap(store, history, 79, 78, "within")
    gap(store, history, 90, 78, "partly")
    with archived(history, 35) as archive:
        way = filling(made, store, feeds=feeds, url=archive.url)
        Archived(way, KEY, pause=0.01).fill(4 * DAY)
    if len(feeds) == 2:
        assert left(store, history) == [("partly", 90, 80)]
    else:
        assert left(store, history) == [("partly", 90, 78), ("within", 79, 78)]
