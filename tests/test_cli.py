"""Every command as a person meets it: what it does, what it says of mistakes, its exit codes."""

from __future__ import annotations

import gzip
import io
import json
import logging
import os
import re
import signal
import socket
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from _lookups import ALICE, URI, appview
from jsonschema import Draft202012Validator

from feedkit.cli import cli, run
from feedkit.cli.docs import PAGE, commands_page
from feedkit.store import open_store

VERBS = sorted(cli.commands)
STORED = ["show birds", "replay x.jsonl", "ingest", "jobs --once", "serve", "worker", f"why {URI}"]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    """An empty folder, nothing of the machine's environment, and signals as they were."""
    for name in ("FEEDKIT_CONFIG", "FEEDKIT_LOG", "DATABASE_URL", "PORT", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def feedkit(capfd):
    """Runs a command: its exit code, and what it printed on both outputs."""

    def command(line, *more):
        code = run([*line.split(), *more])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return code, out + err

    return command


@pytest.fixture
def project(feedkit, monkeypatch, tmp_path):
    """A new project, with its tables, as the current folder."""
    assert feedkit("new birds")[0] == 0
    monkeypatch.chdir(tmp_path / "birds")
    assert feedkit("migrate")[0] == 0
    return tmp_path / "birds"


def configure(project, **changes):
    """Replace top-level lines of config.yaml, or add them."""
    file = project / "config.yaml"
    lines = [
        line for line in file.read_text().splitlines() if line.partition(":")[0] not in changes
    ]
    file.write_text("\n".join([*lines, *(f"{key}: {value}" for key, value in changes.items()), ""]))


def event(rkey, text, time=1_783_175_888_000_000, **record):
    made = {"$type": "app.bsky.feed.post", "text": text, "langs": ["en"],
            "createdAt": "2026-07-04T14:38:08Z", **record}  # fmt: skip
    key = "".join("abcdefghij"[int(one)] if one.isdigit() else one for one in rkey)
    commit = {"rev": f"3mptbyp{key:2>6}", "operation": "create", "rkey": f"3mptbyo{rkey:0>6}",
              "collection": "app.bsky.feed.post", "record": made, "cid": "bafy"}  # fmt: skip
    return json.dumps({"did": ALICE, "time_us": time, "kind": "commit", "commit": commit})


def stored(rkey):
    return f"at://{ALICE}/app.bsky.feed.post/3mptbyo{rkey:0>6}"


def recorded(name, *lines):
    Path(name).write_text("\n".join(lines) + "\n")
    return name


@pytest.fixture
def filled(feedkit, project):
    recorded("x.jsonl", event("a", "A heron"), event("b", "A tern"), event("c", "HERON!! HERON!!"))
    assert feedkit("replay x.jsonl")[0] == 0
    return project


# All commands


@pytest.mark.parametrize("verb", VERBS)
def test_help_says_what_it_does(feedkit, verb):
    code, said = feedkit(verb, "--help")
    assert code == 0
    assert cli.commands[verb].help.split("\n\n")[0].split()[:3] == said.split("\n\n")[1].split()[:3]


def test_the_list_of_commands_says_what_each_does_in_one_line(feedkit):
    code, said = feedkit("--help")
    assert code == 0
    assert "..." not in said.partition("Commands:")[2]
    for verb in VERBS:
        assert f"  {verb}" in said


def test_the_page_of_the_commands_is_current():
    assert PAGE.read_text("utf-8") == commands_page(), "run `make docs`"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nosuch", "No such command 'nosuch'"),
        ("chekc", "Did you mean 'check'?"),
        ("show", "Missing argument 'FEED'"),
        ("show birds --limit 0", "0 is not in the range"),
        ("serve --port 70000", "70000 is not in the range"),
        ("replay", "Missing argument 'FILES"),
        ("replay --now -", "--now reads the events twice, which standard input cannot"),
        ("why", "name a post, or give a text"),
        ("why x birds --text y", "not both"),
        ("why x --lang en", "--lang belongs to --text"),
        ("check --nosuch", "No such option"),
    ],
)
def test_what_is_written_wrongly_is_usage(feedkit, line, says):
    code, said = feedkit(line)
    assert (code, says in said) == (2, True), said


