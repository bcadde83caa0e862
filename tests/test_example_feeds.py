"""The feeds in feeds/: small, each with examples, each worth looking at in the demo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from feedkit import Author, Hashtags, Keywords, Newest
from feedkit.config import load_config
from feedkit.demo import events
from feedkit.testing import replay
from feedkit.testing.examples import contracts, examples

ROOT = Path(__file__).resolve().parents[1]
SERVICE = load_config(ROOT / "config.example.yaml", {})
FILES = {path.stem: path for path in sorted((ROOT / "feeds").glob("*.yaml"))}
COMMUNITIES = {"by_rail", "night_sky", "wool"}
CURATED = {"mushrooms", "river_valley", "sunday_comics"}
DISCOVERY = {"birds", "open_questions", "slow_favourites"}


def parts(feed):
    return {type(part) for part in feed.filter.walk()}


def test_there_are_three_of_each_kind():
    assert set(FILES) >= COMMUNITIES | CURATED | DISCOVERY
    for name in COMMUNITIES:
        assert parts(SERVICE.feeds[name]) & {Keywords, Hashtags}
        assert not SERVICE.feeds[name].needs, "newest first, nothing to count"
    for name in CURATED:
        assert Author in parts(SERVICE.feeds[name])
    for name in DISCOVERY:
        assert not isinstance(SERVICE.feeds[name].rank, Newest)
        assert SERVICE.feeds[name].examples.order, "a ranking has an order to show"


@pytest.mark.parametrize("name", FILES)
def test_each_is_short_and_has_examples_on_both_sides(name):
    feed = SERVICE.feeds[name]
    assert len(FILES[name].read_text("utf-8").splitlines()) < 30
    assert feed.examples.inside
    assert feed.examples.outside
    assert feed.description
    assert feed.display_name


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{name}: {case.name}")
        for name, feed in SERVICE.feeds.items()
        for case in examples(feed)
    ]
    + [pytest.param(case, id=case.name) for case in contracts(SERVICE)],
)
def test_what_the_configuration_says_of_itself(case):
    assert case.problem() is None, case.problem()


def test_the_demo_has_something_in_every_feed(tmp_path):
    sample = tmp_path / "sample.jsonl"
    sample.write_text("".join(json.dumps(event) + "\n" for event in events()))
    shown = replay(ROOT / "config.example.yaml", sample)
    assert shown.keys() == SERVICE.feeds.keys()
    assert {name: len(posts) for name, posts in shown.items() if len(posts) < 3} == {}
    texts = {name: " ".join(post.text for post in posts) for name, posts in shown.items()}
    # What was put into the sample to be left out.
    for name, text in [
        ("wool", "promo code"),
        ("by_rail", "train of thought"),
        ("mushrooms", "My bus"),
        ("river_valley", "mattresses"),
        ("sunday_comics", "No page"),
        ("open_questions", "Drop your handle"),
        ("night_sky", "horoscope"),
    ]:
        assert text not in texts[name]
    # Two posts about the footbridge share a link: only one of them is shown.
    assert (
        texts["river_valley"].count("Four years late") + texts["river_valley"].count("reopens") == 1
    )
