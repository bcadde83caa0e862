"""Types, defaults and docstrings of parameters in the words of the documentation."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from feedkit.accounts import Accounts
from feedkit.config.problems import in_words
from feedkit.duration import duration_text
from feedkit.parameters import Parameters
from feedkit.plugin import Plugin
from feedkit.viewing import kind_text

_NAMES: dict[Any, str] = {
    str: "text", int: "whole number", float: "number", bool: "yes or no", timedelta: "duration",
    datetime: "date or time", date: "date", Any: "anything", dict: "mapping",
}  # fmt: skip
_COLLECTIONS = (tuple, frozenset, set, list)
_BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def type_text(annotation: Any) -> str:
    """`tuple[Filter, ...]` gives `filters`, `int | None` gives `whole number`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return type_text(arguments[0])
    if origin is Literal:
        return in_words(map(str, arguments))
    if origin in (Union, types.UnionType):
        return in_words(type_text(one) for one in arguments if one is not types.NoneType)
    if origin in _COLLECTIONS:
        return f"one or several: {type_text(arguments[0])}" if arguments else "one or several"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"{type_text(arguments[1])}, by {type_text(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Plugin):
        return kind_text(annotation.kind)
    if isinstance(annotation, type) and issubclass(annotation, Accounts):
        return annotation.called
    return _NAMES.get(annotation) or getattr(annotation, "__name__", str(annotation)).lower()


def limits_text(field: FieldInfo) -> str:
    """`at least 1`, as far as the field declares limits."""
    found = []
    for limit in field.metadata:
        for name, words in _BOUNDS.items():
            value = getattr(limit, name, None)
            if value is not None:
                found.append(f"{words} {value_text(value)}")
    return ", ".join(found)


def default_text(field: FieldInfo) -> str:
    """The default as it would be written; empty where it is nothing."""
    if field.is_required():
        return ""
    return value_text(field.get_default(call_default_factory=True))


def value_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, Parameters):
        return value.yaml_name()
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=str)
    if isinstance(value, (tuple, list)):
        texts = [value_text(one) for one in value]
        return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]" if texts else ""
    if value is None or value == {}:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def prose(cls: type) -> str:
    """The docstring, in Markdown, with its YAML blocks."""
    return inspect.cleandoc(cls.__doc__ or "")


def summary(cls: type) -> str:
    """The first sentence of the docstring, on one line."""
    first = " ".join(_BLOCK.sub("", prose(cls)).split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s", first, maxsplit=1)[0]


def yaml_blocks(markdown: str) -> list[str]:
    """The YAML in a text in Markdown."""
    return _BLOCK.findall(inspect.cleandoc(markdown))
