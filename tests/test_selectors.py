from __future__ import annotations

import random
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from feedkit import (
    AtLeast,
    AuthorDecay,
    Diversify,
    Mix,
    OnePerLink,
    OnePerText,
    OnePerThread,
    PerAuthor,
    Pin,
    Rotate,
    RotatedPost,
    Shuffle,
    Throttle,
    Within,
)  # fmt: skip
from feedkit.plugin import Pinned
from feedkit.post import Request
from feedkit.selectors.repeats import distinct, grams, link_identity, similarity
from feedkit.testing import BOB, NOW, post, request

URI = f"at://{BOB}/app.bsky.feed.post/3l3qo2vuowo2b"


def by(authors):
    return [post(author=f"did:plc:{author}") for author in authors]


def places(ranked, shown):
    """The numbers that the shown posts had."""
    return [ranked.index(post) for post in shown]


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


OTHER = f"at://{BOB}/app.bsky.feed.post/3l6oveex3ii2l"


def pinned_over_time(rotate, turns, minutes=15):
    moments = [request(NOW + timedelta(minutes=minutes * n)) for n in range(turns)]
    return [next(iter(pin.uri for pin in rotate.pins(moment)), None) for moment in moments]


def test_rotate_takes_turns_by_weight():
    rotate = Rotate([RotatedPost(URI), RotatedPost(OTHER, 3)], at=3)
    shown = Counter(pinned_over_time(rotate, 4000))
    assert set(shown) == {URI, OTHER}
    assert 2800 < shown[OTHER] < 3200
    assert [pin.at for pin in rotate.pins(request())] == [3]


def test_rotate_shows_one_in_so_many():
    rotate = Rotate([RotatedPost(URI), RotatedPost(OTHER)], one_in=10)
    shown = Counter(pinned_over_time(rotate, 4000))
    assert 3500 < shown[None] < 3700
    assert 140 < shown[URI] < 260
    assert 140 < shown[OTHER] < 260


def test_a_turn_lasts():
    rotate = Rotate([RotatedPost(URI), RotatedPost(OTHER)], every="1h")
    assert len(set(pinned_over_time(rotate, 4))) == 1  # NOW is a full hour


@pytest.mark.parametrize(
    ("selector", "ranked", "expected"),
    [
        (AuthorDecay(), "abc", [0, 1, 2]),
        # keys of a: 1/1, 2/0.625 = 3.2, 3/0.4375 = 6.9, 4/0.34375 = 11.6; b: 5, c: 6
        (AuthorDecay(), "aaaabc", [0, 1, 4, 5, 2, 3]),
        (AuthorDecay(furthest=0), "aaaabc", [0, 1, 2, 3, 4, 5]),
        (AuthorDecay(furthest=1), "aaaabc", [0, 1, 2, 3, 4, 5]),
        (AuthorDecay(furthest=2), "aabcd", [0, 2, 1, 3, 4]),
        (AuthorDecay(decay=1), "aaaabc", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_author_decay(selector, ranked, expected):
    posts = by(ranked)
    assert places(posts, selector.select(posts, request())) == expected


@given(st.lists(st.sampled_from("abcde"), max_size=60), st.integers(0, 20), st.floats(0.01, 1))
def test_author_decay_keeps_its_promise(ranked, furthest, decay):
    posts = by(ranked)
    shown = AuthorDecay(decay, furthest=furthest).select(posts, request())
    bounded(posts, shown, furthest)
    assert len(shown) == len(posts)


def of_ages(ranked):
    """Posts such as a0: by a, no hours old."""
    return [post(author=f"did:plc:{name[0]}", age=f"{name[1:]}h") for name in ranked.split()]


@pytest.mark.parametrize(
    ("most", "ranked", "expected"),
    [
        (1, "a0 a5 b3 a24 a23", [0, 2, 3]),
        (1, "a24 a0 a12", [0, 1]),
        (2, "a0 a1 a2 a24 a25 a3", [0, 1, 3, 4]),
        (2, "a5 a5 a5", [0, 1]),
        (2, "a0 a23 a46 a12", [0, 1, 2]),
        (2, "", []),
    ],
)
def test_throttle(most, ranked, expected):
    posts = of_ages(ranked)
    assert places(posts, Throttle(most).select(posts, request())) == expected


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60)), max_size=40),
    st.integers(1, 4),
    st.integers(1, 30),
)
def test_throttle_keeps_its_promise(ranked, most, hours):
    posts = of_ages(" ".join(f"{author}{age}" for author, age in ranked))
    shown = Throttle(most, f"{hours}h").select(posts, request())
    bounded(posts, shown, 0)
    crowd = {}  # each author's shown posts so far, to see that what is left out had no room
    for post_ in posts:
        times = crowd.setdefault(post_.author, [])
        tried = sorted([*times, post_.sort_at])
        full = any(
            sum(start <= t < start + timedelta(hours=hours) for t in tried) > most
            for start in tried
        )
        assert (post_ in shown) is not full
        if not full:
            times.append(post_.sort_at)