@pytest.mark.parametrize("line", ["check", "test", "run", "migrate", *STORED])
def test_without_a_configuration_each_says_how_to_make_one(feedkit, line):
    assert feedkit(line) == (
        1, "config.yaml: there is no such file; `feedkit new DIR` makes a project with one\n"
    )  # fmt: skip
    assert os.listdir() == []


@pytest.mark.parametrize("line", ["check", "plugins", "resolve alice.test"])
@pytest.mark.parametrize("how", ["flag", "environment"])
def test_a_configuration_that_is_named_must_be_there(feedkit, monkeypatch, line, how):
    if how == "environment":
        monkeypatch.setenv("FEEDKIT_CONFIG", "nosuch.yaml")
        code, said = feedkit(line)
    else:
        code, said = feedkit(line, "--config", "nosuch.yaml")
    assert (code, said.startswith("nosuch.yaml: there is no such file")) == (1, True)


@pytest.mark.parametrize("verb", ["check", "test", "run", "worker", "migrate", "jobs"])
def test_every_mistake_of_the_configuration_is_told_at_once(feedkit, project, verb):
    text = (project / "config.yaml").read_text()
    (project / "config.yaml").write_text(
        text.replace("keywords", "keyword").replace("rank: gravity", "rank: gravty")
    )
    code, said = feedkit(verb)
    assert code == 1
    assert "no filter is called 'keyword'; did you mean 'keywords'?" in said
    assert "no ranker is called 'gravty'; did you mean 'gravity'?" in said
    assert all(line.startswith("config.yaml:") for line in said.splitlines())


@pytest.mark.parametrize("line", STORED)
def test_without_tables_each_says_how_to_make_them(feedkit, project, line):
    recorded("x.jsonl", event("a", "A heron"))
    configure(project, store="sqlite:///other.db")
    assert feedkit(line) == (
        1, "store sqlite:///other.db: it has no tables yet; run `feedkit migrate`\n"
    )  # fmt: skip


@pytest.mark.parametrize("line", ["migrate", "run --port 0", *STORED])
def test_a_store_of_a_newer_feedkit_is_left_alone(feedkit, project, line):
    recorded("x.jsonl", event("a", "A heron"))
    with sqlite3.connect("feedkit.db") as store:
        store.execute("INSERT INTO schema_versions VALUES (999, 'future', 0)")
    store.close()
    code, said = feedkit(line)
    assert code == 1
    assert "a newer feedkit made its tables" in said
    assert said.endswith("upgrade feedkit\n")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite:////nowhere/x.db", "check that its folder exists"),
        ("sqlite:///feeds", "this is a folder; name a file in it"),
        ("sqlite:///config.yaml", "is not an SQLite database; check the path"),
    ],
)
def test_a_store_that_cannot_be_one_is_said_why(feedkit, project, url, says):
    configure(project, store=url)
    for line in ("migrate", "show birds"):
        code, said = feedkit(line)
        assert (code, says in said) == (1, True), said
        assert said.startswith(f"store {url}: ")


def test_our_own_bugs_say_what_to_report(monkeypatch, capfd):
    monkeypatch.setattr("feedkit.config.load_config", lambda path: 1 / 0)
    assert run(["check", "--config", "a file"]) == 3
    said = capfd.readouterr().err
    assert said.startswith("This is a bug in feedkit, not a mistake of yours.")
    assert "$ feedkit check --config 'a file'\n" in said
    assert "ZeroDivisionError" in said


