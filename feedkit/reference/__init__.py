"""The reference: docs/plugins.md, docs/config.md, the JSON Schema, and `feedkit plugins`, all from
the classes. `python -m feedkit.reference` writes the files of docs/ anew."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

from feedkit.config.annotations import Registry, keys_of
from feedkit.config.discover import Found, built_in
from feedkit.config.keys import (
    STREAMS,
    FeedKeys,
    FileKeys,
    NetworkKeys,
    ServiceKeys,
    StoreKeys,
)
from feedkit.config.problems import ConfigError, Place, Problem, did_you_mean, shorten
from feedkit.parameters import Parameters
from feedkit.plugin import Hydrator, Plugin
from feedkit.reference.guide import CONFIG_END, CONFIG_START, PLUGINS_START
from feedkit.reference.people import ACCOUNTS
from feedkit.reference.schema import json_schema
from feedkit.reference.wording import default_text, limits_text, prose, summary, type_text
from feedkit.settings import Example
from feedkit.viewing import kind_text

DOCS = Path(__file__).resolve().parents[2] / "docs"
HEADINGS = {
    "filter": "Filters", "viewer_filter": "Viewer filters", "ranker": "Rankers",
    "selector": "Selectors", "hydrator": "Hydrators",
}  # fmt: skip
_GENERATED = "<!-- Written by `python -m feedkit.reference`, from the classes. Change these. -->\n"


def listing(found: Found) -> str:
    """All plugins, by kind, each with its first sentence: `feedkit plugins`."""
    parts = []
    for kind, table in found.plugins.items():
        width = max(map(len, table), default=0)
        lines = [
            f"  {name:{width}}  {summary(cls)}".rstrip() for name, cls in sorted(table.items())
        ]
        parts.append("\n".join([f"{HEADINGS[kind]}:", *lines]))
    return "\n\n".join(parts)


def describe(found: Found, name: str) -> str:
    """All about one plugin: `feedkit plugins NAME`. Raises `ConfigError` if there is none."""
    matches = [table[name] for table in found.plugins.values() if name in table]
    if not matches:
        names = [known for table in found.plugins.values() for known in table]
        message = f"no plugin is called {shorten(name)}{did_you_mean(name, names)}"
        raise ConfigError([Problem(Place(""), "", message)])
    parts = []
    for cls in matches:
        text = prose(cls).replace("```yaml\n", "").replace("```", "").strip()
        lines = [f"{name} ({kind_text(cls.kind)})", "", text, "", f"  {call_text(name, cls)}"]
        if provided := provides_text(cls):
            lines += ["", f"  {provided}"]
        for key, kind, default, meaning in _rows(cls):
            note = default if default in ("", "required") else f"default: {default}"
            lines += ["", f"  {key}: {kind}{f' ({note})' if note else ''}"]
            lines += [f"      {meaning}"] if meaning else []
        place = inspect.getsourcefile(cls)
        lines += ["", f"Defined in {place}"] if place else []
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def call_text(name: str, cls: type[Parameters]) -> str:
    """`per_author: {most: 2, window: 10}`: the shape of a call with all parameters."""
    pairs = [
        f"{field.alias or key}: {default_text(field) or '…'}"
        for key, field in cls.model_fields.items()
    ]
    return f"{name}: {{{', '.join(pairs)}}}" if pairs else name


def provides_text(cls: type[Plugin]) -> str:
    """`Provides bird (number)`; nothing for what is no hydrator."""
    if not issubclass(cls, Hydrator):
        return ""
    return "Provides " + ", ".join(f"`{w}` ({type_text(t)})" for w, t in cls.provides.items()) + "."


def plugins_page() -> str:
    """docs/plugins.md: every built-in plugin."""
    found = built_in()
    parts = ["# Plugins\n", _GENERATED, PLUGINS_START, ACCOUNTS]
    for kind, table in found.plugins.items():
        parts.append(f"## {HEADINGS[kind]}\n")
        parts.append("\n".join(f"- [{n}](#{n}): {summary(c)}" for n, c in table.items()) + "\n")
        for name, cls in table.items():
            parts.append(f"### {name}\n\n{prose(cls)}\n")
            if provided := provides_text(cls):
                parts.append(f"{provided}\n")
            if cls.model_fields:
                parts.append(_table("parameter", cls))
    return "\n".join(parts)


def config_page() -> str:
    """docs/config.md: every key of the configuration."""
    parts = [
        "# Configuration\n",
        _GENERATED,
        CONFIG_START,
        "## The file\n",
        _table("key", FileKeys),
    ]
    for heading, cls in [
        ("service", ServiceKeys),
        *((f"stream: {name}", cls) for name, cls in STREAMS.items()),
        ("store, as a mapping", StoreKeys),
        ("network", NetworkKeys),
        ("A feed", FeedKeys),
        ("A post in examples or order", Example),
    ]:
        parts.append(f"## {heading}\n\n{prose(cls)}\n\n{_table('key', cls)}")
    parts.append(CONFIG_END)
    return "\n".join(parts)


def schema_page() -> str:
    """docs/config.schema.json, for editors."""
    return schema_text(built_in().plugins)


def schema_text(plugins: Registry) -> str:
    """The JSON Schema of a configuration that can use these plugins, as a file has it."""
    return json.dumps(json_schema(plugins), indent=1, ensure_ascii=False) + "\n"


PAGES = {
    "plugins.md": plugins_page,
    "config.md": config_page,
    "config.schema.json": schema_page,
}


def _rows(cls: type[Parameters]) -> list[tuple[str, str, str, str]]:
    """Key, type with limits, default, meaning of every parameter."""
    rows = []
    for key, field in zip(keys_of(cls), cls.model_fields.values(), strict=True):
        kind = type_text(field.annotation)
        if issubclass(cls, FileKeys):
            kind = _FILE_TYPES.get(key, kind)
        limits = limits_text(field)
        default = "required" if field.is_required() else default_text(field)
        meaning = field.description or ""
        rows.append((key, f"{kind}, {limits}" if limits else kind, default, meaning))
    return rows


# Sections are named after their keys, not after their classes.
_FILE_TYPES = {
    "service": "section",
    "stream": "jetstream or firehose",
    "network": "section",
    "defaults": "keys of a feed",
    "feeds": "feeds, by record key",
    "filters": "filters, by name",
}


def _table(first: str, cls: type[Parameters]) -> str:
    lines = [f"| {first} | type | default | meaning |", "|---|---|---|---|"]
    for row in _rows(cls):
        key, kind, default, meaning = (cell.replace("|", "\\|") for cell in row)
        shown = default if default in ("", "required") else f"`{default}`"
        lines.append(f"| `{key}` | {kind} | {shown} | {meaning} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Writes the files of docs/."""
    DOCS.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), "utf-8")
