"""`examples:` and `order:`: what a configuration says of itself is tried as the service would."""

from __future__ import annotations

import pytest

from feedkit.config import load_config
from feedkit.settings import Example
from feedkit.testing.examples import as_post, contracts, examples

HEAD = "service: {hostname: feeds.example.com, publisher: alice.example.com}\nfeeds:\n  birds:\n"


def feed(folder, text):
    lines = [f"    {line}\n" for line in text.strip().splitlines()]
    (folder / "config.yaml").write_text(HEAD + "".join(lines), "utf-8")
    return load_config(folder / "config.yaml", {}).feeds["birds"]


def problems(folder, text):
    return {case.name: case.problem() for case in examples(feed(folder, text))}


def test_an_example_is_a_text_or_a_post(tmp_path):
    tried = problems(
        tmp_path,
        """
filter: {all: [{keywords: heron}, {has_media: image}, {language: en}]}
examples:
  in:
    - {text: A heron, images: a grey heron, langs: en-GB}
  out:
    - A heron
    - {text: A heron, images: "", langs: de}
    - {text: A wren, images: "", langs: en}
""",
    )
    assert set(tried.values()) == {None}
    assert list(tried) == [
        "in: A heron, langs: en-GB, images: a grey heron",
        "out: A heron",
        'out: A heron, langs: de, images: ""',
        'out: A wren, langs: en, images: ""',
    ]


def test_what_comes_out_otherwise_is_explained(tmp_path):
    tried = problems(
        tmp_path, "filter: {keywords: [heron, wren]}\nexamples: {in: [An owl], out: A heron}"
    )
    assert tried["in: An owl"] == (
        f"{tmp_path}/config.yaml:3: should be in\n✗ keywords: [heron, wren]"
    )
    assert tried["out: A heron"].startswith(f"{tmp_path}/config.yaml:3: should be out\n✓ keywords")


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        ("#Birds at https://ebird.org/x", {"tags": {"birds"}, "domains": {"ebird.org"}}),
        (Example(video=""), {"has_video": True}),
        (Example(video="a heron lands"), {"has_video": True, "alt": "a heron lands"}),
        (Example(gif=True), {"has_video": True}),
        (Example("a"), {"has_video": False, "likes": None}),
        (Example(link_card="https://a.example/"), {"domains": {"a.example"}}),
        (Example(reply_to="at://did:plc:b/app.bsky.feed.post/1"), {"reply": True}),
    ],
)
def test_an_example_becomes_a_post(example, expected):
    made = as_post(example)
    seen = {
        "tags": made.tags,
        "domains": made.domains,
        "has_video": made.video is not None,
        "alt": made.video.alt if made.video else "",
        "likes": made.counts,
        "reply": bool(made.reply_parent),
    }
    assert {key: seen[key] for key in expected} == expected


LIKED = "filter: reply\nrank: {gravity: {gravity: 1.8}}\n"


def test_posts_come_out_in_this_order(tmp_path):
    # 9/(6+2)^1.8 = 0.21 < 5/(2+2)^1.8 = 0.41 < 2/2^1.8 = 0.57
    right = "order: [{text: new, likes: 2}, {text: b, likes: 5, age: 2h}, {likes: 9, age: 6h}]"
    assert problems(tmp_path, LIKED + right) == {"order: 3 posts": None}
    wrong = "order: [{text: b, likes: 5, age: 2h}, {text: new, likes: 2}, {likes: 9, age: 6h}]"
    (said,) = problems(tmp_path, LIKED + wrong).values()
    assert said == (
        f"{tmp_path}/config.yaml:3: the posts come out in another order:\n"
        "  1. new, likes: 2  score 0.574349  (should be 2)\n"
        "  2. b, age: 2h, likes: 5  score 0.412346  (should be 1)\n"
        "  3. age: 6h, likes: 9  score 0.213148"
    )


def test_selectors_take_part_and_what_they_drop_is_said(tmp_path):
    text = (
        "filter: reply\nselect: [{per_author: {most: 1, window: 2}}, {at_least: {likes: 1}}]\n"
        "order:\n"
        "  - {text: a1, author: a, likes: 1}\n"
        "  - {text: b1, author: b, likes: 1, age: 2m}\n"
        "  - {text: a2, author: a, likes: 1, age: 1m}\n"
    )
    assert set(problems(tmp_path, text).values()) == {None}
    (said,) = problems(tmp_path, text + "  - {text: unliked, age: 3m}\n").values()
    assert said.endswith("left out: unliked, age: 3m")


