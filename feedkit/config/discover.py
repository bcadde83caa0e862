"""What there is to compose feeds from, found without registration: the built-ins, the classes
defined in `feeds/*.py`, and the packages that declare the entry point `feedkit.plugins`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import linecache
import re
import sys
import traceback
import types
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

from pydantic import ValidationError

from feedkit.config.methods import lacking
from feedkit.config.problems import ConfigError, Place, Problems, first_line
from feedkit.config.validation import plain
from feedkit.filters import FILTERS
from feedkit.filters.viewer import VIEWER_FILTERS
from feedkit.hydrators import HYDRATORS
from feedkit.parameters import PluginDefinitionError
from feedkit.plugin import All, Any, Feed, Not, Plugin
from feedkit.rankers import RANKERS
from feedkit.selectors import SELECTORS
from feedkit.viewing import KINDS, kind_text

GROUP = "feedkit.plugins"
BUILT_IN: tuple[type[Plugin], ...] = (
    All, Any, Not, *FILTERS, *VIEWER_FILTERS, *RANKERS, *SELECTORS, *HYDRATORS,
)  # fmt: skip


@dataclass(frozen=True)
class FoundFeed:
    """A feed in Python: the class, or an instance from a file's FEEDS."""

    feed: Feed | type[Feed]
    place: Place


@dataclass
class Found:
    """All plugins and the feeds in Python."""

    plugins: dict[str, dict[str, type[Plugin]]] = field(
        default_factory=lambda: {kind: {} for kind in KINDS}
    )
    feeds: list[FoundFeed] = field(default_factory=list)
    places: dict[type, Place] = field(default_factory=dict)

    def add(self, cls: type[Plugin], file: str, problems: Problems) -> None:
        table = self.plugins[next(k for k, base in KINDS.items() if issubclass(cls, base))]
        name = cls.yaml_name()
        other = table.setdefault(name, cls)
        if other is not cls:
            first = self.places.get(other) or place_of(other, _own_file(other))
            message = (
                f"the {kind_text(cls.kind)} {name!r} exists already, at {first}; rename this one"
            )
            problems.add(place_of(cls, file), "", message)
        elif file:
            self.places.setdefault(cls, place_of(cls, file))


def built_in() -> Found:
    """The plugins that feedkit brings."""
    found = Found()
    for cls in BUILT_IN:
        found.add(cls, "", Problems())
    return found


def discover(folder: Path, problems: Problems | None = None) -> Found:
    """All plugins and Python feeds, those in `folder` included (it need not exist).

    What is wrong goes to `problems`; without these a `ConfigError` is raised.
    """
    if problems is None:
        problems = Problems()
        found = discover(folder, problems)
        if problems:
            raise ConfigError(problems)
        return found
    found = built_in()
    _from_packages(found, problems)
    files = sorted(p for p in _listing(folder) if p.suffix == ".py" and p.name[0] not in "_.")
    package = _package(folder) if files else ""
    for file in files:
        module = _imported(f"{package}.{file.stem}", file, problems)
        if module is not None:
            for cls in _defined_in(module, Plugin):
                found.add(cls, str(file), problems)
            found.feeds += _feeds_of(module, str(file), problems)
    _complete(found, problems)
    return found


def _complete(found: Found, problems: Problems) -> None:
    """Report plugins without the method of their kind. One that others derive from is a pattern
    for plugins and none itself."""
    for table in found.plugins.values():
        for name, cls in [*table.items()]:
            if said := lacking(cls):
                if cls.__subclasses__():
                    del table[name]
                else:
                    problems.add(found.places.get(cls, Place("")), "", said)


def place_of(cls: type, file: str) -> Place:
    """Where `cls` is written; `file` is how to call the file."""
    linecache.checkcache()
    try:
        return Place(file, inspect.getsourcelines(cls)[1])
    except (OSError, TypeError):  # made at run time, or the file is gone
        return Place(file)


