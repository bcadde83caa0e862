"""What a plugin may do wrong: contained and named, and everything else goes on.

Each service here is a configuration with plugins in `feeds/`, as people write them; posts come from
a recording through the real ingest, and are ranked by the real jobs on a real store.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from datetime import UTC, datetime, timedelta

import pytest

from feedkit.config import load_config
from feedkit.config.problems import ConfigError
from feedkit.ingest import Ingest
from feedkit.jobs import Jobs
from feedkit.settings import Stream
from feedkit.skeleton import page
from feedkit.sources import open_source
from feedkit.sources.replay import Replay
from feedkit.sources.socket import Closed

ANN = "did:plc:annaaaaaaaaaaaaaaaaaaaaa"
NOW = datetime.now(UTC)
TEXTS = ["a heron", "a heron and a wren", f"heron {'a' * 60}!"]

HEAD = """\
service: {hostname: feeds.example.com, publisher: alice.example.com}
feeds:
  good: {filter: {keywords: heron}, rank: conversation, select: [{per_author: 5}]}
"""

PLUGINS = '''
import sys
import time

from feedkit import Filter, Hydrator, Ranker, Selector
from feedkit.plugin import Pinned


class Misbehaves:
    """Does what it is told to."""

    def forever(self):  # Python 3.13.0 does not count a call that fills in a default
        return self.forever()

    def misbehave(self, posts=()):
        match self.how:
            case "raise":
                raise RuntimeError("no idea")
            case "exit":
                sys.exit(3)
            case "recurse":
                return self.forever()
            case "sleep":
                time.sleep(0.06)
                return "slept"
            case "none":
                return None
            case "text":
                return "much"
            case "texts":
                return ["much" for _ in posts]
            case "nan":
                return [float("nan") for _ in posts]
            case "few":
                return [1.0]
            case "twice":
                return [*posts, *posts]
            case "invent":
                return [type(posts[0])(uri="at://did:plc:x/app.bsky.feed.post/1")]
            case "lazy":
                return (post for post in reversed(posts))


class BadFilter(Misbehaves, Filter):
    """A filter that does what it must not."""

    how: str = "raise"

    def match(self, post):
        return "heron" in post.text if (done := self.misbehave()) == "slept" else done


class BadRanker(Misbehaves, Ranker):
    """A ranker that does what it must not."""

    how: str = "raise"

    def score_many(self, posts, request):
        done = self.misbehave(posts)
        return [-number for number, _ in enumerate(posts)][::-1] if done == "slept" else done


class BadSelector(Misbehaves, Selector):
    """A selector that does what it must not."""

    how: str = "raise"

    def select(self, posts, request):
        return posts[::-1] if (done := self.misbehave(posts)) == "slept" else done


class BadPins(Misbehaves, Selector):
    """A selector that pins what it must not."""

    how: str = "raise"

    def pins(self, request):
        return self.misbehave()


class BadHydrator(Misbehaves, Hydrator):
    """A hydrator that does what it must not."""

    provides = {"bird": float}
    backoff = 0.0
    deadline = 0.01
    tries = 1
    how: str = "raise"

    def hydrate(self, posts, context):
        return self.misbehave(posts)


class Wings(Hydrator):
    """A hydrator that works."""

    provides = {"wings": int}

    def hydrate(self, posts, context):
        return [{"wings": 2} for _ in posts]


class Bird(Filter):
    """Needs what is not told."""

    needs = {"bird"}

    def match(self, post):
        return True


class Winged(Filter):
    """Needs what is told."""

    needs = {"wings"}

    def match(self, post):
        return post.features["wings"] == 2
'''


def key(number):
    return f"3mptbyoeyc22{'abc'[number]}"


def uri(number):
    return f"at://{ANN}/app.bsky.feed.post/{key(number)}"


def recording(folder):
    """One post a minute, the last one now, in a file as `feedkit record` writes it."""
    lines = []
    for number, text in enumerate(TEXTS):
        at = NOW - timedelta(minutes=len(TEXTS) - number)
        record = {
            "$type": "app.bsky.feed.post",
            "text": text,
            "createdAt": at.isoformat().replace("+00:00", "Z"),
        }
        commit = {
            "rev": key(number), "operation": "create", "collection": "app.bsky.feed.post",
            "rkey": key(number), "cid": f"bafy{number}", "record": record,
        }  # fmt: skip
        time_us = round(at.timestamp() * 1e6)
        lines.append({"did": ANN, "time_us": time_us, "kind": "commit", "commit": commit})
    file = folder / "posts.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return str(file)


def configured(folder, *feeds):
    (folder / "feeds").mkdir()
    (folder / "feeds" / "bad.py").write_text(PLUGINS, "utf-8")
    text = HEAD + "".join(f"  {feed}\n" for feed in feeds)
    (folder / "config.yaml").write_text(text, "utf-8")
    return load_config(folder / "config.yaml", {})


def ingested(service, store, folder):
    source = Replay([recording(folder)], service.engagement)
    ingest = Ingest(service, store)
    ingest.run(source, threading.Event())
    assert (source.bad, ingest.counts["posts"]) == (0, len(TEXTS)), "ingest goes on to the end"
    return ingest


def shown(service, store, feed):
    """The numbers of the posts that a feed shows."""
    found = page(store, service.feeds[feed], 50, "", datetime.now(UTC))
    return ["abc".index(item.uri[-1]) for item in found.items]


NEWEST = [2, 1, 0]
OLDEST = [0, 1, 2]


@pytest.fixture(autouse=True)
def _all_is_logged(caplog):
    caplog.set_level(logging.INFO)


@pytest.fixture
def sqlite(tmp_path):
    from feedkit.store import open_store

    with open_store(f"sqlite:///{tmp_path}/store.db") as made:
        made.migrate()
        yield made


FILTERS = [
    ("bad_filter: raise", "bad_filter", "RuntimeError: no idea"),
    ("bad_filter: exit", "bad_filter", "SystemExit: 3"),
    ("bad_filter: recurse", "bad_filter", "RecursionError: "),
    ("bad_filter: none", "bad_filter", "returned NoneType, not True or False; wrap it in bool"),
    ("bad_filter: text", "bad_filter", "returned str, not True or False; wrap it in bool"),
]


@pytest.mark.parametrize(("written", "plugin", "says"), FILTERS, ids=[f[0] for f in FILTERS])
def test_a_filter(sqlite, tmp_path, caplog, written, plugin, says):
    service = configured(
        tmp_path,
        f"bad: {{filter: {{{written}}}}}",
        f"inside: {{filter: {{all: [{{keywords: heron}}, {{not: {{{written}}}}}]}}}}",
    )
    ingest = ingested(service, sqlite, tmp_path)
    for feed in ("bad", "inside"):
        told = f"feeds.{feed}: the filter {plugin} failed on {uri(0)} ("
        (line,) = [m for m in caplog.messages if m.startswith(told)]
        assert says in line
        assert line.endswith("1 times so far; the post is left out of the feed")
        assert ingest._matcher.errors[feed, plugin] == len(TEXTS)
    assert Jobs(service, sqlite).once(), "what is decided again is contained, too"
    assert shown(service, sqlite, "good") == NEWEST
    assert shown(service, sqlite, "bad") == shown(service, sqlite, "inside") == []


def test_a_filter_that_sleeps(sqlite, tmp_path, caplog):
    service = configured(tmp_path, "bad: {filter: {bad_filter: sleep}}")
    ingested(service, sqlite, tmp_path)
    (line,) = [m for m in caplog.messages if m.startswith("feeds.bad: the filter bad_filter took")]
    assert re.search(rf"took \d+ ms for {uri(0)}, 1 times so far; everything waits for it", line)
    assert shown(service, sqlite, "bad") == NEWEST, "it is right, if slow"
    assert Jobs(service, sqlite).once()
    assert shown(service, sqlite, "good") == NEWEST


@pytest.mark.parametrize("engine", ["re2", "backtracking"])
def test_a_pattern_that_explodes(sqlite, tmp_path, caplog, engine):
    pattern = "'(?:a|aa)+$'"
    service = configured(
        tmp_path, f"bad: {{filter: {{regex: {{pattern: {pattern}, engine: {engine}}}}}}}"
    )
    ingest = ingested(service, sqlite, tmp_path)
    assert Jobs(service, sqlite).once()
    assert shown(service, sqlite, "good") == NEWEST
    assert shown(service, sqlite, "bad") == []
    if engine == "re2":
        assert not ingest._matcher.errors
        return
    (line,) = [m for m in caplog.messages if m.startswith("feeds.bad: the filter regex failed on")]
    assert f"failed on {uri(2)} (TimeoutError: the pattern “(?:a|aa)+$” took over" in line
    assert "write it so that RE2 takes it" in line


def test_a_filter_that_breaks_when_posts_are_decided_again(sqlite, tmp_path, caplog):
    service = configured(tmp_path, "bad: {filter: {keywords: heron}}")
    ingested(service, sqlite, tmp_path)
    assert shown(service, sqlite, "bad") == NEWEST
    text = (tmp_path / "config.yaml").read_text("utf-8")
    broken = text.replace("bad: {filter: {keywords: heron}}", "bad: {filter: bad_filter}")
    (tmp_path / "config.yaml").write_text(broken, "utf-8")
    service = load_config(tmp_path / "config.yaml", {})
    assert Jobs(service, sqlite).once()
    assert f"feeds.bad: the filter bad_filter failed on {uri(0)} (RuntimeError" in caplog.text
    assert shown(service, sqlite, "bad") == []
    assert shown(service, sqlite, "good") == NEWEST


RANKERS = [
    ("raise", "RuntimeError: no idea"),
    ("exit", "SystemExit: 3"),
    ("none", "TypeError: 'NoneType' object is not iterable"),
    ("text", "ValueError: could not convert string to float"),
    ("texts", "ValueError: could not convert string to float: 'much'"),
    ("nan", "ValueError: it must give one finite number for each post"),
    ("few", "ValueError: it must give one finite number for each post"),
]


SELECTORS = [
    ("raise", "RuntimeError: no idea"),
    ("exit", "SystemExit: 3"),
    ("none", "TypeError: 'NoneType' object is not iterable"),
    ("text", "AttributeError: 'str' object has no attribute 'uri'"),
    ("twice", "ValueError: it must not repeat or invent posts"),
    ("invent", "ValueError: it must not repeat or invent posts"),
]


RANKING = [
    *(("rank: {bad_ranker: %s}", "newest first until it works", *one) for one in RANKERS),
    *(("select: [{bad_selector: %s}]", "passed over until it works", *one) for one in SELECTORS),
]


@pytest.mark.parametrize(
    ("key", "then", "how", "says"), RANKING, ids=[f"{one[0][:4]} {one[2]}" for one in RANKING]
)
def test_a_ranker_or_selector(sqlite, tmp_path, caplog, key, then, how, says):
    service = configured(tmp_path, f"bad: {{filter: {{keywords: heron}}, {key % how}}}")
    ingested(service, sqlite, tmp_path)
    assert Jobs(service, sqlite).once()
    assert shown(service, sqlite, "good") == shown(service, sqlite, "bad") == NEWEST
    kind = "selector" if "select" in key else "ranker"
    told = [
        m for m in caplog.messages if m.startswith(f"feeds.bad: the {kind} bad_{kind} failed (")
    ]
    assert told[0].endswith(f" {then}")
    assert says in told[0]


def test_a_selector_may_give_its_posts_one_by_one(sqlite, tmp_path, caplog):
    service = configured(
        tmp_path, "lazy: {filter: {keywords: heron}, select: [{bad_selector: lazy}]}"
    )
    ingested(service, sqlite, tmp_path)
    assert Jobs(service, sqlite).once()
    assert shown(service, sqlite, "lazy") == OLDEST
    assert "feeds.lazy" not in caplog.text


@pytest.mark.parametrize("kind", ["ranker", "selector"])
def test_what_takes_long_to_rank_is_named(sqlite, tmp_path, caplog, monkeypatch, kind):
    monkeypatch.setattr("feedkit.ranking.SLOW", 0.05)
    how = "rank: {bad_ranker: sleep}" if kind == "ranker" else "select: [{bad_selector: sleep}]"
    service = configured(tmp_path, f"bad: {{filter: {{keywords: heron}}, {how}}}")
    ingested(service, sqlite, tmp_path)
    assert Jobs(service, sqlite).once()
    assert shown(service, sqlite, "bad") == OLDEST
    told = [m for m in caplog.messages if m.startswith(f"feeds.bad: the {kind} bad_{kind} took")]
    assert told[0].endswith("s for 3 posts; all other feeds wait for it")
    assert shown(service, sqlite, "good") == NEWEST


@pytest.mark.parametrize("how", ["raise", "exit", "none", "text"])
def test_pins(sqlite, tmp_path, caplog, how):
    service = configured(
        tmp_path, f"bad_{how}: {{filter: {{keywords: heron}}, select: [{{bad_pins: {how}}}]}}"
    )
    ingested(service, sqlite, tmp_path)
    for _ in range(5):
        assert shown(service, sqlite, f"bad_{how}") == NEWEST
    (line,) = [
        m for m in caplog.messages if f"feeds.bad_{how}: the selector bad_pins failed to pin" in m
    ]
    assert line.endswith("the feed goes without its pins until it works")


HYDRATORS = [
    ("raise", "RuntimeError: no idea"),
    ("exit", "SystemExit: 3"),
    ("none", "hydrate must return a list of"),
    ("text", "hydrate must return a list of"),
    ("texts", "hydrate gave str for a post, not a mapping"),
    ("sleep", "Late: it took more than 0.01 s"),
]


@pytest.mark.parametrize(("how", "says"), HYDRATORS, ids=[one[0] for one in HYDRATORS])
def test_a_hydrator(sqlite, tmp_path, caplog, how, says):
    service = configured(
        tmp_path,
        "waits: {filter: {all: [{keywords: heron}, bird]}}",
        "winged: {filter: {all: [{keywords: heron}, winged]}}",
    )
    (bad,) = [one for one in service.hydrators if one.yaml_name() == "bad_hydrator"]
    bad.__dict__["how"] = how  # hydrators take no parameters from the configuration
    ingested(service, sqlite, tmp_path)
    assert Jobs(service, sqlite).once()
    assert shown(service, sqlite, "good") == shown(service, sqlite, "winged") == NEWEST
    assert shown(service, sqlite, "waits") == []
    told = [m for m in caplog.messages if m.startswith("the hydrator bad_hydrator failed on at://")]
    assert says in told[0]
    assert "what it does not find out in 1 tries is given up" in told[0]


@pytest.mark.parametrize(
    "formula",
    ["likes.__class__", "(1).__class__.__bases__[0]", "likes.real", "__import__('os').system('x')"],
)
def test_an_expression_that_looks_inside_is_refused_by_its_place(tmp_path, formula):
    with pytest.raises(ConfigError) as caught:
        configured(
            tmp_path, "bad:", "  filter: {keywords: heron}", f'  rank: {{expression: "{formula}"}}'
        )
    told = str(caught.value)
    assert "config.yaml:6:" in told
    assert "feeds.bad.rank" in told
    assert "cannot be part of a formula" in told


def test_an_expression_that_cannot_be_computed_scores_nothing(sqlite, tmp_path):
    service = configured(
        tmp_path,
        'bad: {filter: {keywords: heron}, rank: {expression: "1 / (age_days - age_days)"}}',
        'large: {filter: {keywords: heron}, rank: {expression: "10 ** (10 ** 10) + age_days"}}',
    )
    ingested(service, sqlite, tmp_path)
    assert Jobs(service, sqlite).once()
    for feed in ("good", "bad", "large"):
        assert shown(service, sqlite, feed) == NEWEST


def test_all_of_them_at_once(store, tmp_path, caplog):
    service = configured(
        tmp_path,
        *(f"f_{how}: {{filter: {{bad_filter: {how}}}}}" for how in ("raise", "text", "sleep")),
        "explodes: {filter: {regex: {pattern: '(?:a|aa)+$', engine: backtracking}}}",
        *(f"r_{how}: {{filter: {{keywords: heron}}, rank: {{bad_ranker: {how}}}}}"
          for how in ("raise", "text", "sleep")),
        *(f"s_{how}: {{filter: {{keywords: heron}}, select: [{{bad_selector: {how}}}]}}"
          for how in ("raise", "text", "sleep")),
        "waits: {filter: {all: [{keywords: heron}, bird]}}",
    )  # fmt: skip
    ingested(service, store, tmp_path)
    assert Jobs(service, store).once()
    orders = {name: shown(service, store, name) for name in service.feeds}
    assert orders == {
        "good": NEWEST, "f_raise": [], "f_text": [], "f_sleep": NEWEST, "explodes": [],
        "r_raise": NEWEST, "r_text": NEWEST, "r_sleep": OLDEST,
        "s_raise": NEWEST, "s_text": NEWEST, "s_sleep": OLDEST, "waits": [],
    }  # fmt: skip
    for name in ("f_raise", "f_text", "f_sleep", "explodes", "r_raise", "r_text", "s_raise"):
        assert f"feeds.{name}: the " in caplog.text
    assert "feeds.good" not in caplog.text


# What stands in an address and is nobody's business


@pytest.mark.parametrize("kind", ["jetstream", "firehose"])
def test_user_and_password_of_a_stream_are_told_nobody(kind, caplog):
    """The name stands in the store, in the log and in /metrics."""
    caplog.set_level(logging.INFO)
    url = "ws://eve:s3c@ret@127.0.0.1:1/subscribe?key=1"
    source = open_source(Stream(kind, url), frozenset())
    assert source.name == f"{kind} ws://127.0.0.1:1/subscribe"
    stop = threading.Event()
    for _ in source.frames(None, 0, stop):
        if caplog.messages:
            stop.set()
    assert source.problem
    assert "s3c" not in caplog.text + source.problem


def test_nor_are_they_where_an_address_is_refused(caplog):
    closed = Closed("wss://eve:s3c@ret@host isn't a valid URI", 1.0)
    source = open_source(Stream("jetstream", "wss://eve:s3c@ret@host"), frozenset())
    source._closed(closed, source._position(None, 0))
    assert "wss://host isn't a valid URI" in caplog.text
    assert source.problem == "wss://host isn't a valid URI"
