"""Why a post is in a feed or not: the filter tree with the verdict of every part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from feedkit.accounts import NotKnownYet, accounts_in
from feedkit.filters.found import OtherPost
from feedkit.parameters import Parameters
from feedkit.plugin import Filter, Plugin
from feedkit.post import Post, Viewer
from feedkit.reference.wording import value_text
from feedkit.viewing import ViewerFilter

MARKS = {True: "✓", False: "✗", None: "?"}
NO_NAMES: Mapping[str, Filter] = {}
_SHOWN = 5  # of a list of values
_LONGEST = 80  # characters of a value


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


def explain(filter: Filter, post: Post, names: Mapping[str, Filter] = NO_NAMES) -> Verdict:
    """The verdict of `filter` and of all filters in it, by the function that ingest uses.
    `names`: the parts that have a name of their own (`Service.filters`); they show under it."""
    return _explain(filter, post, {id(part): name for name, part in names.items()})


def _explain(filter: Filter, post: Post, names: Mapping[int, str]) -> Verdict:
    inner = [child for child in filter.children() if isinstance(child, Filter)]
    about = filter.other(post) if isinstance(filter, OtherPost) else post
    parts = tuple(_explain(child, about, names) for child in inner) if about is not None else ()
    title = _title(filter)
    if id(filter) in names:
        title = f"{names[id(filter)]} ({title})"
    try:
        verdict = filter.decide(post)
    except Exception as error:  # ingest takes it for a no, too
        return Verdict(title, False, f"failed: {_said(error)}", parts)
    try:
        because = filter.explain(post) if verdict else ""
    except Exception as error:  # what it said of the post holds
        because = f"explain() failed: {_said(error)}"
    if verdict is None and filter.needs:
        waited = sorted(filter.needs - post.features.keys())
        because = f"waits for {', '.join(waited)}" if waited else "nobody could find it out"
    elif verdict is None and (missing := [s for a in accounts_in(filter) for s in a.missing]):
        because = str(NotKnownYet(missing))
    return Verdict(title, verdict, because, parts)


def explain_for(filter: ViewerFilter, post: Post, viewer: Viewer) -> Verdict:
    """The verdict of a viewer filter and of all in it. One that fails keeps nothing."""
    inner = [child for child in filter.children() if isinstance(child, ViewerFilter)]
    parts = tuple(explain_for(child, post, viewer) for child in inner)
    try:
        return Verdict(_title(filter), filter.keep(post, viewer) is True, "", parts)
    except Exception as error:  # the post is not shown then, either
        return Verdict(_title(filter), False, f"failed: {_said(error)}", parts)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _title(filter: Plugin) -> str:
    """`keywords: [a, b], in: alt`: what is given, but for the filters, which are shown below."""
    fields = type(filter).model_fields
    given = [
        _shown(value) if not number else f"{fields[key].alias or key}: {_shown(value)}"
        for number, key, value in _given(filter)
        if not _holds_filters(value)
    ]
    name = filter.yaml_name()
    return f"{name}: {', '.join(given)}" if given else name


def _given(filter: Plugin) -> Iterator[tuple[int, str, object]]:
    """The parameters that are not left at their defaults, each with its place."""
    places = {key: number for number, key in enumerate(type(filter).model_fields)}
    for key, value in filter.__repr_args__():
        if key is not None:
            yield places[key], key, value


def _holds_filters(value: object) -> bool:
    if isinstance(value, Mapping):
        value = tuple(value.values())
    several = value if isinstance(value, (tuple, frozenset)) else (value,)
    return any(isinstance(one, Parameters) for one in several)


def _shown(value: object) -> str:
    if isinstance(value, (tuple, frozenset)):
        several: Iterable[object] = value if isinstance(value, tuple) else sorted(value, key=str)
        texts = [_cut(value_text(one)) for one in several]
        more = [f"… ({len(texts)})"] if len(texts) > _SHOWN else []
        return f"[{', '.join(texts[:_SHOWN] + more)}]"
    return _cut(value_text(value))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