def _listing(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _own_file(cls: type) -> str:
    """The file of a class: one of feedkit's own as it lies in feedkit, wherever that is."""
    module = sys.modules.get(cls.__module__)
    path = Path(getattr(module, "__file__", None) or cls.__module__)
    package = Path(__file__).parents[1]
    return str(path.relative_to(package.parent) if path.is_relative_to(package) else path)


def _package(folder: Path) -> str:
    """Makes `folder` a package, under a name that is the same every time, so that its files can
    import each other (`from ._words import WORDS`). Always fresh: files may have changed."""
    name = f"feeds_{zlib.crc32(str(folder.resolve()).encode()):08x}"
    for old in [n for n in sys.modules if n == name or n.startswith(f"{name}.")]:
        del sys.modules[old]
    package = types.ModuleType(name)
    package.__path__ = [str(folder.resolve())]
    sys.modules[name] = package
    importlib.invalidate_caches()
    return name


def _imported(name: str, file: Path, problems: Problems) -> types.ModuleType | None:
    if "." in file.stem:
        message = "a Python file with a '.' in its name cannot be imported; rename it"
        problems.add(Place(str(file)), "", message)
        return None
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        line, said = _failure(error, file)
        problems.add(Place(str(file), line), "", f"this file cannot be imported: {said}")
    return None


def _failure(error: BaseException, file: Path) -> tuple[int, str]:
    """The line of `file` where importing it failed, and why."""
    own = str(file.resolve())
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == own), 0) or 0
    if isinstance(error, SyntaxError) and error.filename == own:
        return error.lineno or 0, f"{type(error).__name__}: {error.msg}"
    if isinstance(error, PluginDefinitionError):  # its text begins with the place
        place, _, said = str(error).partition(": ")
        number = re.search(r":(\d+)$", place)
        return int(number[1]) if number and place.startswith(own) else line, said
    if isinstance(error, ValidationError):
        return line, f"{error.title}: {plain(error)}"
    return line, first_line(error)


def _defined_in(module: types.ModuleType, base: type[Plugin]) -> list[type[Plugin]]:
    return [
        value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, base)
        and issubclass(value, tuple(KINDS.values()))
        and value.__module__ == module.__name__
        and name == value.__name__
        and not name.startswith("_")
    ]


def _feeds_of(module: types.ModuleType, file: str, problems: Problems) -> list[FoundFeed]:
    """The feeds of a file. A class that another feed derives from, or that FEEDS holds instances
    of, is a pattern for feeds and none itself."""
    listed = getattr(module, "FEEDS", ())
    if not isinstance(listed, Iterable) or isinstance(listed, (str, Mapping)):
        problems.add(Place(file), "FEEDS", "FEEDS must be a list of feeds")
        listed = ()
    feeds: list[Feed | type[Feed]] = []
    for number, item in enumerate(listed):
        if isinstance(item, Feed) or (isinstance(item, type) and issubclass(item, Feed)):
            feeds.append(item)
        else:
            problems.add(Place(file), f"FEEDS[{number}]", f"{item!r:.60} is no feed")
    classes = [
        value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Feed)
        and value.__module__ == module.__name__
        and name == value.__name__
        and not name.startswith("_")
    ]
    patterns = {type(item) for item in feeds} | {
        base for cls in classes for base in cls.__mro__[1:]
    }
    feeds += [cls for cls in classes if cls not in patterns and cls not in feeds]
    places: dict[type, Place] = {}
    for item in feeds:
        cls = item if isinstance(item, type) else type(item)
        places.setdefault(cls, place_of(cls, file))
    return [FoundFeed(f, places[f if isinstance(f, type) else type(f)]) for f in feeds]


def _from_packages(found: Found, problems: Problems) -> None:
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        package = point.dist.name if point.dist else point.module
        try:
            loaded = point.load()
        except (Exception, SystemExit) as error:
            said = first_line(error)
            message = f"the plugins {point.value!r} cannot be imported: {said}"
            problems.add(Place(f"package {package}"), "", message)
            continue
        if isinstance(loaded, types.ModuleType):
            for cls in _defined_in(loaded, Plugin):
                found.add(cls, str(loaded.__file__), problems)
        elif isinstance(loaded, type) and issubclass(loaded, Plugin):
            module = sys.modules[loaded.__module__]
            found.add(loaded, str(getattr(module, "__file__", loaded.__module__)), problems)
        else:
            message = f"{point.value!r} is neither a plugin nor a module of plugins"
            problems.add(Place(f"package {package}"), "", message)
