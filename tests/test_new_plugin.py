"""`feedkit new plugin NAME` writes a plugin that passes its own test."""

from __future__ import annotations

import subprocess

import pytest
from _project import installed

from feedkit.cli import run
from feedkit.config import load_config
from feedkit.config.discover import discover
from feedkit.testing import check_plugin


@pytest.fixture
def project(tmp_path, capsys, monkeypatch):
    assert run(["new", str(tmp_path / "mine")]) == 0
    capsys.readouterr()
    monkeypatch.chdir(tmp_path / "mine")
    return tmp_path / "mine"


def test_plugins_of_every_kind_and_their_tests(project, capsys, tmp_path):
    for kind in ("filter", "viewer_filter", "ranker", "selector", "hydrator"):
        assert run(["new", "plugin", f"my-{kind}", "--kind", kind]) == 0
        said = capsys.readouterr().out
        assert f"wrote feeds/my_{kind}.py\nwrote tests/test_my_{kind}.py\n" in said
        cls = discover(project / "feeds").plugins[kind][f"my_{kind}"]
        assert cls.__name__ == f"My{kind.title().replace('_', '')}"
        check_plugin(cls)
    assert "write `my_hydrator_at_least` under filter:" in said
    config = (project / "config.yaml").read_text()
    config = config.replace(
        "        - calm ",
        "        - my_filter: 3\n        - not: my_hydrator_at_least\n        - calm ",
    )
    config = config.replace(
        "rank: gravity",
        "rank: my_ranker\n    select: {my_selector: 9}\n    viewer: {my_viewer_filter: 50}",
    )
    (project / "config.yaml").write_text(config)
    assert load_config(project / "config.yaml", {}).feeds["birds"].rank.yaml_name() == "my_ranker"
    assert "my_viewer_filter" in (project / "config.schema.json").read_text()
    environment = installed(tmp_path / "installed")
    done = subprocess.run(["pytest", "tests"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "33 passed" in done.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("QuietWords", "wrote feeds/quiet_words.py"),
        ("keywords", "the filter 'keywords' exists already; call yours something else"),
        ("gravity", "the ranker 'gravity' exists already"),
        ("calm", "the filter 'calm' exists already"),
        ("test", "wrote feeds/test.py"),
        ("lambda", "'lambda' is a word of Python's own"),
        ("../../etc/passwd", "cannot be a plugin's name; write words, such as quiet_words"),
        ("9lives", "cannot be a plugin's name"),
        ("Vögel", "cannot be a plugin's name"),
    ],
)
def test_names(project, capsys, name, said):
    code = run(["new", "plugin", name])
    told = capsys.readouterr()
    assert said in told.out + told.err
    assert code == (0 if "wrote" in said else 1)


def test_nothing_is_overwritten(project, capsys):
    (project / "tests" / "test_loud.py").write_text("mine = True\n")
    assert run(["new", "plugin", "loud"]) == 1
    assert "tests/test_loud.py: exists already" in capsys.readouterr().err
    assert (project / "tests" / "test_loud.py").read_text() == "mine = True\n"
    assert not (project / "feeds" / "loud.py").exists()


def test_a_plugin_needs_a_project(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["new", "plugin", "loud"]) == 1
    assert "feedkit new DIRECTORY" in capsys.readouterr().err
    assert run(["new", "one", "two"]) == 2
    assert list(tmp_path.iterdir()) == []
