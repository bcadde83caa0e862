from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from feedkit import PerAuthor, Pin
from feedkit.plugin import Pinned
from feedkit.testing import BOB, NOW, post, request

URI = f"at://{BOB}/app.bsky.feed.post/3l3qo2vuowo2b"


def by(authors):
    return [post(author=f"did:plc:{author}") for author in authors]


def authors(posts):
    return "".join(post.author[-1] for post in posts)


@pytest.mark.parametrize(
    ("most", "window", "ranked", "shown"),
    [
        (1, 1, "aaa", "aaa"),
        (1, 2, "aab", "aba"),
        (1, 2, "aaab", "aba"),
        (2, 3, "aaabc", "aabac"),
        (1, 3, "abab", "ab"),
        (1, 3, "ababcd", "abcabd"),
        (2, 10, "", ""),
        (1, 2, "aabbcc", "ababc"),
        (1, 2, "a", "a"),
        (1, 2, "aaaaabcdef", "abacdef"),
    ],
)
def test_per_author(most, window, ranked, shown):
    posts = by(ranked)
    assert authors(PerAuthor(most, window).select(posts, request())) == shown


def bounded(posts, shown, distance):
    """Nothing invented, nothing twice, nothing further down than promised."""
    place = {post.uri: number for number, post in enumerate(posts)}
    assert len({post.uri for post in shown}) == len(shown)
    for now_at, post_ in enumerate(shown):
        assert now_at - place[post_.uri] <= distance


@given(st.lists(st.sampled_from("abcde"), max_size=60), st.integers(1, 4), st.integers(1, 12))
def test_per_author_keeps_its_promise(ranked, most, window):
    posts = by(ranked)
    shown = PerAuthor(most, window).select(posts, request())
    bounded(posts, shown, window)
    for start in range(len(shown)):
        counts = Counter(authors(shown[start : start + window]))
        assert max(counts.values()) <= most
    for author in "abcde":  # an author's own order stands
        own = [p for p in posts if p.author == f"did:plc:{author}" and p in shown]
        assert own == [p for p in shown if p.author == f"did:plc:{author}"]


@given(st.lists(st.sampled_from("abcde"), max_size=60), st.integers(1, 4), st.integers(1, 12))
def test_per_author_is_the_plain_rule(ranked, most, window):
    """The same by the obvious, slow loop: at each place the best post that may stand there."""
    waiting, shown = [], []  # waiting: (post, last place)
    posts = by(ranked)

    def allowed(post_):
        recent = shown[max(0, len(shown) - window + 1) :]
        return sum(p.author == post_.author for p in recent) < most

    def place_waiting():
        while True:
            waiting[:] = [entry for entry in waiting if len(shown) <= entry[1]]
            free = next((entry for entry in waiting if allowed(entry[0])), None)
            if free is None:
                return
            waiting.remove(free)
            shown.append(free[0])

    for post_ in posts:
        place_waiting()
        if allowed(post_):
            shown.append(post_)
        else:
            waiting.append((post_, len(shown) + window))
    place_waiting()
    assert PerAuthor(most, window).select(posts, request()) == shown


def test_per_author_leaves_the_list_alone_that_breaks_nothing():
    posts = by("abcabcabc")
    assert PerAuthor(1, 3).select(posts, request()) == posts


def test_pin():
    assert list(Pin(URI).pins(request())) == [Pinned(uri=URI, at=1)]
    assert list(Pin(URI, at=5).pins(request())) == [Pinned(uri=URI, at=5)]
    posts = by("ab")
    assert Pin(URI).select(posts, request()) == posts


@pytest.mark.parametrize(
    ("until", "pinned"),
    [
        ("2026-01-15", False),
        ("2026-01-16", True),
        ("2026-01-15T12:00:00Z", False),
        ("2026-01-15T12:00:01", True),
        ("2026-01-15T13:00:00+02:00", False),
        (NOW + timedelta(seconds=1), True),
        (datetime(2026, 1, 15, 11, tzinfo=UTC), False),
    ],
)
def test_pin_until(until, pinned):
    assert bool(list(Pin(URI, until=until).pins(request()))) is pinned


def test_pin_takes_the_page_of_the_post():
    assert Pin(f"https://bsky.app/profile/{BOB}/post/3l3qo2vuowo2b").post == URI


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("https://bsky.app/profile/bob.test/post/3l", "feedkit resolve https://bsky.app/pro"),
        (f"at://{BOB}/app.bsky.graph.list/3l", "is no post"),
        ("", "is no post"),
    ],
)
def test_pin_refuses(uri, said):
    with pytest.raises(ValidationError, match=said):
        Pin(uri)
