"""Per viewer filter two tables: what is shown to the viewer, and what is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from feedkit import (
    AnyOf,
    Followers,
    Follows,
    HideRepliesToStrangers,
    HideSeen,
    Mentioned,
    Mutuals,
    NoneOf,
    NotInterested,
    Spoken,
    ViewerFilter,
)  # fmt: skip
from feedkit.config import load_config
from feedkit.filters.viewer import VIEWER_FILTERS
from feedkit.plugin import needs_of
from feedkit.post import CoLike
from feedkit.testing import ALICE, BOB, NOW, ContractBroken, check_plugin, post, request, viewer
from feedkit.testing.corpus import corpus
from feedkit.testing.viewers import requests

CAROL, DAVE, STRANGER = (f"did:plc:{name:a<24}" for name in ("carol", "dave", "stranger"))
# BOB asks: follows Alice and Dave, is followed by Carol and Dave.
WHO = {"follows": {ALICE, DAVE}, "followers": {CAROL, DAVE}}
SEEN, FRESH = post("seen"), post("fresh")


def by(author, **more):
    return post(author=author, **more)


def answer(author, to):
    return post(author=author, reply_to=f"at://{to}/app.bsky.feed.post/1")


# The filter, who asks, what is shown, what is not.
TABLES = [
    (Follows(), WHO, [by(ALICE), by(DAVE), by(BOB)], [by(CAROL), by(STRANGER), by("")]),
    (Follows(own=False), WHO, [by(ALICE)], [by(BOB), by(CAROL)]),
    (Follows(), {}, [by(BOB)], [by(ALICE), by("")]),
    (Followers(), WHO, [by(CAROL), by(DAVE)], [by(ALICE), by(BOB), by(STRANGER), by("")]),
    (Followers(own=True), WHO, [by(CAROL), by(BOB)], [by(ALICE)]),
    (Mutuals(), WHO, [by(DAVE)], [by(ALICE), by(CAROL), by(BOB), by(STRANGER)]),
    (Mutuals(own=True), WHO, [by(DAVE), by(BOB)], [by(ALICE), by(CAROL)]),
    (
        Mentioned(), {},
        [by(STRANGER, mentions=BOB), by(BOB, mentions=[ALICE, BOB])],
        [post(), by(BOB), by(ALICE, mentions=ALICE), post(f"@{BOB}")],
    ),
    (HideSeen(), {"seen": [SEEN]}, [FRESH, post("seen")], [SEEN]),
    (HideSeen(), {}, [FRESH, SEEN], []),
    (
        HideRepliesToStrangers(), WHO,
        [
            by(STRANGER), answer(STRANGER, BOB), answer(STRANGER, ALICE), answer(ALICE, ALICE),
            answer(BOB, STRANGER), by(STRANGER, quote=f"at://{STRANGER}/app.bsky.feed.post/1"),
        ],
        [answer(ALICE, STRANGER), answer(DAVE, CAROL), answer(STRANGER, STRANGER),
         post(reply_parent="nonsense")],
    ),
    (AnyOf([Mutuals(), Mentioned()]), WHO, [by(DAVE), by(STRANGER, mentions=BOB)], [by(ALICE)]),
    (AnyOf(Follows()), WHO, [by(ALICE)], [by(CAROL)]),
    (NoneOf(Follows()), WHO, [by(CAROL), by(STRANGER)], [by(ALICE), by(BOB)]),
    (NoneOf([Follows(), Followers()]), WHO, [by(STRANGER)], [by(ALICE), by(CAROL)]),
    (NoneOf(AnyOf([Mentioned(), HideSeen()])), {"seen": [SEEN]}, [SEEN], [FRESH]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("filter", "who", "shown", "not_shown"),
    TABLES,
    ids=[f"{number} {table[0]!r}" for number, table in enumerate(TABLES)],
)
def test_what_is_shown_and_what_is_not(filter, who, shown, not_shown):
    asking = viewer(**who)
    assert [made for made in shown if filter.keep(made, asking) is not True] == []
    assert [made for made in not_shown if filter.keep(made, asking) is not False] == []
    check_plugin(filter, *shown, *not_shown)


def test_every_viewer_filter_has_its_tables():
    assert {type(table[0]) for table in TABLES} | {NotInterested} == set(VIEWER_FILTERS)


# ── not_interested ──────────────────────────────────────────────────────────────────────────────


def test_a_post_of_which_less_was_asked_is_gone():
    disliked, other = post(), post()
    asking = viewer(less=[disliked])
    assert not NotInterested().keep(disliked, asking)
    assert NotInterested().keep(other, asking)
    assert NotInterested().keep(disliked, viewer(more=[disliked]))


def test_an_author_is_hidden_after_so_many_posts():
    five = [post() for _ in range(5)]
    new, others = post(), post(author=CAROL)
    assert NotInterested().keep(new, viewer(less=five[:4]))
    assert not NotInterested().keep(new, viewer(less=five))
    assert NotInterested().keep(others, viewer(less=five))
    assert NotInterested(after=6).keep(new, viewer(less=five))
    assert not NotInterested(after=1).keep(new, viewer(less=five[:1]))


def test_asking_five_times_of_one_post_is_asking_once():
    asking = viewer(less={post().uri: "1h"})
    often = asking.less * 5
    assert NotInterested().keep(post(), viewer(less=[]))
    assert NotInterested().keep(post(), type(asking)(did=BOB, less=often))


def test_a_wish_counts_for_a_time_only():
    rule = NotInterested(after=2, within=timedelta(days=10))
    fresh, old = post(), post(age="20d")
    asking = viewer(less={post(): "1d", post(): "9d"})
    assert not rule.keep(fresh, asking)
    assert not rule.keep(old, asking), "what was posted before the wish is hidden, too"
    asking = viewer(less={post(): "1d", post(): "10d1s"})
    assert rule.keep(fresh, asking)
    assert not rule.keep(post(age="2s"), asking)
    assert not rule.keep(fresh, viewer(less={post(): "1d", post(): "10d"})), "to the second"


def test_of_several_viewers_in_turn_each_has_their_own_wishes():
    disliked = post()
    one, other = viewer(less=[disliked]), viewer(CAROL, less=[post()])
    said = [NotInterested().keep(disliked, who) for who in (one, other, one, viewer(), other)]
    assert said == [False, True, False, True, True]


def test_not_interested_is_a_good_plugin():
    check_plugin(NotInterested(after=1), post(age="100d"))


# ── narrowing ───────────────────────────────────────────────────────────────────────────────────


def test_what_the_store_is_told():
    asking = viewer(**WHO)
    assert Follows().authors(asking) == {ALICE, DAVE, BOB}
    assert Follows(own=False).authors(asking) == {ALICE, DAVE}
    assert Followers().authors(asking) == {CAROL, DAVE}
    assert Mutuals().authors(asking) == {DAVE}
    assert Follows(own=False).authors(viewer()) == frozenset()
    assert Mentioned().mentioned(asking) == BOB
    assert Mentioned().authors(asking) is None
    assert HideSeen().authors(asking) is HideSeen().mentioned(asking) is None
    assert Follows(own=False).alternatives(asking) == [({ALICE, DAVE}, None)]
    assert AnyOf([Mutuals(), AnyOf([Mentioned(), HideSeen()])]).alternatives(asking) == [
        ({DAVE}, None), (None, BOB), (None, None),
    ]  # fmt: skip
    assert NoneOf(Follows()).authors(asking) is NoneOf(Mentioned()).mentioned(asking) is None


def test_what_must_be_loaded():
    needs = {cls.yaml_name(): needs_of([cls()]) for cls in VIEWER_FILTERS if not issubclass(
        cls, (AnyOf, NoneOf))}  # fmt: skip
    assert needs == {
        "follows": {"viewer.follows"},
        "followers": {"viewer.followers"},
        "mutuals": {"viewer.follows", "viewer.followers"},
        "mentioned": frozenset(),
        "hide_seen": {"viewer.seen"},
        "hide_replies_to_strangers": {"viewer.follows"},
        "not_interested": {"viewer.less"},
    }
    assert needs_of([NoneOf(AnyOf([Follows(), HideSeen()]))]) == {"viewer.follows", "viewer.seen"}


def test_a_combination_of_none_is_refused():
    with pytest.raises(ValidationError):
        AnyOf([])
    with pytest.raises(ValidationError):
        NoneOf([])


# ── spoken ──────────────────────────────────────────────────────────────────────────────────────

ENGLISH, BRITISH, GERMAN, BOTH, NONE = (
    post(langs=langs) for langs in ("en", "en-GB", "de", ["ja", "de"], ())
)
ALL = [ENGLISH, BRITISH, GERMAN, BOTH, NONE]


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (("en",), [ENGLISH, BRITISH, NONE]),
        (("en-us",), [ENGLISH, BRITISH, NONE]),
        (("de-at", "en"), ALL),
        (("ja",), [BOTH, NONE]),
        (("fr",), [NONE]),
        ((), ALL),
        (("fr", "*"), ALL),
    ],
)
def test_spoken(asked, shown):
    selector, moment = Spoken(), request(languages=asked)
    assert selector.select(list(ALL), moment) == shown
    for made in ALL:
        assert bool(selector.explain(made, ALL, shown, moment)) == (made not in shown)
    check_plugin(selector, *ALL)


def test_spoken_without_posts_that_declare_none():
    assert Spoken(undeclared=False).select(list(ALL), request(languages="de")) == [GERMAN, BOTH]
    assert Spoken(undeclared=False).select(list(ALL), request()) == ALL
    assert Spoken().needs == {"request.languages"}


# ── the contract ────────────────────────────────────────────────────────────────────────────────


class Unsure(ViewerFilter):
    """Says nothing."""

    def keep(self, post, viewer):
        return post.text and True


class Nosy(ViewerFilter):
    """Looks at what it does not need."""

    def keep(self, post, viewer):
        return post.uri not in viewer.seen


class Narrow(ViewerFilter):
    """Names too few."""

    needs = {"viewer.follows"}

    def keep(self, post, viewer):
        return True

    def authors(self, viewer):
        return viewer.follows


class Misnamed(ViewerFilter):
    """Keeps what does not mention."""

    def keep(self, post, viewer):
        return True

    def mentioned(self, viewer):
        return viewer.did


class Counting(ViewerFilter):
    """Remembers."""

    def keep(self, post, viewer):
        Counting.asked = getattr(Counting, "asked", 0) + 1
        return Counting.asked % 7 > 0


class Hasty(ViewerFilter):
    """Says of many what it does not say of one."""

    def keep(self, post, viewer):
        return bool(post.text)

    def keep_many(self, posts, viewer):
        return [True] * len(posts)


class Astray(ViewerFilter):
    """Keeps what is none of its alternatives."""

    def keep(self, post, viewer):
        return True

    def alternatives(self, viewer):
        return [(frozenset({ALICE}), None), (None, viewer.did)]


class Raising(ViewerFilter):
    """Trusts that there is one."""

    needs = {"viewer.likes"}

    def keep(self, post, viewer):
        return viewer.likes[0].uri != post.uri


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (Unsure, "keep returns str, not True or False"),
        (Nosy, "add needs = {'viewer.seen'}"),
        (Narrow, "whose author is not among authors()"),
        (Misnamed, "does not mention mentioned()"),
        (Counting, "keep must depend on the post, the viewer and the parameters alone"),
        (Hasty, "keep_many says something else than keep"),
        (Astray, "which fits none of its alternatives()"),
        (Raising, "raises IndexError"),
    ],
)
def test_a_broken_viewer_filter_is_named_with_what_is_wrong(plugin, said):
    with pytest.raises(ContractBroken) as caught:
        check_plugin(plugin)
    assert said in str(caught.value)
    assert str(caught.value).startswith(plugin.__name__)


def test_the_contract_tries_viewers_who_did_something():
    nobody, unknown, full = requests(corpus())
    assert nobody.viewer is None
    assert unknown.viewer is not None
    assert unknown.viewer.follows == frozenset()
    for part in ("follows", "followers", "likes", "seen", "more", "less", "co_likes"):
        assert getattr(full.viewer, part), part
    assert full.languages


def test_viewers_in_one_line():
    one, other = post(), post(author=CAROL)
    made = viewer(
        follows=ALICE, likes={other: "3d", one: "2h"}, seen=[one, "at://x/y/z"], more=[one.uri],
        co_likes={one: CoLike(CAROL, NOW, 2, 9), other.uri: [CoLike(DAVE, NOW, 1, 1)] * 2},
    )  # fmt: skip
    assert made.did == BOB
    assert made.follows == {ALICE}
    assert [(liked.uri, liked.author, NOW - liked.at) for liked in made.likes] == [
        (one.uri, ALICE, timedelta(hours=2)),
        (other.uri, CAROL, timedelta(days=3)),
    ]
    assert made.seen == {one.uri, "at://x/y/z"}
    assert [(wish.uri, wish.author, wish.at) for wish in made.more] == [(one.uri, ALICE, NOW)]
    assert {uri: len(likes) for uri, likes in made.co_likes.items()} == {one.uri: 1, other.uri: 2}
    assert viewer(CAROL).less == ()


# ── in a configuration ──────────────────────────────────────────────────────────────────────────

FEED = """\
service: {hostname: feeds.example.com, publisher: alice.example.com}
feeds:
  birds:
    filter: {hashtags: birds}
