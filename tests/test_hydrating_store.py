"""Pending posts keep the rules of the fold: in the end the store holds what it would hold had
everything been known at once."""

from __future__ import annotations

import random

import pytest
from _trials import trials
from msgspec.structs import replace
from storing import (
    ALL,
    DAY,
    Step,
    account,
    apply,
    clear,
    contents,
    deleted,
    engaged,
    order,
    uri,
    us,
    written,
)
from test_fold import World, pieces, seeds

from feedkit import Field, Filter, Keywords
from feedkit.event import PostWritten
from feedkit.matcher import Matcher
from feedkit.post import Post
from feedkit.store import Answer, Store

NOW = us(10**6)


class Known(Filter):
    """Posts of which a hydrator says so."""

    word: str = Field(description="the word")

    @property
    def needs(self):  # type: ignore[no-untyped-def]
        return frozenset({self.word})

    def match(self, post: Post) -> bool:
        return bool(post.features[self.word])


FILTERS = {
    "red": Keywords("red") | (Keywords("reddish") & Known("is_red")),
    "blue": Keywords("blue") | (Keywords("bluish") & Known("is_blue") & Known("is_deep")),
}
WORDS = ("is_red", "is_blue", "is_deep")
MATCHER = Matcher(FILTERS)


def truth(post: Post) -> dict[str, bool | None]:
    """What hydrators find out of a post: it depends on the post and its content."""
    rnd = random.Random(f"{post.uri} {post.text}")
    return {word: rnd.choice((True, True, False, None)) for word in WORDS}


def as_it_arrives(step: Step) -> Step:
    event, _ = step
    return (event, MATCHER.match(event.post)) if isinstance(event, PostWritten) else step


def all_known(step: Step) -> Step:
    event, _ = step
    if not isinstance(event, PostWritten):
        return step
    return event, MATCHER.match(replace(event.post, features=truth(event.post)))


def answers(store: Store, limit: int = 100, chance: random.Random | None = None) -> list[Answer]:
    """What is found out about all that is due now; with `chance`, some of it fails."""
    found = []
    for due in store.hydration.due(WORDS, NOW, limit):
        assert due.words
        assert not due.words & due.post.features.keys()
        values = truth(due.post)
        failed = {w for w in due.words if chance is not None and chance.random() < 0.2}
        told = {True: "true", False: "false", None: "null"}
        known = {word: told[values[word]] for word in due.words - failed}
        found.append(Answer(due.id, due.rev, known, dict.fromkeys(failed, 0)))
    return found


def settle(store: Store, found: list[Answer]) -> None:
    store.hydration.settle(found, FILTERS, MATCHER.match)


def hydrate(store: Store) -> None:
    while found := answers(store):
        settle(store, found)


class Hydrated(World):
    """A world whose posts often cannot be decided at once. `fickle`: a post may belong at one
    time and not at another."""

    fickle = True

    def write(self, name: str, author: str, created: bool) -> Step:
        event, _ = super().write(name, author, created)
        assert isinstance(event, PostWritten)
        rnd = self.random if self.fickle else random.Random(name)
        words = ("red", "reddish", "bluish", "bluish", "blue", "grey")
        text = " ".join(rnd.sample(words, rnd.randint(1, 3)))
        return replace(event, post=replace(event.post, text=text)), frozenset()


class Steady(Hydrated):
    fickle = False


def start(store: Store) -> None:
    clear(store)
    store.sync_feeds(dict.fromkeys(FILTERS, "same"))


def fold_all(store: Store, steps: list[Step]) -> dict:  # type: ignore[type-arg]
    """What the store must hold in the end."""
    start(store)
    for number, batch in enumerate(pieces([all_known(step) for step in steps], random.Random(1))):
        store.apply(batch, "test", number, us(number), ALL)
    return contents(store)


def counted(held: dict, counts: bool) -> dict:  # type: ignore[type-arg]
    """What is compared: all but tombstones; without `counts`, no engagement and times either."""
    if counts:
        return held | {"tombstones": 0}
    posts = {
        name: (post[:3], post[8], {feed for feed, _ in post[10]})
        for name, post in held["posts"].items()
    }
    return {"posts": posts, "accounts": held["accounts"]}


