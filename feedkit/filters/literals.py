"""From a regular expression to literals one of which must stand in whatever it finds.

One-sided on purpose: where the reader does not know a construct it gives up, and the expression
is tried on every post.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set as AbstractSet

from feedkit.text import normalise

_REPEAT = re.compile(r"[*+?]|\{(\d+)(?:,(\d*))?\}")
_GROUP = re.compile(r"\((?:\?(?:[ims]*:|P?<\w+>))?", re.ASCII)
_FLAGS = re.compile(r"\(\?[ims]+\)")
_PROPERTY = re.compile(r"\\[pP](?:\{\^?\w+\}|[A-Z])", re.ASCII)
_CLASS = re.compile(
    r"\[\^?\]?(?:\[:\^?\w+:\]|\\[pP](?:\{\^?\w+\}|[A-Z])|\\[^xQEpP0-9]|[^\]\[\\])*\]"
)
_EDGES = "bBAzZ"  # escapes that take no character
_ONE_OF = "dDwWsSnrtfv"  # escapes that take one of several, or white space
# These have a form with a mark of their own in lower case alone: in «TH» + U+0331 the normalised
# text has no «h».
_MARKED = {"h": "ẖ", "t": "ẗ", "w": "ẘ", "y": "ẙ", "j": "ǰ"}
_MOST = 300


class _Unknown(Exception):
    """Something that this reader does not understand."""


def literals(pattern: str) -> AbstractSet[str] | None:
    """Normalised texts, one of which stands in every normalised text in which `pattern` (in the
    form of `feedkit.text.plain`) finds something. None if there is nothing to say."""
    reader = _Reader(pattern)
    try:
        found = reader.choice()
    except (_Unknown, IndexError, RecursionError):
        return None
    if reader.at < len(pattern) or not found or len(found) > _MOST:
        return None
    if any(len(literal) < 2 and literal.isascii() for literal in found):
        return None  # nearly every post has it
    marked = {text[:-1] + _MARKED[text[-1]] for text in found if text[-1] in _MARKED}
    return found | marked


class _Reader:
    """Reads a pattern from left to right. Each method returns the literals that a part requires,
    or None if it requires none."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at = pattern, 0

    def choice(self) -> AbstractSet[str] | None:
        """Branches separated by |: one of the literals of each."""
        required = self._branch()
        while self.at < len(self.pattern) and self.pattern[self.at] == "|":
            self.at += 1
            branch = self._branch()
            required = None if required is None or branch is None else required | branch
        return required

    def _branch(self) -> AbstractSet[str] | None:
        found: list[AbstractSet[str]] = []
        run = ""
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            literal, required = self._atom()
            least, most = self._repeats()
            if literal == "" and required is None:
                continue  # an edge or a flag: what follows still adjoins
            if least == 0 or literal is None:
                found.append({run})
                run = ""
            if least and literal:
                run += literal
            if least and required:
                found.append(required)
            if most != 1:
                found.append({run})
                run = ""
        found.append({run})
        trimmed = ({_trim(text) for text in texts} for texts in found)
        usable = [choice for choice in trimmed if all(choice)]
        return max(usable, key=lambda choice: (min(map(len, choice)), -len(choice)), default=None)

    def _atom(self) -> tuple[str | None, AbstractSet[str] | None]:
        """(the literal that stands here: "" for nothing, None for something unknown; what a group
        requires)."""
        char = self.pattern[self.at]
        if char == "\\":
            return self._escape(), None
        if char == "(":
            return self._group()
        if char == "[":
            self._skip(_CLASS)
            return None, None
        self.at += 1
        if char in "^$":
            return "", None
        if char in "*+?{":
            raise _Unknown
        return (None if char == "." or char.isspace() else char), None

    def _group(self) -> tuple[str | None, AbstractSet[str] | None]:
        if flags := _FLAGS.match(self.pattern, self.at):
            self.at = flags.end()
            return "", None
        if self._skip(_GROUP) == "(" and self.pattern[self.at] == "?":
            raise _Unknown
        required = self.choice()
        if self.pattern[self.at] != ")":
            raise _Unknown
        self.at += 1
        return None, required

    def _escape(self) -> str | None:
        char = self.pattern[self.at + 1]
        if char in "pP":
            self._skip(_PROPERTY)
            return None
        self.at += 2
        if char in _EDGES:
            return ""
        if char in _ONE_OF:
            return None
        if char.isalnum():
            raise _Unknown
        return char

    def _repeats(self) -> tuple[int, int | None]:
        """How often at least and at most (None: any number) what was read last stands here."""
        found = _REPEAT.match(self.pattern, self.at)
        if found is None:
            return 1, 1
        self.at = found.end()
        if self.pattern[self.at : self.at + 1] == "?":
            self.at += 1
        if _REPEAT.match(self.pattern, self.at):
            raise _Unknown
        match found[0][0]:
            case "*":
                return 0, None
            case "+":
                return 1, None
            case "?":
                return 0, 1
        least = int(found[1])
        most = least if found[2] is None else int(found[2]) if found[2] else None
        return least, most

    def _skip(self, what: re.Pattern[str]) -> str:
        found = what.match(self.pattern, self.at)
        if found is None:
            raise _Unknown
        self.at = found.end()
        return found[0]


def _trim(text: str) -> str:
    """`text`, folded, without letters at its ends that may look otherwise in a normalised text:
    there, marks that follow may have become one with them."""
    start, end = 0, len(text)
    while end and not _stable(text[end - 1]):
        end -= 1
    while start < end and not _stable(text[start]):
        start += 1
    inside = text[start:end]
    if any(unicodedata.combining(char) or _jamo(char) for char in inside):
        return ""
    return normalise(inside)


def _stable(char: str) -> bool:
    return char.isascii() or (
        char.lower() == char.upper() == char.casefold()
        and unicodedata.combining(char) == 0
        and not _jamo(char)
    )


def _jamo(char: str) -> bool:
    return "\u1100" <= char <= "\u11ff" or "\ua960" <= char <= "\ua97f" or char >= "\ud7b0"
