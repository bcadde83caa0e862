"""The contract test finds what it is there to find."""

from __future__ import annotations

import itertools
import re
import textwrap
import time
from functools import cached_property

import pytest
from _documents import needs_absent_model
from pydantic import ValidationError

from feedkit import (
    All,
    Any,
    Everything,
    Field,
    Filter,
    Keywords,
    Not,
    Post,
    Ranker,
    SameAs,
    Selector,
)
from feedkit.config.build import Builder
from feedkit.config.discover import built_in
from feedkit.config.problems import Problems
from feedkit.config.yamlreader import parse
from feedkit.filters import FILTERS
from feedkit.filters.viewer import VIEWER_FILTERS
from feedkit.plugin import Pinned
from feedkit.rankers import RANKERS
from feedkit.selectors import SELECTORS
from feedkit.testing import ALICE, BOB, NOW, ContractBroken, check_plugin, corpus, post, request
from feedkit.testing import viewer as a_viewer

_turns = itertools.count()


class Undescribed(Filter):
    def match(self, post):
        return True


class Thawed(Filter):
    """A filter that can be changed."""

    model_config = {"frozen": False}
    words: int = 1

    def match(self, post):
        return True


class Wordy(Filter):
    """Returns a text where True is meant."""

    def match(self, post):
        return post.text


class Fickle(Filter):
    """Says yes every other time."""

    def match(self, post):
        return next(_turns) % 2 == 0


class Remembers(Filter):
    """Keeps posts longer than all before."""

    longest = [0]

    def match(self, post):
        self.longest[0] = max(self.longest[0], len(post.text))
        return len(post.text) == self.longest[0]


class Blind(Filter):
    """Finds cats and dogs, but tells the index of cats alone."""

    def match(self, post):
        return "猫" in post.text or "鸟" in post.text

    def keys(self):
        return {("text", "猫")}


class Greedy(Filter):
    """Asks for likes as a post arrives."""

    def match(self, post):
        return post.likes > 3


class Hopeful(Filter):
    """Says that it needs likes."""

    needs = {"likes"}

    def match(self, post):
        return True


class Sleepy(Filter):
    """Takes its time."""

    def match(self, post):
        if post.text == "猫カフェ #猫カフェ に行った #猫":
            time.sleep(0.06)
        return True


class Divided(Filter):
    """match_many and match differ."""

    def match(self, post):
        return bool(post.text)

    def match_many(self, posts):
        return [True for _ in posts]


class Endless(Ranker):
    """Divides by zero likes, in the way of floats."""

    needs = {"likes"}

    def score(self, post, request):
        return float("inf") if post.likes == 0 else 1.0


class Secret(Ranker):
    """Reads likes without saying so."""

    def score(self, post, request):
        return post.likes


class Placed(Ranker):
    """Scores by the place in the list."""

    def score_many(self, posts, request):
        return [float(place) for place, _ in enumerate(posts)]


class Short(Ranker):
    """Forgets one."""

    def score_many(self, posts, request):
        return [1.0 for _ in posts[1:]]


class Inventor(Selector):
    """Makes up a post."""

    def select(self, posts, request):
        return [*posts, Post(uri="at://x/app.bsky.feed.post/new")]


class Doubler(Selector):
    """Shows the first post twice."""

    def select(self, posts, request):
        return posts[:1] + posts


class Sorter(Selector):
    """Sorts the list it was given."""

    def select(self, posts, request):
        posts.sort(key=lambda post: post.text)
        return posts


class Lazy(Selector):
    """Returns no list."""

    def select(self, posts, request):
        return (post for post in posts)


class Misplaced(Selector):
    """Pins above the top."""

    def pins(self, request):
        return [Pinned(uri="at://x/app.bsky.feed.post/1", at=0)]


class Described(Filter):
    """Posts all of whose pictures are described, in so many words."""

    words: int = Field(default=1, ge=1, description="how many words at least")

    def match(self, post):
        return bool(post.images) and all(len(i.alt.split()) >= self.words for i in post.images)


class Scored(Filter):
    """Needs what a hydrator brings."""

    needs = {"bird"}

    def match(self, post):
        return post.features["bird"] > 0.5


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (Undescribed, "has no docstring"),
        (Thawed, "words can be set"),
        (Wordy, "wrap it in bool"),
        (Fickle, "says first"),
        (Remembers, "differently after other posts"),
        (Blind, "has none of them and matches"),
        (Greedy, "at_least"),
        (Hopeful, "at_least"),
        (Sleepy, " ms for post("),
        (Divided, "match_many"),
        (Endless, "finite"),
        (Secret, "looks at likes"),
        (Placed, "another order"),
        (Short, "scores to"),
        (Inventor, "invents a post, at://x/app.bsky.feed.post/new"),
        (Doubler, "twice"),
        (Sorter, "changes the list"),
        (Lazy, "must return a list"),
        (Misplaced, "from 1"),
        (Keywords, r"give check_plugin an instance, Keywords(…)"),
        (All((Everything(), Wordy())), "wrap it in bool"),
        (object(), "is no plugin"),
    ],
)
def test_a_broken_plugin_is_named_with_what_is_wrong(plugin, said):
    with pytest.raises(ContractBroken) as caught:
        check_plugin(plugin)
    assert said in str(caught.value)
    assert str(caught.value).startswith(getattr(plugin, "__name__", type(plugin).__name__))


