"""Three-valued verdicts: what is said early is never contradicted later."""

from __future__ import annotations

import random
from typing import Any

import pytest
from _trials import trials
from msgspec.structs import replace

from feedkit import All, AtLeastOf, Everything, Filter, Keywords, Not, Post, QuotedPost, SameAs
from feedkit import Any as AnyOf
from feedkit.accounts import NotKnownYet
from feedkit.awaiting import Wanted, awaited, decided, given_up, undecided
from feedkit.matcher import Matcher
from feedkit.testing import post

WORDS = tuple(f"w{number}" for number in range(5))


class Asks(Filter):
    """Posts of which a hydrator says so."""

    words: tuple[str, ...]
    missing: bool | None = None

    @property
    def needs(self):
        return frozenset(self.words)

    def match(self, post: Post) -> bool:
        return all(post.features[word] for word in self.words)

    def when_missing(self) -> bool | None:
        return self.missing


def leaf(rnd: random.Random) -> Filter:
    if rnd.random() < 0.35:
        return Keywords(rnd.choice(("heron", "wren")))
    words = rnd.sample(WORDS, rnd.choice((1, 1, 2)))
    return Asks(words, missing=rnd.choice((None, None, True, False)))


def tree(rnd: random.Random, depth: int) -> Filter:
    if depth == 0 or rnd.random() < 0.2:
        return leaf(rnd)
    if rnd.random() < 0.25:
        return Not(tree(rnd, depth - 1))
    if rnd.random() < 0.1:
        named = SameAs("part")
        named.bind(tree(rnd, depth - 1))
        return named
    parts = [tree(rnd, depth - 1) for _ in range(rnd.randint(1, 4))]
    if rnd.random() < 0.3:
        return AtLeastOf(rnd.randint(1, len(parts)), parts)
    return rnd.choice((All, AnyOf))(parts)


def without_unknowns(filter: Filter, features: dict[str, Any]) -> Filter:
    """The tree with each asking leaf replaced by the constant that it is in the end."""
    if isinstance(filter, Asks):
        values = [features[word] for word in filter.words]
        said = filter.missing if None in values else all(values)
        return Everything() if said else ~Everything()
    if isinstance(filter, Not):
        return Not(without_unknowns(filter.filter, features))
    if isinstance(filter, SameAs):
        return without_unknowns(filter.filter, features)
    if isinstance(filter, AtLeastOf):
        return AtLeastOf(filter.number, [without_unknowns(f, features) for f in filter.filters])
    if isinstance(filter, (All, AnyOf)):
        return type(filter)([without_unknowns(f, features) for f in filter.filters])
    return filter


@pytest.mark.parametrize("seed", range(4))
def test_an_early_verdict_is_the_final_one(seed: int) -> None:
    rnd = random.Random(seed)
    early = late = open_to_the_end = 0
    for _ in range(trials(5000)):
        filter = tree(rnd, 3)
        final = {word: rnd.choice((True, False, None)) for word in WORDS}
        shown = post(rnd.choice(("a heron", "nothing")))
        order = rnd.sample(WORDS, len(WORDS))
        said: bool | None = None
        for known in range(len(WORDS) + 1):
            now = replace(shown, features={word: final[word] for word in order[:known]})
            verdict = filter.decide(now)
            if said is not None:
                assert verdict is said, f"{filter} of {now.features} after {said}"
            if verdict is None:
                # What is asked for next is what a verdict depends on, and nothing known already.
                assert awaited(filter, now) or given_up(filter, now)
                assert not awaited(filter, now) & now.features.keys()
            early += verdict is not None and known < len(WORDS)
            said = verdict
        if said is None:
            open_to_the_end += 1
            assert given_up(filter, now)
        elif not any(isinstance(p, Asks) and p.missing is None and None in map(final.get, p.words)
                     for p in filter.walk()):  # fmt: skip
            late += 1
            assert without_unknowns(filter, final).decide(shown) is said
    assert early > trials(1000)
    assert late > trials(1000)
    assert open_to_the_end > trials(100)


def test_only_what_a_verdict_depends_on_is_asked_for() -> None:
    seen = post("a heron")
    assert awaited(Keywords("heron") | Asks("w0"), seen) == set()
    assert awaited(Keywords("wren") & Asks("w0"), seen) == set()
    assert awaited(Keywords("wren") | Asks("w0"), seen) == {"w0"}
    assert awaited((Keywords("wren") & Asks("w1")) | Asks("w0"), seen) == {"w0"}
    half = replace(seen, features={"w0": True})
    assert awaited(Asks(["w0", "w1"]), half) == {"w1"}


@pytest.mark.parametrize(
    ("filter", "features", "missing", "want"),
    [
        (Asks("w0"), {}, False, {"f": {"w0"}}),
        (Asks("w0"), {}, True, {"f": {"w0"}}),
        (Asks("w0"), {"w0": True}, False, True),
        (Asks("w0"), {"w0": False}, True, False),
        (Asks("w0"), {"w0": None}, False, False),
        (Asks("w0"), {"w0": None}, True, True),
        (Asks("w0", missing=True), {"w0": None}, False, True),
        (~Asks("w0"), {"w0": None}, False, False),  # the feed's `missing` is about its whole filter
        (~Asks("w0", missing=True), {"w0": None}, True, False),
        (Asks("w0") & Asks("w1"), {"w0": None}, True, {"f": {"w1"}}),
        (Asks("w0") & Asks("w1"), {"w0": None, "w1": False}, True, False),
        (Asks("w0") | Asks("w1"), {"w0": None, "w1": True}, False, True),
    ],
)
def test_the_matcher_tells_undecided_feeds_apart(filter, features, missing, want) -> None:  # type: ignore[no-untyped-def]
    matcher = Matcher({"f": filter, "all": Everything()}, {"f"} if missing else ())
    feeds = matcher.match(post(features=features))
    assert "all" in decided(feeds)
    assert isinstance(feeds, Wanted) == isinstance(want, dict)
    assert undecided(feeds) == (want if isinstance(want, dict) else {})
    assert ("f" in decided(feeds)) is (want is True)
    assert ("f" in feeds) is (want is not False)


class Elsewhere(Filter):
    """Cannot say for another reason than a hydrator's."""

    def match(self, post: Post) -> bool:
        raise NotKnownYet(())


def test_who_is_not_known_yet_is_not_missing() -> None:
    """`missing` is about what hydrators did not find, not about lists that are still read."""
    matcher = Matcher({"f": Elsewhere(), "g": Elsewhere() & Asks("w0")}, {"f", "g"})
    assert matcher.match(post()) == {"g"}
    assert undecided(matcher.match(post())) == {"g": {"w0"}}
    assert matcher.match(post(features={"w0": True})) == set()
    assert matcher.match(post(features={"w0": None})) == {"g"}


class Breaks(Filter):
    """Fails on every post."""

    def match(self, post: Post) -> bool:
        raise RuntimeError("not this one")


def test_what_is_about_another_post_is_not_asked_of_this_one() -> None:
    assert awaited(QuotedPost(Breaks()), post(quote="at://x/y/z")) == {"quoted"}