def test_one_per_thread():
    root = post("root")
    answer = post("answer", reply_to=root)
    deeper = post("deeper", reply_to=answer)
    other = post("other")
    posts = [answer, other, root, deeper]
    assert OnePerThread().select(posts, request()) == [answer, other]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.org/x", "http://www.a.org/x/", True),
        ("https://a.org/x?utm_source=bsky", "https://a.org/x#top", True),
        ("https://a.org/x?b=2&a=1", "https://a.org/x?a=1&b=2&fbclid=z", True),
        ("https://A.org/x", "https://a.org/x", True),
        ("https://a.org/x", "https://a.org/X", False),
        ("https://a.org/x?id=1", "https://a.org/x?id=2", False),
        ("https://a.org/x", "https://b.a.org/x", False),
        ("http://[", "http://[", True),
    ],
)
def test_one_per_link(one, other, same):
    assert (link_identity(one) == link_identity(other)) is same
    posts = [post(links=one), post(), post(links=["https://c.org", other]), post()]
    expected = [0, 1, 3] if same else [0, 1, 2, 3]
    assert places(posts, OnePerLink().select(posts, request())) == expected


LONG = "The heron stood in the shallow water and waited for the fish to come by"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (LONG, True),
        (LONG.upper() + "!", True),
        (LONG + " https://x.org/1", True),
        ("@bob.test " + LONG.replace(" ", "\n"), True),
        (LONG.replace("fish", "frog"), True),
        (LONG + ", and so did the tern, the gull, the egret and the stork", False),
        ("A kernel panic at midnight, with nobody there to see it scroll by", False),
        ("", False),
        ("猫がいる", False),
    ],
)
def test_one_per_text(text, same):
    posts = [post(LONG), post(text), post(), post()]
    shown = places(posts, OnePerText(0.7).select(posts, request()))
    assert shown == ([0, 2, 3] if same else [0, 1, 2, 3])


def test_one_per_text_in_a_script_without_spaces():
    text = "今日は天気がいいから、川まで鷺を見に行った。とても静かで、鷺は一羽だけだった。"
    posts = [post(text), post(text.replace("一羽", "二羽")), post(text[::-1])]
    assert places(posts, OnePerText(0.7).select(posts, request())) == [0, 2]


@given(
    st.lists(st.frozensets(st.sampled_from("abcdefgh"), max_size=6), max_size=25),
    st.sampled_from([0.5, 0.6, 2 / 3, 0.7, 0.75, 0.8, 1.0]),
)
def test_distinct_is_exact(sets, alike):
    kept = []
    for number, elements in enumerate(sets):
        if not any(similarity(elements, sets[other]) >= alike for other in kept):
            kept.append(number)
    assert distinct(sets, alike) == kept


@given(
    st.lists(
        st.lists(st.sampled_from(range(40)), min_size=1, max_size=60).map(
            lambda drawn: frozenset(str(n) for n in [*drawn, *range(40, 80)])
        ),
        max_size=40,
    ),
    st.sampled_from([0.5, 0.56, 0.7, 0.8, 0.9]),
)
def test_distinct_is_exact_where_all_share_much(sets, alike):
    test_distinct_is_exact.hypothesis.inner_test(sets, alike)


