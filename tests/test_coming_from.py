"""docs/coming-from.md: each block loads, and keeps what the operator of that name keeps."""

from __future__ import annotations

import re
import textwrap

import pytest
from _documents import DOCS, blocks, needs_absent_model
from msgspec.structs import replace

from feedkit import SentenceVector
from feedkit.config import load_config
from feedkit.needs import hydrated
from feedkit.testing import post, viewer

BLOCKS = blocks("coming-from.md")
HEAD = "service: {hostname: feeds.example.com, publisher: alice.example.com}\n"
PARTS = "filters: {advert: {keywords: ['#ad']}}\n"  # what `same_as` speaks of
MIXED = "  terns: {filter: {keywords: tern}}\n"
EXTERNAL = {"link_card": "https://news.example/1"}
REPLY = {"reply_to": "at://did:plc:a/app.bsky.feed.post/1"}
QUOTE = {"quote": "at://did:plc:a/app.bsky.feed.post/1"}
LONG = "a heron stood by the river all day, and nobody asked it why"

# By heading: posts that the operator keeps, and posts that it removes.
VERDICTS = {
    "Input: everything": ([""], []),
    "Input: tags": (["#Birds"], ["birds", "#birdsong"]),
    "Input: another feed": (["#ad"], ["ad"]),
    "Regex: keep if it matches, in text, alt text or links": (
        ["Herons!", {"images": "a kingfisher"}, {"link_card": "https://a.example/heron"}],
        ["sherons", "a bird"],
    ),
    "Regex: invert": (["a grey heron"], ["a blue heron", "an owl"]),
    "Regex: case sensitive": (["GTK 4"], ["gtk 4", "GTKX"]),
    "Remove if: image count": (
        [{"images": 2}, {"images": 4}],
        [{"images": 1}, {"images": 5}, {"video": True}],
    ),
    "Remove if: language, by the text": (
        [
            "a grey heron stood in the river all day",
            {"text": "Der Fischreiher, englisch heron, stand am Fluss", "langs": "en"},
            "heron",
        ],
        ["昨日、川でサギ heron を見ました"],
    ),
    "Remove if: language": (
        [{"text": "heron", "langs": "en"}, {"text": "heron", "langs": "de-AT"}, "heron"],
        [{"text": "heron", "langs": "ja"}],
    ),
    "Remove: replies, quotes": (
        ["heron"],
        [{"text": "heron"} | REPLY, {"text": "heron"} | QUOTE],
    ),
    "Keep if: it has an embed, a video, a link": (
        [{"images": 1}, {"video": True}, {"gif": True}, EXTERNAL, QUOTE],
        ["heron"],
    ),
    "Remove if: labels": (
        [{"images": 1}, {"images": 1, "labels": "spoiler"}],
        [{"images": 1, "labels": "nudity"}],
    ),
    "attribute_compare": (
        [{"text": LONG, "age": "5d4h"}],
        [
            {"text": LONG},  # a Thursday noon
            {"text": "heron", "age": "5d4h"},
            {"text": LONG, "age": "5d4h", "langs": "ja"},
            {"text": LONG, "age": "5d4h", "tags": ["a", "b", "c", "d"]},
        ],
    ),
    "Comparators": (
        [{"tags": "birds", "images": 1}],
        [{"tags": ["birds", "birdsarentreal"], "images": 1}, {"tags": "birds"}],
    ),
    "embed_type": ([{"images": 1}, {"video": True}, EXTERNAL, QUOTE], ["heron"]),
    "post_type": (["#birds"], [{"text": "#birds"} | REPLY, {"text": "#birds"} | QUOTE]),
    "regex_matches, regex_negation_matches": (["two herons"], ["a blue heron", "an owl"]),
    "regex_any, regex_none": (
        ["a heron", "bitterns"],
        ["an owl", "a blue heron", "bitterns at the heron hotel"],
    ),
    "text_similarity": (
        [{"text": "The heron waits by the water for a fish", "langs": "en"}],
        [
            {"text": "My laptop runs Linux and a new kernel", "langs": "en"},
            "The heron waits by the water for a fish",
        ],
    ),
    "Content moderation, image and text classifiers": (
        ["heron", {"images": "heron"}],
        [{"text": "heron", "labels": "porn"}, "an owl"],
    ),
    "Any, all, none; nested": (
        [{"text": "#birds", "images": 1, "langs": "en"}, {"text": LONG, "langs": "en"}],
        [{"text": "#birds", "images": 1}, {"text": LONG, "langs": "en"} | REPLY],
    ),
}
# The same for what a reader gets: the reader, what is shown, what is not.
DISLIKED = [post(author="did:plc:c") for _ in range(5)]
READER = viewer("did:plc:b", follows="did:plc:a", seen=DISLIKED[:1], less=DISLIKED)
SHOWN = {
    "social_graph of the reader": (
        [post(author="did:plc:a"), post(author="did:plc:c", mentions="did:plc:b")],
        [post(author="did:plc:c"), post(author="did:plc:a", reply_to=DISLIKED[0])],
    ),
    "Show less like this": ([post()], [DISLIKED[4], post(author="did:plc:c")]),
    "Hide what was seen": ([DISLIKED[4]], [DISLIKED[0]]),
}
# Who is meant is asked of the network, so nothing can be tried here but that it loads.
ASKS = {
    "Input: a list, an account", "Remove if: on a list", "social_graph", "social_list, list_member",
    "starter_pack_member", "entity_matches, entity_excludes: hashtags, mentions, domains, langs",
}  # fmt: skip


