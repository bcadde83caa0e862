from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from feedkit import Hashtags, Keywords, Language
from feedkit.matcher import Matcher
from feedkit.post import External
from feedkit.testing import post

LINUX = Keywords(
    ["Linux", "debian", "#KDE", "kernel panic", "🐦", "絵"], except_=["絵文字", "gnu/linux"]
)


@pytest.mark.parametrize(
    "text",
    [
        "linux",
        "I run LINUX.",
        "linux's",
        "ＬＩＮＵＸ",
        "L\u200bi\u200bnux",
        "linux-based",
        "日本語linux日本語",
        "a kernel\npanic",
        "Kernel  Panic!",
        "#kde",
        "＃ＫＤＥ rocks",
        "(#kde)",
        "🐦",
        "🐦🐦🐦",
        "🐦\ufe0f",
        "絵を描いた",
        "絵文字の絵",
        "Not GNU/Linux but Linux",
        "שלום linux עולם",
    ],
)
def test_keywords_match(text):
    assert LINUX.match(post(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "linuxes",
        "milinux",
        "linux_gaming",
        "kernel",
        "kernel-panic",
        "panic kernel",
        "kde",
        "#kdenlive",
        "foo#kde",
        "絵文字",
        "絵文字だけ",
        "GNU/Linux",
        "🕊️",
        "Линукс",
        "l i n u x",
    ],
)
def test_keywords_do_not_match(text):
    assert not LINUX.match(post(text))


@pytest.mark.parametrize(
    ("filter", "post", "matches"),
    [
        (Keywords("heron"), post(images=["a heron"]), False),
        (Keywords("heron", in_="alt"), post(images=["x", "A Heron."]), True),
        (Keywords("heron", in_="alt"), post(video="heron in flight"), True),
        (Keywords("heron", in_="alt"), post("heron"), False),
        (Keywords("heron", **{"in": ["text", "alt"]}), post("heron"), True),
        (Keywords("heron", in_="link"), post(link_card=External("", "Heron", "")), True),
        (Keywords("heron", in_="link"), post(link_card=External("", "", "the heron")), True),
        (Keywords("heron", in_="link"), post("https://x.org/heron"), True),
        (Keywords("heron", in_="link"), post("heron"), False),
        (Keywords("#birds"), post(tags=["Birds"]), True),
        (Keywords("#birds", in_="alt"), post(tags=["birds"]), False),
        (Keywords("birds"), post(tags=["birds"]), False),
        (Keywords("art", parts=True), post("party"), True),
        (Keywords("art", parts=True), post("p a r t y"), False),
        (Keywords("#kde", parts=True), post("#kdenlive"), True),
        (Keywords("US", case=True), post("in the US"), True),
        (Keywords("US", case=True), post("give us"), False),
        (Keywords("US", case=True), post("ＵＳ"), True),
        (Keywords("#US", case=True), post(tags=["us"]), False),
        (Keywords("Us", case=True, except_=["Us two"]), post("Us two"), False),
        (Keywords("Us", case=True, except_=["us two"]), post("Us two"), True),
        (Keywords("don't"), post("don’t"), True),
        (Keywords("C++"), post("c++ or rust"), True),
        (Keywords("🇺🇸"), post("🇦🇺🇸🇪"), False),
        (Keywords("🇺🇸"), post("🇸🇪🇺🇸"), True),
        (Keywords("❤️"), post("❤"), True),
        (Keywords("👍"), post("👍🏽"), True),
        (Keywords("고양이"), post("고양이를 봤어요"), True),
        (Keywords("鸟"), post("我们去看鸟。"), True),
        (Keywords("ציפורים"), post("#ציפורים"), True),
        (Keywords("مرحبا"), post("مرحبا، بك"), True),
        (Keywords("Σίσυφος"), post("ΣΊΣΥΦΟΣ"), True),
        (Keywords(2026), post("in 2026."), True),
    ],
)
def test_keywords_options(filter, post, matches):
    assert filter.match(post) is matches


def test_keywords_say_what_they_found():
    made = post("LINUX, and linux! #kde", images=["絵"], tags=["kde"])
    filter = Keywords(["Linux", "#KDE", "絵", "bsd"], in_=["text", "alt"])
    assert filter.explain(made) == "“#KDE” in tags and text, “Linux” in text, “絵” in alt"


@pytest.mark.parametrize("words", [[], "", " ", "\u200b", "#", ["linux", "️"]])
def test_keywords_need_something_to_look_for(words):
    with pytest.raises(ValidationError, match=r"nothing|letter or sign|at least 1"):
        Keywords(words)


