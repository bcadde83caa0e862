"""What is wrong with a configuration, where, and what to do: gathered, sorted, printed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Place:
    """A spot in a file. `line` and `column` count from 1; 0 where they are not known."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake. `path` is the way through the keys, `feeds.linux.filter`; may be empty."""

    place: Place
    path: str
    message: str

    def __str__(self) -> str:
        # A refused input is quoted in the message: it must not break the report's lines.
        message = "".join(c if c.isprintable() else repr(c)[1:-1] for c in self.message)
        return ": ".join(part for part in (str(self.place), self.path, message) if part)


class ConfigError(Exception):
    """A configuration cannot be used. `problems` holds everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: list[Problem] = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass
class Problems:
    """The mistakes found so far."""

    found: list[Problem] = field(default_factory=list)

    def add(self, place: Place, path: str, message: str) -> None:
        self.found.append(Problem(place, path, message))

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.found)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'keywords'?`, or nothing where no known word is near."""
    close = nearest(word, known)
    return f"; did you mean {close!r}?" if close else ""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known word that looks most like `word`, or nothing."""
    names = {name.lower(): name for name in known}
    plain = word.lower().replace("-", "_").replace(" ", "_")[:100]
    for guess in (plain, plain.rstrip("s"), plain + "s"):
        if guess in names:
            return names[guess]
    close = difflib.get_close_matches(plain, names, n=1, cutoff=cutoff)
    return names[close[0]] if close else ""


def shorten(text: str, limit: int = 60) -> str:
    """`text` quoted, cut where it is longer than a message should be."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def first_line(error: BaseException) -> str:
    """What an exception says, without the links and listings that may follow."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def in_words(items: Iterable[str], last: str = "or") -> str:
    """`a, b or c`."""
    *first, end = list(items) or ["nothing"]
    return f"{', '.join(first)} {last} {end}" if first else end
