"""`feedkit new plugin NAME`: a plugin of one's own with its test, ready to be changed."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import Literal

import click

from feedkit.cli.group import Mistake
from feedkit.cli.plugin_texts import PLUGINS, TESTS
from feedkit.cli.schema import NAME as SCHEMA
from feedkit.cli.schema import write_schema
from feedkit.parameters import snake_case
from feedkit.viewing import kind_text

Kind = Literal["filter", "viewer_filter", "ranker", "selector", "hydrator"]

_KEYS = {
    "filter": "filter", "viewer_filter": "viewer", "ranker": "rank", "selector": "select",
    "hydrator": "filter",
}  # fmt: skip
_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)*")


def new_plugin(name: str, kind: Kind, folder: Path) -> None:
    """What the command does: writes the files and says what to do next."""
    try:
        yaml, files = write_plugin(name, kind, folder)
        if (folder / SCHEMA).exists():  # it knows the plugin from now on
            write_schema(folder)
    except OSError as error:
        raise Mistake(f"{error.filename}: cannot be written: {error.strerror}") from error
    used = f"{yaml}_at_least" if kind == "hydrator" else yaml
    for file in files:
        click.echo(f"wrote {file}")
    click.echo(
        f"\nNow change {files[0]}, write `{used}` under {_KEYS[kind]}: in config.yaml, and run:\n"
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
            kind_of = kind_text(known.kind)
            raise Mistake(f"the {kind_of} {yaml!r} exists already; call yours something else")
    words = {"name": yaml, "cls": cls}
    files = {
        folder / "feeds" / f"{yaml}.py": PLUGINS[kind],
        folder / "tests" / f"test_{yaml}.py": TESTS[kind],
    }
    for file in files:
        if file.exists():
            raise Mistake(f"{file}: exists already; call the plugin something else")
    for file, text in files.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(Template(text).substitute(words), "utf-8")
    return yaml, list(files)
