"""The look-up asks too many filters, never too few; what breaks is contained and named."""

from __future__ import annotations

import logging
import random
import time
import tracemalloc

import pytest
from _trials import trials

from feedkit import (
    All,
    Any,
    AtLeastOf,
    Author,
    Everything,
    Filter,
    Hashtags,
    HasMedia,
    InList,
    Keywords,
    Labelled,
    Language,
    LinksTo,
    Mentions,
    Not,
    Post,
    Quote,
    Regex,
    Reply,
    SameAs,
)  # fmt: skip
from feedkit.accounts import accounts_in, bind
from feedkit.logs import worth_saying
from feedkit.matcher import Matcher
from feedkit.post import External, Image, Video
from feedkit.testing import check_plugin
from feedkit.testing.failure import ContractBroken

WORDS = [
    "heron", "Heron", "ART", "party", "art", "kernel panic", "straße", "STRASSE", "café", "cafe\u0301",
    "猫", "猫カフェ", "ねこ", "파이썬", "파이썬을", "пайтон", "مرحبا", "שלום", "नमस्ते", "สวัสดี", "🐦", "👨‍👩‍👧‍👦",
    "ｆｅｅｄ", "fe\u200bed", "feed", "ﬁsh", "fish", "İstanbul", "istanbul", "ss", "ß", "#art", "#猫", "a_b", "x",
]  # fmt: skip
TAGS = ["art", "猫", "birds", "straße", "ΣΑΣ", "σας"]
HOSTS = ["example.com", "docs.example.com", "münchen.de", "amzn.to"]
DIDS = [f"did:plc:{letter * 24}" for letter in "abcdef"]
LANGS = ["en", "en-US", "ja", "pt-BR", "zh-Hant", "EN"]


def text(rnd):
    glue = [" ", " ", " ", "", "\n", ", ", "\u200b", "_", "-"]
    return "".join(rnd.choice(WORDS) + rnd.choice(glue) for _ in range(rnd.randrange(7)))


def post(rnd, number):
    from feedkit.text import normalise

    hosts = rnd.sample(HOSTS, rnd.choice((0, 0, 1, 2)))
    subject = f"at://{rnd.choice(DIDS)}/app.bsky.feed.post/{rnd.choice('pq')}"
    return Post(
        uri=f"at://{DIDS[0]}/app.bsky.feed.post/{number}",
        author=rnd.choice(DIDS),
        text=text(rnd),
        langs=tuple(rnd.sample(LANGS, rnd.choice((0, 1, 1, 2)))),
        tags=frozenset(normalise(tag) for tag in rnd.sample(TAGS, rnd.choice((0, 0, 1, 2)))),
        links=tuple(f"https://{host}/path" for host in hosts),
        domains=frozenset(host[at:] for host in hosts for at in (0, host.find(".") + 1)
                          if "." in host[at:]),
        mentions=frozenset(rnd.sample(DIDS, rnd.choice((0, 0, 1, 2)))),
        labels=frozenset(rnd.sample(["porn", "spoiler"], rnd.choice((0, 0, 0, 1)))),
        images=tuple(Image(alt=text(rnd)) for _ in range(rnd.choice((0, 0, 1, 2)))),
        video=Video(alt=text(rnd)) if rnd.random() < 0.1 else None,
        external=External("https://example.com/x", text(rnd), text(rnd)) if rnd.random() < 0.2 else None,
        quote=subject if rnd.random() < 0.2 else "",
        reply_parent=subject if rnd.random() < 0.3 else "",
        reply_root=subject if rnd.random() < 0.3 else "",
    )  # fmt: skip


def leaf(rnd):
    some = lambda values: rnd.sample(values, rnd.randint(1, 3))  # noqa: E731
    return rnd.choice((
        lambda: Keywords(some(WORDS), in_=rnd.choice((["text"], ["text", "alt"], ["link"]))),
        lambda: Keywords(some(WORDS), parts=True),
        lambda: Keywords(some(WORDS), case=True),
        lambda: Keywords(some(WORDS), except_=some(WORDS)),
        lambda: Hashtags(some(TAGS)),
        lambda: Regex(rnd.choice((r"\bfeed", "art$", "猫.", "(?i)heron|fish"))),
        lambda: Language(some(LANGS), undeclared=rnd.random() < 0.3),
        lambda: Author(some(DIDS)),
        Reply, Quote, HasMedia, Labelled, Everything,
        lambda: LinksTo(some(HOSTS)),
    ))()  # fmt: skip


def tree(rnd, depth):
    if depth == 0 or rnd.random() < 0.3:
        return leaf(rnd)
    if rnd.random() < 0.25:
        return Not(tree(rnd, depth - 1))
    if rnd.random() < 0.1:
        named = SameAs("part")
        named.bind(tree(rnd, depth - 1))
        return named
    return rnd.choice((All, Any))([tree(rnd, depth - 1) for _ in range(rnd.randint(1, 3))])


