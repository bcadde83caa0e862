"""Where a post stands, and why: the terms make the score, the places are those of the ranking."""

from __future__ import annotations

import json
import math
import random
from datetime import timedelta

import msgspec
import pytest
from _trials import trials
from hypothesis import given, settings
from hypothesis import strategies as st
from storing import account, apply, at, deleted, engaged, uri, written

from feedkit import (
    AtLeast,
    AuthorDecay,
    Blend,
    BlendPart,
    Boost,
    Conversation,
    Diversify,
    Everything,
    Expression,
    Fading,
    Field,
    Gravity,
    HalfLife,
    HasMedia,
    Mix,
    Newest,
    OnePerLink,
    OnePerText,
    OnePerThread,
    PerAuthor,
    Pin,
    Random,
    Ranker,
    RedditHot,
    Selector,
    Shuffle,
    Term,
    Throttle,
    Top,
    Within,
)
from feedkit.explain_ranking import Standing, explain_ranking
from feedkit.ordering import sentence, total
from feedkit.post import Request, Viewer
from feedkit.ranking import candidates_of, mixed, rank, take_snapshot
from feedkit.settings import FeedConfig, Service
from feedkit.testing import ContractBroken, check_plugin, post, request
from feedkit.viewing import ViewerFilter
from feedkit.why import Explanation, explain_post, explain_stored, not_stored

LINK = "https://a.example/x"
LONG = "The heron stood in the shallow water and waited for the fish to come by"


# ---- terms


class Flat(Ranker):
    """Says nothing of its score."""

    height: float = Field(default=1.0)

    def score(self, post, request):
        return self.height


def parts(*rankers):
    return [BlendPart(ranker, weight) for weight, ranker in enumerate(rankers, 1)]


