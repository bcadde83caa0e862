"""docs/operate.md: every warning and error that a service logs stands there, as it is logged."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from feedkit.cli import run
from feedkit.store import faults

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "operate.md"
LEVELS = {"warning", "error", "exception", "critical"}
SIGN = re.compile(r"%[-+ #0,]*\d*(?:\.\d+)?[sdgfrx]")


@cache
def messages():
    """Where, and the template, of each message of level warning or above."""
    return [*_messages()]


def _messages():
    for path in sorted((ROOT / "feedkit").rglob("*.py")):
        if "log." not in (text := path.read_text("utf-8")):
            continue
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
            ):
                kind, arguments = node.func.attr, node.args
                if kind == "log":
                    kind, arguments = "warning", arguments[1:]
                if kind in LEVELS:
                    yield path.relative_to(ROOT), node.lineno, arguments[0]


def shown(template):
    """A template as the page writes it: … for each thing that is filled in, nothing in `code`."""
    return " ".join(SIGN.sub("…", template).replace("%%", "%").replace("`", "").split())


FOUND = [
    pytest.param(place, template, id=f"{place}:{template.value if isinstance(template, ast.Constant) else line}"[:80])
    for place, line, template in messages()
]  # fmt: skip


@pytest.mark.parametrize(("place", "template"), FOUND)
def test_the_page_has_every_warning(place, template):
    assert isinstance(template, ast.Constant), f"{place}: a message that is made while it is logged"
    wanted = shown(template.value)
    if wanted == "…":  # what another part of feedkit has said
        return
    assert wanted in said("What it logs"), (
        f"add a row to docs/operate.md (from {place}):\n| `{wanted}` |"
    )


def said(section):
    """The messages under a heading of the page."""
    text = PAGE.read_text("utf-8").partition(f"## {section}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(.+?)` \|", text, re.M))


def test_the_page_has_nothing_that_is_logged_no_longer():
    logged = {shown(t.value) for _, _, t in messages() if isinstance(t, ast.Constant)}
    assert not said("What it logs") - logged


def test_the_page_has_what_the_store_says():
    """The faults of databases, and those of the tables' version."""
    known = {part for table in (faults._SQLITE, faults._POSTGRESQL) for *_, part in table}
    known |= {part for *_, part in faults._CONNECTING}
    written = said("What the store says")
    assert {part.replace("`", "") for part in known} <= written
    rest = written - {part.replace("`", "") for part in known}
    sources = "".join(
        re.sub(r'"\s*\n\s*f?"|`', "", path.read_text("utf-8"))
        for path in (ROOT / "feedkit" / "store").glob("*.py")
    )
    for message in rest:
        for piece in message.split("…"):
            assert piece.strip() in sources, f"the store says no longer: {message}"


def written(node):
    """A text that is put together, as the page writes it."""
    match node:
        case ast.Constant():
            return node.value
        case ast.JoinedStr():
            return "".join(map(written, node.values))
        case ast.BinOp():
            return written(node.left) + written(node.right)
    return "…"


def test_the_page_has_what_status_says_is_wrong():
    source = ast.parse((ROOT / "feedkit" / "status.py").read_text("utf-8"))
    found = {shown(written(node.value)) for node in ast.walk(source) if isinstance(node, ast.Yield)}
    assert len(found) > 5
    assert said("What status says") == found


def commands():
    """Where, and the words, of each `feedkit …` that a message or the page names. Docstrings and
    the guides that are written from the sources may name a command without what it needs."""
    sources = {
        path: "\n".join(texts(ast.parse(path.read_text("utf-8"))))
        for path in sorted((ROOT / "feedkit").rglob("*.py"))
        if not {"reference", "plugin_texts.py"} & set(path.parts)
    }
    for path, text in {**sources, PAGE: PAGE.read_text("utf-8")}.items():
        for command in sorted(set(re.findall(r"`(?:\w+: )?feedkit ([a-z][^`>|]*)", text))):
            command = re.sub(r"(?<=\w)…", "", command.strip())  # more options, or none
            command = re.sub("%s|…", "FEED", command)
            yield path.relative_to(ROOT), re.sub(r"(?<=--shard)$", " 1/2", command)


def texts(tree):
    """The texts in a module that are no docstrings."""
    parts = {
        id(p) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for p in node.values
    }
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in parts | bare:
            text = written(node)
            if isinstance(text, str):
                yield text


def test_every_command_that_a_message_names_can_be_given(tmp_path, monkeypatch, capfd):
    """As far as it is wrong without a configuration: exit code 2 is a mistake in the command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEEDKIT_CONFIG", str(tmp_path / "none.yaml"))
    monkeypatch.setattr("signal.signal", lambda *_: None)  # these are pytest's own …
    monkeypatch.setattr("feedkit.cli.group.write_log", lambda *_: None)  # … and so is the log
    named = list(commands())
    assert len(named) > 30
    for place, command in named:
        code = run(shlex.split(command))
        assert code in (0, 1), f"{place}: feedkit {command}: {capfd.readouterr().err}"


def test_every_row_has_a_remedy():
    text = PAGE.read_text("utf-8").partition("## What status says\n")[2]
    rows = re.findall(r"^\| `.+?` \|(.*)\|$", text, re.M)
    assert len(rows) > 50
    assert not [row for row in rows if len(row.split()) < 4]
