"""The filter for regular expressions, on an engine whose time grows only with the text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any, Literal, Self

import re2
from pydantic import model_validator

from feedkit.filters.literals import literals
from feedkit.filters.text import TEXT
from feedkit.plugin import Field, Filter, Key
from feedkit.post import Post
from feedkit.text import Place, places, plain

Engine = Literal["re2", "backtracking"]
TIMEOUT = 0.05  # seconds a backtracking pattern may take for one text

# What RE2 lacks, by what its message or the pattern shows, and what to do instead.
_LACKS = (
    (re.compile(r"\(\?<?[=!]"), "looks around, which RE2 cannot"),
    (re.compile(r"\\[1-9]|\(\?P="), "refers back to a group, which RE2 cannot"),
    (re.compile(r"\(\?>|[*+?}]\+"), "holds on to what it took, which RE2 cannot"),
)
_REMEDY = "write what must not be there under except:, or engine: backtracking (may be slow)"
_WORD_BORDER = re.compile(r"(?<!\\)(?:\\\\)*\\[bB](?=([^\x00-\x7f]))|([^\x00-\x7f])\\[bB]")


class Regex(Filter):
    r"""Posts in which a regular expression finds something.

    It sees each text in NFKC and without invisible characters (`ﬁ` is `fi`, `…` is `...`), with
    its line breaks. The engine is RE2, whose time grows only with the length of the text; there
    `\b`, `\w` and `\d` know the letters and digits of ASCII, `\p{L}` any letter, and it cannot
    look around or refer back. `engine: backtracking` can, and knows `\b` in every script; a text
    for which it takes over 50 ms does not match, and is counted as a failure.

    ```yaml
    regex:
      pattern: \bGTK\d?\b
      in: [text, alt]
      except: [GTK radio]
    ```
    """

    pattern: str = Field(min_length=1, description="the regular expression, found anywhere")
    in_: frozenset[Place] = Field(
        default=TEXT, min_length=1, description="where to look: text, alt, link; see keywords"
    )
    case: bool = Field(default=False, description="whether upper and lower case must agree")
    except_: tuple[str, ...] = Field(
        default=(), description="expressions inside whose finds a find does not count"
    )
    engine: Engine = Field(
        default="re2", description="re2, or backtracking (all of Perl's syntax, but no promise)"
    )

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        for pattern in (self.pattern, *self.except_):
            compiled(pattern, self.case, self.engine)
        return self

    def match(self, post: Post) -> bool:
        return next(self._found(post), None) is not None

    def keys(self) -> AbstractSet[Key] | None:
        found = literals(_plain(self.pattern))
        return None if found is None else {("text", literal) for literal in found}

    def explain(self, post: Post) -> str:
        return ", ".join(f"“{found}” in {place}" for place, found in self._found(post))

    def _found(self, post: Post) -> Iterator[tuple[Place, str]]:
        for place, text in places(post, self.in_):
            text = plain(text)
            if not self._search(self.pattern, text):
                continue
            excepted = [
                found.span() for pattern in self.except_ for found in self._all(pattern, text)
            ]
            for found in self._all(self.pattern, text):
                start, end = found.span()
                if not any(first <= start and end <= last for first, last in excepted):
                    yield place, found.group()
                    break

    def _search(self, pattern: str, text: str) -> bool:
        return next(self._all(pattern, text), None) is not None

    def _all(self, pattern: str, text: str) -> Iterator[Any]:
        engine = compiled(pattern, self.case, self.engine)
        if self.engine == "re2":
            yield from engine.finditer(text)
            return
        try:
            yield from engine.finditer(text, timeout=TIMEOUT)
        except TimeoutError:
            raise TimeoutError(
                f"the pattern “{pattern}” took over {TIMEOUT * 1000:.0f} ms for one text; "
                "write it so that RE2 takes it"
            ) from None


@lru_cache(maxsize=16384)
def compiled(pattern: str, case: bool, engine: Engine) -> Any:
    """The pattern as an object with `search` and `finditer`. Raises `ValueError` with a remedy."""
    if engine == "backtracking":
        import regex  # takes 10 ms, and few need it

        try:
            flags = regex.VERSION1 | (0 if case else regex.IGNORECASE)
            return regex.compile(_plain(pattern), flags)
        except regex.error as error:
            raise ValueError(f"the pattern “{pattern}” is not well formed: {error}") from None
    if border := _WORD_BORDER.search(pattern):
        raise ValueError(
            f"in RE2, \\b knows only the letters of ASCII, and would never see the border of "
            f"“{border[1] or border[2]}” in “{pattern}”; use keywords, which knows words in every "
            "script, or engine: backtracking"
        )
    options = re2.Options()
    options.case_sensitive = case
    options.log_errors = False
    try:
        return re2.compile(_plain(pattern), options)
    except re2.error as error:
        said = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        for sign, lack in _LACKS:
            if sign.search(pattern):
                raise ValueError(f"the pattern “{pattern}” {lack}; {_REMEDY}") from None
        raise ValueError(f"the pattern “{pattern}” is not well formed: {said}") from None


def _plain(pattern: str) -> str:
    """`pattern` with its letters in the form in which it will see them in texts. A sign that
    becomes punctuation on the way (`．`) still stands for itself."""
    composed = unicodedata.normalize("NFC", pattern)
    return "".join(c if c.isascii() else re.escape(plain(c)) for c in composed)