MADE = [
    Newest(),
    Gravity(), Gravity(0, reposts=2, quotes=-3), Gravity(likes=0),
    RedditHot(reposts=-1), RedditHot("1d"),
    HalfLife(), HalfLife("1h", replies=2.5),
    Fading(), Fading("12h"),
    Top(), Top("1d", replies=7),
    Conversation(), Conversation(0, 1),
    Expression("likes"), Expression("(likes + 3*quotes) / (age_hours - 2) - is_reply"),
    Random(), Flat(),
    Blend(parts(Newest(), Gravity(), Random())), Blend(parts(Top(), Flat()), "range"),
    Blend(parts(Blend(parts(Newest(), Top())), Flat())),
    Boost(Gravity(), HasMedia("image"), 3), Boost(Flat(-8), HasMedia("image"), 4),
    Boost(Blend(parts(Top(), Newest())), HasMedia("image")),
]  # fmt: skip
POSTS = st.lists(
    st.builds(
        post,
        likes=st.integers(0, 1000), reposts=st.integers(0, 99), replies=st.integers(0, 9),
        quotes=st.integers(0, 9), images=st.integers(0, 1),
        age=st.integers(0, 400_000).map(lambda seconds: timedelta(seconds=seconds)),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


def makes(terms, value):
    assert total(terms) == pytest.approx(value, rel=1e-9, abs=1e-9)
    for term in terms:
        assert math.isfinite(term.value)
        if term.parts:
            makes(term.parts, term.value)


@pytest.mark.parametrize("ranker", MADE, ids=repr)
@settings(max_examples=trials(100))
@given(posts=POSTS)
def test_the_terms_make_the_score(ranker, posts):
    scores = ranker.score_many(posts, request())
    for made, score in zip(posts, scores, strict=True):
        terms = ranker.explain_among(made, posts, request())
        assert bool(terms) == (not isinstance(ranker, Flat))
        if terms:
            makes(terms, score)
    (alone,) = ranker.score_many(posts[:1], request())
    makes(ranker.explain(posts[0], request()) or (Term("", alone),), alone)


@pytest.mark.parametrize(
    ("ranker", "said"),
    [
        (Newest(), "time 1,768,467,600 (2026-01-15 09:00:00 UTC, in seconds since 1970)"),
        (Gravity(reposts=2),
         "points 16 (12 likes × 1 + 2 reposts × 2) ÷ age 18.1195 ((3 h + 2) ^ 1.8)"),
        (RedditHot(),
         "votes 1.07918 (log10 of 12 points: 12 likes × 1) + time 14098.7 "
         "(since 2005-12-08, in spans of 12.5 h)"),
        (HalfLife("3h"), "points 12 (12 likes × 1) × age 0.5 (½ ^ (3 h / 3h))"),
        (Fading("6h"), "points 12 (12 likes × 1) × age 0.75 (1 - (3 h / 6h)²)"),
        (Fading("2h"),
         "points 12 (12 likes × 1) × age 0 (1 - (3 h / 2h)², but not below 0)"),
        (Top(quotes=5), "points 17 (12 likes × 1 + 1 quote × 5)"),
        (Top("2h"), "age -1,000,000,000,003 (3 h, older than 2h)"),
        (Conversation(),
         "talk 2 (1 reply + 1 quote) × share of talk 0.0769231 (2 / (2 + 12 likes + 2 reposts + "
         "10)) ÷ age 5 ((3 h + 2) ^ 1)"),
        (Expression("likes - 2*age_hours"),
         "formula 6 (likes - 2*age_hours, where age_hours = 3, likes = 12)"),
        (Expression("1/0"),
         "formula 0 (1/0: the result is no number, which counts as 0)"),
        (Boost(Top(), HasMedia("image"), 1.5),
         "top 12 × boost 1.5 (has_media matches: 1 image)"),
        (Boost(Flat(-6), HasMedia("image"), 1.5), "flat -6 ÷ boost 1.5 (has_media matches: 1 image)"),
        (Boost(Top(), HasMedia("video")), "top 12 × boost 1 (none: has_media does not match)"),
        (Gravity(likes=0), "points 0 (nothing counts) ÷ age 18.1195 ((3 h + 2) ^ 1.8)"),
        (Flat(), ""),
    ],
    ids=repr,
)  # fmt: skip
def test_the_terms_in_words(ranker, said):
    made = post(likes=12, reposts=2, replies=1, quotes=1, age="3h", images=["x"])
    assert sentence(ranker.explain(made, request())) == said


def test_a_blend_shows_what_it_made_of_each_score():
    posts = [post(likes=n, age=f"{n}h") for n in (5, 1, 3)]
    first, second = Blend(parts(Top(), Flat(2))).explain_among(posts[0], posts, request())
    assert (first.name, first.value, first.parts[0]) == ("top", 1.0, Term("weight", 1.0))
    assert sentence(first.parts[1:]) == (
        "rank 1 (beats 100.0% of the other 2, with points 5 (5 likes × 1))"
    )
    assert second.parts[1].because == "beats 50.0% of the other 2, with 2"
    (first,) = Blend(parts(Top()), "range").explain_among(posts[2], posts, request())
    assert first.parts[1].because == "from 1 to 5, with points 3 (3 likes × 1)"


class Liar(Ranker):
    """Explains another number, or what is none."""

    terms: str

    def score(self, post, request):
        return 4.0

    def explain(self, post, request):
        if self.terms == "raises":
            raise KeyError("no words")
        return {
            "wrong": [Term("one", 1.0), Term("two", 2.0, by="×")],
            "wrong within": [Term("four", 4.0, parts=(Term("three", 3.0),))],
            "zero": [Term("one", 1.0), Term("none", 0.0, by="÷")],
            "text": "because",
            "right": [Term("two", 2.0), Term("half", 0.5, by="÷")],
        }[self.terms]


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ("wrong", "explain says what makes 2, but it is 4, for post"),
        ("wrong within", "explain says what makes 3, but it is 4, for post"),
        ("zero", "explain: float division by zero"),
        ("text", "explain must return a list of Term, not 'because'"),
        ("raises", "explain raises KeyError"),
    ],
)
def test_the_contract_of_terms(terms, said):
    with pytest.raises(ContractBroken, match="Liar: ") as caught:
        check_plugin(Liar(terms))
    assert said in str(caught.value)
    check_plugin(Liar("right"))


# ---- what selectors say


def by(author, text="", **content):
    return post(text, author=f"did:plc:{author}", **content)


SAME = [by("a"), by("a"), by("b"), by("a"), by("c"), by("d")]
ROOT = by("r")