def test_an_interrupt_is_130(monkeypatch):
    def interrupted(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("feedkit.config.load_config", interrupted)
    assert run(["check"]) == 130


def test_the_log_knows_its_levels(feedkit, project, monkeypatch):
    monkeypatch.setenv("FEEDKIT_LOG", "loud")
    code, said = feedkit("jobs --once")
    assert code == 1
    assert said == (
        "FEEDKIT_LOG: 'LOUD' is no level of the log; write one of DEBUG, INFO, WARNING, ERROR\n"
    )


# new, check, test, plugins


def test_new_makes_a_project_that_everything_accepts(feedkit, project):
    assert {str(p.relative_to(project)) for p in project.rglob("*") if p.is_file()} >= {
        "config.yaml", "Procfile", "requirements.txt", ".gitignore", ".python-version", "feeds/calm.py",
    }  # fmt: skip
    assert feedkit("check") == (0, "config.yaml: 1 feed, no problems\n")
    code, said = feedkit("test")
    assert (code, said.count(" ok\n")) == (0, 4)
    assert said.endswith("4 passed, 0 failed\n")
    code, said = feedkit("plugins calm")
    assert code == 0
    assert "Posts that do not shout." in said
    assert "how many exclamation marks are still calm" in said
    recorded("x.jsonl", event("a", "A heron"))
    assert feedkit("replay x.jsonl") == (0, "1 event, 1 post, 1 hit in 1 feed\n")


def test_a_new_project_has_a_schema_of_its_configuration(feedkit, project):
    first = (project / "config.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=config.schema.json"
    schema = json.loads((project / "config.schema.json").read_text())
    validator = Draft202012Validator(schema)
    tree = yaml.safe_load((project / "config.yaml").read_text())
    validator.validate(tree)
    feed = tree["feeds"]["birds"]
    for wrong in ({"rnak": "gravity"}, {"filter": {"calm": {"exclamation": 3}}}):
        assert not validator.is_valid(tree | {"feeds": {"birds": feed | wrong}})


def test_the_schema_knows_your_own_plugins(feedkit, project, tmp_path):
    (project / "feeds" / "loud.py").write_text(
        "from feedkit import Filter\n\nclass Loud(Filter):\n    least: int\n"
        "    def match(self, post):\n        return len(post.text) > self.least\n"
    )
    code, said = feedkit("schema")
    assert (code, "filter.loud" in json.loads(said)["$defs"]) == (0, True)
    assert feedkit("schema config.schema.json") == (0, "wrote config.schema.json\n")
    assert (project / "config.schema.json").read_text() == said
    os.chdir(tmp_path)
    code, said = feedkit("schema")  # anywhere, of what feedkit brings
    assert (code, "filter.loud" in json.loads(said)["$defs"]) == (0, False)
    code, said = feedkit("schema nowhere/a.json")
    assert (code, said) == (1, "nowhere/a.json: cannot be written: No such file or directory\n")


def test_the_procfile_of_a_new_project_has_commands_that_exist(project):
    for file in (project / "Procfile", Path(__file__).parents[1] / "Procfile"):
        lines = dict(line.split(": ") for line in file.read_text().splitlines())
        assert lines.keys() == {"release", "web", "worker"}
        for line in lines.values():
            program, verb, *options = line.split()
            assert program == "feedkit"
            cli.commands[verb].make_context(verb, options)


def test_new_says_what_next(feedkit, tmp_path):
    code, said = feedkit("new", "my feeds")
    assert code == 0
    assert "\nNow:\n  cd 'my feeds'\n  feedkit check " in said
    (tmp_path / "empty").mkdir()
    os.chdir("empty")
    assert "  cd " not in feedkit("new .")[1]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("full", "full: exists already and is not an empty folder; name another one"),
        ("file", "file: exists already and is not an empty folder; name another one"),
        ("file/in", "file/in: cannot be made: Not a directory"),
        ("x" * 300, "cannot be made: File name too long"),
        ("/proc/nowhere", "/proc/nowhere: cannot be made: No such file or directory"),
    ],
)
def test_new_writes_over_nothing(feedkit, name, says):
    Path("full").mkdir()
    recorded("full/precious", "text")
    recorded("file", "text")
    code, said = feedkit("new", name)
    assert (code, says in said) == (1, True), said
    assert os.listdir("full") == ["precious"]
    assert Path("file").read_text() == "text\n"