@pytest.mark.parametrize("world", [Hydrated, Steady])
def test_in_the_end_all_is_as_if_it_had_been_known_at_once(
    store: Store, world: type[Hydrated]
) -> None:
    """Hydrators answer at any time, late, in part, again. Where a post's being wanted changes with
    its content, only counts and times may differ: a post that is known not to be wanted is stored
    anew when it is."""
    late = pending = 0
    for seed in seeds(60, 6, store):
        chance = random.Random(seed)
        steps = list(world(seed).events(120))
        want = fold_all(store, steps)
        start(store)
        found: list[Answer] = []
        for number, batch in enumerate(pieces([as_it_arrives(step) for step in steps], chance)):
            store.apply(batch, "test", number, us(number), ALL)
            pending += store.stats().pending
            if chance.random() < 0.5:
                done = store.hydration.settle(found, FILTERS, MATCHER.match)
                late += done.late
                found = answers(store, chance.randint(1, 8), chance)
            if chance.random() < 0.2:  # the process that hydrates is killed: its answers are lost
                found = []
            if chance.random() < 0.2:  # answers that were given already come again
                settle(store, found)
        settle(store, found)
        for post in store.db.rows("SELECT id FROM posts WHERE hidden"):
            # those are not looked at; what they wait for stays
            store.db.run("UPDATE posts SET hidden = ? WHERE id = ?", (False, post[0]))
        hydrate(store)
        hidden = [did_ for did_, state in contents(store)["accounts"].items() if state != "active"]
        for name in hidden:
            store.db.run("UPDATE posts SET hidden = ? WHERE author = ?", (True, name))
        got = contents(store)
        assert counted(got, world is Steady) == counted(want, world is Steady), f"seed {seed}"
        assert store.stats().pending == 0
        assert leftovers(store) == []
    assert pending > trials(50)
    assert late > trials(5) or world is Steady


def leftovers(store: Store) -> list[tuple[int, str]]:
    """What is known or asked of posts that are not there, and what is asked in vain."""
    return store.db.rows(
        "SELECT f.post_id, f.name FROM features AS f LEFT JOIN posts AS p ON p.id = f.post_id "
        "WHERE p.id IS NULL OR f.value = ''"
    )


def test_replaying_and_cutting_change_nothing(store: Store) -> None:
    for seed in seeds(40, 4, store):
        chance = random.Random(seed)
        steps = [as_it_arrives(step) for step in Steady(seed).events(100)]
        states = []
        for cut in (iter([steps]), pieces(steps, chance), ([step] for step in steps)):
            start(store)
            for batch in cut:
                store.apply(batch, "test", 1, us(1), ALL)
            states.append((contents_with_pending(store), [order(store, feed) for feed in FILTERS]))
        assert states[0] == states[1] == states[2], f"seed {seed}"


def contents_with_pending(store: Store) -> dict:  # type: ignore[type-arg]
    """`contents`, though posts may be without a hit, and what is pending."""
    names = dict(store.db.rows("SELECT id, name FROM feeds"))
    uris = dict(store.db.rows("SELECT id, uri FROM posts"))
    return {
        "posts": sorted(store.db.rows("SELECT uri, rev, body, sort_at, likes, hidden FROM posts")),
        "hits": sorted((names[f], uris[p]) for f, p in
                       store.db.rows("SELECT feed_id, post_id FROM hits")),
        "pending": sorted((names[f], uris[p]) for f, p in
                          store.db.rows("SELECT feed_id, post_id FROM pending")),
        "features": sorted((uris[p], n, v) for p, n, v in
                           store.db.rows("SELECT post_id, name, value FROM features")),
    }  # fmt: skip


# ── The rules one by one ────────────────────────────────────────────────────────────────────────


def maybe(name: str, text: str = "reddish", *, rev: str, **more) -> Step:  # type: ignore[no-untyped-def]
    return as_it_arrives(written(name, rev=rev, text=text, **more))


def told(store: Store, name: str, **values: str) -> Answer:
    found = store.find_post(uri(name))
    assert found is not None
    return Answer(found.id, found.rev, values)


@pytest.fixture
def feeds(store: Store) -> Store:
    store.sync_feeds(dict.fromkeys(FILTERS, "1"))
    return store


def test_a_pending_post_is_stored_but_not_shown(feeds: Store) -> None:
    apply(feeds, maybe("p", rev="1"), engaged("bea", "1", uri("p")))
    assert order(feeds, "red") == []
    assert feeds.stats().pending == 1
    settle(feeds, [told(feeds, "p", is_red="true")])
    assert order(feeds, "red") == [uri("p")]
    found = feeds.find_post(uri("p"))
    assert found is not None
    assert (found.post.likes, found.post.features, found.feeds) == (1, {"is_red": True}, {"red"})
    assert feeds.stats().pending == 0


