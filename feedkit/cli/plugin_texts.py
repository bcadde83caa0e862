"""What `feedkit new plugin` writes, by kind. `$name`: the plugin in YAML; `$cls`: its class."""

from __future__ import annotations

PLUGINS: dict[str, str] = {
    "filter": '''\
"""A filter of your own. Under `filter:` in config.yaml it is called `$name`."""

from feedkit import Field, Filter


class $cls(Filter):
    """Posts that say at least so much. Say here what yours keeps: `feedkit plugins` shows it.

    ```yaml
    $name: {least: 20}
    ```
    """

    least: int = Field(default=20, ge=0, description="how many characters at least")

    def match(self, post):
        return len(post.text) >= self.least

    def explain(self, post):  # for `feedkit why`; may be left out
        return f"{len(post.text)} characters"
''',
    "viewer_filter": '''\
"""A viewer filter of your own. Under `viewer:` in config.yaml it is called `$name`."""

from feedkit import Field, ViewerFilter


class $cls(ViewerFilter):
    """Posts of people whom the reader follows, and long ones of anybody. Say here what yours
    shows: `feedkit plugins` shows it.

    ```yaml
    $name: {least: 200}
    ```
    """

    needs = {"viewer.follows"}  # what nobody needs is not loaded

    least: int = Field(default=100, ge=0, description="how long posts of strangers are at least")

    def keep(self, post, viewer):
        return post.author in viewer.follows or len(post.text) >= self.least
''',
    "ranker": '''\
"""A ranker of your own. Under `rank:` in config.yaml it is called `$name`."""

from feedkit import Field, Ranker, Term


class $cls(Ranker):
    """Likes, less the older a post is. Say here what yours lifts: `feedkit plugins` shows it.

    ```yaml
    $name: {per_hour: 0.5}
    ```
    """

    needs = {"likes"}  # what nobody needs is not counted

    per_hour: float = Field(default=0.5, ge=0, description="how many likes an hour of age costs")

    def score(self, post, request):
        hours = (request.now - post.sort_at).total_seconds() / 3600
        return post.likes - self.per_hour * hours

    def explain(self, post, request):  # for `feedkit why`; may be left out
        return [Term("likes", post.likes), Term("age", self.score(post, request) - post.likes)]
''',
    "selector": '''\
"""A selector of your own. Under `select:` in config.yaml it is called `$name`."""

from feedkit import Field, Selector


class $cls(Selector):
    """The best posts and no more. Say here what yours does: `feedkit plugins` shows it.

    ```yaml
    $name: {most: 50}
    ```
    """

    most: int = Field(default=50, ge=1, description="how many posts are shown")

    def select(self, posts, request):
        return posts[: self.most]  # a new list: the one that was given stays as it is

    def explain(self, post, before, after, request):  # for `feedkit why`; may be left out
        return "" if post in after else f"{self.most} are shown"
''',
    "hydrator": '''\
"""A hydrator of your own, and a filter by what it finds out: `${name}_at_least` under `filter:` in
config.yaml. It is asked beside the stream, so it may be slow."""

from feedkit import Field, Filter, Hydrator


class $cls(Hydrator):
    """How loud a text is: `$name`, the part of its letters that are capitals. Say here what yours
    finds out: `feedkit plugins` shows it.

    ```yaml
    hydrators: [$name]
    ```
    """

    provides = {"$name": float}
    batch = 100  # how many posts `hydrate` gets at most

    def load(self):  # once in a process: read a model here; may be left out
        pass

    def hydrate(self, posts, context):  # context: http, api, posts, fetch, database
        return [{"$name": self._loudness(post.text)} for post in posts]

    def _loudness(self, text):
        letters = [char for char in text if char.isalpha()]
        return sum(map(str.isupper, letters)) / len(letters) if letters else None  # None: unknown


class ${cls}AtLeast(Filter):
    """Posts that are so loud.

    ```yaml
    not: {${name}_at_least: 0.7}
    ```
    """

    needs = {"$name"}

    least: float = Field(default=0.7, ge=0, le=1, description="how loud at least")

    def match(self, post):
        return post.features["$name"] >= self.least

    def explain(self, post):  # for `feedkit why`; may be left out
        return f"{post.features['$name']:.2f}"
''',
}

TESTS: dict[str, str] = {
    "filter": '''\
"""Tests of feeds/$name.py: what it must keep, what it must not, and the contract."""

import pytest
from feeds.$name import $cls

from feedkit.testing import check_plugin


@pytest.mark.parametrize("text", ["A grey heron by the river", "🐦" * 20])
def test_keeps(post, text):
    assert $cls().match(post(text))


@pytest.mark.parametrize("text", ["", "A heron", "🐦"])
def test_leaves_out(post, text):
    assert not $cls().match(post(text))


def test_contract():
    check_plugin($cls())
''',
    "viewer_filter": '''\
"""Tests of feeds/$name.py: what is shown to whom, and the contract."""

import pytest
from feeds.$name import $cls

from feedkit.testing import ALICE, BOB, check_plugin, viewer

READER = viewer(follows={ALICE})


@pytest.mark.parametrize(("author", "text"), [(ALICE, ""), (ALICE, "A heron"), (BOB, "🐦" * 100)])
def test_shows(post, author, text):
    assert $cls().keep(post(text, author=author), READER)


@pytest.mark.parametrize("text", ["", "A heron", "🐦" * 99])
def test_hides_what_strangers_say_in_few_words(post, text):
    assert not $cls().keep(post(text, author=BOB), READER)


def test_contract():
    check_plugin($cls())
''',
    "ranker": '''\
"""Tests of feeds/$name.py: which post comes first, and the contract."""

from feeds.$name import $cls

from feedkit.testing import check_plugin


def test_liked_posts_come_first_until_they_are_old(post, clock):
    liked, fresh = post(likes=3, age="2h"), post(likes=1)
    ranker = $cls()
    assert ranker.score(liked, clock.request()) > ranker.score(fresh, clock.request())
    older = post(likes=3, age="8h")
    assert ranker.score(older, clock.request()) < ranker.score(fresh, clock.request())


def test_contract():
    check_plugin($cls())
''',
    "selector": '''\
"""Tests of feeds/$name.py: what is shown, and the contract."""

from feeds.$name import $cls

from feedkit.testing import check_plugin


def test_shows_the_first_and_leaves_out_the_rest(post, clock):
    posts = [post(f"number {number}") for number in range(3)]
    assert $cls(most=2).select(posts, clock.request()) == posts[:2]


def test_contract():
    check_plugin($cls())
''',
    "hydrator": '''\
"""Tests of feeds/$name.py: what is found out, what follows from it, and the contracts."""

import pytest
from feeds.$name import $cls, ${cls}AtLeast

from feedkit.testing import check_plugin


@pytest.mark.parametrize(
    ("text", "value"), [("LOOK", 1.0), ("Look", 0.25), ("🐦", None), ("", None), ("絵", 0.0)]
)
def test_finds_out(post, text, value):
    hydrator = $cls()
    hydrator.load()
    assert hydrator.hydrate([post(text)], None) == [{"$name": value}]


@pytest.mark.parametrize(("value", "keeps"), [(0.9, True), (0.2, False), (None, None)])
def test_keeps(post, value, keeps):
    assert ${cls}AtLeast().decide(post(features={"$name": value})) is keeps


def test_waits_until_it_is_known(post):
    assert ${cls}AtLeast().decide(post("LOOK")) is None


def test_contract(post):
    check_plugin($cls())
    check_plugin(${cls}AtLeast(), post(features={"$name": 0.9}))
''',
}