def test_posts_without_an_author_are_by_different_people(tmp_path):
    text = (
        "filter: reply\nselect: {per_author: {most: 1, window: 9}}\norder: [a, {text: b, age: 1m}]"
    )
    assert set(problems(tmp_path, text).values()) == {None}


def test_an_order_that_only_chance_keeps_is_none(tmp_path):
    text = "filter: reply\nrank: top\norder: [{text: a, likes: 1}, {text: b, likes: 1}]"
    (said,) = problems(tmp_path, text).values()
    assert "another order" in said


def test_a_ranker_that_fails_is_named(tmp_path):
    (tmp_path / "feeds").mkdir()
    (tmp_path / "feeds" / "sour.py").write_text(
        "from feedkit import Ranker\n\n\nclass Sour(Ranker):\n"
        '    """Fails."""\n\n    def score(self, post, request):\n        return 1 / 0\n'
    )
    (said,) = problems(
        tmp_path, "filter: reply\nrank: sour\norder: [b, {text: a, age: 1h}]"
    ).values()
    assert "sour failed: ZeroDivisionError" in said


def told_of_odd(tmp_path, method, given):
    """What is said of a ranker whose `method` returns `given`."""
    (tmp_path / "feeds").mkdir()
    (tmp_path / "feeds" / "odd.py").write_text(
        'from feedkit import Ranker\n\n\nclass Odd(Ranker):\n    """Odd."""\n\n'
        f"    def {method}:\n        return {given}\n"
    )
    (told,) = problems(tmp_path, "filter: reply\nrank: odd\norder: [a, b]").values()
    return told


@pytest.mark.parametrize(
    ("score", "said"),
    [
        ('"high"', "odd gave a 'high', which is no number"),
        ("None", "odd gave a None, which is no number"),
        ("float('nan')", "odd gave a nan; scores must be finite"),
    ],
)
def test_a_score_that_is_none_is_told(tmp_path, score, said):
    told = told_of_odd(tmp_path, "score(self, post, request)", score)
    assert told == f"{tmp_path}/config.yaml:3: {said}"


@pytest.mark.parametrize(
    ("given", "said"),
    [("None", "odd failed: TypeError"), ("[1.0]", "odd gave 1 scores to 2 posts")],
)
def test_a_ranker_that_gives_no_list_of_scores_is_told(tmp_path, given, said):
    told = told_of_odd(tmp_path, "score_many(self, posts, request)", given)
    assert told.startswith(f"{tmp_path}/config.yaml:3: {said}")


@pytest.mark.parametrize(
    "filter", ["{marked: linux}", "{any: [{hashtags: bsd}, {all: [{marked: linux}]}]}"]
)
def test_a_post_that_the_look_up_drops_is_not_in(tmp_path, filter):
    (tmp_path / "feeds").mkdir()
    (tmp_path / "feeds" / "marked.py").write_text(
        'from feedkit import Filter\n\n\nclass Marked(Filter):\n    """By a word."""\n\n'
        "    w: str\n\n"
        "    def match(self, post):\n        return self.w in post.text\n\n"
        '    def keys(self):\n        return {("tag", self.w)}\n'
    )
    tried = problems(tmp_path, f"filter: {filter}\nexamples: {{in: ['#linux', I use linux]}}")
    assert tried["in: #linux"] is None
    said = tried["in: I use linux"]
    assert said.startswith(f"{tmp_path}/config.yaml:3: should be in, but Marked: keys() are [")
    assert "matches; a post without a key must never match" in said


def test_contracts_are_of_the_users_own_plugins_once_each(tmp_path):
    (tmp_path / "feeds").mkdir()
    (tmp_path / "feeds" / "mine.py").write_text(
        "from feedkit import Filter\n\n\nclass Mine(Filter):\n"
        '    """Odd ones."""\n\n    words: int = 1\n\n    def match(self, post):\n'
        "        return len(post.text.split()) % 2 == self.words\n\n\n"
        "class Yours(Mine):\n"
        "    def match(self, post):\n        return bool(post.text)\n"
    )
    feed(
        tmp_path, "filter: {all: [{keywords: heron}, {any: [mine, {not: mine}, {mine: 0}, yours]}]}"
    )
    cases = list(contracts(load_config(tmp_path / "config.yaml", {})))
    load_config(tmp_path / "config.yaml", {})  # the classes that are found now are others
    tried = {case.name: case.problem() for case in cases}
    assert tried == {
        "plugin Mine()": None,
        "plugin Mine(words=0)": None,
        "plugin Yours()": "Yours: has no docstring; its first sentence is what people will read",
    }
