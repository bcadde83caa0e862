from __future__ import annotations

import pytest

from feedkit.addresses import account, account_or_post, ascii_host, post_address, site, unicode_host
from feedkit.testing import ALICE

POST = f"at://{ALICE}/app.bsky.feed.post/3l3qo2vuowo2b"
PAGE = f"https://bsky.app/profile/{ALICE}/post/3l3qo2vuowo2b"


@pytest.mark.parametrize(
    ("read", "pasted", "meant"),
    [
        (account, ALICE, ALICE),
        (account, f" {ALICE}\n", ALICE),
        (account, f"https://bsky.app/profile/{ALICE}/?x=1", ALICE),
        (account, f"at://{ALICE}/", ALICE),
        (account, "did:web:example.org", "did:web:example.org"),
        (account, "did:web:localhost%3A2583", "did:web:localhost%3A2583"),
        (post_address, POST, POST),
        (post_address, PAGE, POST),
        (post_address, f"{PAGE}?ref=x", POST),
        (account_or_post, ALICE, ALICE),
        (account_or_post, PAGE, POST),
        (account_or_post, POST, POST),
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
        (account, "@bob.test", "feedkit resolve bob.test"),
        (account, "bob", "is no account"),
        (account, "did:plc:", "not a complete DID"),
        (post_address, ALICE, "is no post"),
        (post_address, "https://bsky.app/profile/bob.test/post/3k", "feedkit resolve https://"),
        (post_address, f"at://{ALICE}/app.bsky.feed.like/3k", "is no post"),
        (account_or_post, "at://bob.test/app.bsky.feed.post/3k", "is no post"),
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
