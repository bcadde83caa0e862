"""The base of every plugin: a frozen pydantic model whose fields are the plugin's parameters.

Declared once, they give YAML checking, JSON Schema, docs, equality and hash. Plain pydantic is
strict where a plugin author wants comfort; `Parameters` adds it:
positional arguments in field order, constants without annotation, one value where several are
expected, and a refusal with place and remedy where a field would hide a method.
"""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, PrivateAttr, model_validator
from pydantic.fields import FieldInfo, ModelPrivateAttr
from typing_extensions import Format, get_annotations

from feedkit.duration import parse_duration

_COLLECTIONS = (tuple, frozenset, set, list)


class _Anything(type):
    def __instancecheck__(cls, value: object) -> bool:
        return not isinstance(value, (ModelPrivateAttr, FieldInfo))


class _Constant(metaclass=_Anything):
    """Tells pydantic to leave class attributes without an annotation alone."""


class PluginDefinitionError(TypeError):
    """A plugin class is written in a way that cannot work. The message names place and remedy."""


def yaml_key(name: str) -> str:
    """The name of a parameter in YAML. `in_` and `except_`, which Python reserves, lose their
    underscore there; either spelling is understood everywhere."""
    return name.rstrip("_")


class Parameters(BaseModel):
    """A frozen set of declared parameters. See `feedkit.plugin` for what to derive from."""

    model_config = ConfigDict(
        frozen=True,
        defer_build=True,
        alias_generator=yaml_key,
        validate_by_alias=True,
        validate_by_name=True,
        extra="forbid",
        coerce_numbers_to_str=True,
        arbitrary_types_allowed=True,
        ignored_types=(_Constant,),
        protected_namespaces=(),
        validate_default=False,
        use_attribute_docstrings=True,
    )

    plural: ClassVar[frozenset[str]] = frozenset()  # the fields that hold several values
    _durations: ClassVar[frozenset[str]] = frozenset()  # the fields that take `30s` or `3d`
    _fields: ClassVar[Mapping[str, str]] = {}  # their names, by name in YAML

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        if args:
            names = list(type(self).model_fields)
            if len(args) > len(names):
                raise TypeError(
                    f"{type(self).__name__} takes {_count(len(names), 'parameter')} "
                    f"({', '.join(names) or 'none'}), not {len(args)}"
                )
            for name, value in zip(names, args, strict=False):
                if name in kwargs or yaml_key(name) in kwargs:
                    raise TypeError(f"{type(self).__name__} was given {name!r} twice")
                kwargs[name] = value
        super().__init__(**kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        inherited = {name for base in cls.__mro__[1:] for name in getattr(base, "model_fields", ())}
        annotations = get_annotations(cls, format=Format.FORWARDREF)
        for name in inherited & cls.__dict__.keys() - annotations.keys():
            raise PluginDefinitionError(
                f"{where(cls)}: {cls.__name__} sets {name!r}, which is a parameter of its base; "
                f"to give it another default repeat its type: `{name}: … = …`"
            )
        for name, annotation in annotations.items():
            text = annotation if isinstance(annotation, str) else repr(annotation)
            if "ClassVar" in text or name.startswith("_") or name in inherited:
                continue
            for base in cls.__mro__[1:]:
                if name in base.__dict__ or name in getattr(base, "__private_attributes__", ()):
                    raise PluginDefinitionError(
                        f"{where(cls)}: the parameter {name!r} of {cls.__name__} would hide "
                        f"{base.__name__}.{name}, which feedkit needs; call it {name}_ or give it "
                        f"another name (for a constant write `{name} = …` without a type)"
                    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.plural = frozenset(
            name for name, field in cls.model_fields.items() if _is_collection(field.annotation)
        )
        cls._fields = {field.alias or name: name for name, field in cls.model_fields.items()}
        cls._durations = frozenset(
            name
            for name, field in cls.model_fields.items()
            if timedelta in (field.annotation, *get_args(field.annotation))
        )

    @model_validator(mode="before")
    @classmethod
    def _as_people_write_it(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {
            key: cls._written(cls._fields.get(key, key), value) for key, value in values.items()
        }

    @classmethod
    def _written(cls, name: str, value: Any) -> Any:
        """One value where several are expected is a list of one; `3d` is a duration."""
        if name in cls._durations and isinstance(value, str):
            with suppress(ValueError):  # what is no duration, pydantic refuses
                return parse_duration(value)
        several = (*_COLLECTIONS, Mapping, types.GeneratorType)
        if name in cls.plural and value is not None and not isinstance(value, several):
            return (value,)
        return value

    def model_post_init(self, context: Any, /) -> None:
        # `words: list[str]` is what people write; what is kept must be hashable.
        for name in self.plural:
            value = self.__dict__.get(name)
            self.__dict__[name] = _kept(value)

    def __hash__(self) -> int:
        return hash((type(self), tuple(_hashable(v) for v in self._values())))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == typing.cast(Self, other)._values()

    def _values(self) -> tuple[Any, ...]:
        return tuple(self.__dict__[name] for name in type(self).model_fields)

    def __getstate__(self) -> dict[Any, Any]:
        # What `cached_property` keeps is made again on the other side: it need not be picklable.
        state = super().__getstate__()
        fields = type(self).model_fields
        kept = {name: value for name, value in self.__dict__.items() if name in fields}
        return {**state, "__dict__": kept}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, field in type(self).model_fields.items():
            value = self.__dict__[name]
            if field.is_required() or value != _kept(field.get_default(call_default_factory=True)):
                yield name, value

    @classmethod
    def yaml_name(cls) -> str:
        """The name in YAML: the class name in snake case."""
        return snake_case(cls.__name__)

    def children(self) -> Iterator[Parameters]:
        """The plugins among this one's parameters, in field order."""
        for value in self._values():
            yield from _plugins_in(value)

    def walk(self) -> Iterator[Parameters]:
        """This plugin and all below it, from the top down."""
        yield self
        for child in self.children():
            yield from child.walk()

    def fingerprint(self) -> str:
        """A text that is the same exactly as long as the plugin means the same."""
        values = (
            f"{name}={_canonical(self.__dict__[name])}" for name in sorted(type(self).model_fields)
        )
        return f"{self.yaml_name()}({','.join(values)})"


def _field(cls: type[Parameters], key: str) -> str:
    return key if key in cls.model_fields else f"{key}_"


def _kept(value: Any) -> Any:
    """`value` in the form that can be hashed, as far as its outside goes."""
    if isinstance(value, list):
        return tuple(value)
    return frozenset(value) if isinstance(value, set) else value


def snake_case(name: str) -> str:
    """`HasMedia` gives `has_media`, `HTTPLinks` gives `http_links`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def where(cls: type) -> str:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or cls.__module__
    line = cls.__dict__.get("__firstlineno__")
    if line is None:  # before Python 3.13: the frame that is executing the class statement
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_code.co_filename != file:
            frame = frame.f_back
        line = frame.f_lineno
    return f"{file}:{line}"


def _is_collection(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return _is_collection(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        options = [a for a in get_args(annotation) if a is not types.NoneType]
        return bool(options) and all(_is_collection(option) for option in options)
    return annotation in _COLLECTIONS or origin in _COLLECTIONS


def _plugins_in(value: Any) -> Iterator[Parameters]:
    if isinstance(value, Parameters):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _plugins_in(item)
    elif isinstance(value, _COLLECTIONS):
        for item in value:
            if type(item) is not str:  # as most are, and there may be thousands
                yield from _plugins_in(item)


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return _canonical(value)
    return value


def _canonical(value: Any) -> str:
    if isinstance(value, Parameters):
        return value.fingerprint()
    if isinstance(value, Mapping):
        pairs = sorted(f"{_canonical(k)}:{_canonical(v)}" for k, v in value.items())
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, (frozenset, set)):
        return "{" + ",".join(sorted(_canonical(v) for v in value)) + "}"
    if isinstance(value, (tuple, list)):
        return "[" + ",".join(_canonical(v) for v in value) + "]"
    if isinstance(value, BaseModel):
        return _canonical(dict(value))
    return repr(value)


__all__ = ["Parameters", "PluginDefinitionError", "PrivateAttr", "snake_case"]
