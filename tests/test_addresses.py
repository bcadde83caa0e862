from __future__ import annotations

import pytest

from feedkit.addresses import ascii_host, post_address, site, unicode_host
from feedkit.testing import ALICE

POST = f"at://{ALICE}/app.bsky.feed.post/3l3qo2vuowo2b"
PAGE = f"https://bsky.app/profile/{ALICE}/post/3l3qo2vuowo2b"


@pytest.mark.parametrize(
    ("read", "pasted", "meant"),
    [
        (post_address, POST, POST),
        (post_address, PAGE, POST),
        (post_address, f"{PAGE}?ref=x", POST),
        (site, "Example.ORG", "example.org"),
        (site, "https://www.example.org:8080/a/b/?q#f", "example.org/a/b"),
        (site, "bücher.example", "bücher.example"),
        (site, "example.org.", "example.org"),
    ],
)
def test_what_people_paste(read, pasted, meant):
    assert read(pasted) == meant


@pytest.mark.parametrize(
    ("read", "pasted", "said"),
    [
        (post_address, ALICE, "is no post"),
        (post_address, "https://bsky.app/profile/bob.test/post/3k", "feedkit resolve https://"),
        (post_address, f"at://{ALICE}/app.bsky.feed.like/3k", "is no post"),
        (site, "http://[", "write its domain name"),
        (site, "localhost", "write its domain name"),
        (site, "exa mple.org", "write its domain name"),
        (site, f"{'a' * 64}.example", "write its domain name"),
    ],
)
def test_what_cannot_be_meant_gets_a_remedy(read, pasted, said):
    with pytest.raises(ValueError, match=said):
        read(pasted)


@pytest.mark.parametrize(
    ("read", "coded"),
    [("bücher.example", "xn--bcher-kva.example"), ("example.org", "example.org")],
)
def test_both_spellings_of_a_host(read, coded):
    assert ascii_host(read) == coded
    assert unicode_host(coded) == unicode_host(read) == read
