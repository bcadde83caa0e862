"""A plan, as a person reads it: in the configuration's words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from feedkit.publish.plan import Change, Step, blob_of, labels_of

_KEYS = {
    "displayName": "display_name",
    "descriptionFacets": "links in the description",
    "contentMode": "content_mode",
    "acceptsInteractions": "accepts_interactions",
}
_JOINERS = "\u200c\u200d"  # they hold emoji and Indic letters together
_WIDE = 72  # characters, above which both values get a line of their own


def lines(step: Step) -> Iterator[str]:
    """What the step does, field by field."""
    what = {"create": "create", "change": "change", "nothing": "nothing to do"}[step.action]
    yield f"  {step.name}: {what}"
    for change in step.changes:
        yield from _change(change, new=step.action == "create")
    if step.moves:
        yield "      The feed moves to this service; its address and its subscribers stay."


def _change(change: Change, new: bool) -> Iterator[str]:
    key = _KEYS.get(change.field, change.field)
    before, after = _value(change.field, change.before), _value(change.field, change.after)
    if new:
        yield f"      {key}: {after}"
    elif len(before) + len(after) <= _WIDE:
        yield f"      {key}: {before} → {after}"
    else:
        yield f"      {key}:"
        yield f"        - {before}"
        yield f"        + {after}"


def _value(field: str, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field == "avatar" and isinstance(value, dict):
        size = value.get("size")
        told = f", {size:,} bytes" if isinstance(size, int) else ""
        return f"{_plain(value.get('mimeType'))}{told} ({_plain(blob_of(value))})"
    if field == "labels":
        return _plain(", ".join(labels_of(value)) or "none")
    if field == "descriptionFacets" and isinstance(value, list):
        return ", ".join(_facet(facet) for facet in value) or "none"
    if field == "contentMode":
        return _plain(str(value).partition("#contentMode")[2].lower() or value)
    if isinstance(value, str):
        return _plain(value) if field == "did" else f"«{_plain(value)}»"
    return _plain(value)


def _facet(facet: Any) -> str:
    match facet:
        case {
            "index": {"byteStart": start, "byteEnd": end},
            "features": [{"uri": about} | {"tag": about} | {"did": about}, *_],
        }:
            return f"{_plain(about)} (bytes {_plain(start)}–{_plain(end)})"
    return _plain(facet)


def _plain(value: Any) -> str:
    """One line, without what would move a terminal's cursor or turn its letters around."""
    return "".join(
        one if one.isprintable() or one in _JOINERS else repr(one)[1:-1] for one in str(value)
    )
