"""Scores of the operator's own, from a CSV file into the store, for a hydrator that looks them up.

Posts that are stored already get theirs at once, and are decided again.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from feedkit.config.problems import did_you_mean, in_words, shorten
from feedkit.hydrate.lane import WrongShape, as_json
from feedkit.matcher import Matcher
from feedkit.settings import FeedConfig, Service
from feedkit.sources.syntax import is_post_uri
from feedkit.store import Answer, Store

HEADER = ["uri", "name", "value"]
AT_ONCE = 500  # rows in one transaction


class Loaded(NamedTuple):
    """How many scores were kept, and how many posts had been stored and got theirs."""

    scores: int
    posts: int


def read(
    lines: Iterable[str], service: Service, feed: FeedConfig
) -> Iterator[tuple[str, str, str]]:
    """URI, word and value (as JSON) of each line `uri,name,value`; a first line that says just
    that is passed over. Raises `ValueError` that names the line and what is wrong with it."""
    words = feed.hydrated
    types: dict[str, TypeAdapter[Any]] = {
        word: TypeAdapter(kind)
        for hydrator in service.hydrators
        for word, kind in hydrator.provides.items()
        if word in words
    }
    rows = csv.reader(lines)
    try:
        for row in rows:
            if not row or (rows.line_num == 1 and [cell.strip() for cell in row] == HEADER):
                continue
            try:
                yield _read(row, feed.name, types)
            except ValueError as error:
                raise ValueError(f"{rows.line_num}: {error}") from None
    except csv.Error as error:
        raise ValueError(f"{rows.line_num}: this is no CSV: {error}") from None


def _read(row: list[str], feed: str, types: Mapping[str, TypeAdapter[Any]]) -> tuple[str, str, str]:
    if len(row) != len(HEADER):
        raise ValueError(f"a line is uri,name,value; this has {len(row)} parts")
    uri, name, text = (cell.strip() for cell in row)
    if not is_post_uri(uri):
        raise ValueError(f"{shorten(uri)} is no post; write at://DID/app.bsky.feed.post/RECORD-KEY")
    if name not in types:
        hint = did_you_mean(name, types) or (
            f"; it needs {in_words(types, 'and')}" if types else ""
        )
        raise ValueError(f"nothing in the feed {feed} needs {shorten(name)}{hint}")
    try:
        return uri, name, as_json(name, types[name], types[name].validate_python(text))
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"].removeprefix("Input should be ")
        raise ValueError(f"{name} must be {said}, not {shorten(text)}") from None
    except WrongShape as error:
        raise ValueError(str(error)) from None


def load(
    scores: Iterable[tuple[str, str, str]], service: Service, feed: FeedConfig, store: Store
) -> Loaded:
    """Keep `scores`, and let `feed` decide its stored posts by them."""
    matcher = Matcher({feed.name: feed.filter}, service.keeps_missing, indexed=False)
    rows = iter(scores)
    kept = 0
    stored: set[int] = set()
    while some := list(islice(rows, AT_ONCE)):
        store.hydration.save_scores(some)
        kept += len(some)
        values: dict[str, dict[str, str]] = {}
        for uri, name, value in some:
            values.setdefault(uri, {})[name] = value
        there = store.hydration.revisions(values)
        answers = [Answer(*place, values[uri]) for uri, place in there.items()]
        store.hydration.settle(answers, [feed.name], matcher.match, feed.ranks_by)
        ids = [answer.id for answer in answers]
        store.redecide_posts([feed.name], matcher.match, ids)
        stored |= set(ids)
    return Loaded(kept, len(stored))