@pytest.fixture
def loaded(tmp_path):
    def load(block):
        feed = textwrap.indent(block.text, "    ")
        (tmp_path / "config.yaml").write_text(
            f"{HEAD}{PARTS}feeds:\n{MIXED}  theirs:\n{feed}", "utf-8"
        )
        return load_config(tmp_path / "config.yaml", {}).feeds["theirs"]

    return load


def with_vectors(posts):
    hydrator = SentenceVector()
    hydrator.load()
    found = hydrator.hydrate(posts, None)
    return [replace(one, features=known) for one, known in zip(posts, found, strict=True)]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.heading)
def test_a_block_loads_and_means_the_same(block, loaded):
    if needs_absent_model(block.text):
        pytest.skip("atproto-feedkit[semantic] or its model is not installed")
    feed = loaded(block)
    if feed.viewer:
        shown, hidden = SHOWN[block.heading]
        for one in (*shown, *hidden):
            assert all(part.keep(one, READER) for part in feed.viewer) == (one in shown)
        return
    if block.heading not in VERDICTS:
        ranked = feed.rank.needs or feed.select or "rank:" in block.text
        assert ranked or block.heading in ASKS, "a filter has posts that it keeps and removes"
        return
    kept, removed = (
        [post(**one) if isinstance(one, dict) else post(one) for one in side]
        for side in VERDICTS[block.heading]
    )
    if hydrated([feed.filter]) == {"sentence_vector"}:
        kept, removed = with_vectors(kept), with_vectors(removed)
    assert [one for one in kept if feed.filter.decide(one) is not True] == []
    assert [one for one in removed if feed.filter.decide(one) is not False] == []


def test_every_operator_has_a_block_or_says_that_there_is_none():
    page = (DOCS / "coming-from.md").read_text("utf-8")
    sections = re.split(r"^## ", page, flags=re.M)[1:]
    with_block = {block.heading for block in BLOCKS}
    for section in sections:
        heading = section.partition("\n")[0]
        assert heading in with_block or "**No equal**" in section, heading
    assert VERDICTS.keys() <= with_block
    assert with_block >= ASKS


@pytest.mark.parametrize(
    "word",
    [
        # SkyFeed
        "image count", "like, repost or reply count", "language", "list", "duplicates", "embed",
        "labels", "video", "text, alt text or links", "invert", "case sensitive", "Posts per user",
        "Hacker News",
        # Graze
        "attribute_compare", "embed_type", "post_type", "regex_matches", "regex_negation",
        "regex_any", "regex_none", "entity_matches", "entity_excludes", "social_graph",
        "social_list", "list_member", "starter_pack_member", "text_similarity",
        "Content moderation", "==", "!=", "not_in", "new", "trending", "blend", "Rotating", "co-like",
    ],
)  # fmt: skip
def test_every_operator_is_named(word):
    headings = " ".join(re.findall(r"^##? (.*)$", (DOCS / "coming-from.md").read_text(), re.M))
    where = (
        headings if word not in ("==", "!=", "not_in") else (DOCS / "coming-from.md").read_text()
    )
    assert word in where
