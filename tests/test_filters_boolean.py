from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from feedkit import (
    All,
    Any,
    AtLeastOf,
    Everything,
    Filter,
    Hashtags,
    Keywords,
    Not,
    Reply,
    SameAs,
    Sample,
)  # fmt: skip
from feedkit.matcher import Matcher
from feedkit.plugin import needs_of
from feedkit.testing import ALICE, BOB, post

CATS = Keywords("cat")


class Scored(Filter):
    """Needs a feature."""

    needs = {"bird"}

    def match(self, post):
        return post.features["bird"] > 0.5


def test_everything():
    assert Everything().match(post())
    assert Everything().keys() is None


def test_same_as_hands_everything_on():
    same = SameAs("cats")
    same.bind(CATS)
    assert same.match(post("a cat"))
    assert not same.match(post("a dog"))
    assert same.keys() == CATS.keys()
    assert same.explain(post("a cat")) == CATS.explain(post("a cat"))
    assert same.fingerprint() == CATS.fingerprint()
    assert [*same.walk()] == [same, CATS]


def test_same_as_knows_what_is_not_known_yet():
    same = SameAs("birds")
    same.bind(Scored() & CATS)
    assert same.decide(post("a cat")) is None
    assert same.decide(post("a dog")) is False
    assert same.decide(post("a cat", features={"bird": 0.9})) is True
    assert needs_of([same]) == {"bird"}


@pytest.mark.parametrize("use", ["decide", "match", "keys", "explain", "fingerprint"])
def test_same_as_without_a_configuration_says_so(use):
    with pytest.raises(LookupError, match="same_as: cats stands for a filter of the config"):
        getattr(SameAs("cats"), use)(*([post()] if use in ("decide", "match", "explain") else []))


def test_same_as_refuses_to_mean_itself():
    one, other = SameAs("other"), SameAs("one")
    with pytest.raises(ValueError, match="means itself"):
        one.bind(one)
    one.bind(All((CATS, other)))
    with pytest.raises(ValueError, match="'one' means itself"):
        other.bind(Not(one))
    assert len([*one.walk()]) == 4  # ends


@pytest.mark.parametrize(
    ("filter", "text", "matches"),
    [
        (All((CATS, Keywords("dog"))), "cat dog", True),
        (All((CATS, Keywords("dog"))), "cat", False),
        (Any((CATS, Keywords("dog"))), "dog", True),
        (Any((CATS, Keywords("dog"))), "", False),
        (Not(CATS), "", True),
        (Not(CATS), "cat", False),
        (CATS & ~Reply() & Keywords("dog"), "cat dog", True),
        (CATS | Keywords("dog") | Keywords("猫"), "猫カフェ", True),
    ],
)
def test_trees(filter, text, matches):
    assert filter.match(post(text)) is matches


@pytest.mark.parametrize(
    ("number", "text", "matches"),
    [
        (1, "cat", True),
        (1, "", False),
        (2, "cat", False),
        (2, "cat 猫", True),
        (2, "dog cat bird", True),
        (3, "dog cat", False),
        (3, "dog cat 猫", True),
    ],
)
def test_at_least_of(number, text, matches):
    filter = AtLeastOf(number, [CATS, Keywords("dog"), Keywords("猫")])
    made = post(text)
    assert filter.match(made) is matches
    assert bool(Matcher({"feed": filter}).match(made)) is matches


def test_at_least_of_says_how_many():
    assert AtLeastOf(1, [CATS, Keywords("dog"), Not(CATS)]).explain(post("cat dog")) == "2 of 3"


def test_at_least_of_asks_only_as_many_keys_as_it_must():
    common, rare = Keywords("cat"), Hashtags("cats")
    assert AtLeastOf(2, [common, rare]).keys() == rare.keys()
    assert AtLeastOf(1, [common, rare]).keys() == {*common.keys(), *rare.keys()}
    assert AtLeastOf(2, [common, Reply(), rare]).keys() == {*common.keys(), *rare.keys()}
    assert AtLeastOf(1, [common, Reply()]).keys() is None


@pytest.mark.parametrize("given_", [(0, [CATS]), (2, [CATS]), (1, [])])
def test_at_least_of_refuses_what_cannot_be(given_):
    with pytest.raises(ValidationError):
        AtLeastOf(*given_)


class Fixed(Filter):
    """Says what it was told to say."""

    verdict: bool | None

    def decide(self, post):
        return self.verdict


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=6), st.integers(1, 6))
def test_at_least_of_knows_what_is_sure(verdicts, number):
    """Three values: what holds however the unknown ones turn out."""
    number = min(number, len(verdicts))
    said = AtLeastOf(number, [Fixed(verdict) for verdict in verdicts]).decide(post())
    sure, open_ = verdicts.count(True), verdicts.count(None)
    outcomes = {sure + more >= number for more in range(open_ + 1)}
    assert said is (outcomes.pop() if len(outcomes) == 1 else None)


def test_sample_is_stable_and_fair():
    posts = [post() for _ in range(4000)]
    kept = [p for p in posts if Sample(25).match(p)]
    assert kept == [p for p in posts if Sample(25).match(p)]
    assert 900 < len(kept) < 1100
    assert set(kept) <= {p for p in posts if Sample(50).match(p)}
    assert kept != [p for p in posts if Sample(25, salt="x").match(p)]
    assert all(Sample(100).match(p) for p in posts)


def test_sample_of_authors_takes_all_of_theirs():
    posts = [post(author=author) for author in (ALICE, BOB) * 20]
    for salt in range(20):
        verdicts = {(p.author, Sample(50, "authors", salt).match(p)) for p in posts}
        assert len(verdicts) == 2
    assert len({Sample(50, "authors", salt).match(posts[0]) for salt in range(20)}) == 2


@pytest.mark.parametrize("percent", [0, -1, 101, "many"])
def test_sample_refuses(percent):
    with pytest.raises(ValidationError):
        Sample(percent)
