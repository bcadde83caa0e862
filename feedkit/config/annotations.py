"""What a parameter's type says about how its value is written."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from feedkit.accounts import Accounts
from feedkit.config.yamltree import MappingNode, Node, Scalar, Sequence
from feedkit.parameters import Parameters
from feedkit.plugin import Plugin

Registry = Mapping[str, Mapping[str, type[Parameters]]]  # kind → name in YAML → class
_COLLECTIONS = (tuple, frozenset, set, list)


@dataclass(frozen=True)
class Shape:
    """One of: a plugin of `kind`; a nested `model`; a list of `item`; a mapping to `values`;
    a `duration`; any of several `choices`; or plain, which pydantic converts."""

    kind: str = ""
    model: type[Parameters] | None = None
    item: Shape | None = None
    values: Shape | None = None
    duration: bool = False
    mapping: bool = False  # plain, but a mapping is welcome
    choices: tuple[Shape, ...] = ()

    @property
    def takes_mapping(self) -> bool:
        if self.kind or self.model or self.values or self.mapping:
            return True
        below = (*self.choices, *((self.item,) if self.item else ()))
        return any(shape.takes_mapping for shape in below)

    def fitting(self, node: Node, registry: Registry) -> Shape:
        """Of several choices the one that `node` is meant for, as far as its form tells."""
        if not self.choices:
            return self
        lists = [shape for shape in self.choices if shape.item]
        if isinstance(node, Sequence):
            return lists[0] if lists else replace(self, choices=())
        kinds = [shape for shape in self.choices if shape.kind]
        name = node.text if isinstance(node, Scalar) else ""
        if isinstance(node, MappingNode) and len(node.entries) == 1:
            name = next(iter(node.entries))
        for shape in kinds:
            if name in registry[shape.kind]:
                return shape
        others = [shape for shape in self.choices if not shape.kind and not shape.item]
        if isinstance(node, MappingNode):
            others = [shape for shape in others if shape.takes_mapping]
        for wanted in (*others, *kinds, *lists):
            if wanted.duration and len(others) > 1:
                continue  # pydantic tries the members of a union itself
            return wanted
        return Shape()


def shape_of(annotation: Any) -> Shape:
    """The shape of the values of a field with this annotation."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return shape_of(arguments[0])
    if origin in (Union, types.UnionType):
        choices = [shape_of(option) for option in arguments if option is not types.NoneType]
        return choices[0] if len(choices) == 1 else Shape(choices=tuple(choices))
    if origin in _COLLECTIONS or annotation in _COLLECTIONS:
        fixed = origin is tuple and Ellipsis not in arguments and len(arguments) > 1
        return Shape(item=shape_of(arguments[0]) if arguments and not fixed else Shape())
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return Shape(values=shape_of(arguments[1]))
    if annotation is Any or annotation is object:
        return Shape(mapping=True)
    if not isinstance(annotation, type):
        return Shape(mapping=typing.is_typeddict(annotation))
    if issubclass(annotation, Plugin):
        return Shape(kind=annotation.kind)
    if issubclass(annotation, Parameters):
        return Shape(model=annotation)
    if annotation is timedelta:
        return Shape(duration=True)
    return Shape(
        mapping=issubclass(annotation, (BaseModel, Mapping, Accounts))
        or typing.is_typeddict(annotation)
    )


@cache
def keys_of(cls: type[Parameters]) -> dict[str, Shape]:
    """What may be written under a plugin or section, in order, with the shape of its value."""
    return {
        field.alias or name: shape_of(field.annotation) for name, field in cls.model_fields.items()
    }


def meant_as_keys(cls: type[Parameters]) -> str:
    """What a plugin without parameters seems to mean by some, as they must be written, or
    nothing: `w: str`."""
    own = [c for c in cls.__mro__ if not c.__module__.startswith(("feedkit.", "pydantic."))]
    found: dict[str, str] = {}
    for part in own[:-1]:  # without object
        init = part.__dict__.get("__init__")
        if isinstance(init, types.FunctionType):
            names = init.__code__.co_varnames[1 : init.__code__.co_argcount]
            found.update(dict.fromkeys(names, "str"))
        for name, value in part.__dict__.items():
            if (
                isinstance(value, (str, int, float))
                and name[0] != "_"
                and name.islower()
                and not hasattr(Plugin, name)
            ):
                found.setdefault(name, type(value).__name__)
    return ", ".join(f"{name}: {kind}" for name, kind in found.items())
