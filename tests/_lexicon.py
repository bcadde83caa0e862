"""Checks values against the lexicons beside the project, as strictly as the AppView does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import regex

_DID = r"did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]"
FORMATS = {
    "at-uri": rf"at://{_DID}/[a-zA-Z0-9.-]+/[A-Za-z0-9._:~-]{{1,512}}",
    "did": _DID,
    "nsid": r"[a-zA-Z]([a-zA-Z0-9-]*)(\.[a-zA-Z0-9-]+)+",
}


class Wrong(AssertionError):
    """A value that its lexicon does not allow."""


class Lexicons:
    """All lexicons below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.documents = {
            document["id"]: document
            for file in folder.rglob("*.json")
            if isinstance(document := json.loads(file.read_text()), dict) and "defs" in document
        }

    def output(self, nsid: str) -> dict[str, Any]:
        """The schema of what the method answers."""
        return self.documents[nsid]["defs"]["main"]["output"]["schema"]

    def check(self, value: Any, schema: dict[str, Any], home: str, at: str = "") -> None:
        """Raise `Wrong` unless `value` is one of `schema`, which stands in the lexicon `home`."""
        kind = schema["type"]
        if kind == "ref":
            name, part = self._find(schema["ref"], home)
            self.check(value, self.documents[name]["defs"][part], name, at)
        elif kind == "union":
            self._union(value, schema, home, at)
        elif kind == "object":
            self._object(value, schema, home, at)
        elif kind == "array":
            _is(value, list, at)
            _most(len(value), schema.get("maxLength"), at, "items")
            for number, item in enumerate(value):
                self.check(item, schema["items"], home, f"{at}[{number}]")
        elif kind == "string":
            _string(value, schema, at)
        elif kind == "integer":
            if isinstance(value, bool) or not isinstance(value, int):
                raise Wrong(f"{at}: {value!r} is no integer")
        elif kind == "boolean":
            _is(value, bool, at)
        else:
            assert kind in ("unknown", "token"), kind

    def _find(self, ref: str, home: str) -> tuple[str, str]:
        name, _, part = ref.partition("#")
        return name or home, part or "main"

    def _union(self, value: Any, schema: dict[str, Any], home: str, at: str) -> None:
        _is(value, dict, at)
        kind = value.get("$type")
        if not isinstance(kind, str):
            raise Wrong(f"{at}: a union needs $type")
        known = {"#".join(p for p in self._find(r, home) if p != "main"): r for r in schema["refs"]}
        if kind in known:
            self.check(value, {"type": "ref", "ref": known[kind]}, home, at)
        elif schema.get("closed"):
            raise Wrong(f"{at}: {kind} is none of {sorted(known)}")

    def _object(self, value: Any, schema: dict[str, Any], home: str, at: str) -> None:
        _is(value, dict, at)
        for name in schema.get("required", ()):
            if name not in value:
                raise Wrong(f"{at}.{name} is missing")
        for name, inner in value.items():
            if inner is None and name not in schema.get("nullable", ()):
                raise Wrong(f"{at}.{name} is null")
            if name in schema["properties"]:
                self.check(inner, schema["properties"][name], home, f"{at}.{name}")


def _is(value: Any, kind: type, at: str) -> None:
    if not isinstance(value, kind):
        raise Wrong(f"{at}: {value!r:.80} is no {kind.__name__}")


def _most(size: int, most: int | None, at: str, what: str) -> None:
    if most is not None and size > most:
        raise Wrong(f"{at}: {size} {what}, {most} at most")


def _string(value: Any, schema: dict[str, Any], at: str) -> None:
    _is(value, str, at)
    _most(len(value.encode()), schema.get("maxLength"), at, "bytes")
    if "maxGraphemes" in schema:
        _most(len(regex.findall(r"\X", value)), schema["maxGraphemes"], at, "graphemes")
    if (form := schema.get("format")) and not re.fullmatch(FORMATS[form], value):
        raise Wrong(f"{at}: {value!r:.80} is no {form}")
    if "const" in schema and value != schema["const"]:
        raise Wrong(f"{at}: {value!r:.80} is not {schema['const']!r}")
