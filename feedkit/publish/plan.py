"""What has to be done so that the records are as the configuration says: pure, nothing is sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from feedkit.publish.records import COLLECTION, Record

# An absent field means the same as one of these.
_NOTHING: tuple[Any, ...] = (None, False, "", [], "app.bsky.feed.defs#contentModeUnspecified")


@dataclass(frozen=True)
class Stored:
    """A record as it is in the repository, and its CID."""

    cid: str
    value: Record


@dataclass(frozen=True)
class Change:
    """A field of the record, as it is and as it will be; None: absent."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Step:
    """What is done with the record of the feed `name`. `record`: the whole of it afterwards;
    `before`: the CID of what there is, None where there is nothing."""

    name: str
    record: Record
    changes: tuple[Change, ...]
    before: str | None

    @property
    def action(self) -> str:
        if self.before is None:
            return "create"
        return "change" if self.changes else "nothing"

    @property
    def moves(self) -> bool:
        """Whether the record comes from another service."""
        return self.before is not None and any(one.field == "did" for one in self.changes)


def plan(name: str, wanted: Mapping[str, Any], stored: Stored | None, now: str) -> Step:
    """The step that gives the record the fields `wanted` (see `records.wanted`) and keeps all
    others. `now`: when a new record is created, in the network's form."""
    there = stored.value if stored else {}
    record = {"$type": COLLECTION, **there}
    changes = []
    for field, after in wanted.items():
        before = there.get(field)
        if _meaning(field, before) == _meaning(field, after):
            continue
        if field == "descriptionFacets" and before and _same_text(there, wanted):
            continue  # somebody may have made them by hand: links whose text is not their address
        changes.append(Change(field, before, after))
        if after is None:
            record.pop(field, None)
        else:
            record[field] = after
    record.setdefault("createdAt", now)
    return Step(name, record, tuple(changes), stored.cid if stored else None)


def left_over(records: Mapping[str, Stored], names: Collection[str], did: str) -> dict[str, Stored]:
    """The records of the service `did` whose feed is none of `names`."""
    return {
        name: stored
        for name, stored in records.items()
        if name not in names and stored.value.get("did") == did
    }


def _same_text(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    text = wanted.get("description")
    return bool(text) and text == there.get("description")


def blob_of(value: Any) -> str:
    """The CID of a blob in a record, also in the form of 2022; "" where it is none."""
    if not isinstance(value, dict):
        return ""
    ref = value.get("ref")
    cid = ref.get("$link") if isinstance(ref, dict) else value.get("cid")
    return cid if isinstance(cid, str) else ""


def labels_of(value: Any) -> list[str]:
    """The self-labels in a record."""
    values = value.get("values") if isinstance(value, dict) else None
    found = [one.get("val") for one in values or () if isinstance(one, dict)]
    return [label for label in found if isinstance(label, str)]


def _meaning(field: str, value: Any) -> Any:
    """Two values that mean the same to the network are the same here, however they are written."""
    if value in _NOTHING:
        return None
    if field == "avatar":
        return blob_of(value) or value
    if field == "labels":
        return frozenset(labels_of(value)) or None
    if field == "descriptionFacets" and isinstance(value, list):
        return [
            {key: inner for key, inner in facet.items() if key != "$type"}
            if isinstance(facet, dict)
            else facet
            for facet in value
        ]
    return value
