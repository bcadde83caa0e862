"""docs/cookbook.md: every recipe loads, and keeps and ranks what it says."""

from __future__ import annotations

import textwrap

import pytest
from _documents import blocks

from feedkit.config import load_config
from feedkit.testing.examples import examples

RECIPES = blocks("cookbook.md")
HEAD = "service: {hostname: feeds.example.com, publisher: alice.example.com}\nfeeds:\n  recipe:\n"


def loaded(folder, block):
    text = block.text
    if not text.startswith("service:"):
        text = HEAD + textwrap.indent(text, "    ")
    (folder / "config.yaml").write_text(text, "utf-8")
    feed, *_ = load_config(folder / "config.yaml", {}).feeds.values()
    return feed


def test_there_are_many_and_each_under_a_heading_of_its_own():
    assert len(RECIPES) >= 15
    assert len({block.heading for block in RECIPES}) == len(RECIPES)
    assert {block.kind for block in RECIPES} == {"yaml"}


@pytest.mark.parametrize("block", RECIPES, ids=lambda block: block.heading)
def test_a_recipe_does_what_it_says(block, tmp_path):
    feed = loaded(tmp_path, block)
    assert feed.examples.inside
    assert feed.examples.outside
    wrong = [problem for case in examples(feed) if (problem := case.problem())]
    assert not wrong, "\n".join(wrong)
    assert feed.examples.order or not feed.rank.needs, "a ranking shows its order"