TEXT = st.text(alphabet="aAbk K1#_ \n絵猫ｶﾞか゛é\u0301\u200bßẞſİıΣςσ🐦🇦🇺🇸🇪‍️\u0331hH’'", max_size=12)
WORD = TEXT.filter(lambda word: normalised(word).strip("#"))


def normalised(word):
    from feedkit.text import normalise

    return normalise(word)


@given(WORD, TEXT, st.booleans(), st.booleans())
def test_the_index_never_loses_a_keyword(word, text, parts, case):
    filter = Keywords(word, parts=parts, case=case)
    made = post(text)
    if filter.match(made):
        assert Matcher({"feed": filter}).match(made)


@given(
    st.frozensets(WORD, min_size=1, max_size=3),
    TEXT,
    st.booleans(),
    st.frozensets(WORD, max_size=1),
)
def test_what_is_found_is_what_is_explained(words, text, parts, excepted):
    filter = Keywords(words, parts=parts, except_=excepted)
    made = post(text)
    assert filter.match(made) is bool(filter.explain(made))


@given(WORD, TEXT, TEXT, st.booleans())
def test_a_keyword_between_spaces_is_always_found(word, before, after, case):
    # A combining mark at the edge of a word belongs to what stands before it.
    assert Keywords(word, case=case).match(post(f"{before} {word} {after}"))


@pytest.mark.parametrize("tag", ["birds", "#Birds", "ＢＩＲＤＳ"])
@pytest.mark.parametrize(
    ("made", "matches"),
    [
        (post("#birds"), True),
        (post("#BIRDS and more"), True),
        (post(tags=["birds", "x"]), True),
        (post("birds"), False),
        (post("#birdsong"), False),
        (post(), False),
        (post("#птицы"), False),
    ],
)
def test_hashtags(tag, made, matches):
    assert Hashtags(tag).match(made) is matches


def test_hashtags_in_other_scripts():
    filter = Hashtags(["猫", "ציפורים"])
    assert filter.match(post("行った #猫"))
    assert filter.match(post("שלום #ציפורים"))
    assert not filter.match(post("#猫カフェ"))
    assert filter.explain(post("#猫 #犬")) == "#猫"
    assert filter.keys() == {("tag", "猫"), ("tag", "ציפורים")}


def test_an_empty_hashtag_is_refused():
    with pytest.raises(ValidationError, match="no hashtag"):
        Hashtags("#")


@pytest.mark.parametrize(
    ("languages", "declared", "matches"),
    [
        ("en", "en", True),
        ("en", "en-US", True),
        ("EN", "en-gb", True),
        ("en", ["ja", "en"], True),
        ("en", "eng", False),
        ("en", "ja", False),
        ("en", (), False),
        ("en", "", False),
        ("pt-BR", "pt-BR", True),
        ("pt_br", "pt-br", True),
        ("pt-BR", "pt", False),
        ("pt-BR", "pt-PT", False),
        ("zh", "zh-Hant-TW", True),
        (["en", "ja"], "ja", True),
        ("en", "日本", False),
    ],
)
def test_language(languages, declared, matches):
    filter = Language(languages)
    made = post(langs=declared)
    assert filter.match(made) is matches
    assert bool(Matcher({"feed": filter}).match(made)) is matches


def test_language_undeclared():
    assert Language("en", undeclared=True).match(post())
    assert Language("en", undeclared=True).keys() is None
    assert not Language("en", undeclared=True).match(post(langs="ja"))
    assert Language("en", undeclared=True).explain(post()) == "declares no language"


@pytest.mark.parametrize("language", ["English", "", "日本", "en US", "deutsch"])
def test_a_language_is_a_code(language):
    with pytest.raises(ValidationError, match="write its code"):
        Language(language)


def test_in_and_except_are_written_with_and_without_underscore():
    plain = Keywords("a", **{"in": "alt", "except": "ab"})
    assert plain == Keywords("a", in_="alt", except_="ab") == Keywords("a", {"alt"}, except_=["ab"])
    assert repr(plain) == (
        "Keywords(words=frozenset({'a'}), in_=frozenset({'alt'}), except_=frozenset({'ab'}))"
    )
    assert list(Keywords.model_json_schema()["properties"]) == [
        "words", "in", "parts", "case", "except",
    ]  # fmt: skip
    with pytest.raises(TypeError, match="twice"):
        Keywords("a", "alt", **{"in": "text"})