@pytest.mark.parametrize(
    ("selector", "posts", "about", "said"),
    [
        (PerAuthor(1, 3), SAME, 0, ""),
        (PerAuthor(1, 3), SAME, 1,
         "the 2nd of this author had to wait: at most 1 may stand among 3"),
        (PerAuthor(1, 3), SAME, 2, ""),
        (PerAuthor(1, 2), [by("a"), by("a"), by("a"), by("b")], 2,
         "the 3rd of this author would have to wait for more than 2 places: at most 1 may stand "
         "among 2"),
        (AuthorDecay(), SAME, 1, "the 2nd of this author: 2 / 0.625 = 3.2"),
        (AuthorDecay(furthest=1), SAME, 1,
         "the 2nd of this author: 2 / 0.625 = 3.2, but at most 1 places down"),
        (AuthorDecay(), SAME, 2, ""),
        (Throttle(1), SAME, 1,
         "at most 1 of one author within 1d, and better ranked ones take up the room"),
        (Throttle(1), SAME, 2, ""),
        (OnePerThread(), [by("x"), ROOT, by("y", reply_to=ROOT)], 2,
         "the same thread stands at place 2"),
        (OnePerThread(), [by("x"), ROOT], 1, ""),
        (OnePerLink(), [by("a"), by("b", links=LINK), by("c", links=f"{LINK}?utm_source=x")], 2,
         f"the same link stands at place 2: {LINK}?utm_source=x"),
        (OnePerText(0.7), [by("a", LONG), by("b", LONG.replace("fish", "frog"))], 1,
         "a text that is 80% the same stands at place 1"),
        (AtLeast(5, replies=1), [by("a", likes=2, replies=3)], 0, "2 of 5 likes"),
        (AtLeast(5, replies=1), [by("a", likes=2)], 0, "2 of 5 likes, 0 of 1 replies"),
        (Within("2d"), [by("a", age="3d")], 0, "72 h old, more than 2d"),
        (Diversify(0.5, 4), [by("a"), by("a"), by("a"), by("b"), by("c")], 3,
         "those it passed are more like the posts above"),
        (Diversify(0.5, 4), [by("a"), by("a"), by("a"), by("b"), by("c")], 1,
         "100% like the post at place 1"),
        (Shuffle(2, "1h"), [by("a"), by("b"), by("c")], 2,
         "places 3 to 3 are shuffled until 2026-01-15 13:00:00 UTC"),
        (Pin(ROOT.uri), SAME, 0, ""),
    ],
)  # fmt: skip
def test_what_selectors_say(selector, posts, about, said):
    after = selector.select(list(posts), request())
    assert selector.explain(posts[about], posts, after, request()) == said


class Mute(Selector):
    """Explains nothing in words."""

    def select(self, posts, request):
        return posts

    def explain(self, post, before, after, request):
        return len(before)


def test_the_contract_of_reasons():
    with pytest.raises(ContractBroken, match="Mute: explain returns int, not a text"):
        check_plugin(Mute())


# ---- standing


def feed(name="birds", rank=None, select=(), **settings):
    return FeedConfig(name, Everything(), rank or Top(), tuple(select), **settings)


NOW = Request(now=at(3600))


def stand(store, of, name, feeds=None, asked=NOW, author="ann"):
    address = uri(name, author)
    return explain_ranking(store, of, address, store.find_post(address), asked, feeds or {})


def told(standing):
    return list(standing.lines()) if standing else None


@pytest.fixture
def filled(store):
    """Six posts a minute apart, in birds and new; likes: c 3, a 2, b 1."""
    store.sync_feeds({"birds": "", "new": "", "other": ""})
    steps = [
        written(n, "birds new", rev=f"1{n}", seconds=60 * i, text=n, author=f"by{n}")
        for i, n in enumerate("abcdef")
    ]
    likes = [
        engaged(f"fan{n}", f"{post}{n}", uri(post, f"by{post}"))
        for post, number in (("c", 3), ("a", 2), ("b", 1))
        for n in range(number)
    ]
    apply(store, *steps, *likes, seconds=360)
    return store


def test_the_place_where_the_newest_come_first(filled):
    new = feed("new", Newest())
    assert told(stand(filled, new, "a", author="bya")) == ["served: place 6 of 6, newest first"]
    assert told(stand(filled, new, "f", author="byf")) == ["served: place 1 of 6, newest first"]
    apply(filled, account("byf", "suspended"), seconds=361)
    assert told(stand(filled, new, "e", author="bye")) == ["served: place 1 of 5, newest first"]
    assert stand(filled, new, "f", author="byf") is None  # hidden
    apply(filled, deleted("d", rev="9", author="byd"), seconds=362)
    assert stand(filled, new, "d", author="byd") is None
    assert stand(filled, feed("other", Newest()), "a", author="bya") is None
    pinned = feed("new", Newest(), [Pin(uri("b", "byb"), at=2)])
    assert told(stand(filled, pinned, "b", author="byb")) == [
        "served: place 3 of 4, newest first",
        "pinned: place 2 of the feed, whatever was ranked",
    ]
    assert told(stand(filled, feed("new", Newest(), [Pin(uri("x"))]), "x")) == [
        "pinned: place 1 of the feed, whatever was ranked"
    ]


