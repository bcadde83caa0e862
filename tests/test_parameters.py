"""What plugin authors may write, and what plain pydantic would not allow them."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import ClassVar, Literal

import pytest
from pydantic import ValidationError

from feedkit import All, Any, Filter, HasMedia, Keywords, Not, Ranker, Reply
from feedkit.duration import duration_text, parse_duration
from feedkit.parameters import PluginDefinitionError, snake_case
from feedkit.post import Post


class Words(Filter):
    """Every comfort in one."""

    words: frozenset[str]
    least: int = 1
    sorts: list[str] = []
    label: str = ""
    age: timedelta = timedelta(days=1)
    wait: timedelta | None = None
    odd: Literal["yes", "no"] = "yes"
    ends = (".", "!")
    LIMIT: ClassVar[int] = 3

    @cached_property
    def lower(self):
        return {word.lower() for word in self.words}

    def match(self, post):
        return not self.lower.isdisjoint(post.text.lower().split())


class Nested(Filter):
    inside: Filter
    others: tuple[Filter, ...] = ()
    by_name: dict[str, Filter] = {}
    in_: str = "text"

    def match(self, post):
        return self.inside.match(post)


HERON = Keywords("heron")


@pytest.mark.parametrize(
    ("made", "same"),
    [
        (Words(["a", "b"]), Words(words=["b", "a"])),
        (Words("a"), Words(["a"])),
        (Words("a", 2), Words(words="a", least=2)),
        (Words("a", "2"), Words("a", 2)),
        (Words([1, 2.5]), Words(["1", "2.5"])),
        (Words("a", label=3), Words("a", label="3")),
        (Words("a", sorts=(x for x in "bc")), Words("a", sorts=["b", "c"])),
        (Words("a", age="36h"), Words("a", age=timedelta(hours=36))),
        (Words("a", wait="1h30m"), Words("a", wait=timedelta(minutes=90))),
        (Nested(HERON, HERON), Nested(inside=HERON, others=(HERON,))),
        (Nested(HERON, in_="alt"), Nested(HERON, **{"in": "alt"})),
        (Keywords("a", in_="alt"), Keywords("a", **{"in": "alt"})),
        (Keywords("a", "alt"), Keywords("a", in_=["alt"])),
        (All((HERON, Reply())), HERON & Reply()),
        (Any((HERON, Reply())), HERON | Reply()),
        (Not(HERON), ~HERON),
        (~~HERON, HERON),
        (HERON & Reply() & ~HasMedia(), All((HERON, Reply(), Not(HasMedia())))),
        (HERON & (Reply() | HasMedia()), All((HERON, Any((Reply(), HasMedia()))))),
    ],
)
def test_two_ways_to_write_the_same(made, same):
    assert made == same
    assert hash(made) == hash(same)
    assert made.fingerprint() == same.fingerprint()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Words("a"), Words("b")),
        (Words("a"), Words("a", 2)),
        (HERON, Reply()),
        (HERON & Reply(), Reply() & HERON),
        (HERON & Reply(), HERON | Reply()),
        (Nested(HERON, (Reply(),)), Nested(HERON, (HasMedia(),))),
        (Nested(HERON, by_name={"a": HERON}), Nested(HERON, by_name={"b": HERON})),
    ],
)
def test_different_plugins_differ(one, other):
    assert one != other
    assert one.fingerprint() != other.fingerprint()


def test_lists_become_tuples_and_everything_is_hashable():
    made = Words(["a"], sorts=["b", "c"])
    assert made.sorts == ("b", "c")
    assert isinstance(made.words, frozenset)
    assert {made, Words("a", sorts=("b", "c"))} == {made}
    assert hash(Nested(HERON, by_name={"a": HERON})) == hash(Nested(HERON, by_name={"a": HERON}))


def test_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Words("a").least = 3


def test_constants_are_no_parameters():
    assert list(Words.model_fields) == ["words", "least", "sorts", "label", "age", "wait", "odd"]
    assert Words("a").ends == (".", "!")
    with pytest.raises(ValidationError):
        Words("a", ends="x")


def test_a_cached_property_is_computed_once_and_not_compared():
    made = Words(["A"])
    assert made.match(Post(uri="at://a", text="not a heron"))
    assert made.lower is made.lower
    assert made == Words(["A"])


def test_the_name_in_yaml():
    assert [c.yaml_name() for c in (Words, HasMedia, All)] == ["words", "has_media", "all"]


@pytest.mark.parametrize(
    ("name", "snake"),
    [("LinksTo", "links_to"), ("HTTPLinks", "http_links"), ("Top10", "top10"), ("A", "a"),
     ("PostsByAI", "posts_by_ai"), ("Top10Posts", "top10_posts")],
)  # fmt: skip
def test_snake_case(name, snake):
    assert snake_case(name) == snake


def test_repr_shows_what_was_set():
    assert repr(Words("a", 2)) == "Words(words=frozenset({'a'}), least=2)"
    assert repr(Reply()) == "Reply()"


@pytest.mark.parametrize(
    ("arguments", "keywords", "said"),
    [
        (("a", 1, [], "", "1d", None, "yes", 8), {}, "takes 7 parameters (words, least, sorts"),
        (("a",), {"words": "b"}, "was given 'words' twice"),
    ],
)
def test_wrong_calls(arguments, keywords, said):
    with pytest.raises(TypeError) as raised:
        Words(*arguments, **keywords)
    assert said in str(raised.value)


def test_wrong_values():
    for keywords in ({"least": "many"}, {"wrong": 1}, {"odd": "maybe"}, {"age": "soon"}):
        with pytest.raises(ValidationError):
            Words("a", **keywords)
    with pytest.raises(ValidationError):
        Nested("heron")


def test_a_parameter_may_not_hide_what_feedkit_needs():
    with pytest.raises(PluginDefinitionError) as raised:

        class Loud(Filter):
            words: frozenset[str]
            match: str = "x"

    said = str(raised.value)
    assert "test_parameters.py:" in said
    assert "the parameter 'match' of Loud would hide Filter.match" in said
    assert "call it match_" in said
    with pytest.raises(PluginDefinitionError, match="would hide"):

        class Keyed(Ranker):
            keys: str
            kind: str = "x"


def test_a_constant_may_not_replace_a_parameter_of_the_base():
    with pytest.raises(PluginDefinitionError, match=r"repeat its type: `least: … = …`"):

        class Fewer(Words):
            least = 0

    class More(Words):
        least: int = 5

    assert More("a").least == 5


def test_walk_goes_through_all_that_is_nested():
    made = Nested(~HERON, (Reply(),), {"a": HasMedia()})
    names = [part.yaml_name() for part in made.walk()]
    assert names == ["nested", "not", "keywords", "reply", "has_media"]


def test_a_method_may_be_overridden_and_private_attributes_used():
    class Counting(Filter):
        _seen: int = 0

        def match(self, post):
            return bool(post.text)

        def explain(self, post):
            return post.text

    assert Counting().explain(Post(uri="at://a", text="x")) == "x"
    assert list(Counting.model_fields) == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("15m", 900), ("12h", 43_200), ("3d", 259_200), ("2w", 1_209_600),
     ("1.5h", 5400), ("1h30m", 5400), (" 2 d ", 172_800), ("0s", 0)],
)  # fmt: skip
def test_durations(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)
    assert parse_duration(duration_text(timedelta(seconds=seconds))).total_seconds() == seconds


@pytest.mark.parametrize(
    "text", ["", "3", "d", "3x", "-3d", "3d x", "P3D", "1e3s", "٣d", "9" * 30 + "w", "3d" * 9 + "!"]
)
def test_no_durations(text):
    with pytest.raises(ValueError, match=r"must be a duration|longer than any clock"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [(timedelta(days=14), "2w"), (timedelta(days=3), "3d"), (timedelta(hours=36), "36h"),
     (timedelta(seconds=90), "90s"), (timedelta(minutes=90), "90m"), (timedelta(0), "0s"),
     (timedelta(milliseconds=100), "0.1s")],
)  # fmt: skip
def test_duration_text(duration, text):
    assert duration_text(duration) == text


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ('"likes"', 'must be a set of words, not a str; write needs = {"likes"}'),
        ('["likes", "voters"]', 'not a list; write needs = {"likes", "voters"}'),
        ("{}", "not a dict; write needs = set()"),
        ("lambda self: {'likes'}", "not a function; write @property above it"),
    ],
)
def test_needs_are_a_set_of_words(needs, said):
    with pytest.raises(PluginDefinitionError) as raised:
        type("Hot", (Filter,), {"needs": eval(needs), "__module__": __name__})
    assert said in str(raised.value)
    assert "needs of Hot" in str(raised.value)


def test_a_word_that_was_not_asked_for_is_told():
    from feedkit.post import FeatureUnknown
    from feedkit.testing import post as made

    for features in ({}, {"plane": 1.0}):
        with pytest.raises(FeatureUnknown) as raised:
            made(features=features).features["bird"]
        assert "features has no 'bird'; add needs = {\"bird\"}" in str(raised.value)
    assert made().features.get("bird") is None
    with pytest.raises(KeyError):
        made().features["bird"]


def test_needs_may_be_said_in_several_ways():
    class Said(Filter):
        needs = frozenset({"bird"})

    class Told(Filter):
        @property
        def needs(self):
            return {"bird"}

    assert Said().needs == Told().needs == {"bird"}
