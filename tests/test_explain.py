"""`explain` shows every part with the verdict of the very function that ingest uses."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedkit import (
    All,
    Any,
    AtLeastOf,
    Field,
    Filter,
    Hashtags,
    HasMedia,
    Keywords,
    Language,
    LinksTo,
    Not,
    Post,
    Regex,
    Reply,
    SameAs,
)
from feedkit.awaiting import decided as decided_by
from feedkit.explain import explain
from feedkit.matcher import Matcher
from feedkit.testing import post


class Described(Filter):
    """Needs what no post has when it arrives."""

    @property
    def needs(self) -> AbstractSet[str]:
        return frozenset({"bird"})

    def match(self, post: Post) -> bool:
        return bool(post.features["bird"] > 0.5)


class Breaks(Filter):
    """Raises on every post."""

    def match(self, post: Post) -> bool:
        raise RuntimeError("out of order")


class Garrulous(Filter):
    """Matches, but cannot say why."""

    def match(self, post: Post) -> bool:
        return True

    def explain(self, post: Post) -> str:
        raise KeyError("no words")


class NotABool(Filter):
    """Returns what is neither True nor False."""

    def match(self, post: Post) -> bool:
        return post.text  # type: ignore[return-value]


class Young(Filter):
    """A filter with parameters of many types."""

    words: tuple[str, ...] = Field(description="words")
    age: timedelta = Field(default=timedelta(days=3), description="an age")
    in_: str = Field(default="text", description="where")
    strict: bool = Field(default=False, description="whether")

    def match(self, post: Post) -> bool:
        return True


HERON = post("a heron on the weir", langs="en")


def tree(filter: Filter, of: Post = HERON, names: dict[str, Filter] | None = None) -> str:
    return "\n".join(explain(filter, of, names or {}).lines())


def bound(name: str, filter: Filter) -> SameAs:
    made = SameAs(name)
    made.bind(filter)
    return made


@pytest.mark.parametrize(
    ("filter", "shown"),
    [
        (Keywords("heron"), "✓ keywords: [heron]  “heron” in text"),
        (Keywords("tern"), "✗ keywords: [tern]"),
        (Reply(), "✗ reply"),
        (Not(Reply()), "✓ not\n  ✗ reply"),
        (Described(), "? described  waits for bird"),
        (Not(Described()), "? not\n  ? described  waits for bird"),
        (All([Keywords("heron"), Described()]),
         "? all\n  ✓ keywords: [heron]  “heron” in text\n  ? described  waits for bird"),
        (All([Reply(), Described()]), "✗ all\n  ✗ reply\n  ? described  waits for bird"),
        (Any([Keywords("heron"), Described()]),
         "✓ any\n  ✓ keywords: [heron]  “heron” in text\n  ? described  waits for bird"),
        (AtLeastOf(1, [Reply(), Language("en")]),
         "✓ at_least_of: 1  1 of 2\n  ✗ reply\n  ✓ language: [en]  en"),
        (bound("birds", Reply()), "✗ same_as: birds\n  ✗ reply"),
        (Breaks(), "✗ breaks  failed: RuntimeError: out of order"),
        (Any([Breaks(), Garrulous()]),
         "✗ any  failed: RuntimeError: out of order\n"
         "  ✗ breaks  failed: RuntimeError: out of order\n"
         "  ✓ garrulous  explain() failed: KeyError: 'no words'"),
        (Garrulous(), "✓ garrulous  explain() failed: KeyError: 'no words'"),
        (NotABool(), "✗ not_a_bool  failed: WrongType: NotABool.match returned str, not True or "
                     "False; wrap it in bool(…)"),
        (Young("a"), "✓ young: [a]"),
        (Young("a", age="12h", in_="alt", strict=True),
         "✓ young: [a], age: 12h, in: alt, strict: yes"),
        (Young([f"w{n}" for n in range(9)]), "✓ young: [w0, w1, w2, w3, w4, … (9)]"),
        (Young("x" * 200), f"✓ young: [{'x' * 79}…]"),
        (Young("two\nlines"), "✓ young: [two lines]"),
        (Regex("x|" * 100 + "heron"), f"✓ regex: {'x|' * 39}x…  “heron” in text"),
    ],
)  # fmt: skip
def test_the_tree_with_its_marks(filter, shown):
    assert tree(filter) == shown


def test_named_parts_show_under_their_name():
    advert = Any([Keywords("promo"), LinksTo("amzn.to")])
    adult = Keywords("nsfw")
    shown = tree(All([Keywords("heron"), Not(Any([advert, adult]))]), HERON,
                 {"advert": advert, "adult": adult})  # fmt: skip
    assert shown.splitlines() == [
        "✓ all",
        "  ✓ keywords: [heron]  “heron” in text",
        "  ✓ not",
        "    ✗ any",
        "      ✗ advert (any)",
        "        ✗ keywords: [promo]",
        "        ✗ links_to: [amzn.to]",
        "      ✗ adult (keywords: [nsfw])",
    ]


LEAVES = st.sampled_from(
    [Keywords("heron"), Keywords("tern"), Hashtags("birds"), HasMedia("image"), Language("en"),
     Reply(), Described(), Breaks(), Garrulous(), NotABool(), LinksTo("example.com")]
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(All),
        st.lists(inner, min_size=1, max_size=3).map(Any),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: AtLeastOf(2, parts)),
        inner.map(lambda part: bound("other", part)),
        inner.map(Not),
    ),
    max_leaves=8,
)
POSTS = st.builds(
    post,
    st.sampled_from(["", "a heron", "a tern #birds", "heron, tern"]),
    langs=st.sampled_from([(), ("en",), ("de", "en-GB")]),
    images=st.integers(0, 2),
    links=st.sampled_from([(), ("https://example.com/x",)]),
    reply_to=st.sampled_from(["", "at://did:plc:x/app.bsky.feed.post/y"]),
    features=st.sampled_from([{}, {"bird": 0.9}, {"bird": 0.1}]),
)


@given(TREES, POSTS)
def test_the_verdict_is_the_one_of_ingest(filter, post):
    verdict = explain(filter, post)
    agrees(filter, verdict, post)
    assert (verdict.verdict is True) == bool(decided_by(Matcher({"feed": filter}).match(post)))


def agrees(filter, verdict, post):
    """Every part of the tree has the verdict of that part alone."""
    try:
        decided, failure = filter.decide(post), ""
    except Exception as error:
        decided, failure = False, f"failed: {type(error).__name__}: {error}"
    assert verdict.verdict is decided
    if failure:
        assert verdict.because == failure
    children = [child for child in filter.children() if isinstance(child, Filter)]
    for child, part in zip(children, verdict.parts, strict=True):
        agrees(child, part, post)
