"""People in a configuration: written naturally, checked without the network, mistakes at their
place."""

from __future__ import annotations

import json
import os

import pytest
import yaml
from jsonschema import Draft202012Validator

from feedkit import Accounts, Author, FollowedBy, Keywords, Mentions, Reply
from feedkit.config import load_config
from feedkit.config.discover import built_in
from feedkit.config.problems import ConfigError
from feedkit.reference.schema import json_schema
from feedkit.testing import ALICE, BOB

HEAD = "service: {hostname: feeds.example.com, publisher: alice.example.com}\n"
LIST = f"at://{ALICE}/app.bsky.graph.list/3k"
SCHEMA = Draft202012Validator(json_schema(built_in().plugins))


def load(folder, filter, **files):
    """The filter written as `filter`; files lie beside the configuration."""
    for name, content in files.items():
        (folder / f"{name}.txt").write_text(content, "utf-8")
    (folder / "config.yaml").write_text(f"{HEAD}feeds:\n  birds:\n    filter: {filter}\n", "utf-8")
    return load_config(folder / "config.yaml", {}).feeds["birds"].filter


def problems(folder, filter, **files):
    with pytest.raises(ConfigError) as raised:
        load(folder, filter, **files)
    return [str(problem).replace(f"{folder}{os.sep}", "") for problem in raised.value.problems]


WELL_WRITTEN = [
    (f"{{author: {ALICE}}}", Author(ALICE)),
    ('{author: "@alice.test"}', Author("alice.test")),
    (f"{{author: [{ALICE}, bob.test, {LIST}]}}", Author([ALICE, "bob.test", LIST])),
    ("{author: {followed_by: alice.test}}", Author({"followed_by": "alice.test"})),
    (
        "{author: [bob.test, {followed_by: [alice.test, carol.test]}]}",
        Author(["bob.test", {"followed_by": "alice.test"}, {"followed_by": "carol.test"}]),
    ),
    ("{author: {accounts: {followers_of: a.test}}}", Author({"followers_of": "a.test"})),
    ("{author: {file: people.txt}}", Author({"file": "people.txt"})),
    ("{mentions: bob.test}", Mentions("bob.test")),
    ("{mentions: {of: [bob.test]}}", Mentions("bob.test")),
    ("{mentions: {}}", Mentions()),
    ("{reply: {to: {followed_by: a.test}}}", Reply(to={"followed_by": "a.test"})),
    ("{reply: [bob.test]}", Reply(to="bob.test")),
    ("{followed_by: alice.test}", FollowedBy("alice.test")),
    (
        "{all: [{keywords: heron}, {not: {author: {file: people.txt}}}]}",
        Keywords("heron") & ~Author({"file": "people.txt"}),
    ),
]


@pytest.mark.parametrize(("written", "made"), WELL_WRITTEN, ids=[text for text, _ in WELL_WRITTEN])
def test_written_naturally(tmp_path, written, made):
    assert load(tmp_path, written, people=f"{BOB}\n") == made
    tree = yaml.safe_load(f"{HEAD}feeds: {{birds: {{filter: {written}}}}}")
    SCHEMA.validate(json.loads(json.dumps(tree)))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            f"{{author: [{ALICE}, bob]}}",
            "config.yaml:4:57: feeds.birds.filter.author[1]: 'bob' is no account; write a DID, a "
            "handle, a list, a starter pack, or a link to one on bsky.app",
        ),
        (
            "{author: {folowed_by: alice.test}}",
            "config.yaml:4:22: feeds.birds.filter.author: accounts cannot be given by "
            "'folowed_by'; did you mean 'followed_by'?",
        ),
        (
            "{author: [bob.test, {file: none.txt}]}",
            "config.yaml:4:14: feeds.birds.filter: the file 'none.txt' cannot be read: No such "
            "file or directory",
        ),
        ("{in_list: bob.test}", "'bob.test' is a handle; write the address of a list"),
        ("{author: []}", "needs at least 1 item"),
        ("{author: people.txt}", "looks like a file; write {file: people.txt}"),
        (f"{{not: {{author: {LIST}}}}}", "this filter takes the whole firehose"),
    ],
)
def test_mistakes(tmp_path, written, said):
    (problem,) = problems(tmp_path, written)
    assert said in problem.replace(f"{tmp_path}{os.sep}", "")


def test_every_bad_line_of_a_file_is_told_once(tmp_path):
    filter = "{any: [{author: {file: people.txt}}, {mentions: {file: people.txt}}]}"
    assert problems(tmp_path, filter, people=f"# us\n{BOB}\nbob\nhttps://go.bsky.app/x\n") == [
        "people.txt:3: 'bob' is no account; write a DID, a handle, a list or a starter pack",
        "people.txt:4: 'https://go.bsky.app/x' is a short link; open it, and write the address "
        "that it leads to",
    ]


def test_the_schema_refuses():
    for written in (
        "{author: {folowed_by: a.test}}",
        "{author: [[a.test]]}",
        "{in_list: {file: x}}",
    ):
        tree = yaml.safe_load(f"{HEAD}feeds: {{birds: {{filter: {written}}}}}")
        assert not SCHEMA.is_valid(tree), written


def test_accounts_in_python():
    assert Author(Accounts("alice.test")) == Author("alice.test")
