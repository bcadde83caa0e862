"""`feedkit backfill` as a process: killed and resumed, beside a running ingest; and its words."""

# ruff: noqa: F811 (fixtures are imported)

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from itertools import count

import pytest
from _history import HOUR, author, uri
from click.testing import CliRunner
from storing import contents, order
from test_backfill import history, names, service, until  # noqa: F401

from feedkit import Keywords
from feedkit.backfill.notice import tell_of_new_feeds
from feedkit.cli import run
from feedkit.ingest import Ingest
from feedkit.jobs import Jobs
from feedkit.store import open_store

POSTS = 1500


def configured(folder, history, url, **filters):
    path = folder / "config.yaml"
    feeds = {name: {"filter": {"keywords": words}} for name, words in filters.items()}
    stream = {"url": history.url, "compress": "no", "backoff": "0.05s", "backoff_cap": "0.1s"}
    config = {
        "service": {"hostname": "feeds.example.com", "publisher": author("ann")},
        "store": url, "stream": {"jetstream": stream}, "feeds": feeds,
    }  # fmt: skip
    path.write_text(json.dumps(config), "utf-8")
    return path


@contextmanager
def feedkit(config, *words):
    """The command as a process that is killed at the end."""
    command = [sys.executable, "-m", "feedkit", *words, "--config", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def fill_history(history, rnd):
    """A day of posts, edits, deletions and accounts; the posts that are left are the answer."""
    left = {}
    for number in range(POSTS):
        ago = 20 * (1 - number / POSTS) + 0.5
        name, by = f"p{number:04}", f"a{number % 17}"
        text = "a heron" if number % 3 else "a wren"
        history.post(name, ago, text, by)
        left[name] = by, text
        if number % 5 == 0:
            old = rnd.choice(sorted(left))
            history.delete(old, ago - 0.001, left.pop(old)[0])
        elif number % 7 == 0:
            old = rnd.choice(sorted(left))
            text = rnd.choice(["a heron", "a wren"])
            history.post(old, ago - 0.001, text, left[old][0], operation="update")
            left[old] = left[old][0], text
        elif number % 101 == 0:
            history.account("deactivated", ago, "a3")
            history.account("active" if number < 1000 else "deactivated", ago, "a3")
    history.account("deactivated", 0.4, "a3")
    return sorted(n for n, (by, text) in left.items() if text == "a heron" and by != "a3")


def test_killed_many_times_beside_a_running_ingest(history, store_url, tmp_path):
    rnd = random.Random(3)
    expected = fill_history(history, rnd)
    history.pace = 0.001
    with open_store(store_url) as store:
        store.migrate()
        live = configured(tmp_path, history, store_url, wrens="wren", robins="robin")
        (tmp_path / "new").mkdir()
        new = configured(
            tmp_path / "new", history, store_url, wrens="wren", robins="robin", herons="heron"
        )
        with feedkit(live, "ingest") as ingest:
            probes = count()

            def reads():
                history.post(f"probe{next(probes)}", 0.0, "a robin")
                return names(store, "robins")

            until(reads, "the ingest to read", 60)
            number = 0
            for _ in range(8):
                with feedkit(new, "backfill", "herons", "--stream", "24h") as process:
                    before = _place(store)
                    until(partial(_moved, store, before, process), "a start", 60)
                    time.sleep(rnd.uniform(0, 0.4))
                    for _ in range(3):  # the live stream goes on meanwhile
                        history.post(f"live{number}", -0.0001 * number, "a robin")
                        number += 1
                    assert process.poll() is None, process.stderr.read()
                assert names(store, "herons") == []
            history.pace = 0
            with feedkit(new, "backfill", "herons", "--stream", "24h") as process:
                said, log = process.communicate(timeout=60)
            assert process.returncode == 0, log
            until(lambda: _live(store) == number, "the live posts", 60)
            assert ingest.poll() is None
        assert names(store, "herons") == expected
        assert "posts more, from the stream" in said
        assert names(store, "wrens") == []
        found = contents(store)
        assert found["accounts"] == {author("a3"): "deactivated"}
        for table in ("backfills", "backfill_posts", "backfill_accounts"):
            assert store.db.rows(f"SELECT * FROM {table}") == []


def _live(store):
    return sum(name.startswith("live") for name in names(store, "robins"))


def _moved(store, before, process):
    return _place(store) != before or process.poll() is not None


def _place(store):
    return store.db.rows("SELECT id, owner, cursor FROM backfills")


def test_told_to_stop_it_says_that_it_goes_on(history, tmp_path):
    history.post("one", 20, "a heron")
    for number in range(200):
        history.post(f"n{number}", 19 - number / 100, "a wren")
    url = f"sqlite:///{tmp_path}/store.db"
    config = configured(tmp_path, history, url, herons="heron")
    history.pace = 0.02
    with open_store(url) as store:
        store.migrate()
        with feedkit(config, "backfill", "--all", "--stream", "24h") as process:
            until(lambda: store.find_post(uri("one")), "the post to be staged")
            process.terminate()
            _, log = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "stopped; run it again to go on" in log
        history.pace = 0
        assert run(["backfill", "--all", "--stream", "1d", "--config", str(config)]) == 0
        assert order(store, "herons") == [uri("one")]


def test_gaps_are_listed_and_filled(history, tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/store.db"
    config = str(configured(tmp_path, history, url, herons="heron"))
    history.post("one", 20, "a heron")
    history.post("end", 0.001, "a wren")
    with open_store(url) as store:
        store.migrate()
        assert run(["backfill", "--gaps", "--config", config]) == 0
        assert "no gaps" in capsys.readouterr().out
        now = history.now
        store.add_gap("jetstream x", now - 21 * HOUR, now - 19 * HOUR, "the cable", now)
        assert run(["backfill", "--gaps", "--dry-run", "--config", config]) == 0
        assert "(the cable); feedkit backfill --gaps fills it" in capsys.readouterr().out
        assert order(store, "herons") == []
        assert run(["backfill", "--gaps", "--config", config]) == 0
        said = capsys.readouterr().out
        assert "(the cable): filled" in said
        assert "1 post more" in said
        assert order(store, "herons") == [uri("one")]
        store.add_gap("jetstream x", 0, now - 19 * HOUR, "who knows", now)
        assert run(["backfill", "--gaps", "--config", config]) == 1
        assert "an unknown time to" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["herons"], 2, "say from where: --stream 24h"),
        (["--stream", "24h"], 2, "name the feeds to be filled, or write --all"),
        (["herons", "--all", "--stream", "24h"], 2, "name the feeds"),
        (["herons", "--stream", "long"], 2, "a duration such as 30s"),
        (["herons", "--gaps"], 2, "--gaps is for all feeds"),
        (["herons", "--stream", "1h", "--dry-run"], 2, "--dry-run goes with --gaps"),
        (["heron", "--stream", "1h"], 1, "did you mean 'herons'"),
        (["herons", "--search", "heron"], 1, "FEEDKIT_APP_PASSWORD"),
        (["herons", "--authors"], 1, "names no authors"),
        (["herons", "--stream", "1h", "--jetstream", "http://x"], 1, "begins with wss://"),
    ],
)
def test_what_cannot_be_done_is_said(history, tmp_path, capsys, monkeypatch, words, code, said):
    for name in ("FEEDKIT_APP_PASSWORD",):
        monkeypatch.delenv(name, raising=False)
    url = f"sqlite:///{tmp_path}/store.db"
    config = configured(tmp_path, history, url, herons="heron")
    with open_store(url) as store:
        store.migrate()
    assert run(["backfill", *words, "--config", str(config)]) == code
    assert said in capsys.readouterr().err