@pytest.mark.parametrize("value", ["false", "null"])
def test_what_is_not_wanted_in_the_end_is_removed(feeds: Store, value: str) -> None:
    apply(feeds, maybe("p", rev="1"))
    settle(feeds, [told(feeds, "p", is_red=value)])
    assert feeds.find_post(uri("p")) is None
    assert leftovers(feeds) == []
    assert not feeds.is_deleted(uri("p"))
    apply(feeds, maybe("p", rev="0"))  # older: a replay does not bring it back
    assert feeds.find_post(uri("p")) is None


@pytest.mark.parametrize(
    "event",
    [deleted("p", rev="2"), account("ann", "deleted"), maybe("p", rev="2", created=False),
     maybe("p", "grey", rev="2", created=False)],
    ids=["deleted", "account deleted", "changed", "changed and unwanted"],
)  # fmt: skip
def test_an_answer_about_what_is_no_more_comes_to_nothing(feeds: Store, event: Step) -> None:
    apply(feeds, maybe("p", rev="1"))
    answer = told(feeds, "p", is_red="true")
    apply(feeds, event)
    done = feeds.hydration.settle([answer], FILTERS, MATCHER.match)
    assert (done.late, done.hits) == (1, 0)
    assert order(feeds, "red") == []


def test_a_hidden_author_is_not_asked_about_until_shown_again(feeds: Store) -> None:
    apply(feeds, maybe("p", rev="1"), account("ann", "deactivated"))
    assert feeds.hydration.due(WORDS, NOW, 9) == []
    settle(feeds, [told(feeds, "p", is_red="true")])  # the answer was on its way
    assert order(feeds, "red") == []
    apply(feeds, account("ann", "active"))
    assert order(feeds, "red") == [uri("p")]


def test_the_first_to_wait_are_the_first_to_be_asked(feeds: Store) -> None:
    apply(feeds, *(maybe(f"p{n}", rev="1", seconds=n) for n in range(5)))
    first = feeds.hydration.due(WORDS, NOW, 2)
    assert [due.post.uri for due in first] == [uri("p0"), uri("p1")]
    settle(feeds, [Answer(one.id, one.rev, {}, {"is_red": NOW + 1}) for one in first])
    assert [d.post.uri for d in feeds.hydration.due(WORDS, NOW, 9)] == [
        uri("p2"), uri("p3"), uri("p4"),
    ]  # fmt: skip
    assert [d.tries for d in feeds.hydration.due(WORDS, NOW + 1, 9)] == [0, 0, 0, 1, 1]
    settle(feeds, [Answer(one.id, one.rev, {}, {"is_red": None}) for one in first])
    assert feeds.find_post(uri("p0")) is None


def test_what_nobody_waits_for_any_more_is_not_asked(feeds: Store) -> None:
    apply(feeds, maybe("p", "bluish", rev="1"))
    (due,) = feeds.hydration.due(WORDS, NOW, 9)
    assert due.words == {"is_blue", "is_deep"}
    settle(feeds, [told(feeds, "p", is_deep="false")])
    assert feeds.hydration.due(WORDS, NOW, 9) == []
    assert feeds.find_post(uri("p")) is None


def test_two_feeds_wait_for_one_post(feeds: Store) -> None:
    apply(feeds, maybe("p", "reddish bluish", rev="1"))
    assert feeds.stats().pending == 2
    settle(feeds, [told(feeds, "p", is_red="true")])
    assert (order(feeds, "red"), order(feeds, "blue")) == ([uri("p")], [])
    settle(feeds, [told(feeds, "p", is_blue="false")])
    assert (order(feeds, "red"), order(feeds, "blue")) == ([uri("p")], [])
    assert (feeds.stats().pending, leftovers(feeds)) == (0, [])


def test_deciding_again_makes_and_ends_pending(feeds: Store) -> None:
    apply(feeds, maybe("p", "red bluish", rev="1"))
    assert order(feeds, "red") == [uri("p")]
    stricter = Matcher(FILTERS | {"red": Keywords("red") & Known("is_red")})
    assert feeds.redecide({"red": "2"}, stricter.match) is not None
    assert order(feeds, "red") == []
    assert feeds.stats().pending == 2
    assert {word for due in feeds.hydration.due(WORDS, NOW, 9) for word in due.words} == set(WORDS)
    assert feeds.redecide({"red": "3"}, MATCHER.match) is not None
    assert order(feeds, "red") == [uri("p")]
    assert feeds.stats().pending == 1
    assert feeds.redecide({"blue": "3"}, Matcher({"blue": Keywords("x")}).match) is not None
    assert feeds.stats().pending == 0
    assert feeds.find_post(uri("p")) is not None