@pytest.mark.parametrize("seed", range(6))
def test_the_matcher_equals_the_plain_loop(seed, monkeypatch):
    # words by look-up, as with thousands of feeds, and by the automaton, as with few
    monkeypatch.setattr("feedkit.index.FEW_WORDS", (seed % 2) * 1_000)
    # sets of people as they are, as with long lists, and by member
    monkeypatch.setattr("feedkit.index.LARGE", 2 if seed % 3 else 1_000)
    rnd = random.Random(seed)
    filters = {str(number): tree(rnd, 3) for number in range(500)}
    posts = [post(rnd, number) for number in range(trials(400))]
    matcher = Matcher(filters)
    hits = 0
    for each in posts:
        plain = {name for name, filter in filters.items() if filter.decide(each) is True}
        assert matcher.match(each) == plain
        hits += len(plain)
    assert 0.05 < hits / (len(filters) * len(posts)) < 0.95
    assert not matcher.errors


LISTS = [f"at://{DIDS[0]}/app.bsky.graph.list/{name}" for name in "lmn"]


def on_lists(rnd, depth):
    """A tree over lists; equal ones may be one object or several."""
    if depth == 0 or rnd.random() < 0.3:
        some = rnd.sample(LISTS, rnd.randint(1, 2))
        return rnd.choice((
            lambda: InList(some), lambda: Author([*some, rnd.choice(DIDS)]),
            lambda: Mentions(some), lambda: Author(rnd.choice(DIDS)), lambda: leaf(rnd),
        ))()  # fmt: skip
    parts = [on_lists(rnd, depth - 1) for _ in range(rnd.randint(1, 3))]
    return rnd.choice((
        lambda: All(parts), lambda: Any(parts), lambda: Not(parts[0]),
        lambda: AtLeastOf(rnd.randint(1, len(parts)), parts),
    ))()  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_it_equals_the_plain_loop_whoever_comes_and_goes(seed, monkeypatch):
    for name, number in (("index.LARGE", 2), ("index.SHARED", 3), ("accounts.sets.LARGE", 2)):
        if seed % 2:
            monkeypatch.setattr(f"feedkit.{name}", number)
    rnd = random.Random(seed)
    filters = {str(number): on_lists(rnd, 2) for number in range(300)}
    posts = [post(rnd, number) for number in range(trials(100))]
    matcher = Matcher(filters)  # nobody is known yet
    sources = sorted({s for f in filters.values() for p in f.walk() for a in accounts_in(p)
                      for s in a.sources})  # fmt: skip
    hits = []
    for known in range(len(sources) + 3):
        found = {s: frozenset(rnd.sample(DIDS, rnd.randint(0, 4))) for s in sources[:known]}
        for filter in filters.values():
            bind(filter, found)
        matcher.people_changed()
        for each in posts:
            plain = {name for name, filter in filters.items() if filter.decide(each) is True}
            assert matcher.match(each) == plain
            hits.append(len(plain))
    assert not matcher.errors
    assert 20 < sum(hits) / len(hits) < 280


def test_a_thousand_feeds_share_one_list():
    people = frozenset(f"did:plc:{number:024}" for number in range(20_000))
    filters = {}
    for number in range(1_000):
        listed = InList(LISTS[0])
        bind(listed, {listed.lists.sources[0]: people})
        both = Any([listed, Author([LISTS[0], DIDS[0]]), Keywords(f"word{number}")])
        filters[str(number)] = listed & Keywords(f"word{number}") if number % 2 else both
    tracemalloc.start()
    try:
        matcher = Matcher(filters)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 5_000_000, "the list takes 2 MB, and a thousand of them 2 GB"
    found = matcher.match(Post(uri="x", author=sorted(people)[5], text="word7"))
    assert found == {"7", *map(str, range(0, 1_000, 2))}
    assert matcher.match(Post(uri="x", author=DIDS[5], text="word7 word8")) == {"8"}


def test_only_feeds_with_people_are_looked_at_again(monkeypatch):
    asked = []

    class Nosy(Keywords):
        """Tells when it is asked for its keys."""

        def keys(self):
            asked.append(next(iter(self.words)))
            return super().keys()

    matcher = Matcher({
        "plain": Nosy("a"), "without": Nosy("b") & ~InList(LISTS[0]),
        "with": Nosy("c") & InList(LISTS[0]), "own": Nosy("d") | Author(DIDS[0]),
    })  # fmt: skip
    assert sorted(asked) == ["a", "b", "c", "d"]
    matcher.people_changed()
    assert sorted(asked) == ["a", "b", "c", "c", "d"]