"""


@pytest.mark.parametrize(
    ("written", "filters", "needs"),
    [
        ("follows", (Follows(),), {"viewer.follows"}),
        ("mentioned", (Mentioned(),), set()),
        (
            "[{follows: no}, {not_interested: {after: 3, within: 2w}}]",
            (Follows(own=False), NotInterested(3, timedelta(days=14))),
            {"viewer.follows", "viewer.less"},
        ),
        (
            "{any_of: [mutuals, {none_of: hide_seen}]}",
            (AnyOf([Mutuals(), NoneOf(HideSeen())]),),
            {"viewer.follows", "viewer.followers", "viewer.seen"},
        ),
    ],
)
def test_a_feed_with_them_is_personal(written, filters, needs, tmp_path):
    (tmp_path / "config.yaml").write_text(
        f"{FEED}    accepts_interactions: yes\n    viewer: {written}\n", "utf-8"
    )
    feed = load_config(tmp_path / "config.yaml", {}).feeds["birds"]
    assert feed.viewer == filters
    assert feed.viewer_needs == needs
    assert feed.personal


def test_a_feed_by_languages_is_not_personal(tmp_path):
    (tmp_path / "config.yaml").write_text(f"{FEED}    select: [spoken]\n", "utf-8")
    feed = load_config(tmp_path / "config.yaml", {}).feeds["birds"]
    assert "request.languages" in feed.needs
    assert not feed.personal
    assert not feed.hydrated
