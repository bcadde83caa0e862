"""What the documents point to exists: links, headings, files, commands and their options, code."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import click
import pytest

from feedkit.cli import cli
from feedkit.testing import check_plugin, post

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md")]
)
WITH_COMMANDS = [
    *DOCUMENTS,
    ROOT / "Makefile",
    ROOT / "Procfile",
    ROOT / "config.example.yaml",
    *(path for path in (ROOT / "feedkit" / "cli" / "scaffold").rglob("*") if path.is_file()),
]
_FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
_LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
# `feedkit verb …` as a span of code, or as a line of a shell, of a Procfile, of a comment.
_SPAN = re.compile(r"`feedkit ([^`]+)`")
_LINE = re.compile(r"^(?:#\s+|[$>]\s|\w+: )?(?:\S*bin/)?feedkit ([a-z-]+(?: .*)?)$", re.M)


def names(paths):
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


def slug(heading):
    """The anchor of a heading, as GitHub makes it."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")


def anchors(document):
    text = _FENCED.sub("", document.read_text("utf-8"))
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.M)}


@pytest.mark.parametrize("document", names(DOCUMENTS))
def test_every_link_leads_somewhere(document):
    text = _FENCED.sub("", document.read_text("utf-8"))
    lost = []
    for target in _LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        to = (document.parent / path).resolve() if path else document
        there = to.exists() and to.is_relative_to(ROOT)
        if not there or (anchor and anchor not in anchors(to)):
            lost.append(target)
    assert not lost


def commands(path):
    """(verb, words after it) of every command that a document shows. A span may be all prose."""
    text = path.read_text("utf-8")
    found = [*_SPAN.findall(text)]
    shells = (
        re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S) if path.suffix == ".md" else [text]
    )
    found += [line for block in shells for line in _LINE.findall(block)]
    for line in found:
        words = shlex.split(line, comments=True)
        if words and not words[0].startswith("-"):
            yield words[0], words[1:]


@pytest.mark.parametrize("path", names(WITH_COMMANDS))
def test_every_command_exists_with_its_options(path):
    unknown = []
    for verb, words in commands(path):
        command = cli.commands.get(verb)
        known = {opt for one in getattr(command, "params", ()) if isinstance(one, click.Option)
                 for opt in one.opts}  # fmt: skip
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        if command is None or not given <= known | {"--help"}:
            unknown.append(" ".join([verb, *words]))
    assert not unknown


def test_the_documents_show_enough_commands_for_this_to_mean_something():
    shown = {verb for path in WITH_COMMANDS for verb, _ in commands(path)}
    assert shown >= {"new", "check", "test", "run", "why", "serve", "worker", "migrate", "plugins"}


def test_the_readme_names_every_page_of_the_documentation_but_the_ones_others_lead_to():
    linked = set()
    seen = [ROOT / "README.md"]
    while seen:
        page = seen.pop()
        for target in _LINK.findall(_FENCED.sub("", page.read_text("utf-8"))):
            to = (page.parent / target.partition("#")[0]).resolve()
            if to.suffix == ".md" and to not in linked and to.exists():
                linked.add(to)
                seen.append(to)
    assert not set(ROOT.glob("docs/*.md")) - linked


def test_the_readmes_filter_runs(tmp_path, monkeypatch):
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.partition("## Write a filter")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.S)
    (tmp_path / "from_the_readme.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("from_the_readme")
    (cls,) = (
        one for one in vars(module).values() if getattr(one, "__module__", "") == module.__name__
    )
    made = cls(["example.com"])
    assert made.match(post("look", links="https://www.example.com/page"))
    assert not made.match(post("look", links="https://example.org"))
    check_plugin(made)