def test_only_the_filters_that_a_post_concerns_are_asked():
    asked = []

    class Nosy(Filter):
        words: frozenset[str]

        def match(self, post):
            asked.append(self.words)
            return True

        def keys(self):
            return {("text", word) for word in self.words}

    matcher = Matcher({word: Nosy([word]) for word in ("heron", "wren", "robin")})
    assert matcher.match(Post(uri="x", text="A WREN")) == {"wren"}
    assert asked == [frozenset({"wren"})]


@pytest.mark.parametrize(
    ("found", "filter"),
    [
        ({("author", DIDS[0])}, Keywords(["a long literal", "another"]) & Author(DIDS[0])),
        ({("text", "kernel panic")}, Language("en") & Keywords("kernel panic")),
        ({("text", "kernel panic")}, Keywords(["a", "b", "c"]) & Keywords("kernel panic")),
        (None, ~Keywords("x")),
        (None, Keywords("x") | Reply()),
        ({("word", "x"), ("tag", "y")}, Keywords("x") | Hashtags("y")),
    ],
)
def test_of_a_conjunction_the_rarest_part_is_looked_up(found, filter):
    assert filter.keys() == found


class Breaks(Filter):
    """Fails on every post."""

    def match(self, post):
        raise RuntimeError("no idea")


class Answers(Filter):
    """Returns what it was given."""

    what: str | None = None

    def match(self, post):
        return self.what


class Sleeps(Filter):
    """Takes its time."""

    def match(self, post):
        time.sleep(0.06)
        return True


def test_a_filter_that_raises_does_not_match_and_is_named(caplog):
    matcher = Matcher({"good": Everything(), "bad": ~(Keywords("x") & Breaks())})
    with caplog.at_level(logging.ERROR):
        assert matcher.match(Post(uri="at://did:plc:a/app.bsky.feed.post/1", text="x")) == {"good"}
    assert matcher.errors == {("bad", "breaks"): 1}
    assert (
        "feeds.bad: the filter breaks failed on at://did:plc:a/app.bsky.feed.post/1" in caplog.text
    )
    assert "no idea" in caplog.text


@pytest.mark.parametrize("what", [None, "yes", ""])
def test_a_filter_that_returns_no_bool_does_not_match_even_negated(what):
    matcher = Matcher({"bad": ~Answers(what), "good": Everything()})
    assert matcher.match(Post(uri="x")) == {"good"}
    assert matcher.errors == {("bad", "answers"): 1}


def test_a_broken_plugin_does_not_drown_the_log(caplog):
    matcher = Matcher({"bad": Breaks()})
    for _ in range(250):
        matcher.match(Post(uri="x"))
    assert matcher.errors["bad", "breaks"] == 250
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 3
    assert [n for n in range(1, 2000) if worth_saying(n)] == [1, 10, 100, 1000]


def test_a_slow_filter_is_named(caplog):
    matcher = Matcher({"quick": Everything(), "slow": Sleeps()})
    assert matcher.match(Post(uri="x")) == {"quick", "slow"}
    assert matcher.slow["slow", "sleeps"] == 1  # a busy machine may make others slow, too
    assert "feeds.slow: the filter sleeps took" in caplog.text


class Odd(Filter):
    """Has keys of its own."""

    what: str

    def match(self, post):
        return "heron" in post.text

    def keys(self):
        return {
            "kind": {("colour", "x"), ("text", "y")},
            "no pair": {"text"},
            "no text": {("text", 5)},
            "a list": [("text", "y")],
            "no kind": {(None, "y")},
        }.get(self.what) or 1 / 0


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("kind", "WrongType: keys() returned ('colour', 'x'); the kinds are author, mention"),
        ("no pair", "WrongType: keys() returned 'text', which is not (kind, value)"),
        ("no text", "WrongType: keys() returned ('text', 5), which is not (kind, value)"),
        ("a list", "WrongType: keys() returned list, not a set of (kind, value), nor None"),
        ("no kind", "WrongType: keys() returned (None, 'y'); the kinds are"),
        ("raises", "ZeroDivisionError"),
    ],
)
def test_a_filter_with_wrong_keys_is_named_and_asked_about_every_post(what, says, caplog):
    matcher = Matcher({"odd": Odd(what), "good": Keywords("heron")})
    assert matcher.match(Post(uri="x", text="a heron")) == {"odd", "good"}
    assert matcher.errors == {("odd", "odd"): 1}
    assert f"feeds.odd: the filter odd cannot be looked up ({says}" in caplog.text
    with pytest.raises((ContractBroken, ZeroDivisionError)):
        check_plugin(Odd(what))


def test_no_feeds_want_nothing():
    assert Matcher({}).match(Post(uri="x", text="anything")) == frozenset()
