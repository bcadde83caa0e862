from __future__ import annotations

import pytest
from pydantic import ValidationError

from feedkit import AltText, Count, Length
from feedkit.filters.numbers import characters
from feedkit.testing import ALICE, BOB, post


@pytest.mark.parametrize(
    ("filter", "text", "matches"),
    [
        (Length(5), "12345", True),
        (Length(5), "1234", False),
        (Length(5), "  1234\n", False),
        (Length(most=0), "", True),
        (Length(most=0), " \n", True),
        (Length(most=0), "x", False),
        (Length(2, 3), "12", True),
        (Length(2, 3), "1234", False),
        (Length(most=1), "👩‍👩‍👧‍👦", True),
        (Length(most=1), "🇸🇪", True),
        (Length(most=1), "e\u0301", True),
        (Length(most=2), "नि", True),
        (Length(most=3), "각각각", True),
        (Length(4), "絵を描いた", True),
        (Length(3, unit="words"), "one two\nthree", True),
        (Length(3, unit="words"), "one two", False),
        (Length(3, unit="words"), "مرحبا بالعالم هذا", True),
        (Length(3, unit="words"), "今天天气很好", False),
        (Length(most=2, unit="lines"), "a\nb", True),
        (Length(most=2, unit="lines"), "a\n\nb", False),
    ],
)
def test_length(filter, text, matches):
    assert filter.match(post(text)) is matches


def test_characters_are_what_readers_see():
    assert characters("Z̷a̴l̸🇦🇺🇸🇪👍🏽1️⃣") == 7


def test_length_says_how_long():
    assert Length(1).explain(post("héllo")) == "5 characters"
    assert Length(1, unit="words").explain(post("a b")) == "2 words"


@pytest.mark.parametrize(
    ("filter", "made", "matches"),
    [
        (Count("tags", 2), post("#a #b"), True),
        (Count("tags", 2), post("#a #a"), False),
        (Count("tags", 2), post(), False),
        (Count("tags", most=0), post("no # tags"), True),
        (Count("links", 1, 1), post("https://a.org https://b.org"), False),
        (Count("links", 1, 1), post("https://a.org"), True),
        (Count("links", 1, 1), post("https://a.org", link_card="https://a.org"), True),
        (Count("mentions", 2), post(mentions=[ALICE, BOB]), True),
        (Count("mentions", 2), post(mentions=[ALICE]), False),
        (Count("images", 4), post(images=4), True),
        (Count("images", 4), post(images=3, video=True), False),
    ],
)
def test_count(filter, made, matches):
    assert filter.match(made) is matches


def test_count_says_how_many():
    assert Count("tags", 1).explain(post("#a #b")) == "2 tags"


@pytest.mark.parametrize("make", [Length, lambda **given: Count("tags", **given)])
def test_bounds_make_sense(make):
    with pytest.raises(ValidationError, match="needs least, most, or both"):
        make()
    with pytest.raises(ValidationError, match="no post could match"):
        make(least=3, most=2)
    with pytest.raises(ValidationError):
        make(least=-1)


@pytest.mark.parametrize(
    ("filter", "made", "matches"),
    [
        (AltText(), post(images=["a heron", "a tern"]), True),
        (AltText(), post(images=["a heron", ""]), False),
        (AltText(), post(images=["a heron", " \n"]), False),
        (AltText(), post(images=["鷺"]), True),
        (AltText(), post(), False),
        (AltText(), post("alt"), False),
        (AltText(), post(video="a tern"), True),
        (AltText(), post(video=True), False),
        (AltText("some"), post(images=["a heron", ""]), True),
        (AltText("some"), post(images=2), False),
        (AltText("none"), post(images=2), True),
        (AltText("none"), post(images=["", "a"]), False),
        (AltText("none"), post(), False),
        (AltText(least=8), post(images=["a heron"]), False),
        (AltText(least=7), post(images=["a heron"]), True),
    ],
)
def test_alt_text(filter, made, matches):
    assert filter.match(made) is matches


def test_alt_text_says_how_many():
    assert AltText("some").explain(post(images=["a", ""], video=True)) == "1 of 3 described"