def test_the_place_that_is_served_and_the_one_now(filled):
    birds = feed()
    assert told(stand(filled, birds, "a", author="bya")) == [
        "served: place 6 of 6, newest first",  # not ranked yet
        "if it were ranked now: place 2 of 6",
        "top: 2, place 2 of 6",
        "  points 2  2 likes × 1",
    ]
    take_snapshot(filled, birds, at(400))
    same = told(stand(filled, birds, "a", author="bya"))
    assert same[0] == "served: place 2 of 6, ranked 2026-07-04 12:06:40 UTC"
    assert same[1] == "top: 2, place 2 of 6"
    apply(filled, *(engaged(f"late{n}", f"l{n}", uri("a", "bya")) for n in range(5)), seconds=500)
    assert told(stand(filled, birds, "a", author="bya")) == [
        "served: place 2 of 6, ranked 2026-07-04 12:06:40 UTC",
        "if it were ranked now: place 1 of 6",
        "top: 7, place 1 of 6",
        "  points 7  7 likes × 1",
    ]
    apply(filled, written("g", "birds", rev="1g", seconds=600), seconds=600)
    assert told(stand(filled, birds, "g"))[0] == (
        "served: no place among 6, ranked 2026-07-04 12:06:40 UTC"
    )


def test_what_selectors_did(filled):
    birds = feed(select=[AtLeast(1), PerAuthor(1, 5), Mix("new", 2)])
    feeds = {"birds": birds, "new": feed("new", Newest())}
    take_snapshot(filled, birds, at(400), feeds)
    # c f a e b d: birds has c, a, b left; new gives f, e, d
    places = [stand(filled, birds, n, feeds, author=f"by{n}").place for n in "cfaebd"]
    assert places == [1, 2, 3, 4, 5, 6]
    assert told(stand(filled, birds, "e", feeds, author="bye"))[1:] == [
        "top: 0, place 5 of 6",
        "  points 0  0 likes × 1",
        "at_least: left out, from place 5: 0 of 1 likes",
        "mix: put at place 4: place 2 of new, one of which is every 2nd post",
    ]
    assert told(stand(filled, birds, "b", feeds, author="byb"))[-1] == (
        "mix: place 3 → 5: 2 of another feed put above it"
    )


def test_what_is_too_old_to_be_ranked_or_left_out(filled):
    shallow = feed(depth=2)
    take_snapshot(filled, shallow, at(400))
    assert told(stand(filled, shallow, "c", author="byc")) == [
        "served: no place among 2, ranked 2026-07-04 12:06:40 UTC",
        "too old to be ranked: only the newest 2 posts are (depth)",
    ]


class Mine(ViewerFilter):
    """Keeps the viewer's own."""

    def keep(self, post, viewer):
        return post.author == viewer.did


def test_an_order_that_is_the_viewers_own(filled):
    mine = feed(viewer=(Mine(),))
    assert told(stand(filled, mine, "c", author="byc")) == [
        "each viewer gets an order of their own"
    ]
    viewer = Request(now=NOW.now, viewer=Viewer(did="did:plc:me"))
    stored = filled.find_post(uri("c", "byc"))
    everybodys = candidates_of(filled, mine)
    theirs = everybodys.only([post for post in everybodys.posts if post.likes > 1])
    standing = explain_ranking(filled, mine, stored.post.uri, stored, viewer, {}, theirs)
    assert (standing.served, standing.place, standing.of) == (None, 1, 2)


class Broken(Ranker):
    """Cannot rank."""

    def score(self, post, request):
        raise RuntimeError("no numbers today")


class Speechless(Top):
    """Cannot explain."""

    def explain(self, post, request):
        return ["because"]


class Loud(Selector):
    """Raises, or turns the list round and cannot say why."""

    fails: bool

    def select(self, posts, request):
        if self.fails:
            raise RuntimeError("no selection today")
        return posts[::-1]

    def explain(self, post, before, after, request):
        raise KeyError("no words")


def test_what_fails_is_told(filled):
    failing = feed(rank=Broken(), select=[Loud(True)])
    assert told(stand(filled, failing, "f", author="byf")) == [
        "served: place 1 of 6, newest first",
        "the ranker broken failed (RuntimeError: no numbers today); the feed is newest first",
        "the selector loud failed (RuntimeError: no selection today); it is passed over",
        "broken: no score, place 1 of 6",
    ]
    silent = feed(rank=Speechless(), select=[Loud(False)])
    assert told(stand(filled, silent, "c", author="byc")) == [
        "served: place 4 of 6, newest first",
        "explain() of the ranker speechless failed: TypeError: it must give terms",
        "if it were ranked now: place 6 of 6",
        "speechless: 3, place 1 of 6",
        "loud: place 1 → 6: explain() failed: KeyError: 'no words'",
    ]


