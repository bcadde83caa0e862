"""The feeds as they were written, before they are checked: in the configuration itself, in
`feeds/*.yaml`, and as classes in `feeds/*.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from feedkit.config.discover import FoundFeed
from feedkit.config.keys import FeedKeys
from feedkit.config.names import is_record_key
from feedkit.config.problems import Place, Problems, did_you_mean, nearest, shorten
from feedkit.config.yamlreader import parse
from feedkit.config.yamltree import Broken, MappingNode, Node, from_python
from feedkit.parameters import snake_case
from feedkit.plugin import Feed


@dataclass(frozen=True)
class Written:
    """A feed: its record key, its settings, and where its name stands."""

    name: str
    node: Node
    place: Place


def read(path: Path, problems: Problems, environ: Mapping[str, str]) -> Node | None:
    """The tree of a file, which must be a mapping; None after a problem."""
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        message = "there is no such file; `feedkit new DIR` makes a project with one"
        problems.add(Place(str(path)), "", message)
        return None
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        problems.add(Place(str(path)), "", f"the file cannot be read: {said}")
        return None
    node = parse(source, str(path), problems, environ)
    if node is None or isinstance(node, (MappingNode, Broken)):
        return node
    problems.add(node.place, "", "the file must be a mapping of keys, such as `filter: …`")
    return None


def all_feeds(
    section: MappingNode,
    folder: Path,
    in_python: list[FoundFeed],
    problems: Problems,
    environ: Mapping[str, str],
) -> dict[str, Written]:
    """Every feed by name; a name that is used twice or is no record key is a problem."""
    feeds: dict[str, Written] = {}
    for feed in _everywhere(section, folder, in_python, problems, environ):
        where = f"feeds.{feed.name}"
        if feed.name in feeds:
            first = feeds[feed.name].place
            message = f"the feed {feed.name!r} exists already, at {first}; rename one"
            problems.add(feed.place, where, message)
            continue
        if not is_record_key(feed.name):
            message = (
                f"{shorten(feed.name)} cannot be a record key: letters, digits and "
                "'.', '_', '~', ':', '-', at most 512 of them"
            )
            problems.add(feed.place, "feeds", message)
        feeds[feed.name] = feed
    return feeds


def _everywhere(
    section: MappingNode,
    folder: Path,
    in_python: list[FoundFeed],
    problems: Problems,
    environ: Mapping[str, str],
) -> Iterator[Written]:
    for name, node in section.entries.items():
        yield Written(name, node, section.places[name])
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        if file.name[0] not in "_.":
            tree = read(file, problems, environ)
            yield Written(file.stem, tree or Broken(Place(str(file))), Place(str(file), 1))
    for found in in_python:
        yield _of_python(found, problems)


def _of_python(found: FoundFeed, problems: Problems) -> Written:
    """A feed in Python: its attributes are the keys. Other attributes are the author's own, but
    one that looks like a key is a slip."""
    feed = found.feed
    cls = feed if isinstance(feed, type) else type(feed)
    name = snake_case(cls.__name__)
    known = [*FeedKeys.model_fields]
    values = {}
    try:
        name = str(feed.name) or name
        for key in dir(feed):
            if key in known:
                values[key] = getattr(feed, key)
            elif key[0] != "_" and not hasattr(Feed, key) and nearest(key, known, cutoff=0.8):
                message = f"a feed has no key {key!r}{did_you_mean(key, known)}"
                problems.add(found.place, f"feeds.{name}", message)
    except Exception as error:  # a property is the author's own code
        message = f"this feed cannot be read: {type(error).__name__}: {error}"
        problems.add(found.place, f"feeds.{name}", message)
        return Written(name, Broken(found.place), found.place)
    return Written(name, from_python(values, found.place), found.place)
