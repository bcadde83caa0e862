"""feedkit in pytest: loaded by pytest itself wherever feedkit is installed.

Fixtures for a plugin's tests: `post` (makes posts), `clock` (stands still until told), `viewer`,
`feedkit_config` (the checked configuration). What `feedkit test` tries, pytest collects from
`config.yaml`: every example, every order, the contract of every plugin in `feeds/`.

The configuration is the nearest `config.yaml` from pytest's rootdir upwards that describes a
feedkit service; `--feedkit-config FILE` or the ini key `feedkit_config` names another. Its folder
is put on the import path, so that `from feeds.calm import Calm` works.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from feedkit import testing
from feedkit.duration import parse_duration
from feedkit.post import Post, Request, Viewer

if TYPE_CHECKING:
    from feedkit.settings import Service
    from feedkit.testing.examples import Case

_SERVICE = re.compile(r"^service\s*:", re.MULTILINE)  # other programs have a config.yaml, too
_found = pytest.StashKey[Path | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    about = "feedkit: the configuration whose examples are tried (default: the nearest config.yaml)"
    parser.getgroup("feedkit").addoption("--feedkit-config", metavar="FILE", help=about)
    parser.addini("feedkit_config", about)


def pytest_configure(config: pytest.Config) -> None:
    file = config.stash[_found] = _configuration(config)
    if file and str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path == parent.config.stash[_found]:
        return _ConfigFile.from_parent(parent, path=file_path)
    return None


def _configuration(config: pytest.Config) -> Path | None:
    given = config.getoption("--feedkit-config")
    if given:
        return (config.invocation_params.dir / str(given)).resolve()
    if ini := config.getini("feedkit_config"):
        return (config.rootpath / str(ini)).resolve()
    for folder in (config.rootpath, *config.rootpath.parents):
        file = folder / "config.yaml"
        try:
            if _SERVICE.search(file.read_text("utf-8")):
                return file
        except (OSError, UnicodeDecodeError):
            continue
    return None


class _ConfigFile(pytest.File):
    """config.yaml: its examples and orders by feed, then the contracts of its plugins."""

    def collect(self) -> Iterable[pytest.Item]:
        from feedkit.testing.examples import contracts, examples

        service = _load(self.path, self.CollectError)
        for feed in service.feeds.values():
            for case in examples(feed):
                yield _Example.from_parent(self, name=f"{feed.name}: {case.name}", case=case)
        for case in contracts(service):
            yield _Example.from_parent(self, name=case.name, case=case)


class _Example(pytest.Item):
    """One thing that the configuration says of itself."""

    def __init__(self, *, case: Case, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self.case = case

    def runtest(self) -> None:
        problem = self.case.problem()
        if problem is not None:
            raise _Problem(problem)

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None
    ) -> str:
        if isinstance(excinfo.value, _Problem):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name


class _Problem(AssertionError):
    """An example that does not come out as it should."""


def _load(file: Path, wrong: type[Exception]) -> Service:
    from feedkit.config import ConfigError, load_config

    try:
        return load_config(file)
    except ConfigError as error:
        raise wrong(str(error)) from None


class Clock:
    """A clock that stands at `now`, from which the `age` of posts counts, until it is moved."""

    def __init__(self) -> None:
        self.now: datetime = testing.NOW

    def forward(self, length: str | timedelta) -> None:
        """Moves the clock on, by `2h` or a timedelta."""
        self.now += parse_duration(length) if isinstance(length, str) else length

    def request(self, viewer: Viewer | None = None) -> Request:
        """The moment at which a feed is ranked, for rankers and selectors."""
        return Request(now=self.now, viewer=viewer)


@pytest.fixture
def post() -> Callable[..., Post]:
    """Makes a post: `post("A heron", images=["a grey heron"], age="2h", likes=3)`."""
    return testing.post


@pytest.fixture
def clock() -> Clock:
    """A clock for rankers and selectors: `ranker.score(post(age="2h"), clock.request())`."""
    return Clock()


@pytest.fixture
def viewer() -> Viewer:
    """Somebody who asks for a feed."""
    return testing.viewer()


@pytest.fixture(scope="session")
def feedkit_config(pytestconfig: pytest.Config) -> Service:
    """The checked configuration: `feedkit_config.feeds["birds"].filter`."""
    file = pytestconfig.stash[_found]
    if file is None:
        pytest.fail(
            "no config.yaml with a feedkit service was found; name it: --feedkit-config FILE"
        )
    return _load(file, pytest.UsageError)
