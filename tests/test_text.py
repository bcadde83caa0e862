from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedkit.testing import post
from feedkit.text import in_word, normalise, occurrences, places, plain, stands_alone, words


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("Linux", "linux"),
        ("ＬＩＮＵＸ", "linux"),
        ("𝕱𝖗𝖆𝖐𝖙𝖚𝖗", "fraktur"),
        ("L\u200bi\u00adnu\u2060x", "linux"),
        ("cafe\u0301", "caf\u00e9"),
        ("Straße", "strasse"),
        ("ﬁne", "fine"),
        ("❤️", "❤"),
        ("👩‍💻", "👩💻"),
        ("don’t", "don't"),
        ("well‑known", "well-known"),
        ("kernel\n\t panic\u3000now ", "kernel panic now"),
        ("ｶﾞ", "ガ"),
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευσ"),
        ("\ud800x", "x"),
        ("", ""),
        (" \u200b ", ""),
    ],
)
def test_one_form(written, compared):
    assert normalise(written) == compared
    assert normalise(compared) == compared


def test_case_is_kept_on_demand_and_line_breaks_in_plain():
    assert normalise("ＮＡＳＡ\nUSA", True) == "NASA USA"
    assert plain("ＮＡＳＡ\nUSA") == "NASA\nUSA"


@given(st.text())
def test_the_form_is_stable(text):
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    ("text", "piece", "alone"),
    [
        ("art", "art", True),
        ("party", "art", False),
        ("arts", "art", False),
        ("art!", "art", True),
        ("_art_", "art", False),
        ("artを見る", "art", True),
        ("猫カフェ", "猫", True),
        ("고양이를", "고양이", True),
        ("c++11", "c++", True),
        ("#linuxmint", "#linux", False),
        ("x#linux", "#linux", False),
        ("#linux!", "#linux", True),
        ("#猫カフェ", "#猫", False),
        ("#猫 カフェ", "#猫", True),
        ("السلام", "سلام", False),
        ("हिन्दी", "हिन", False),
    ],
)
def test_borders(text, piece, alone):
    start = text.find(piece)
    assert stands_alone(text, start, start + len(piece)) is alone


@pytest.mark.parametrize(
    ("text", "piece", "starts"),
    [
        ("aaaa", "aa", [0, 1, 2]),
        ("🇺🇸🇸🇪", "🇺🇸", [0]),
        ("🇦🇺🇸🇪", "🇺🇸", []),
        ("x🇦🇺🇺🇸", "🇺🇸", [3]),
        ("", "a", []),
    ],
)
def test_occurrences(text, piece, starts):
    assert [start for start, _ in occurrences(text, piece)] == starts


def test_places():
    from feedkit.post import External

    made = post("t", images=["a"], video="v", link_card=External("https://x.org", "T", "D"))
    assert list(places(made, {"text"})) == [("text", "t")]
    assert list(places(made, {"alt"})) == [("alt", "a"), ("alt", "v")]
    assert [text for _, text in places(made, {"link"})] == [
        "T", "D", "https://x.org", "https://x.org",
    ]  # fmt: skip
    assert len(list(places(made, {"text", "alt", "link"}))) == 7


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", set()),
        ("the heron's nest", {"the", "heron", "s", "nest"}),
        ("art_deco 3d", {"art_deco", "3d"}),
        ("linuxを使う", {"linux"}),
        ("猫カフェ", set()),
        ("हिन्दी में", {"हिन्दी", "में"}),
        ("שלום, עולם", {"שלום", "עולם"}),
        ("🐦bird🐦", {"bird"}),
    ],
)
def test_words(text, found):
    assert words(text) == found


@given(st.text(alphabet="ab_1 é\u0331猫ガ한#'🐦-\n", max_size=20))
def test_words_are_what_stands_alone(text):
    text = normalise(text)
    pieces = {text[a:b] for a in range(len(text)) for b in range(a + 1, len(text) + 1)}
    alone = {
        piece
        for piece in pieces
        if all(map(in_word, piece))
        and any(stands_alone(text, start, end) for start, end in occurrences(text, piece))
    }
    assert words(text) == alone
