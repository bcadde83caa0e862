"""Why a post is in a feed or not: the filter tree with the verdict of every part."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from feedkit.parameters import Parameters
from feedkit.plugin import Filter
from feedkit.post import Post

MARKS = {True: "✓", False: "✗", None: "?"}


class Verdict(Struct, frozen=True):
    """What one filter said of a post. `verdict`: True, False, None (not known yet).
    `because`: what matched, or the error of a filter that failed."""

    name: str
    verdict: bool | None
    because: str = ""
    parts: tuple[Verdict, ...] = ()

    def lines(self, depth: int = 0) -> Iterator[str]:
        """The tree as text, a line a filter."""
        because = f"  {self.because}" if self.because else ""
        yield f"{'  ' * depth}{MARKS[self.verdict]} {self.name}{because}"
        for part in self.parts:
            yield from part.lines(depth + 1)


def explain(filter: Filter, post: Post) -> Verdict:
    """The verdict of `filter` and of all filters in it, by the function that ingest uses."""
    parts = tuple(explain(child, post) for child in filter.children() if isinstance(child, Filter))
    try:
        verdict = filter.decide(post)
        because = filter.explain(post) if verdict else ""
    except Exception as error:
        verdict, because = False, f"failed: {type(error).__name__}: {error}"
    return Verdict(_title(filter, bool(parts)), verdict, because, parts)


def _title(filter: Filter, short: bool) -> str:
    name = filter.yaml_name()
    if short:
        return name
    given = ", ".join(
        _value(value) if first else f"{_written(filter, key)}: {_value(value)}"
        for first, (key, value) in _numbered(filter)
    )
    return f"{name}: {given}" if given else name


def _numbered(filter: Parameters) -> Iterator[tuple[bool, tuple[str | None, object]]]:
    names = list(type(filter).model_fields)
    for key, value in filter.__repr_args__():
        yield bool(names) and key == names[0], (key, value)


def _written(filter: Parameters, key: str | None) -> str:
    """A parameter's name as it is written in YAML."""
    field = type(filter).model_fields.get(key or "")
    return (field.alias if field else None) or key or ""


def _value(value: object) -> str:
    if isinstance(value, (tuple, frozenset)):
        items = sorted(map(str, value)) if isinstance(value, frozenset) else list(map(str, value))
        shown = ", ".join(items[:5]) + (f", … ({len(items)})" if len(items) > 5 else "")
        return f"[{shown}]"
    return str(value)
