"""pytest in a user's project: with nothing to set up, as the entry point loads it."""

from __future__ import annotations

import re
import subprocess

import pytest
from _project import installed

from feedkit.cli import run


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return installed(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def pytest_in(environment):
    def tests(folder, *arguments):
        done = subprocess.run(
            ["pytest", *arguments], cwd=folder, env=environment, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    return tests


@pytest.fixture
def project(tmp_path, capsys):
    """What `feedkit new` makes."""
    assert run(["new", str(tmp_path / "mine")]) == 0
    capsys.readouterr()
    return tmp_path / "mine"


def test_a_new_project_is_tested_at_once(project, pytest_in):
    code, said = pytest_in(project, "-v")
    assert code == 0, said
    assert "config.yaml::birds: in: A heron in the park this morning PASSED" in said
    assert "config.yaml::plugin Calm() PASSED" in said
    assert "tests/test_calm.py::test_contract PASSED" in said
    code, said = pytest_in(project / "tests", "test_calm.py")
    assert code == 0, said  # feeds/ is found from there, too


def test_what_does_not_come_out_is_shown_without_a_traceback(project, pytest_in):
    config = project / "config.yaml"
    config.write_text(config.read_text().replace("A heron in the park", "An owl in the park"))
    (project / "feeds" / "calm.py").write_text(
        (project / "feeds" / "calm.py").read_text().replace("return post", "return not post")
    )
    code, said = pytest_in(project)
    assert code == 1
    assert re.search(
        r"birds: in: An owl in the park this morning _*\n.*config\.yaml:\d+: should be in\n", said
    )
    assert "✗ keywords: [#birds, " in said
    assert "test_calm.py" in said
    assert "Traceback" not in said
    config.write_text("service:\n  hostname: x\n")
    code, said = pytest_in(project)
    assert "config.yaml:2:13: service.hostname:" in said
    assert "Traceback" not in said


def test_the_fixtures(project, pytest_in):
    (project / "tests" / "test_mine.py").write_text(
        "from datetime import timedelta\n"
        "from feedkit import Gravity\n"
        "from feedkit.testing import NOW\n\n\n"
        "def test_all(post, clock, viewer, feedkit_config):\n"
        "    assert feedkit_config.feeds['birds'].filter.match(post('A heron'))\n"
        "    liked = post(likes=4, age='2h')\n"
        "    assert clock.now == NOW\n"
        "    assert Gravity(1).score(liked, clock.request()) == 1\n"
        "    clock.forward('4h')\n"
        "    assert Gravity(1).score(liked, clock.request()) == 0.5\n"
        "    clock.forward(timedelta(hours=8))\n"
        "    asked = clock.request(viewer)\n"
        "    assert Gravity(1).score(liked, asked) == 0.25\n"
        "    assert asked.viewer.did.startswith('did:plc:')\n"
    )
    code, said = pytest_in(project, "tests/test_mine.py")
    assert code == 0, said


def test_a_config_yaml_of_another_program_is_left_alone(tmp_path, pytest_in):
    (tmp_path / "config.yaml").write_text("automation:\n  service: lights\n")
    (tmp_path / "test_theirs.py").write_text(
        "def test_it():\n    pass\n\n\ndef test_config(feedkit_config):\n    pass\n"
    )
    code, said = pytest_in(tmp_path)
    assert code == 1
    assert "1 passed, 1 error" in said
    assert "no config.yaml with a feedkit service was found" in said


def test_another_configuration_can_be_named(project, pytest_in):
    (project / "config.yaml").rename(project / "feeds.yaml")
    (project / "pytest.ini").write_text("[pytest]\nfeedkit_config = none.yaml\n")
    code, said = pytest_in(project, "--feedkit-config", "feeds.yaml", "-v", "feeds.yaml")
    assert code == 0, said
    assert "feeds.yaml::plugin Calm() PASSED" in said
    (project / "pytest.ini").write_text("[pytest]\nfeedkit_config = feeds.yaml\n")
    code, said = pytest_in(project, "--collect-only")
    assert "<_Example plugin Calm()>" in said
