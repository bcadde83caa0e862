"""From the tree of a configuration to plugins: every problem at its exact place.

The builder walks a plugin's annotated fields itself wherever plugins may be nested; plain
parameters are left to pydantic, whose errors are brought back to the values they are about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from feedkit.config.annotations import Registry, Shape, keys_of, meant_as_keys
from feedkit.config.methods import lacking
from feedkit.config.problems import (
    Place,
    Problems,
    did_you_mean,
    first_line,
    in_words,
    nearest,
    shorten,
)
from feedkit.config.validation import report
from feedkit.config.yamltree import Broken, MappingNode, Node, Ready, Scalar, Sequence
from feedkit.duration import parse_duration
from feedkit.parameters import Parameters
from feedkit.plugin import Filter, Plugin
from feedkit.viewing import KINDS, kind_text

# where a kind is written
KEY_OF = {
    "filter": "filter", "viewer_filter": "viewer", "ranker": "rank", "selector": "select",
    "hydrator": "hydrators",
}  # fmt: skip
P = TypeVar("P", bound=Parameters)


class _Failed:
    """Stands for a value whose problem is reported."""


FAILED = _Failed()
NOTHING: Mapping[str, Node] = {}


class Builder:
    """Builds plugins and sections. `named`: the parts of `filters:`, built when first used."""

    def __init__(
        self, registry: Registry, problems: Problems, named: Mapping[str, Node] = NOTHING
    ) -> None:
        self.registry, self.problems, self.named = registry, problems, named
        self.parts: dict[str, Filter | None] = {}
        # Every plugin that was made, with place and path, by what it belongs to: `feeds.linux`.
        self.made: dict[str, list[tuple[Parameters, Place, str]]] = {}
        self.parts_in: dict[str, list[str]] = {}  # `filters.NAME`, by what they stand in
        self.owner = ""
        self._ring: list[str] = []

    def part(self, name: str, place: Place, path: str) -> Filter | None:
        """The named filter of that name."""
        self.parts_in.setdefault(self.owner, []).append(f"filters.{name}")
        if name in self._ring:
            ring = " → ".join([*self._ring[self._ring.index(name) :], name])
            self.problems.add(place, path, f"this filter contains itself: {ring}")
            return None
        if name not in self.parts:
            self._ring.append(name)
            owner, self.owner = self.owner, f"filters.{name}"
            built = self.plugin(self.named[name], "filter", f"filters.{name}")
            self.owner = owner
            self._ring.pop()
            self.parts[name] = built if isinstance(built, Filter) else None
        return self.parts[name]

    def note(self, plugin: Parameters, place: Place, path: str) -> None:
        self.made.setdefault(self.owner, []).append((plugin, place, path))

    def plugin(self, node: Node, kind: str, path: str) -> Parameters | None:
        """The plugin of `kind` that `node` writes, or None where that went wrong."""
        if isinstance(node, Ready):
            return self._made(node, kind, path)
        if isinstance(node, Scalar):
            return self._call(node.text, None, kind, node.place, path)
        if isinstance(node, Sequence):
            message = f"a list is no {kind_text(kind)}{_LISTED.get(kind, '')}"
            self.problems.add(node.place, path, message)
        elif isinstance(node, MappingNode) and len(node.entries) == 1:
            ((name, argument),) = node.entries.items()
            return self._call(name, argument, kind, node.places[name], path)
        elif isinstance(node, MappingNode):
            self._several(node, kind, path)
        return None

    def fill(self, cls: type[P], node: Node, label: str, path: str) -> P | None:
        """A section of the configuration: a mapping of the fields of `cls`."""
        if isinstance(node, Broken):
            return None
        if not isinstance(node, MappingNode):
            keys = in_words(keys_of(cls), "and")
            self.problems.add(node.place, path, f"{label} must be a mapping; its keys are {keys}")
            return None
        return self._make(cls, node.entries, node.places, node, label, path)

    def _made(self, node: Ready, kind: str, path: str) -> Plugin | None:
        value = node.value
        if isinstance(value, KINDS[kind]):
            for part in value.walk():
                if isinstance(part, Plugin):
                    self.note(part, node.place, path)
                    cls = type(part)  # one that was found is told of where it is written
                    if cls not in self.registry.get(part.kind, {}).values() and (
                        said := lacking(cls)
                    ):
                        self.problems.add(node.place, path, said)
            return value
        made = value if isinstance(value, type) else type(value)
        if issubclass(made, Plugin) and made.kind in KEY_OF and made.kind != kind:
            message = _wrong_kind(made.__name__, made.kind)
        elif made is value and issubclass(made, KINDS[kind]):
            message = f"{made.__name__} is the class; write {made.__name__}()"
        else:
            message = f"must be a {kind_text(kind)}, not {shorten(repr(value))[1:-1]}"
        self.problems.add(node.place, path, message)
        return None

    def _call(
        self, name: str, argument: Node | None, kind: str, place: Place, path: str
    ) -> Parameters | None:
        if kind == "filter" and name in self.named:
            if argument is not None:
                message = f"{name!r} is a part named under filters:, it takes no parameters"
                self.problems.add(place, path, message)
                return None
            return self.part(name, place, path)
        cls = self.registry[kind].get(name)
        if cls is None:
            self.problems.add(place, path, self._unknown(name, kind))
            return None
        built: Parameters | None
        below = f"{path}.{name}" if argument is not None else path
        names = keys_of(cls)
        if argument is None:
            built = self._make(cls, {}, {}, Broken(place), name, path)
        elif isinstance(argument, Broken):
            return None
        elif isinstance(argument, MappingNode) and (
            argument.entries.keys() <= names.keys() or not _first_takes_mapping(cls)
        ):
            own = MappingNode(place, argument.entries, argument.places)
            built = self._make(cls, argument.entries, argument.places, own, name, below)
        elif not names:
            self.problems.add(place, below, _none_taken(cls, name))
            return None
        else:
            first = next(iter(names))
            own = MappingNode(place, {first: argument}, {first: place})
            built = self._make(cls, own.entries, own.places, own, name, below, first)
        if built is not None:
            self.note(built, place, path)
        return built

    def _make(
        self, cls: type[P], entries: Mapping[str, Node], places: Mapping[str, Place], own: Node,
        label: str, path: str, first: str = "",
    ) -> P | None:  # fmt: skip
        fields = keys_of(cls)
        values: dict[str, Any] = {}
        silent = set()
        for key, node in entries.items():
            below = path if key == first else f"{path}.{key}" if path else key
            if key not in fields:
                self.problems.add(places[key], below, _no_parameter(cls, label, key))
                silent |= {key, nearest(key, fields)}  # what was meant is not missing
                continue
            value = self.value(node, fields[key], below)
            if value is FAILED:
                silent.add(key)
            else:
                values[key] = value
        try:
            built = cls(**values)
        except ValidationError as error:
            hidden = frozenset(silent)
            report(error, label, cls, entries, own, path, self.problems, hidden, first)
            return None
        except Exception as error:  # a plugin's own validator may raise anything
            said = first_line(error)
            if not fields and (meant := meant_as_keys(cls)):
                said += f"; parameters are annotated fields: {meant}"
            self.problems.add(own.place, path, f"{label} could not be made: {said}")
            return None
        return None if silent else built

    def value(self, node: Node, shape: Shape, path: str) -> Any:
        """`node` in the form that pydantic converts further; the plugins in it are built."""
        if isinstance(node, Broken):
            return FAILED
        if isinstance(node, Ready) and not shape.kind:
            if shape.item and shape.item.kind:  # one where there may be several
                return self._all([self.value(node, shape.item, path)])
            return node.value
        shape = shape.fitting(node, self.registry)
        if shape.kind:
            built = self.plugin(node, shape.kind, path)
            return FAILED if built is None else built
        if shape.model is not None:
            built_model = self.fill(shape.model, node, path.rpartition(".")[2], path)
            return FAILED if built_model is None else built_model
        if shape.duration and isinstance(node, Scalar):
            try:
                return parse_duration(node.text)
            except ValueError as error:
                self.problems.add(node.place, path, str(error))
                return FAILED
        if isinstance(node, Scalar):
            return self._all([self.value(node, shape.item, path)]) if shape.item else node.text
        if isinstance(node, Sequence):
            item = shape.item or _PLAIN
            return self._all(
                [self.value(n, item, f"{path}[{i}]") for i, n in enumerate(node.items)]
            )
        if isinstance(node, MappingNode):
            if shape.item is not None:
                return self._all([self.value(node, shape.item, path)])
            each = shape.values or _PLAIN
            pairs = {k: self.value(n, each, f"{path}.{k}") for k, n in node.entries.items()}
            return FAILED if self._all(list(pairs.values())) is FAILED else pairs
        return FAILED

    @staticmethod
    def _all(values: list[Any]) -> Any:
        return FAILED if any(value is FAILED for value in values) else values

    def _several(self, node: MappingNode, kind: str, path: str) -> None:
        names = list(node.entries)
        if not names:
            self.problems.add(
                node.place, path, f"this mapping is empty; write the {kind_text(kind)}'s name"
            )
            return
        message = f"{in_words(names, 'and')} stand side by side here; "
        if kind == "filter":
            message += "put them as a list under all: or any:"
        else:
            message += f"a {kind_text(kind)} is one name with its parameters below it"
        self.problems.add(node.places[names[1]], path, message)

    def _unknown(self, name: str, kind: str) -> str:
        for other, table in self.registry.items():
            if other != kind and name in table and other in KEY_OF:
                return _wrong_kind(name, other)
        known = [*self.registry[kind], *(self.named if kind == "filter" else ())]
        return f"no {kind_text(kind)} is called {shorten(name)}{did_you_mean(name, known)}"


_PLAIN = Shape()
_LISTED = {
    "filter": "; write all: (every one) or any: (at least one) above it",
    "ranker": "; write blend: above it for several, and selectors under select:",
}


def _first_takes_mapping(cls: type[Parameters]) -> bool:
    shapes = list(keys_of(cls).values())
    return bool(shapes) and shapes[0].takes_mapping


def _none_taken(cls: type[Parameters], name: str) -> str:
    if meant := meant_as_keys(cls):
        return f"{name} takes no parameters; parameters are annotated fields: {meant}"
    return f"{name} takes no parameters; write it alone"


def _wrong_kind(name: str, kind: str) -> str:
    return f"{name} is a {kind_text(kind)}: write it under {KEY_OF[kind]}:"


def _no_parameter(cls: type[Parameters], label: str, key: str) -> str:
    if not keys_of(cls):
        return _none_taken(cls, label)
    word = "parameter" if issubclass(cls, Plugin) else "key"
    hint = did_you_mean(key, keys_of(cls))
    takes = "" if hint else f"; it takes {in_words(keys_of(cls), 'and')}"
    return f"{label} has no {word} {shorten(key)}{hint or takes}"