def test_a_failed_example_shows_the_tree(feedkit, project):
    text = (project / "config.yaml").read_text()
    (project / "config.yaml").write_text(
        text.replace("A heron in the park", "An egret in the park")
    )
    code, said = feedkit("test")
    assert code == 1
    assert "birds: in: An egret in the park this morning FAILED\n    config.yaml:" in said
    assert "should be in\n    ✗ all\n      ✗ keywords: " in said
    assert said.endswith("3 passed, 1 failed\n")


def test_a_plugin_that_breaks_its_contract_fails_the_test(feedkit, project):
    file = project / "feeds" / "calm.py"
    file.write_text(file.read_text().replace('return post.text.count("!") <= self.marks',
                                             'return post.text.count("!")'))  # fmt: skip
    code, said = feedkit("test")
    assert code == 1
    assert "plugin Calm() FAILED" in said


def test_test_takes_names(feedkit, project):
    code, said = feedkit("test birds")
    assert (code, said.endswith("3 passed, 0 failed\n")) == (0, True)
    assert "plugin" not in said
    assert feedkit("test brids") == (
        1, "config.yaml: no feed is called 'brids'; did you mean 'birds'?\n"
    )  # fmt: skip
    assert feedkit("test birds whatever") == (
        1, "config.yaml: no feed is called 'whatever'; it has birds\n"
    )  # fmt: skip


def test_nothing_to_test_is_said(feedkit, project):
    (project / "config.yaml").write_text(
        "service: {hostname: f.example.com, publisher: a.example.com}\n"
        "feeds: {terns: {filter: {keywords: tern}}}\n"
    )
    code, said = feedkit("test")
    assert (code, said) == (
        0, "nothing to test: no feed has examples, and none uses a plugin from feeds/\n"
    )  # fmt: skip
    assert feedkit("test terns") == (
        0, "nothing to test: terns: no examples; write some under examples:\n"
    )  # fmt: skip


def test_plugins_lists_the_built_ins_anywhere_and_your_own_in_a_project(feedkit, project):
    code, said = feedkit("plugins")
    assert code == 0
    for heading in ("Filters:", "Rankers:", "Selectors:", "  calm ", "  gravity ", "  per_author "):
        assert heading in said
    os.chdir(project.parent)
    code, said = feedkit("plugins")
    assert (code, "  keywords " in said, "  calm " in said) == (0, True, False)
    assert feedkit("plugins keyword") == (
        1, "no plugin is called 'keyword'; did you mean 'keywords'?\n"
    )  # fmt: skip
    assert feedkit("plugins qqqqq") == (
        1, "no plugin is called 'qqqqq'; `feedkit plugins` lists what there is\n"
    )  # fmt: skip


def test_a_broken_plugin_is_told_with_its_line(feedkit, project):
    (project / "feeds" / "calm.py").write_text(
        "from feedkit import Filter\n\nclass Calm(Filer): pass\n"
    )
    for line in ("plugins", "check", "test"):
        code, said = feedkit(line)
        assert code == 1
        assert "feeds/calm.py:3: this file cannot be imported: NameError: name 'Filer'" in said


# replay