class Bird(Ranker):
    """Needs a hydrator."""

    needs = frozenset({"bird"})

    def score(self, post, request):
        return post.features["bird"]


def test_what_is_awaited(filled):
    birds = feed(rank=Bird())
    assert told(stand(filled, birds, "c", author="byc"))[1:] == [
        "bird: no score, place 4 of 6",
        "waits for bird: until then it comes after all that have a score",
    ]
    assert stand(filled, birds, "c", author="byc").awaited == ("bird",)
    for name, value in (("c", "0.5"), ("d", "null")):
        found = filled.find_post(uri(name, f"by{name}"))
        filled.db.run(
            "INSERT INTO features (post_id, name, value, tries, next_at) VALUES (?, ?, ?, 0, 0)",
            (found.id, "bird", value),
        )
    assert told(stand(filled, birds, "c", author="byc"))[1:] == [
        "if it were ranked now: place 1 of 6",
        "bird: 0.5, place 1 of 6",
    ]
    assert "nobody could find out bird: it comes after all that have a score" in told(
        stand(filled, birds, "d", author="byd")
    )


SELECTORS = [
    (), (AtLeast(2),), (PerAuthor(1, 4), Shuffle(3)), (Diversify(), Mix("new", 3)),
    (Mix("new", 2), PerAuthor(2, 5), AuthorDecay()), (Throttle(3), Within("30m")),
]  # fmt: skip


@pytest.mark.parametrize("select", SELECTORS, ids=repr)
def test_the_places_are_those_of_the_ranking(store, select):
    rnd = random.Random(7)
    store.sync_feeds({"birds": "", "new": ""})
    names = [f"p{n}" for n in range(40)]
    apply(
        store,
        *(written(n, rnd.choice(("birds", "new", "birds new")), rev=f"1{n}", author=rnd.choice("abc"),
                  seconds=rnd.randrange(3600), text=n) for n in names),
        seconds=3600,
    )  # fmt: skip
    stored = {n: f for n in names for a in "abc" if (f := store.find_post(uri(n, a)))}
    likes = [
        engaged(f"f{n}", f"k{n}", rnd.choice(list(stored.values())).post.uri) for n in range(60)
    ]
    apply(store, *likes, seconds=3601)
    birds, new = feed(rank=Gravity(), select=select), feed("new", Newest())
    feeds = {"birds": birds, "new": new}
    take_snapshot(store, birds, NOW.now, feeds)
    ids = rank(birds, candidates_of(store, birds), NOW, mixed(store, birds, feeds))
    place = {id: number for number, id in enumerate(ids, 1)}
    seen = 0
    for name, found in stored.items():
        standing = explain_ranking(store, birds, found.post.uri, found, NOW, feeds)
        if standing is None:
            assert found.id not in place
            continue
        seen += 1
        assert (standing.place, standing.of) == (place.get(found.id), len(ids)), name
        assert standing.served.place == standing.place
        at_ = standing.ranked
        for step in standing.steps:  # each goes on where the one before ended
            assert step.before == at_
            at_ = step.after
        assert at_ == standing.place
        if standing.terms:
            makes(standing.terms, standing.score)
    assert seen >= 20


# ---- the whole


def test_it_is_plain_data(filled):
    birds = feed(rank=Boost(Top(), HasMedia("image")), select=[Pin(uri("a", "bya")), Mix("new", 2)])
    feeds = {"birds": birds, "new": feed("new", Newest())}
    service = Service("f.example.com", "a.example.com", "did:web:f.example.com", feeds)
    take_snapshot(filled, birds, at(400), feeds)
    whole = explain_stored(service, filled, birds, uri("a", "bya"), post(), NOW)
    plain = json.loads(json.dumps(msgspec.to_builtins(whole)))
    assert msgspec.convert(plain, Explanation) == whole
    assert plain["standing"]["terms"][0]["parts"][0]["name"] == "points"
    assert next(iter(whole.lines())) == "birds ✓"
    assert isinstance(whole.standing, Standing)
    elsewhere = explain_stored(service, filled, birds, uri("zz"), post(), NOW)
    assert elsewhere.standing is None
    assert explain_post(service, birds, post()).verdict == elsewhere.verdict
    assert not_stored(filled, uri("zz")).startswith("not stored: no feed kept it")
    apply(filled, account("bya", "deactivated"), seconds=400)
    hidden = explain_stored(service, filled, birds, uri("a", "bya"), post(), NOW)
    assert hidden.notes == ("hidden: its author's account is not active, so no feed shows it",)
    assert hidden.standing is None
