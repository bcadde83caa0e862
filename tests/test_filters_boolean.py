from __future__ import annotations

import pytest

from feedkit import All, Any, Everything, Filter, Keywords, Not, Reply, SameAs
from feedkit.plugin import needs_of
from feedkit.testing import post

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