def test_deciding_again_keeps_what_another_feed_waits_for(feeds: Store) -> None:
    apply(feeds, maybe("p", "red bluish", rev="1"))
    assert feeds.redecide({"red": "2"}, Matcher({"red": Keywords("x")}).match) is not None
    assert feeds.find_post(uri("p")) is not None
    assert feeds.stats().pending == 1


def test_deciding_again_goes_by_what_is_known(feeds: Store) -> None:
    apply(feeds, maybe("p", "red bluish", rev="1"))
    settle(feeds, [told(feeds, "p", is_red="false")])
    stricter = Matcher({"red": Keywords("red") & Known("is_red")})
    feeds.redecide({"red": "2"}, stricter.match)
    assert (order(feeds, "red"), feeds.stats().pending) == ([], 1)


def test_a_process_that_does_not_know_a_feed_leaves_it_waiting(feeds: Store) -> None:
    apply(feeds, maybe("p", "reddish bluish", rev="1"))
    only = {"red": FILTERS["red"]}
    answer = told(feeds, "p", is_red="true", is_blue="true", is_deep="true")
    feeds.hydration.settle([answer], only, Matcher(only).match)
    assert (order(feeds, "red"), order(feeds, "blue")) == ([uri("p")], [])
    assert feeds.stats().pending == 1


def test_what_waits_is_pruned_with_its_age(feeds: Store) -> None:
    from datetime import timedelta

    apply(feeds, maybe("p", rev="1"), maybe("q", "red bluish", rev="1"), maybe("new", rev="1",
          seconds=2 * 86400), seconds=2 * 86400)  # fmt: skip
    keep = {"red": timedelta(days=3), "blue": timedelta(days=1)}
    feeds.prune(keep, us(2 * 86400))
    assert feeds.stats().pending == 2  # q waits for blue no more, but is red
    assert order(feeds, "red") == [uri("q")]
    keep["red"] = timedelta(days=1)
    feeds.prune(keep, us(2 * 86400))
    assert [feeds.find_post(uri(n)) is None for n in ("p", "q", "new")] == [True, True, False]
    feeds.prune({}, us(2 * 86400) + DAY)
    assert feeds.stats().posts == feeds.stats().pending == 0
    assert leftovers(feeds) == []
    assert not feeds.stats().feeds


def test_a_post_outlives_its_hits_where_another_feed_still_waits(feeds: Store) -> None:
    from datetime import timedelta

    apply(feeds, maybe("p", "red bluish", rev="1"), seconds=2 * 86400)
    feeds.prune({"red": timedelta(days=1), "blue": timedelta(days=3)}, us(2 * 86400))
    assert order(feeds, "red") == []
    settle(feeds, [told(feeds, "p", is_blue="true", is_deep="true")])
    assert order(feeds, "blue") == [uri("p")]


def test_posts_of_a_feed_are_asked_about_for_its_ranking(feeds: Store) -> None:
    apply(feeds, *(maybe(f"p{n}", "red", rev="1", seconds=n) for n in range(3)))
    assert feeds.hydration.ask_for_ranking("red", {"score"}, 2) == 2
    assert feeds.hydration.ask_for_ranking("red", {"score"}, 2) == 0
    due = feeds.hydration.due({"score"}, NOW, 9)
    assert [one.post.uri for one in due] == [uri("p1"), uri("p2")]
    done = feeds.hydration.settle(
        [Answer(due[0].id, due[0].rev, {"score": "0.5"}), Answer(due[1].id, due[1].rev, {}, {"score": NOW})],
        FILTERS, MATCHER.match, keep={"score"},
    )  # fmt: skip
    assert done.removed == 0
    assert order(feeds, "red") == [uri("p2"), uri("p1"), uri("p0")]
    posts = {post.uri: post.features for _, post in feeds.candidates("red", 9, featured=True)}
    assert posts == {uri("p0"): {}, uri("p1"): {"score": 0.5}, uri("p2"): {}}
    assert [one.post.uri for one in feeds.hydration.due({"score"}, NOW, 9)] == [uri("p2")]