def steps_of(work):
    """How many lines of Python `work` runs."""
    steps = 0

    def count(frame, event, argument):
        nonlocal steps
        steps += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps


def test_distinct_does_not_compare_each_template_with_each():
    rng = random.Random(7)
    towns = ["".join(rng.choices("abcdefghijklmnoprstuvw", k=7)) for _ in range(30)]
    sets = [
        grams(f"goodmorningthisistheweatherin{''.join(rng.sample(towns, 8))}haveaniceday")
        for _ in range(2000)
    ]
    assert len(distinct(sets, 0.8)) > 1900, "else few would be compared"
    few, many = (steps_of(lambda n=n: distinct(sets[:n], 0.8)) for n in (200, 2000))
    assert many < 12 * few  # each with each would be 100 times as many


def test_distinct_counts_right_in_floats():
    letters = frozenset("abcdefghijklmnopqrstuvwxy")
    assert 0.56 * len(letters) > 14
    assert distinct([letters, frozenset(sorted(letters)[:14])], 0.56) == [0]


@pytest.mark.parametrize(
    ("selector", "counts", "shown"),
    [
        (AtLeast(3), {"likes": 3}, True),
        (AtLeast(3), {"likes": 2, "reposts": 9}, False),
        (AtLeast(replies=1, quotes=1), {"replies": 1, "quotes": 1}, True),
        (AtLeast(replies=1, quotes=1), {"replies": 1, "likes": 9}, False),
        (AtLeast(reposts=2), {"reposts": 2}, True),
    ],
)
def test_at_least(selector, counts, shown):
    made = post(**counts)
    assert selector.select([made], request()) == [made][:shown]


def test_at_least_needs_what_it_asks_for():
    assert AtLeast(3, reposts=1).needs == {"likes", "reposts"}
    with pytest.raises(ValidationError, match="asks for nothing"):
        AtLeast()


@pytest.mark.parametrize(
    ("age", "shown"), [("0s", True), ("2d", True), ("48h1s", False), ("9d", False)]
)
def test_within(age, shown):
    made = post(age=age)
    assert Within("48h").select([made], request()) == [made][:shown]


def test_diversify_by_hand():
    # λ 0.5, four candidates at a time: relevance 1, ¾, ½, ¼; posts of one author are alike.
    posts = by("aaabc")
    shown = Diversify(0.5, lookahead=4).select(posts, request())
    # a(1) | of a 1-1, a ¾-1, b ½, c ¼ … b; c; then a, a
    assert places(posts, shown) == [0, 3, 4, 1, 2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"links": "https://x.org/?utm_source=1"}, {"links": "http://www.x.org"}),
        ({"text": "the same words again"}, {"text": "The SAME words again"}),
        ({"reply_root": "at://t"}, {"reply_root": "at://t"}),
    ],
)
def test_diversify_sees_what_is_alike(one, other):
    posts = [post(author="did:a", **one), post(author="did:b", **other), post(author="did:c")]
    assert places(posts, Diversify(0.5).select(posts, request())) == [0, 2, 1]
    assert Diversify(1).select(posts, request()) == posts


@given(st.lists(st.sampled_from("abcde"), max_size=50), st.floats(0, 1), st.integers(2, 12))
def test_diversify_keeps_its_promise(ranked, weight, lookahead):
    posts = by(ranked)
    shown = Diversify(weight, lookahead).select(posts, request())
    bounded(posts, shown, lookahead)
    assert len(shown) == len(posts)


def test_diversify_lets_nobody_wait_for_longer_than_promised():
    # The second post is like every one of the others, which are not like each other.
    links = [f"https://{number}.example" for number in range(20)]
    posts = [post(author=f"did:{number}", links=link) for number, link in enumerate(links)]
    posts.insert(1, post(author="did:all", links=links))
    shown = Diversify(0, lookahead=3).select(posts, request())
    assert places(posts, shown)[:6] == [0, 2, 3, 4, 1, 5]