def test_a_firehose_of_ones_own_needs_a_jetstream(history, tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/store.db"
    path = configured(tmp_path, history, url, herons="heron")
    config = json.loads(path.read_text())
    config["stream"] = {"firehose": {"url": "ws://127.0.0.1:9/xrpc/x"}}
    path.write_text(json.dumps(config))
    with open_store(url) as store:
        store.migrate()
        words = ["backfill", "herons", "--stream", "24h", "--config", str(path)]
        assert run(words) == 1
        assert "cannot be rewound to a time; name the Jetstream" in capsys.readouterr().err
        history.post("one", 20, "a heron")
        assert run([*words, "--jetstream", history.url]) == 0
        assert order(store, "herons") == [uri("one")]


def test_a_new_feed_is_told_how_to_be_filled(history, store, caplog):
    caplog.set_level("INFO")
    made = service(history, wrens="wren")
    Ingest(made, store)
    Jobs(made, store).decide_again()
    assert "is new" not in caplog.text  # the store has no posts yet
    history.post("one", 1, "a wren")
    from test_backfill import fold

    fold(made, store, history, range(1, 2))
    more = service(history, wrens="wren", herons="heron")
    Ingest(more, store)
    told = "feeds.herons is new: it begins with what arrives from now on; fill it with "
    assert told + "`feedkit backfill herons --stream 24h`" in caplog.text
    assert "feeds.wrens is new" not in caplog.text
    caplog.clear()
    Ingest(more, store)
    assert "is new" not in caplog.text


def test_a_wider_feed_is_told_too(history, store, caplog):
    from test_backfill import fold

    caplog.set_level("INFO")
    history.post("one", 1, "a wren")
    fold(service(history, wrens="wren"), store, history, range(1, 2))
    jobs = Jobs(service(history, wrens=Keywords(["wren", "heron"])), store)
    jobs.decide_again()
    assert "`feedkit backfill wrens --stream 24h` fetches them" in caplog.text


def test_many_new_feeds_take_few_lines(history, store, caplog):
    from test_backfill import fold

    caplog.set_level("INFO")
    history.post("one", 1, "a wren")
    fold(service(history, wrens="wren"), store, history, range(1, 2))
    tell_of_new_feeds(store, [f"feed{number}" for number in range(100)])
    assert "95 more feeds are new" in caplog.text
    assert len(caplog.records) < 12


def test_help():
    assert "Likes and reposts" in CliRunner().invoke(_cli(), ["backfill", "--help"]).output


def _cli():
    from feedkit.cli.group import cli

    return cli
