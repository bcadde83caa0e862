"""`feedkit new plugin NAME`: a plugin of one's own with its test, ready to be changed."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import Literal

import click

from feedkit.cli.group import Mistake
from feedkit.parameters import snake_case

Kind = Literal["filter", "ranker", "selector"]

_PLUGINS: dict[str, str] = {
    "filter": '''\
"""A filter of your own. Under `filter:` in config.yaml it is called `$name`."""

from feedkit import Field, Filter


class $cls(Filter):
    """Posts that say at least so much. Say here what yours keeps: `feedkit plugins` shows it.

    ```yaml
    $name: {least: 20}
    ```
    """

    least: int = Field(default=20, ge=0, description="how many characters at least")

    def match(self, post):
        return len(post.text) >= self.least

    def explain(self, post):  # for `feedkit why`; may be left out
        return f"{len(post.text)} characters"
''',
    "ranker": '''\
"""A ranker of your own. Under `rank:` in config.yaml it is called `$name`."""

from feedkit import Field, Ranker


class $cls(Ranker):
    """Likes, less the older a post is. Say here what yours lifts: `feedkit plugins` shows it.

    ```yaml
    $name: {per_hour: 0.5}
    ```
    """

    needs = {"likes"}  # what nobody needs is not counted

    per_hour: float = Field(default=0.5, ge=0, description="how many likes an hour of age costs")

    def score(self, post, request):
        hours = (request.now - post.sort_at).total_seconds() / 3600
        return post.likes - self.per_hour * hours
''',
    "selector": '''\
"""A selector of your own. Under `select:` in config.yaml it is called `$name`."""

from feedkit import Field, Selector


class $cls(Selector):
    """The best posts and no more. Say here what yours does: `feedkit plugins` shows it.

    ```yaml
    $name: {most: 50}
    ```
    """

    most: int = Field(default=50, ge=1, description="how many posts are shown")

    def select(self, posts, request):
        return posts[: self.most]  # a new list: the one that was given stays as it is
''',
}

_TESTS: dict[str, str] = {
    "filter": '''\
"""Tests of feeds/$name.py: what it must keep, what it must not, and the contract."""

import pytest
from feeds.$name import $cls

from feedkit.testing import check_plugin


@pytest.mark.parametrize("text", ["A grey heron by the river", "🐦" * 20])
def test_keeps(post, text):
    assert $cls().match(post(text))


@pytest.mark.parametrize("text", ["", "A heron", "🐦"])
def test_leaves_out(post, text):
    assert not $cls().match(post(text))


def test_contract():
    check_plugin($cls())
''',
    "ranker": '''\
"""Tests of feeds/$name.py: which post comes first, and the contract."""

from feeds.$name import $cls

from feedkit.testing import check_plugin


def test_liked_posts_come_first_until_they_are_old(post, clock):
    liked, fresh = post(likes=3, age="2h"), post(likes=1)
    ranker = $cls()
    assert ranker.score(liked, clock.request()) > ranker.score(fresh, clock.request())
    older = post(likes=3, age="8h")
    assert ranker.score(older, clock.request()) < ranker.score(fresh, clock.request())


def test_contract():
    check_plugin($cls())
''',
    "selector": '''\
"""Tests of feeds/$name.py: what is shown, and the contract."""

from feeds.$name import $cls

from feedkit.testing import check_plugin


def test_shows_the_first_and_leaves_out_the_rest(post, clock):
    posts = [post(f"number {number}") for number in range(3)]
    assert $cls(most=2).select(posts, clock.request()) == posts[:2]


def test_contract():
    check_plugin($cls())
''',
}
_KEYS = {"filter": "filter", "ranker": "rank", "selector": "select"}
_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)*")


def new_plugin(name: str, kind: Kind, folder: Path) -> None:
    """What the command does: writes the files and says what to do next."""
    try:
        yaml, files = write_plugin(name, kind, folder)
    except OSError as error:
        raise Mistake(f"{error.filename}: cannot be written: {error.strerror}") from error
    for file in files:
        click.echo(f"wrote {file}")
    click.echo(
        f"\nNow change {files[0]}, write `{yaml}` under {_KEYS[kind]}: in config.yaml, and run:\n"
        "  pytest           # its test (pip install pytest), and all examples\n"
        "  feedkit check    # is config.yaml right?"
    )


def write_plugin(name: str, kind: Kind, folder: Path) -> tuple[str, list[Path]]:
    """Writes feeds/NAME.py and tests/test_NAME.py in `folder`, a project; the plugin's name in
    YAML, and the files. Raises `Mistake`."""
    from feedkit.config.discover import discover

    if not (folder / "config.yaml").exists():
        raise Mistake(
            f"{folder / 'config.yaml'}: there is no such file; go to a project's folder, or make "
            "one: feedkit new DIRECTORY"
        )
    if not _WORDS.fullmatch(name):
        raise Mistake(f"{name!r} cannot be a plugin's name; write words, such as quiet_words")
    cls = "".join(word[:1].upper() + word[1:] for word in re.split(r"[_-]", name))
    yaml = snake_case(cls)
    if keyword.iskeyword(yaml):
        raise Mistake(f"{yaml!r} is a word of Python's own; call the plugin something else")
    for table in discover(folder / "feeds").plugins.values():
        if yaml in table:
            known = table[yaml]
            raise Mistake(f"the {known.kind} {yaml!r} exists already; call yours something else")
    words = {"name": yaml, "cls": cls}
    files = {
        folder / "feeds" / f"{yaml}.py": _PLUGINS[kind],
        folder / "tests" / f"test_{yaml}.py": _TESTS[kind],
    }
    for file in files:
        if file.exists():
            raise Mistake(f"{file}: exists already; call the plugin something else")
    for file, text in files.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(Template(text).substitute(words), "utf-8")
    return yaml, list(files)