@given(st.lists(st.sampled_from("abc"), max_size=40), st.floats(0, 1), st.integers(2, 9))
def test_diversify_is_mmr(ranked, weight, lookahead):
    """The same by the formula, with all similarities computed anew at each place."""
    posts = by(ranked)
    left, chosen = list(range(len(posts))), []
    while left:
        ahead = left[:lookahead]

        def worth(number, ahead=ahead):
            alike = [
                1.0 for other in chosen[-lookahead:] if posts[other].author == posts[number].author
            ]
            relevance = 1 - ahead.index(number) / lookahead
            return weight * relevance - (1 - weight) * max(alike, default=0.0)

        late = len(chosen) - left[0] >= lookahead
        chosen.append(left[0] if late else max(ahead, key=worth))
        left.remove(chosen[-1])
    assert places(posts, Diversify(weight, lookahead).select(posts, request())) == chosen


@given(st.integers(0, 60), st.integers(2, 12))
def test_shuffle_keeps_its_promise(number, window):
    posts = by("a" * number)
    shown = Shuffle(window).select(posts, request())
    assert sorted(places(posts, shown)) == list(range(number))
    assert all(abs(now - was) < window for now, was in enumerate(places(posts, shown)))


def test_shuffle_shuffles_and_stays():
    posts = by("a" * 100)
    shuffle = Shuffle(10, "1h")
    shown = shuffle.select(posts, request())
    assert shown != posts
    assert shuffle.select(posts, request(NOW + timedelta(minutes=59))) == shown
    assert shuffle.select(posts, request(NOW + timedelta(minutes=60))) != shown


def mixing(others):
    return Request(now=NOW, feeds={"other": tuple(others)})


@pytest.mark.parametrize(
    ("one_in", "own", "others", "shown"),
    [
        (3, "abcdef", "123456", "ab1cd2ef3"),
        (2, "abc", "123456", "a1b2c3"),
        (3, "abcde", "1", "ab1cde"),
        (3, "abcde", "", "abcde"),
        (3, "", "123", ""),
        (4, "ab", "123", "ab"),
        (3, "abcdef", "aAb1", "abAcd1ef"),  # what is shown already does not come again
        (3, "abcdef", "fc1", "abfcd1e"),  # what would have come later comes now
        (2, "abc", "cba", "acb"),
    ],
)
def test_mix(one_in, own, others, shown):
    posts = {name: post(name) for name in {*own, *others}}
    given = [posts[name] for name in own]
    made = Mix("other", one_in).select(given, mixing(posts[name] for name in others))
    assert "".join(post.text for post in made) == shown
    assert Mix("other", one_in).select(given, request()) == given  # nothing is known of it


@given(
    st.lists(st.integers(0, 40), unique=True, max_size=30),
    st.lists(st.integers(20, 60), unique=True, max_size=30),
    st.integers(2, 6),
)
def test_mix_keeps_its_promise(own, others, one_in):
    posts = {number: post(str(number)) for number in range(61)}
    given, of_other = [posts[n] for n in own], [posts[n] for n in others]
    shown = Mix("other", one_in).select(given, mixing(of_other))
    assert len({post.uri for post in shown}) == len(shown)
    assert {post.uri for post in shown} >= {post.uri for post in given}  # none is left out
    for place, one in enumerate(given, 1):
        assert shown.index(one) + 1 <= place + (place - 1) // (one_in - 1)
    turns = [place for place in range(len(shown)) if (place + 1) % one_in == 0]
    taken = [shown[place] for place in turns]
    if left := [one for one in of_other if one not in shown]:  # there were always some left
        assert all(one in of_other for one in taken), left
        assert [of_other.index(one) for one in taken] == sorted(map(of_other.index, taken))
    assert [one for one in shown if one in given and one not in taken] == [
        one for one in given if one not in taken
    ]
    assert Mix("other").mixes == {"other"}