def test_replay_reads_plain_compressed_and_standard_input(feedkit, project, monkeypatch):
    recorded("plain.jsonl", event("a", "A heron"))
    with gzip.open("more.jsonl.gz", "wt") as file:
        file.write(event("b", "Another heron") + "\n")
    assert feedkit("replay plain.jsonl more.jsonl.gz") == (
        0, "2 events, 2 posts, 2 hits in 1 feed\n"
    )  # fmt: skip
    stdin = io.TextIOWrapper(io.BytesIO(event("c", "A third heron").encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert feedkit("replay -") == (0, "1 event, 1 post, 1 hit in 1 feed\n")


def test_replay_names_bad_lines_once_and_counts_them(feedkit, project, caplog):
    recorded("x.jsonl", event("a", "A heron"), "garbage", "", '{"a": 1}',
             event("b", 7), event("c", "A heron, too"))  # fmt: skip
    for line in ("replay x.jsonl", "replay --now x.jsonl"):
        caplog.clear()
        code, said = feedkit(line)
        assert code == 0
        assert said.endswith("; 1 record left out; 2 lines not understood\n")
        told = [record.getMessage() for record in caplog.records]
        assert [text.partition(" ")[0] for text in told] == [
            "x.jsonl:2:",
            "x.jsonl:4:",
            "x.jsonl:5:",
        ]


def test_replay_of_nothing_but_garbage_is_a_mistake(feedkit, project):
    recorded("x.jsonl", "garbage", "more of it")
    code, said = feedkit("replay x.jsonl")
    assert code == 1
    assert said.endswith("x.jsonl: no line is an event; each must be one of Jetstream, in JSON\n")


def test_replay_of_a_file_that_breaks_off_keeps_what_it_got(feedkit, project, caplog):
    packed = gzip.compress("\n".join(event(str(n), f"heron {n}") for n in range(400)).encode())
    Path("x.gz").write_bytes(packed[: len(packed) // 2])
    code, said = feedkit("replay x.gz")
    assert code == 0
    assert "x.gz: broken off after line" in caplog.text
    assert int(said.split()[0]) > 10


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nosuch", "nosuch: cannot be read: No such file or directory; nothing was replayed"),
        ("feeds", "feeds: cannot be read: Is a directory; nothing was replayed"),
        ("x" * 300, "cannot be read: File name too long; nothing was replayed"),
        ("a\0b", "cannot be read: embedded null byte; nothing was replayed"),
    ],
)
def test_replay_looks_at_all_files_first(feedkit, project, name, says):
    recorded("good.jsonl", event("a", "A heron"))
    code, said = feedkit("replay good.jsonl", name)
    assert (code, says in said) == (1, True), said
    assert feedkit("show birds")[1].startswith("birds is empty so far")


def test_replay_moves_times_to_now(feedkit, project):
    recorded("x.jsonl", event("a", "An old heron"), event("b", "A heron", 1_783_175_900_000_000))
    assert feedkit("replay --now x.jsonl")[0] == 0
    _, said = feedkit("show birds")
    assert f"{datetime.now(UTC):%Y-%m-%d}" in said


# show, why


def test_show_prints_the_page(feedkit, filled):
    code, said = feedkit("show birds")
    assert (code, said) == (
        0, f"  1  2026-07-04 14:38 UTC  ♥ 0  ↻ 0  A heron\n     {stored('a')}\n"
    )  # fmt: skip
    code, said = feedkit("show birds --json")
    assert (code, json.loads(said)) == (0, {"feed": [{"post": stored("a")}]})


def test_show_cuts_long_texts_and_marks_pins(feedkit, project):
    pin = f"at://{ALICE}/app.bsky.feed.post/pinned"
    with (project / "config.yaml").open("a") as file:
        file.write(f"    select: [{{pin: '{pin}'}}]\n")
    recorded(
        "x.jsonl", event("a", "A heron " * 30), event("b", "heron\n\nheron", 1_783_175_888_000_001)
    )
    assert feedkit("replay x.jsonl")[0] == 0
    _, said = feedkit("show birds")
    first, _, second, _, third, _ = said.splitlines()
    assert first == "  1  pinned  (not stored)"
    assert second.endswith("  heron heron")
    assert third.endswith("A heron A heron A…")
    assert len(third) < 140


def test_show_of_an_empty_feed_and_of_none(feedkit, project):
    assert feedkit("show birds") == (
        0, "birds is empty so far; `feedkit run` follows the network and fills it\n"
    )  # fmt: skip
    assert json.loads(feedkit("show birds --json")[1]) == {"feed": []}
    assert feedkit("show bird")[1].endswith("did you mean 'birds'?\n")
    assert (
        feedkit("show", "\udcff")[1] == "config.yaml: no feed is called '\\udcff'; it has birds\n"
    )


TREE = """
birds ✓
  ✓ all
    ✓ keywords: [#birds, bird watching, heron, kingfisher, 🐦]  “heron” in text
    ✓ not
      ✗ reply
    ✓ calm
"""


def test_why_of_a_stored_post(feedkit, filled):
    link = f"https://bsky.app/profile/{ALICE}/post/3mptbyo00000a"
    for asked in (f"why {stored('a')}", f"why {link} birds"):
        code, said = feedkit(asked)
        head, _, standing = said.partition("  served: ")
        assert (code, head) == (0, f"{stored('a')}\nA heron\n{TREE}")
        assert re.fullmatch(
            r"place 1 of 1, newest first\n  gravity: 0, place 1 of 1\n    points 0  0 likes × 1\n"
            r"    ÷ age [\d,.]+  \([\d.,]+ h \+ 2\) \^ 1.8\n",
            standing,
        )


def test_why_of_a_post_in_a_ranking(feedkit, project):
    text = (project / "config.yaml").read_text().replace("rank: gravity", "rank: {top: {likes: 2}}")
    (project / "config.yaml").write_text(text)
    with (project / "config.yaml").open("a") as file:
        file.write(
            "    select: [{per_author: {most: 1, window: 2}}, {mix: {feed: news, one_in: 2}}]\n"
            "  news: {filter: {keywords: news}}\n"
        )
    texts = ("A heron", "Another heron", "News of terns")
    recorded("x.jsonl", *(event(key, text) for key, text in zip("abc", texts, strict=True)))
    assert feedkit("replay x.jsonl")[0] == 0
    assert feedkit("jobs --once")[0] == 0
    said = feedkit(f"why {stored('b')} birds")[1].partition("calm\n")[2]
    assert re.fullmatch(
        r"  served: place 1 of 2, ranked \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n"
        r"  top: 0, place 1 of 2\n"
        r"    points 0  0 likes × 2\n",
        said,
    )
    said = feedkit(f"why {stored('a')} birds")[1]
    assert "  served: no place among 2, ranked " in said
    assert said.endswith(
        "  top: 0, place 2 of 2\n"
        "    points 0  0 likes × 2\n"
        "  per_author: left out, from place 2: the 2nd of this author would have to wait for more "
        "than 2 places: at most 1 may stand among 2\n"
    )
    said = feedkit(f"why {stored('c')} birds")[1]
    assert "birds ✗" in said
    assert said.endswith("  mix: put at place 2: place 1 of news, one of which is every 2nd post\n")


def test_what_only_hydrators_find_out_is_said(feedkit, project):
    assert "hydrator" not in feedkit("replay", recorded("x.jsonl", event("a", "A heron")))[1]
    with (project / "config.yaml").open("a") as file:
        file.write("  known: {filter: {all: [{keywords: heron}, {author_followers: 10}]}}\n")
    line = "known: no hydrator was asked for author_followers"
    assert feedkit("replay x.jsonl")[1].endswith(f"{line}; feedkit jobs does it later\n")
    code, said = feedkit("backtest config.yaml --against config.yaml --on x.jsonl")
    assert (code, f"{line}; posts that depend on it are left out, or" in said) == (0, True)


def test_why_of_a_text(feedkit, project):
    configure(project, store="sqlite:///never.db")
    assert feedkit("why --text", "a heron") == (0, TREE)
    assert feedkit("why birds --text", "a heron") == (0, TREE)
    code, said = feedkit("why --text", "nothing!! #birds")
    assert (code, "✗ calm" in said, "✓ keywords" in said) == (0, True, True)
    assert not Path("never.db").exists()


def test_why_knows_the_languages_of_a_text(feedkit, project):
    (project / "config.yaml").write_text(
        "service: {hostname: f.example.com, publisher: a.example.com}\n"
        "filters: {german: {language: de}}\n"
        "feeds: {terns: {filter: {all: [german, {keywords: tern}]}}}\n"
    )
    code, said = feedkit("why --lang de --text tern")
    assert (code, "✓ german (language: [de])" in said) == (0, True), said


def test_why_says_when_the_store_is_behind_the_filter(feedkit, filled):
    text = (filled / "config.yaml").read_text()
    (filled / "config.yaml").write_text(text.replace("heron, ", ""))
    code, said = feedkit(f"why {stored('a')}")
    assert code == 0
    assert "birds ✗" in said
    assert "  stored otherwise: the filter has changed; `feedkit jobs` decides it again\n" in said


def test_why_says_when_a_feed_let_go_of_a_post(feedkit, filled):
    with (filled / "config.yaml").open("a") as file:
        file.write("    keep: 1h\n  long:\n    filter: {keywords: [heron]}\n    keep: 30d\n")
    assert feedkit("jobs --once")[0] == 0
    recorded("y.jsonl", event("z", "A tern", 1_783_175_888_000_000 + 7_200_000_000))
    assert feedkit("replay y.jsonl")[0] == 0
    assert feedkit("jobs --once")[0] == 0
    code, said = feedkit(f"why {stored('a')} birds")
    assert (code, said.endswith("  not in the feed any longer: it keeps posts for 1h\n")) == (
        0,
        True,
    )


def test_why_of_a_hidden_post(feedkit, filled):
    gone = {"did": ALICE, "time_us": 1_783_175_889_000_000, "kind": "account",
            "account": {"did": ALICE, "active": False, "status": "suspended", "seq": 1,
                        "time": "2026-07-04T14:38:09Z"}}  # fmt: skip
    recorded("y.jsonl", json.dumps(gone))
    assert feedkit("replay y.jsonl")[0] == 0
    code, said = feedkit(f"why {stored('a')}")
    assert (code, "hidden: its author's account is not active" in said) == (0, True)


def test_why_of_a_post_that_is_not_stored_asks_the_network(feedkit, filled):
    with appview() as view:
        configure(filled, network=json.dumps({"appview": view.url}))
        for pasted in (URI, "at://alice.test/app.bsky.feed.post/3mptbyoeyc22k",
                       "https://bsky.app/profile/alice.test/post/3mptbyoeyc22k"):  # fmt: skip
            code, said = feedkit("why", pasted)
            assert code == 0
            assert said == (
                f"{URI}\nnot stored: no feed kept it, or it came before the stream was read, or it "
                "is older than what the feeds keep\nA heron on the weir #birds\n"
                "the network has it; today the filters say of it:\n"
            ) + TREE.replace("“heron”", "“#birds” in tags and text, “heron”")
        del view.posts[URI]
        code, said = feedkit("why", URI)
        assert code == 1
        assert said.endswith(
            f"{view.url} has no post {URI}: it was deleted, or its account is not active, or the "
            "address is wrong\n"
        )
    code, said = feedkit("why", URI)
    assert code == 1
    assert f"it could not be found out what {URI} says: " in said
    assert "(Connection refused); check the connection" in said


def test_why_of_a_deleted_post_says_so(feedkit, filled):
    gone = json.loads(event("a", ""))
    gone["time_us"] += 1
    gone["commit"] = {"rev": "3mptbyq222222", "operation": "delete", "rkey": "3mptbyo00000a",
                      "collection": "app.bsky.feed.post"}  # fmt: skip
    recorded("y.jsonl", json.dumps(gone))
    assert feedkit("replay y.jsonl")[0] == 0
    with appview() as view:
        configure(filled, network=json.dumps({"appview": view.url}))
        code, said = feedkit("why", stored("a"))
    assert code == 1
    assert said.startswith(
        f"{stored('a')}\nnot stored: it was deleted, or its account was not active\n"
    )


@pytest.mark.parametrize(
    ("pasted", "says"),
    [
        ("birds", "'birds' is not a handle, a DID, an at:// URI or a bsky.app link"),
        (ALICE, f"'{ALICE}' is no post; write at://DID/app.bsky.feed.post/RECORD-KEY"),
        (f"at://{ALICE}/app.bsky.feed.post/\udcff", "is no post; write at://"),
    ],
)
def test_why_of_what_is_no_post(feedkit, filled, pasted, says):
    code, said = feedkit("why", pasted)
    assert (code, says in said) == (1, True)


# resolve


def test_resolve_uses_the_network_of_the_configuration(feedkit, project):
    with appview() as view:
        configure(project, network=json.dumps({"appview": view.url}))
        assert feedkit("resolve @alice.test") == (0, f"{ALICE}\n")
        assert feedkit("resolve https://bsky.app/profile/alice.test/post/3k") == (
            0, f"at://{ALICE}/app.bsky.feed.post/3k\n"
        )  # fmt: skip
        assert feedkit("resolve bob.test") == (
            1, f"{view.url} says: Unable to resolve handle; is the handle bob.test written right?\n"
        )  # fmt: skip


def test_resolve_needs_no_configuration(feedkit):
    assert feedkit(f"resolve {ALICE}") == (0, f"{ALICE}\n")


# migrate, jobs, serve, run


def test_migrate_is_safe_to_run_twice(feedkit, project):
    assert feedkit("migrate") == (0, "nothing to do: the tables are those of this version\n")
    (project / "feedkit.db").unlink()
    code, said = feedkit("migrate")
    assert (code, said.startswith("migrated: 0001 first\n")) == (0, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_store_that_may_not_be_written(feedkit, filled):
    for file in filled.glob("feedkit.db*"):
        file.chmod(0o444)
    filled.chmod(0o555)
    try:
        code, said = feedkit("replay x.jsonl")
    finally:
        filled.chmod(0o755)
    assert (code, said.startswith("store sqlite:///feedkit.db: ")) == (1, True)


def test_jobs_once_ranks_and_says_so(feedkit, filled, caplog):
    with caplog.at_level(logging.INFO):
        assert feedkit("jobs --once")[0] == 0
    assert "ranked 1 of 1 feeds" in caplog.text
    with open_store("sqlite:///feedkit.db") as store:
        assert store.latest_version("birds").size == 1


def test_jobs_once_that_fails_is_1(feedkit, filled, caplog):
    with sqlite3.connect("feedkit.db") as store:
        store.execute("DROP TABLE chunks")
        store.execute("DROP TABLE versions")
    store.close()
    assert feedkit("jobs --once")[0] == 1
    assert "the job rank_all failed, once: store sqlite:///feedkit.db" in caplog.text


@pytest.mark.parametrize("verb", ["serve", "run"])
def test_a_port_in_use_is_said_before_anything_starts(feedkit, project, verb):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert feedkit(f"{verb} --port {port}") == (
            1, f"cannot listen on 127.0.0.1:{port}: another process listens there; stop it, or "
            "choose another --port ($PORT)\n"
        )  # fmt: skip


def test_an_address_of_another_machine_is_said_to_be(feedkit, project):
    code, said = feedkit("serve --host 192.0.2.1")
    assert code == 1
    assert said == (
        "cannot listen on 192.0.2.1:8000: Cannot assign requested address; --host must be an "
        "address of this machine\n"
    )
