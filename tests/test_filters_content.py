from __future__ import annotations

import pytest
from pydantic import ValidationError

from feedkit import HasMedia, Labelled, LinksTo
from feedkit.post import External
from feedkit.testing import post

TENOR = post(link_card="https://media.tenor.com/abc/cat.gif?hh=1")


@pytest.mark.parametrize(
    ("filter", "made", "matches"),
    [
        (HasMedia(), post(images=1), True),
        (HasMedia(), post(video=True), True),
        (HasMedia(), post(gif=True), True),
        (HasMedia(), TENOR, True),
        (HasMedia(), post(link_card="https://example.org"), False),
        (HasMedia(), post("https://example.org/a.jpg"), False),
        (HasMedia(), post(), False),
        (HasMedia("image"), post(images=2), True),
        (HasMedia("image"), post(images=2, gallery=True), True),
        (HasMedia("image"), post(video=True), False),
        (HasMedia("image", 2), post(images=1), False),
        (HasMedia("image", 2), post(images=2), True),
        (HasMedia("image", most=1), post(images=2), False),
        (HasMedia("image", most=1), post(images=1), True),
        (HasMedia("gallery"), post(images=9, gallery=True), True),
        (HasMedia("gallery"), post(images=9), False),
        (HasMedia("video"), post(video="x"), True),
        (HasMedia("video"), post(gif=True), False),
        (HasMedia("gif"), post(gif=True), True),
        (HasMedia("gif"), TENOR, True),
        (HasMedia("gif"), post(video=True), False),
        (HasMedia("link"), post(link_card="https://example.org"), True),
        (HasMedia("link"), TENOR, False),
        (HasMedia("link"), post("https://example.org"), False),
        (HasMedia("link"), post(link_card=External("http://[")), True),
        (HasMedia(["image", "link"]), post(link_card="https://example.org"), True),
    ],
)
def test_has_media(filter, made, matches):
    assert filter.match(made) is matches


def test_has_media_says_what():
    assert HasMedia(["image", "gallery"]).explain(post(images=3, gallery=True)) == (
        "3 image, 3 gallery"
    )


@pytest.mark.parametrize(
    ("site", "link", "matches"),
    [
        ("ebird.org", "https://ebird.org/x", True),
        ("ebird.org", "http://www.ebird.org", True),
        ("ebird.org", "https://media.ebird.org/x", True),
        ("ebird.org", "https://ebird.org.evil.example/", False),
        ("ebird.org", "https://notebird.org/", False),
        ("ebird.org", "https://example.org/?u=ebird.org", False),
        ("https://www.ebird.org/", "https://ebird.org", True),
        ("WWW.eBird.org", "https://EBIRD.org", True),
        ("*.ebird.org", "https://a.ebird.org", True),
        ("media.ebird.org", "https://ebird.org", False),
        ("bücher.example", "https://xn--bcher-kva.example/", True),
        ("xn--bcher-kva.example", "https://bücher.example/", True),
        ("github.com/python", "https://github.com/python/cpython", True),
        ("github.com/python", "https://github.com/python", True),
        ("github.com/python", "https://github.com/pythonista", False),
        ("github.com/python", "https://github.com/", False),
        ("https://github.com/python/?tab=1", "https://github.com/python/x", True),
        ("10.1.2.3.example", "http://10.1.2.3/", False),
        # as a browser reads them
        ("github.com/python", "https://github.com\\python\\cpython", True),
        ("github.com/python", "https://x@github.com/python", True),
        ("github.com/python", "https://evil.example\\@github.com/python", False),
        ("github.com/python", "https://github.com\\[x", False),
    ],
)
def test_links_to(site, link, matches):
    filter = LinksTo(site)
    made = post(f"look: {link}") if " " not in link else post(links=link)
    assert filter.match(made) is matches
    assert filter.match(post(link_card=link)) is matches


def test_links_to_needs_a_link():
    assert not LinksTo("ebird.org").match(post())
    assert not LinksTo("ebird.org").match(post("ebird.org"))


def test_links_to_says_which():
    filter = LinksTo(["ebird.org", "bücher.example", "x.org"])
    made = post("https://ebird.org https://bücher.example/a")
    assert filter.explain(made) == "bücher.example, ebird.org"
    assert filter.keys() >= {("domain", "xn--bcher-kva.example"), ("domain", "x.org")}


@pytest.mark.parametrize("site", ["github", "", "https://", "a b.com", "10.1.2.3", ".org", "猫"])
def test_a_site_is_a_domain(site):
    with pytest.raises(ValidationError, match="write its domain name"):
        LinksTo(site)


@pytest.mark.parametrize(
    ("filter", "labels", "matches"),
    [
        (Labelled(), ["porn"], True),
        (Labelled(), [], False),
        (Labelled("porn"), ["porn", "nudity"], True),
        (Labelled("porn"), ["nudity"], False),
        (Labelled(["porn", "nudity"]), ["nudity"], True),
        (Labelled("porn"), [], False),
    ],
)
def test_labelled(filter, labels, matches):
    assert filter.match(post(labels=labels)) is matches


def test_labelled_says_which():
    assert Labelled("porn").explain(post(labels=["porn", "spoiler"])) == "porn"
    assert Labelled().explain(post(labels=["porn", "spoiler"])) == "porn, spoiler"
