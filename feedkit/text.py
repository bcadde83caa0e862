"""Text as feedkit compares it: one form for what a post says and for what a feed asks for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Literal

from feedkit.post import Post

Place = Literal["text", "alt", "link"]

# Characters that nobody sees: people put them into words to hide from filters, phones put them
# after emoji. Soft hyphen, zero-width spaces and joiners, direction marks, variation selectors;
# and lone surrogates, which no encoder takes.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
    "\ud800-\udfff]"
)

# What phones type for the apostrophe and the hyphen of a keyboard.
_APOSTROPHES = re.compile("[\u2018\u2019\u02bc]")
_HYPHENS = re.compile("[\u2010\u2011]")

# Scripts that are written without spaces, or glue particles to a word (Hangul): in these a word
# border cannot be seen, so a keyword is looked for anywhere.
_BORDERLESS = re.compile(
    "[\u0e00-\u0eff"  # Thai, Lao
    "\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Tibetan, Myanmar, Khmer
    "\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff"  # Hangul
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u31f0-\u31ff"  # radicals, kana
    "\u3100-\u312f\u31a0-\u31bf"  # bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"  # Han
)
# ASCII alone: Japanese goes on behind a link without a space.
_ADDRESSES = re.compile(r"https?://[!-~]+|(?<!\w)@[\w.:-]+")
_FLAG_LETTERS = re.compile("[\U0001f1e6-\U0001f1ff]+$")


def _typed(text: str) -> str:
    # str.translate takes 14 µs for a post, a search that finds nothing less than one
    return _HYPHENS.sub("-", _APOSTROPHES.sub("'", text))


@lru_cache(maxsize=8192)
def plain(text: str) -> str:
    """`text` in NFKC without invisible characters, with the keyboard's apostrophe and hyphen.
    Case and line breaks are kept. This is what regular expressions see."""
    if text.isascii():
        return text
    return _typed(unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)))


@lru_cache(maxsize=8192)
def normalise(text: str, case: bool = False) -> str:
    """`text` in the form in which texts are compared: `plain`, casefolded (unless `case`), and
    every run of white space, line breaks too, one space.

    The result may be longer or shorter than `text`: offsets do not carry over.
    """
    if text.isascii():
        folded = text if case else text.lower()
    else:
        folded = plain(text)
        if not case:
            folded = _typed(unicodedata.normalize("NFKC", folded.casefold()))
    return " ".join(folded.split())


@lru_cache(maxsize=8192)
def in_word(char: str) -> bool:
    """Whether `char` (normalised; may be empty) continues a word of a script with word borders."""
    if not char or _BORDERLESS.match(char):
        return False
    return in_tag(char)


@lru_cache(maxsize=8192)
def in_tag(char: str) -> bool:
    """Whether `char` (normalised; may be empty) continues a hashtag, in any script."""
    return bool(char) and (char.isalnum() or char == "_" or unicodedata.category(char)[0] == "M")


def stands_alone(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` (normalised) is not the inside of something longer.

    A border is asked for only where the piece itself begins or ends with a letter of a script
    that has word borders: `猫` and `🐦` count anywhere, `art` does not count in `party`. A hashtag
    ends where a hashtag ends: `#猫` does not count in `#猫カフェ`.
    """
    before, after = text[start - 1 : start] if start else "", text[end : end + 1]
    if text[start : start + 1] == "#":
        return not in_tag(before) and not (in_tag(after) and in_tag(text[end - 1 : end]))
    if in_word(before) and in_word(text[start : start + 1]):
        return False
    return not (in_word(after) and in_word(text[end - 1 : end]))


def without_addresses(text: str) -> str:
    """`text` in one line, without links and mentions."""
    return " ".join(_ADDRESSES.sub(" ", plain(text)).split())


class _OnlyWords(dict[int, int]):
    """For `str.translate`: every character that no word continues becomes a space."""

    def __missing__(self, code: int) -> int:
        shown = code if in_word(chr(code)) else 0x20
        if len(self) < 20_000:  # of the 150,000 that there are; nobody shall fill our memory
            self[code] = shown
        return shown


_ONLY_WORDS = _OnlyWords()


@lru_cache(maxsize=1024)
def words(text: str) -> frozenset[str]:
    """The whole words of `text` (normalised) in scripts with word borders: what consists of
    letters of these and `stands_alone`."""
    return frozenset(text.translate(_ONLY_WORDS).split())


def occurrences(text: str, piece: str) -> Iterator[tuple[int, int]]:
    """Where `piece` stands in `text` (both normalised), as (start, end); overlaps included.

    A flag is two letters of an alphabet of its own: in 🇦🇺🇸🇪 there is no 🇺🇸.
    """
    start = text.find(piece)
    flag = "\U0001f1e6" <= piece[:1] <= "\U0001f1ff"
    while start >= 0:
        letters = _FLAG_LETTERS.search(text, 0, start) if flag else None
        if letters is None or len(letters.group()) % 2 == 0:
            yield start, start + len(piece)
        start = text.find(piece, start + 1)


def places(post: Post, where: AbstractSet[Place]) -> Iterator[tuple[Place, str]]:
    """The texts of `post` that a filter with `in:` looks into, as written.

    `text`: what the author wrote; `alt`: the descriptions of pictures and video; `link`: title,
    description and address of the link card, and the addresses of all links.
    """
    if "text" in where:
        yield "text", post.text
    if "alt" in where:
        for image in post.images:
            yield "alt", image.alt
        if post.video is not None:
            yield "alt", post.video.alt
    if "link" in where:
        if post.external is not None:
            yield "link", post.external.title
            yield "link", post.external.description
            yield "link", post.external.uri
        for link in post.links:
            yield "link", link