class Precomputed(Filter):
    """Keeps something that cannot be pickled."""

    @cached_property
    def _rule(self):
        return lambda text: "heron" in text

    def match(self, post):
        return self._rule(post.text)


@pytest.mark.parametrize("plugin", [Described, Described(3), Not(Described()), Scored, Precomputed])
def test_a_good_plugin_of_a_users_own_passes(plugin):
    check_plugin(plugin)


def test_examples_reach_what_the_corpus_cannot():
    class Picky(Filter):
        """Fails on one post."""

        def match(self, post):
            if post.text == "the one":
                raise KeyError("heron")
            return False

    Picky.__qualname__ = "Picky"
    globals()["Picky"] = Picky  # pickle looks classes up by name
    check_plugin(Picky)
    with pytest.raises(ContractBroken, match=r"raises KeyError for post\(author=.*text='the one'"):
        check_plugin(Picky, post("the one"))


def test_post_makes_what_the_app_would_make():
    made = post(
        "Look: https://docs.python.org/3/, and #Birds ＃猫 not#this #1",
        images=["a heron", ""],
        age="2h",
        likes=3,
        langs="en",
        author=BOB,
    )
    assert made.tags == {"birds", "猫"}
    assert made.links == ("https://docs.python.org/3/",)
    assert made.domains == {"docs.python.org", "python.org"}
    assert [image.alt for image in made.images] == ["a heron", ""]
    assert (made.likes, made.reposts) == (3, 0)
    assert (NOW - made.sort_at).total_seconds() == 7200
    assert made.langs == ("en",)
    assert made.uri.startswith(f"at://{BOB}/app.bsky.feed.post/")


def test_posts_have_nothing_that_is_not_given_and_addresses_of_their_own():
    one, other = post(), post()
    assert one.uri != other.uri
    assert one == Post(uri=one.uri, author=ALICE, created_at=NOW, seen_at=NOW, sort_at=NOW)


def test_replies_and_quotes_take_posts():
    root = post("root")
    answer = post(reply_to=root)
    deeper = post(reply_to=answer, quote=root)
    assert (answer.reply_parent, answer.reply_root) == (root.uri, root.uri)
    assert (deeper.reply_parent, deeper.reply_root, deeper.quote) == (
        answer.uri,
        root.uri,
        root.uri,
    )


def test_request_stands_still():
    assert request().now == request().now == NOW
    assert request().viewer is None
    assert request(viewer=a_viewer()).viewer.did == BOB


def test_the_corpus_is_odd_enough():
    texts = "".join(p.text for p in corpus())
    assert len({p.uri for p in corpus()}) == len(corpus()) > 60
    for char in "猫ﾞ오ไש🐦‍\u200b\u202e":
        assert char in texts
    assert all(p.counts is None for p in corpus())


BUILT_IN = (All, Any, Not, *FILTERS, *VIEWER_FILTERS, *RANKERS, *SELECTORS)


def example(cls):
    """The plugin that the YAML example of a class writes."""
    found = re.findall(r"```yaml\n(.*?)```", cls.__doc__, re.DOTALL)
    assert len(found) == 1, "one example in each docstring"
    problems = Problems()
    node = parse(textwrap.dedent(found[0]), cls.yaml_name(), problems)
    built = Builder(built_in().plugins, problems).plugin(node, cls.kind, "")
    assert not list(problems)
    for part in built.walk():
        if isinstance(part, SameAs):
            part.bind(Keywords(["advert"]))
    return built


@pytest.mark.parametrize("cls", BUILT_IN, ids=lambda cls: cls.yaml_name())
def test_every_built_in_passes_as_its_example_has_it(cls):
    if needs_absent_model(cls.yaml_name()):
        pytest.skip("atproto-feedkit[semantic] or its model is not installed")
    plugin = example(cls)
    assert any(isinstance(part, cls) for part in plugin.walk())
    check_plugin(plugin)


def needs_nothing(cls):
    try:
        cls()
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("cls", [*filter(needs_nothing, BUILT_IN)], ids=lambda cls: cls.yaml_name())
def test_every_built_in_passes_with_its_defaults(cls):
    check_plugin(cls)


@pytest.mark.parametrize("cls", BUILT_IN, ids=lambda cls: cls.yaml_name())
def test_every_parameter_says_what_it_is(cls):
    for name, field in cls.model_fields.items():
        assert field.description, f"{cls.__name__}.{name} has no description"
