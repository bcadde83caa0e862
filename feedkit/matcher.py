"""Every feed's filter as one look-up.

Each filter may say by `keys()`: «a post with none of these cannot match». Keys of all feeds go
into one index, so that a post is shown only to the filters that it may concern; each of these is
then asked exactly. The index is one-sided: it may ask too many filters, never too few.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from time import perf_counter
from types import TracebackType

from ahocorasick_rs import AhoCorasick

from feedkit.accounts import NotKnownYet
from feedkit.awaiting import Wanted, awaited, given_up
from feedkit.logs import worth_saying
from feedkit.plugin import Filter, Key, Plugin
from feedkit.post import Post
from feedkit.text import Place, in_word, normalise, places, words

log = logging.getLogger(__name__)

EVERYWHERE: frozenset[Place] = frozenset({"text", "alt", "link"})
BESIDE: frozenset[Place] = frozenset({"alt", "link"})
# Cutting a post into words costs 8 µs however few are sought; finding them as parts of words too
# costs 1 µs as long as they are few, and then asks a filter in vain at times.
FEW_WORDS = 1_000
SLOW = 0.05  # seconds for one post, after which a filter is named as slow


class Matcher:
    """Says which feeds want a post.

    `filters`: the exact filter of each feed, by feed name. `missing`: the feeds that keep a post
    of which a hydrator found nothing. `indexed`: False asks all filters of every post. `errors`
    and `slow` count, by (feed, plugin), how often a filter raised or took longer than `SLOW`.
    """

    def __init__(
        self, filters: Mapping[str, Filter], missing: Collection[str] = (), indexed: bool = True
    ) -> None:
        self.errors: Counter[tuple[str, str]] = Counter()
        self.slow: Counter[tuple[str, str]] = Counter()
        self._feeds = tuple(filters.items())
        self._missing = frozenset(missing)
        self._always: list[int] = []
        values: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number, (_, filter) in enumerate(self._feeds):
            try:
                keys = filter.keys() if indexed else None
            except NotKnownYet:  # a plugin goes through accounts that are not known
                keys = None
            if keys is None or any(
                kind in ("text", "word") and not normalise(v) for kind, v in keys
            ):
                self._always.append(number)
                continue
            for key in keys:
                kind, value = _folded(*key)
                values[kind][value].append(number)
        texts = values.pop("text", {})
        if len(values["word"]) < FEW_WORDS:
            for word, numbers in values.pop("word").items():
                texts.setdefault(word, []).extend(numbers)
        self._texts = tuple(tuple(numbers) for numbers in texts.values())
        self._automaton = AhoCorasick(list(texts)) if texts else None
        self._values = {
            kind: {value: tuple(numbers) for value, numbers in entries.items()}
            for kind, entries in values.items()
        }
        unknown = self._values.keys() - _VALUES_OF.keys()
        if unknown:
            raise ValueError(f"keys() may not return keys of the kind {sorted(unknown)[0]!r}")

    def match(self, post: Post) -> frozenset[str]:
        """The names of the feeds whose filter keeps `post`; a `Wanted` where some cannot say yet.
        Never raises: a filter that raises does not match, is counted in `errors` and logged with
        the post's URI."""
        kept = []
        waiting = {}
        began = perf_counter()
        for number in sorted(self._asked(post)):
            name, filter = self._feeds[number]
            try:
                verdict = filter.decide(post)
                if verdict is True:
                    kept.append(name)
                elif verdict is None:
                    if words := awaited(filter, post):
                        waiting[name] = words
                    elif name in self._missing and given_up(filter, post):
                        kept.append(name)
            except Exception as error:
                self._failed(name, filter, post, error)
            ended = perf_counter()
            if ended - began > SLOW:
                self._was_slow(name, filter, post, ended - began)
            began = ended
        return Wanted(kept, waiting) if waiting else frozenset(kept)

    def _asked(self, post: Post) -> set[int]:
        asked = set(self._always)
        if self._automaton is not None:
            for pattern, _, _ in self._automaton.find_matches_as_indexes(
                haystack(post), overlapping=True
            ):
                asked.update(self._texts[pattern])
        for kind, entries in self._values.items():
            for value in _VALUES_OF[kind](post):
                if value in entries:
                    asked.update(entries[value])
        return asked

    def _failed(self, feed: str, filter: Filter, post: Post, error: Exception) -> None:
        plugin = _raiser(error.__traceback__) or filter.yaml_name()
        self.errors[feed, plugin] += 1
        if worth_saying(self.errors[feed, plugin]):
            log.error(
                "feeds.%s: the filter %s failed on %s (%s: %s), %d times so far; "
                "the post is left out of the feed",
                feed, plugin, post.uri, type(error).__name__, error, self.errors[feed, plugin],
            )  # fmt: skip

    def _was_slow(self, feed: str, filter: Filter, post: Post, seconds: float) -> None:
        plugin = filter.yaml_name()
        self.slow[feed, plugin] += 1
        if worth_saying(self.slow[feed, plugin]):
            log.warning(
                "feeds.%s: the filter %s took %.0f ms for %s, %d times so far; "
                "everything waits for it",
                feed, plugin, seconds * 1000, post.uri, self.slow[feed, plugin],
            )  # fmt: skip


def haystack(post: Post) -> str:
    """All that a key of the kind "text" may stand in, normalised part by part."""
    return "\n".join(normalise(text) for _, text in places(post, EVERYWHERE))


def _folded(kind: str, value: str) -> Key:
    """A key in the form in which it is looked up."""
    if kind == "lang":
        return kind, value.lower()
    if kind in ("author", "mention"):
        return kind, value
    value = normalise(value)
    if kind == "word" and not all(map(in_word, value)):
        kind = "text"  # it has no borders that could be seen
    return kind, value


def _words(post: Post) -> Iterable[str]:
    found = words(normalise(post.text))
    for _, text in places(post, BESIDE):
        found = found | words(normalise(text))
    return found


def _langs(post: Post) -> Iterable[str]:
    for lang in post.langs:
        yield lang.lower()
        yield lang.lower().partition("-")[0]


_VALUES_OF: dict[str, Callable[[Post], Iterable[str]]] = {
    "author": lambda post: (post.author,),
    "domain": lambda post: post.domains,
    "lang": _langs,
    "mention": lambda post: post.mentions,
    "tag": lambda post: post.tags,
    "word": _words,
}


def _raiser(traceback: TracebackType | None) -> str | None:
    """The innermost plugin that was running when an exception was raised."""
    name = None
    while traceback is not None:
        plugin = traceback.tb_frame.f_locals.get("self")
        if isinstance(plugin, Plugin):
            name = plugin.yaml_name()
        traceback = traceback.tb_next
    return name
