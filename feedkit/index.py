"""Which of many filters a post may concern, by the keys that they ask for: an inverted index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet

from ahocorasick_rs import AhoCorasick

from feedkit.keys import Key, KeySet
from feedkit.post import Post
from feedkit.text import Place, in_word, normalise, places, words

EVERYWHERE: frozenset[Place] = frozenset({"text", "alt", "link"})
BESIDE: frozenset[Place] = frozenset({"alt", "link"})
# Cutting a post into words costs 8 µs however few are sought; finding them as parts of words too
# costs 1 µs as long as they are few, and then asks a filter in vain at times.
FEW_WORDS = 1_000
# Whether somebody is in a set costs 0.1 µs a post, and nothing to get ready; to turn sets inside
# out costs 100 bytes a member, and 8 for each filter beyond the first. So sets are asked one by one
# that have so many members, or are asked for by so many filters: neither can be very many.
LARGE = 1_000
SHARED = 100


class Index:
    """`keys`: for each filter, by a number, the keys of which a post must have one, or None: it
    is to be asked about every post."""

    def __init__(self, keys: Iterable[tuple[int, AbstractSet[Key] | None]]) -> None:
        always: set[int] = set()
        singly: dict[Key, list[int]] = defaultdict(list)
        # Many may ask for one and the same set, which then is here once.
        together: dict[tuple[str, int], tuple[frozenset[str], list[int]]] = {}
        for number, some in keys:
            if some is None:
                always.add(number)
                continue
            few: AbstractSet[Key] = some
            if isinstance(some, KeySet):
                few = some.few
                for kind, members in some.many:
                    together.setdefault((kind, id(members)), (members, []))[1].append(number)
            for key in few:
                singly[key].append(number)
        self._sets: dict[str, list[tuple[frozenset[str], tuple[int, ...]]]] = defaultdict(list)
        for (kind, _), (members, numbers) in together.items():
            if len(members) >= LARGE or len(numbers) >= SHARED:
                self._sets[kind].append((members, tuple(numbers)))
            else:
                for member in members:
                    singly[kind, member].extend(numbers)
        values: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for key, numbers in singly.items():
            kind, value = _folded(*key)
            if value or kind not in ("text", "word"):
                values[kind][value].extend(numbers)
            else:  # nothing is left of it that could be looked for
                always.update(numbers)
        texts = values.pop("text", {})
        if len(values["word"]) < FEW_WORDS:
            for word, numbers in values.pop("word").items():
                texts.setdefault(word, []).extend(numbers)
        self._always = frozenset(always)
        self._texts = tuple(map(tuple, texts.values()))
        self._automaton = AhoCorasick(list(texts)) if texts else None
        self._values = {
            kind: {value: tuple(numbers) for value, numbers in entries.items()}
            for kind, entries in values.items()
        }

    def asked(self, post: Post) -> set[int]:
        """The numbers of the filters that `post` may concern."""
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
        for kind, sets in self._sets.items():
            for value in _VALUES_OF[kind](post):
                for members, numbers in sets:
                    if value in members:
                        asked.update(numbers)
        return asked


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
