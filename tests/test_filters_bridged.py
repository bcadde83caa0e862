"""The filter `bridged`, and what the records say of it."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from feedkit import Bridged
from feedkit.sources.jetstream_wire import jetstream_frame
from feedkit.sources.records import POST, post_from_record
from feedkit.store.body import decode, encode
from feedkit.testing import check_plugin, corpus, post

SHARED = Path(os.environ.get("FEEDKIT_SHARED") or Path(__file__).resolve().parents[2] / "shared")
FILE = SHARED / "data" / "real-events-posts-mixed.jsonl.gz"
TOOT = "https://mastodon.social/@ann/112606052401093326"


@pytest.mark.parametrize(
    ("sites", "url"),
    [
        ((), TOOT),
        ((), "https://news.example/2026/a"),
        ("mastodon.social", TOOT),
        ("MASTODON.social", TOOT),
        ("https://mastodon.social/", TOOT),
        (["a.example", "mastodon.social"], TOOT),
        ("example.org", "https://toot.example.org/@a/1"),
        ("bücher.example", "https://xn--bcher-kva.example/@a/1"),
        ("xn--bcher-kva.example", "https://bücher.example/@猫/1"),
        ("mastodon.social/@ann", TOOT),
    ],
)
def test_keeps(sites, url):
    shown = post("🐦 مرحبا", original_url=url)
    assert Bridged(sites).match(shown) is True
    assert Bridged(sites).explain(shown).startswith("from ")


@pytest.mark.parametrize(
    ("sites", "url"),
    [
        ((), ""),
        ("mastodon.social", ""),
        ("mastodon.social", "https://notmastodon.social/@a/1"),
        ("mastodon.social", "https://mastodon.social.evil.example/@a/1"),
        ("mastodon.social", "https://evil.example/?mastodon.social"),
        ("toot.example.org", "https://example.org/@a/1"),
        ("mastodon.social/@an", TOOT),
    ],
)
def test_leaves_out(sites, url):
    assert Bridged(sites).match(post(TOOT, links=TOOT, original_url=url)) is False


def test_contract():
    check_plugin(Bridged(), post(original_url=TOOT))
    check_plugin(Bridged("mastodon.social"), post(original_url=TOOT))
    assert not any(map(Bridged().match, corpus()))
    with pytest.raises(ValidationError, match="is no site"):
        Bridged("mastodon")


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ({"bridgyOriginalUrl": TOOT, "bridgyOriginalText": "<p>a</p>"}, TOOT),
        (
            {"fediverseId": "https://app.wafrn.net/fediverse/post/1"},
            "https://app.wafrn.net/fediverse/post/1",
        ),
        ({"bridgyOriginalUrl": TOOT + "\0"}, TOOT),
        ({}, ""),
        ({"bridgyOriginalUrl": ""}, ""),
        ({"bridgyOriginalUrl": None}, ""),
        ({"bridgyOriginalUrl": 5}, ""),
        ({"bridgyOriginalUrl": [TOOT]}, ""),
        ({"bridgyOriginalUrl": "javascript:alert(1)"}, ""),
        ({"bridgyOriginalText": "<p>a</p>"}, ""),
    ],
)
def test_what_a_record_says(more, url):
    record = {"$type": POST, "text": "a", "createdAt": "2026-07-04T12:00:00Z", **more}
    made = post_from_record("did:plc:a", "3mptbyoeyc22k", "bafy", record, 1783175888085434)
    assert made.original_url == url
    assert decode(encode(made), 0, 0).original_url == url


@pytest.mark.skipif(not FILE.exists(), reason=f"{FILE} is absent")
def test_of_real_posts_those_that_were_bridged():
    found = []
    wanted = frozenset({POST})
    with gzip.open(FILE, "rt", encoding="utf-8") as lines:
        for line in lines:
            for event in jetstream_frame(line.encode(), wanted).events:
                if Bridged().match(event.post):
                    found.append((event.post.original_url, json.loads(line)))
    assert len(found) == 11
    assert all(line["commit"]["record"]["bridgyOriginalUrl"] == url for url, line in found)
    assert sum("/@" in url for url, _ in found) >= 3
