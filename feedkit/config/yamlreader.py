"""YAML text as a tree whose every value knows its place.

The tree is built from the parser's events, not from its nodes: so nesting and aliases can be
bounded before anything is built from them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from feedkit.config.problems import Place, Problems
from feedkit.config.variables import substitute
from feedkit.config.yamlsyntax import syntax_problem, text_of
from feedkit.config.yamltree import Broken, MappingNode, Node, Scalar, Sequence

try:
    from yaml import CBaseLoader as Loader
except ImportError:  # PyYAML built without libyaml
    from yaml import BaseLoader as Loader  # type: ignore[assignment]

DEEPEST = 40  # levels of nesting
_CUT_OFF = re.compile(r"[ \t]+(#[^\s#].*)")
_HASHTAG = re.compile(r"(?:^|[\s,\[])(#[^\s#,\]]+)")
_LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")  # what YAML counts as one
MOST_REPEATED = 200_000  # values that aliases may repeat, all together: an alias bomb has billions


def parse(
    source: bytes | str, file: str, problems: Problems, environ: Mapping[str, str] = os.environ
) -> Node | None:
    """The tree of a YAML document, or None where its syntax is broken (then said in `problems`)."""
    text = text_of(source, file, problems)
    if text is None:
        return None
    reader = _Reader(text, file, problems, environ)
    try:
        return reader.document()
    except yaml.YAMLError as error:
        problems.add(*syntax_problem(error, file, reader.lines))
    except _Hopeless as error:
        problems.add(error.place, "", str(error))
    return None


class _Hopeless(Exception):
    """Reading on makes no sense."""

    def __init__(self, place: Place, message: str) -> None:
        self.place = place
        super().__init__(message)


class _Reader:
    """One pass over the parser's events."""

    def __init__(
        self, text: str, file: str, problems: Problems, environ: Mapping[str, str]
    ) -> None:
        self.lines = [*_LINE_BREAK.split(text), ""]  # the last event may stand below the last line
        self.file, self.problems, self.environ = file, problems, environ
        self.events: Iterator[Any] = yaml.parse(text, Loader=Loader)
        self.anchors: dict[str, Node | None] = {}  # None: still being read
        self.repeated = 0
        self.brackets = 0  # how many [ and { are open
        self.end = (0, 0)  # line and column, from 0, where the last event ended

    def document(self) -> Node | None:
        next(self.events)  # the stream's start
        event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            raise _Hopeless(Place(self.file, 1), "the file is empty")
        node = self.node(self.next(""), "", 0)
        next(self.events)  # the document's end
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise _Hopeless(self.place(event), "a second document begins here; only one is read")
        return node

    def place(self, event: Any) -> Place:
        return Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def node(self, event: Any, path: str, depth: int) -> Node:
        place = self.place(event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(str(event.anchor), place, path)
        if event.tag and not event.tag.startswith(("tag:yaml.org,2002:str", "!!str")):
            what = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.problems.add(place, path, f"{what} is a YAML tag, and tags mean nothing here; "
                              "quote a text that begins with '!'")  # fmt: skip
        if depth > DEEPEST:
            raise _Hopeless(place, f"this is nested more than {DEEPEST} levels deep")
        if event.anchor:
            self.anchors[event.anchor] = None
        if isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(place, path, depth)
        elif isinstance(event, yaml.MappingStartEvent):
            node = self.mapping(place, path, depth)
        else:
            node = self.scalar(event, place, path)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def alias(self, anchor: str, place: Place, path: str) -> Node:
        if anchor not in self.anchors:
            self.problems.add(place, path, f"no '&{anchor}' stands before this '*{anchor}'; "
                              "quote a text that begins with '*'")  # fmt: skip
            return Broken(place)
        node = self.anchors[anchor]
        if node is None:
            self.problems.add(place, path, f"'*{anchor}' stands inside '&{anchor}' itself")
            return Broken(place)
        self.repeated += node.size
        if self.repeated > MOST_REPEATED:
            raise _Hopeless(place, f"the aliases repeat more than {MOST_REPEATED:,} values")
        return node

    def next(self, path: str) -> Any:
        """The next event. Inside brackets, what stands between two events are comments."""
        event = next(self.events)
        if self.brackets:
            self.comments(event.start_mark, path)
        if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            self.brackets += bool(event.flow_style)
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            self.brackets -= bool(self.brackets)
        self.end = (event.end_mark.line, event.end_mark.column)
        return event

    def comments(self, until: Any, path: str) -> None:
        """`[heron, #birds` at the end of a line: `#birds` was meant to be an item."""
        line, column = self.end
        for number in range(line, until.line):
            found = _HASHTAG.search(self.lines[number], column if number == line else 0)
            if found:
                place = Place(self.file, number + 1, found.start(1) + 1)
                message = f"'#' begins a comment in YAML: quote it, \"{found[1]}\""
                self.problems.add(place, path, f"{message}, or put a space after it")

    def sequence(self, place: Place, path: str, depth: int) -> Node:
        items: list[Node] = []
        while not isinstance(event := self.next(path), yaml.SequenceEndEvent):
            where = f"{path}[{len(items)}]"
            if _is_empty(event):
                items.append(self.empty(event, where, "this list item is empty"))
            else:
                items.append(self.node(event, where, depth + 1))
        return Sequence(place, tuple(items), 1 + sum(item.size for item in items))

    def mapping(self, place: Place, path: str, depth: int) -> Node:
        entries: dict[str, Node] = {}
        places: dict[str, Place] = {}
        merged: list[MappingNode] = []
        while not isinstance(key := self.next(path), yaml.MappingEndEvent):
            where = self.place(key)
            if not isinstance(key, yaml.ScalarEvent):
                self.node(key, path, depth + 1)
                self.node(self.next(path), path, depth + 1)
                self.problems.add(where, path, "a key must be a plain word")
                continue
            name = key.value
            below = f"{path}.{name}" if path else name
            event = self.next(below)
            value = (
                self.empty(event, below, f"{name!r} has no value", where)
                if _is_empty(event)
                else self.node(event, below, depth + 1)
            )
            if name == "<<" and not key.style:
                merged.extend(self.merged(value, path))
            elif name in entries:
                self.problems.add(where, below, f"{name!r} stands here twice; "
                                  f"the first is at {places[name]}")  # fmt: skip
            else:
                entries[name], places[name] = value, where
        node = MappingNode(place, entries, places)
        for other in merged:
            node = node.over(other)
        return MappingNode(
            place, node.entries, node.places, 1 + sum(n.size for n in node.entries.values())
        )

    def merged(self, value: Node, path: str) -> Iterator[MappingNode]:
        for node in value.items if isinstance(value, Sequence) else (value,):
            if isinstance(node, MappingNode):
                yield node
            elif not isinstance(node, Broken):
                self.problems.add(node.place, path, "'<<' can only merge mappings")

    def empty(self, event: Any, path: str, what: str, instead: Place | None = None) -> Broken:
        place = self.place(event)
        rest = self.lines[place.line - 1][place.column - 1 :].strip()
        if rest.startswith("#"):
            self.end = (place.line, 0)  # said here, so not again
            word = rest.split(",")[0].split("]")[0].strip()
            remedy = f"'#' begins a comment in YAML: quote it, \"{word[:40]}\""
        else:
            remedy = f"write one, or take the {'key' if instead else 'item'} out"
        self.problems.add(instead or place, path, f"{what}; {remedy}")
        return Broken(place)

    def cut_off(self, event: Any, path: str) -> None:
        """`- morning walk #birds`: the hashtag was meant to be part of the text."""
        mark = event.end_mark
        found = _CUT_OFF.match(self.lines[mark.line], mark.column)
        if found:
            place = Place(self.file, mark.line + 1, found.start(1) + 1)
            whole = f"{event.value} {found[1].strip()}"[:60]
            message = f"'#' begins a comment in YAML: quote the whole text, \"{whole}\""
            self.problems.add(place, path, f"{message}, or put a space after it")

    def scalar(self, event: yaml.ScalarEvent, place: Place, path: str) -> Node:
        if "\0" in event.value:
            self.problems.add(place, path, "a text cannot hold the character \\0")
            return Broken(place)
        if not event.style and not self.brackets:
            self.cut_off(event, path)
        if "${" not in event.value:
            return Scalar(place, event.value)
        try:
            return Scalar(place, substitute(event.value, self.environ))
        except ValueError as error:
            self.problems.add(place, path, str(error))
            return Broken(place)


def _is_empty(event: Any) -> bool:
    return isinstance(event, yaml.ScalarEvent) and not (event.value or event.style or event.tag)
