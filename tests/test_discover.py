"""Plugins and feeds are found where they are written, without registration."""

from __future__ import annotations

import inspect
import sys

import pytest

from feedkit import All, Feed, Filter, Keywords, Reply
from feedkit.config import load_config
from feedkit.config.discover import BUILT_IN, built_in, discover
from feedkit.config.methods import lacking
from feedkit.config.problems import ConfigError, Place, Problems
from feedkit.viewing import KINDS

HEAD = "service: {hostname: feeds.example.com, publisher: alice.example.com}\n"
LOUD = '''
from feedkit import Filter

class {name}(Filter):
    """Loud posts."""

    def match(self, post):
        return post.text.isupper()
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "feeds").mkdir()
    return tmp_path / "feeds"


def found_in(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, "utf-8")
    problems = Problems()
    return discover(folder, problems), [str(problem) for problem in problems]


def test_the_built_ins_are_there_under_their_names():
    registry = built_in().plugins
    assert registry["filter"]["all"] is All
    assert registry["filter"]["keywords"] is Keywords
    assert set(registry) == set(KINDS)
    assert sum(map(len, registry.values())) == len(BUILT_IN)


def test_a_folder_that_is_not_there(tmp_path):
    assert discover(tmp_path / "nowhere").plugins == built_in().plugins


def test_classes_defined_in_the_folder_are_found(folder):
    found, problems = found_in(folder, mine=LOUD.format(name="VeryLoud"))
    assert problems == []
    assert found.plugins["filter"]["very_loud"].__name__ == "VeryLoud"


def test_what_is_imported_private_or_no_plugin_is_not_found(folder):
    found, problems = found_in(
        folder,
        mine="from feedkit import *\nfrom ._other import Other\n" + LOUD.format(name="_Base")
        + "class Real(_Base): pass\nAlias = Real\nclass Plain: pass\n",
        _other=LOUD.format(name="Other"),
    )  # fmt: skip
    assert problems == []
    new = {kind: set(t) - set(built_in().plugins[kind]) for kind, t in found.plugins.items()}
    assert new == {kind: set() for kind in KINDS} | {"filter": {"real"}}


def test_files_import_each_other(folder):
    found, problems = found_in(
        folder,
        one="from ._words import WORDS\nfrom .two import Two\n" + LOUD.format(name="One"),
        two="from ._words import WORDS\n" + LOUD.format(name="Two"),
        _words="WORDS = ['heron']\n",
    )
    assert problems == []
    assert {"one", "two"} <= found.plugins["filter"].keys()
    module = sys.modules[found.plugins["filter"]["one"].__module__]
    assert module.Two is found.plugins["filter"]["two"]


def test_a_changed_file_is_read_again(folder):
    first, _ = found_in(folder, mine=LOUD.format(name="First"))
    second, _ = found_in(folder, mine=LOUD.format(name="AfterThat"))
    assert "first" in first.plugins["filter"]
    assert "first" not in second.plugins["filter"]
    assert "after_that" in second.plugins["filter"]


def test_module_names_are_the_same_every_time(folder):
    names = {
        found_in(folder, mine=LOUD.format(name="Loud"))[0].plugins["filter"]["loud"].__module__
        for _ in range(2)
    }
    assert len(names) == 1
    other = folder.parent / "other"
    other.mkdir()
    found, _ = found_in(other, mine=LOUD.format(name="Loud"))
    assert found.plugins["filter"]["loud"].__module__ not in names


def test_two_of_one_name_are_named_with_both_files(folder):
    _, problems = found_in(
        folder, a=LOUD.format(name="Loud"), b=LOUD.format(name="Loud"), c=LOUD.format(name="Reply")
    )
    assert problems == [
        f"{folder}/b.py:4: the filter 'loud' exists already, at {folder}/a.py:4; rename this one",
        f"{folder}/c.py:4: the filter 'reply' exists already, at "
        f"feedkit/filters/author.py:{inspect.getsourcelines(Reply)[1]}; rename this one",
    ]


def test_without_problems_to_add_to_it_raises(folder):
    (folder / "mine.py").write_text("1 / 0\n")
    with pytest.raises(ConfigError, match=r"mine\.py:1: this file cannot be imported: ZeroDiv"):
        discover(folder)


def feeds(folder, text, **files):
    for name, code in {"mine": text, **files}.items():
        (folder / f"{name}.py").write_text(code, "utf-8")
    (folder.parent / "config.yaml").write_text(HEAD, "utf-8")
    return load_config(folder.parent / "config.yaml", {}).feeds


def test_a_feed_class_is_a_feed(folder):
    made = feeds(
        folder,
        "from datetime import timedelta\n"
        "from feedkit import *\n"
        "class WildBirds(Feed):\n"
        "    display_name = 'Wild birds'\n"
        "    filter = Keywords('heron') & ~Reply()\n"
        "    rank = Gravity(1.5)\n"
        "    select = [PerAuthor(3)]\n"
        "    keep = timedelta(days=2)\n"
        "    examples = {'in': ['A heron'], 'out': 'A wren'}\n",
    )["wild_birds"]
    assert made.filter.match.__self__.filters[0] == Keywords("heron")
    assert (made.display_name, made.rank.gravity, made.keep.days) == ("Wild birds", 1.5, 2)
    assert made.select[0].most == 3
    assert (made.examples.inside, made.examples.outside) == (("A heron",), ("A wren",))
    assert made.place == f"{folder}/mine.py:3"


def test_settings_in_python_may_be_written_as_in_yaml(folder):
    made = feeds(
        folder,
        "from feedkit import Feed\n"
        "class Birds(Feed):\n"
        "    name = 'all-birds'\n"
        "    filter = {'all': [{'keywords': ['heron']}, {'not': 'reply'}]}\n"
        "    rank = 'gravity'\n"
        "    keep = '3d'\n",
    )["all-birds"]
    assert made.filter.filters[0] == Keywords("heron")
    assert (made.rank.yaml_name(), made.keep.days) == ("gravity", 3)


def test_patterns_for_feeds_are_no_feeds(folder):
    made = feeds(
        folder,
        "from feedkit import Feed, Keywords\n"
        "class Base(Feed):\n"
        "    keep = '1d'\n"
        "class Herons(Base):\n"
        "    filter = Keywords('heron')\n"
        "class _Draft(Feed): pass\n"
        "class City(Feed):\n"
        "    def __init__(self, city):\n"
        "        self.city = city\n"
        "        self.name = city\n"
        "    @property\n"
        "    def filter(self):\n"
        "        return Keywords(self.city)\n"
        "FEEDS = [City('leeds'), City('york')]\n",
    )
    assert list(made) == ["leeds", "york", "herons"]
    assert made["york"].filter == Keywords("york")
    assert made["herons"].keep.days == 1


def test_a_feed_uses_the_filters_beside_it(folder):
    made = feeds(
        folder,
        "from feedkit import Feed\n"
        "from .loud import Loud\n"
        "class Shouts(Feed):\n"
        "    filter = Loud()\n",
        loud=LOUD.format(name="Loud"),
    )
    assert made["shouts"].filter.yaml_name() == "loud"


def test_feed_itself_is_no_feed(folder):
    (folder / "mine.py").write_text("from feedkit import Feed\n")
    found = discover(folder)
    assert found.feeds == []
    assert Feed.name == ""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that declares entry points."""

    def install(points, **modules):
        info = tmp_path / "site" / "birdkit-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: birdkit\nVersion: 1.0\n")
        lines = "".join(f"{name} = {value}\n" for name, value in points.items())
        (info / "entry_points.txt").write_text(f"[feedkit.plugins]\n{lines}")
        for name, text in modules.items():
            (tmp_path / "site" / f"{name}.py").write_text(text)
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(str(tmp_path / "site"))

    return install


def test_packages_bring_plugins(package, tmp_path):
    package({"a": "birdkit_a", "b": "birdkit_b:Second"},
            birdkit_a=LOUD.format(name="First"), birdkit_b=LOUD.format(name="Second"))  # fmt: skip
    plugins = discover(tmp_path / "feeds").plugins["filter"]
    assert issubclass(plugins["first"], Filter)
    assert issubclass(plugins["second"], Filter)


def test_packages_that_cannot_be_used_are_problems(package, tmp_path):
    package({"a": "birdkit_missing", "b": "birdkit_c:VALUE", "c": "birdkit_c"},
            birdkit_c="VALUE = 3\n" + LOUD.format(name="Keywords"))  # fmt: skip
    with pytest.raises(ConfigError) as raised:
        discover(tmp_path / "feeds")
    assert [p.message.split(";")[0][:60] for p in raised.value.problems] == [
        "the filter 'keywords' exists already, at feedkit/filters/tex",
        "'birdkit_c:VALUE' is neither a plugin nor a module of plugin",
        "the plugins 'birdkit_missing' cannot be imported: ModuleNotF",
    ]


LACKING = """
from feedkit import Filter, Hydrator, Ranker, Selector, ViewerFilter

class Described({base}):
    "What is described."
    provides = {{"described": int}}

    def {method}(self, *some):
        return some
"""


@pytest.mark.parametrize(
    ("base", "method", "told"),
    [
        ("Filter", "matches", "no match(self, post), without which a filter does nothing; rename"),
        ("Filter", "match_many", "no match(self, post), without"),
        ("ViewerFilter", "keeps", "no keep(self, post, viewer), without which a viewer filter"),
        ("Ranker", "scores", "no score(self, post, request), without which a ranker does"),
        ("Selector", "selects", "no select(self, posts, request), without which a selector does"),
        ("Hydrator", "hydrated", "no hydrate(self, posts, context), without which a hydrator"),
        ("Ranker", "why", "without which a ranker does nothing; write it"),
    ],
)
def test_a_plugin_without_its_method_is_refused_where_it_is_written(folder, base, method, told):
    text = LACKING.format(base=base, method=method)
    _, problems = found_in(folder, mine=text)
    assert len(problems) == 1
    assert problems[0].startswith(f"{folder / 'mine.py'}:4: the class Described has no ")
    assert told in problems[0]
    (folder.parent / "config.yaml").write_text(
        f"{HEAD}feeds: {{a: {{filter: {{keywords: a}}}}}}", "utf-8"
    )
    with pytest.raises(ConfigError) as raised:
        load_config(folder.parent / "config.yaml", {})
    assert [str(problem) for problem in raised.value.problems] == problems


@pytest.mark.parametrize(
    ("base", "made", "path"),
    [
        ("Filter", "filter = _Described()", "filter"),
        ("Filter", "filter = Keywords('a') & ~_Described()", "filter"),
        ("ViewerFilter", "filter = Keywords('a')\n    viewer = [_Described()]", "viewer[0]"),
        ("Ranker", "filter = Keywords('a')\n    rank = _Described()", "rank"),
        ("Selector", "filter = Keywords('a')\n    select = _Described()", "select"),
    ],
)
def test_a_plugin_without_its_method_is_refused_where_a_feed_has_it(folder, base, made, path):
    text = LACKING.format(base=base, method="other").replace("Described", "_Described")
    with pytest.raises(ConfigError) as raised:
        feeds(folder, f"{text}from feedkit import *\nclass Own(Feed):\n    {made}\n")
    (problem,) = raised.value.problems
    assert problem.place == Place(str(folder / "mine.py"), 11)
    assert problem.path == f"feeds.own.{path}"
    assert problem.message.startswith("the class _Described has no ")


@pytest.mark.parametrize(
    ("base", "method"),
    [("Filter", "match"), ("Filter", "decide"), ("Ranker", "score_many"), ("Selector", "pins")],
)
def test_one_of_the_methods_will_do(folder, base, method):
    assert found_in(folder, mine=LACKING.format(base=base, method=method))[1] == []


def test_patterns_for_plugins_are_no_plugins(folder):
    found, problems = found_in(
        folder,
        a="from feedkit import Filter\nclass Pattern(Filter): pass\n",
        b="from .a import Pattern\n" + LOUD.format(name="Loud").replace("(Filter)", "(Pattern)"),
    )
    assert problems == []
    assert "loud" in found.plugins["filter"]
    assert "pattern" not in found.plugins["filter"]


def test_every_built_in_has_its_method():
    assert [lacking(cls) for cls in BUILT_IN if lacking(cls)] == []
