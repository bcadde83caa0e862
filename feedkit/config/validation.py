"""Pydantic's errors as plain sentences, each at the place of the value that it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from feedkit.config.problems import Place, Problems, did_you_mean, in_words, shorten
from feedkit.config.yamltree import MappingNode, Node, Ready, Scalar, Sequence
from feedkit.duration import HINT
from feedkit.parameters import Parameters
from feedkit.viewing import KINDS, kind_text

Context = Mapping[str, Any]

# What the value should have been: the message is "must be …, not 'what it is'".
_EXPECTED: dict[str, Callable[[Context], str]] = {
    "int": lambda c: "a whole number",
    "float": lambda c: "a number",
    "finite_number": lambda c: "a finite number",
    "decimal": lambda c: "a number",
    "bool": lambda c: "yes or no",
    "string": lambda c: "text",
    "none_required": lambda c: "left out",
    "time_delta": lambda c: HINT,
    "datetime": lambda c: "a time such as 2026-01-31T12:00:00Z",
    "date": lambda c: "a date such as 2026-01-31",
    "time": lambda c: "a time of day such as 12:30",
    "url": lambda c: "an address such as https://example.com",
    "uuid": lambda c: "a UUID",
    "path": lambda c: "a path",
    "dict": lambda c: "a mapping",
    "mapping": lambda c: "a mapping",
    "model": lambda c: _PLUGINS.get(str(c.get("class_name")), "a mapping"),
    "dataclass": lambda c: "a mapping",
    "list": lambda c: "a list",
    "tuple": lambda c: "a list",
    "set": lambda c: "a list",
    "frozen_set": lambda c: "a list",
    "greater_than": lambda c: f"more than {c['gt']}",
    "greater_than_equal": lambda c: f"{c['ge']} or more",
    "less_than": lambda c: f"less than {c['lt']}",
    "less_than_equal": lambda c: f"{c['le']} or less",
    "multiple_of": lambda c: f"a multiple of {c['multiple_of']}",
    "literal_error": lambda c: str(c["expected"]).replace("'", ""),
    "enum": lambda c: str(c["expected"]).replace("'", ""),
    "is_instance_of": lambda c: f"a {c['class']}",
    "string_pattern_mismatch": lambda c: f"text of the form {c['pattern']}",
}
_PLUGINS: dict[str, str] = {base.__name__: f"a {kind_text(kind)}" for kind, base in KINDS.items()}
_SUFFIXES = ("_type", "_parsing", "_from_float", "_parsing_size", "_class_type", "_scheme", "_size")


def report(
    error: ValidationError, label: str, cls: type[Parameters], nodes: Mapping[str, Node],
    own: Node, path: str, problems: Problems, silent: frozenset[str] = frozenset(), first: str = "",
) -> None:  # fmt: skip
    """Adds what `error` says of making a `cls`, which is called `label`.

    `nodes`: the values that were given, by parameter; `own`: the whole; `silent`: parameters whose
    problem is known already; `first`: the parameter whose value stands at `path` itself, as in
    `keywords: [linux]`.
    """
    gathered: dict[tuple[Node, str], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        loc = detail["loc"]
        if silent and (not loc or str(loc[0]) in silent):
            continue
        name = str(loc[0]) if loc else ""
        node, where = own, path
        if name in nodes:
            node = nodes[name]
            where = path if name == first else f"{path}.{name}" if path else name
            node, where = _down(node, where, loc[1:])
        if detail["type"] == "missing" and len(loc) == 1:
            about = next(f for n, f in cls.model_fields.items() if (f.alias or n) == name)
            meaning = f": {about.description}" if about.description else ""
            problems.add(node.place, where, f"{label} needs {name!r}{meaning}")
        else:
            gathered.setdefault((node, where), []).append(detail)
    for (node, where), details in gathered.items():
        problems.add(node.place, where, _sentence(details, label, node))


def plain(error: ValidationError) -> str:
    """The first thing that `error` says, for a plugin made in Python."""
    detail = error.errors(include_url=False)[0]
    name = str(detail["loc"][0]) if detail["loc"] else ""
    sentence = _sentence([detail], error.title, None)
    return sentence if detail["type"] == "missing" or not name else f"{name} {sentence}"


def _down(node: Node, path: str, loc: tuple[int | str, ...]) -> tuple[Node, str]:
    """The value that `loc` leads to. Pydantic mixes names of union members into it: skipped."""
    for step in loc:
        if isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node, path = node.items[step], f"{path}[{step}]"
        elif isinstance(node, MappingNode) and step == "[key]":
            continue
        elif isinstance(node, MappingNode) and step in node.entries:
            key = str(step)
            if loc[-1] == "[key]":
                return Scalar(node.places[key], key), path
            node, path = node.entries[key], f"{path}.{key}"
    return node, path


def _sentence(details: list[ErrorDetails], label: str, node: Node | None) -> str:
    expected: list[str] = []
    others: list[str] = []
    hint = ""
    for detail in details:
        context = detail.get("ctx", {})
        text = _expected(detail["type"], context)
        if text:
            expected.append(text)
        else:
            others.append(_other(detail, context, label))
        if detail["type"] in ("literal_error", "enum") and isinstance(node, Scalar):
            options = str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
            hint = did_you_mean(node.text, options)
    if expected:
        got = _got(node if node is not None else Ready(Place(""), details[0]["input"]))
        if detail["loc"][-1:] == ("examples",) and got == "a list":
            hint = "; write in: (what belongs) or out: (what does not) above it"
        others.insert(0, f"must be {in_words(dict.fromkeys(expected))}, not {got}{hint}")
    return "; ".join(dict.fromkeys(others))


def _expected(kind: str, context: Context) -> str:
    if kind not in _EXPECTED:
        for suffix in _SUFFIXES:
            if kind.endswith(suffix):
                kind = kind.removesuffix(suffix)
                break
    known = _EXPECTED.get(kind)
    return known(context) if known else ""


def _other(detail: ErrorDetails, context: Context, label: str) -> str:
    kind = detail["type"]
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error") or f"{label} does not take this")
    if kind == "missing":
        return f"{label} needs {detail['loc'][-1]!r}"
    if kind == "too_short":
        least, had = context["min_length"], context["actual_length"]
        return f"needs at least {_items(least)}, it has {had or 'none'}"
    if kind == "too_long":
        return f"takes at most {_items(context['max_length'])}, it has {context['actual_length']}"
    if kind == "string_too_short":
        least = context["min_length"]
        return "must not be empty" if least == 1 else f"needs at least {least} characters"
    if kind == "string_too_long":
        return f"takes at most {context['max_length']} characters"
    message = detail["msg"]
    return message[:1].lower() + message[1:]


def _items(number: int) -> str:
    return f"{number} item{'' if number == 1 else 's'}"


def _got(node: Node) -> str:
    if isinstance(node, Scalar):
        return shorten(node.text)
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, MappingNode):
        return "a mapping"
    return shorten(repr(node.value))[1:-1] if isinstance(node, Ready) else "this"
