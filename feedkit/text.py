"""Text as feedkit compares it: one form for what a post says and for what a feed asks for."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Characters that nobody sees: people put them into words to hide from filters, phones put them
# after emoji. Soft hyphen, zero-width spaces and joiners, direction marks, variation selectors.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]"
)

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


@lru_cache(maxsize=8192)
def normalise(text: str) -> str:
    """`text` in the form in which texts are compared: NFKC, casefolded, invisible characters out.

    The result may be longer or shorter than `text`: offsets do not carry over.
    """
    if text.isascii():
        return text.lower()
    visible = _INVISIBLE.sub("", text)
    folded = unicodedata.normalize("NFKC", visible).casefold()
    return unicodedata.normalize("NFKC", folded)


def in_word(char: str) -> bool:
    """Whether `char` (normalised; may be empty) continues a word of a script with word borders."""
    if not char or _BORDERLESS.match(char):
        return False
    return char.isalnum() or char == "_" or unicodedata.category(char)[0] == "M"


def stands_alone(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]` (normalised) is not the inside of a longer word.

    A border is asked for only where the piece itself begins or ends with a letter of a script
    that has word borders: `猫` and `🐦` count anywhere, `art` does not count in `party`.
    """
    if in_word(text[start : start + 1]) and in_word(text[start - 1 : start] if start else ""):
        return False
    return not (in_word(text[end - 1 : end]) and in_word(text[end : end + 1]))
