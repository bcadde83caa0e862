"""Single votes: when they came, whose they are, and how many are read, on both databases."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from storing import ALL, apply, at, clear, deleted, did, disengaged, engaged, uri, us, written

from feedkit import Affinity, Blend, BlendPart, Bridging, Everything, Gravity, Newest, Top, Trending
from feedkit.event import Engaged, Frame, PostWritten, moved
from feedkit.jobs import Jobs
from feedkit.needs import Voters, hydrated, voters
from feedkit.post import EPOCH, Vote
from feedkit.ranking import Candidates, rank, take_snapshot
from feedkit.settings import FeedConfig, Service
from feedkit.store import Store
from feedkit.store.votes import query, votes

ANY = frozenset(ALL)
LIST = f"at://{did('ann')}/app.bsky.graph.list/3k"


@pytest.fixture
def store(store: Store) -> Store:
    store.sync_feeds({"red": "1"})
    return store


def cast(store: Store, name: str = "p", **given):
    (found,) = store.db.rows("SELECT id FROM posts WHERE uri = ?", (uri(name),))
    given.setdefault("kinds", ANY)
    return votes(store.db, [found[0]], **given).get(found[0], ())


def like(who: str, seconds: float, kind: str = "like") -> Vote:
    return Vote(did(who), kind, at(seconds))


def test_every_kind_has_the_time_of_its_own_event(store: Store) -> None:
    apply(
        store,
        written("p", "red", rev="1"),
        engaged("bea", "1", uri("p"), seconds=5),
        engaged("cyd", "1", uri("p"), "repost", seconds=7),
        written("r", rev="1", author="dan", seconds=9, made=-99, reply_parent=uri("p")),
        written("q", rev="1", author="eve", seconds=3, quote=uri("p")),
    )
    want = (
        like("dan", 9, "reply"),
        like("cyd", 7, "repost"),
        like("bea", 5),
        like("eve", 3, "quote"),
    )
    assert cast(store) == want
    assert cast(store, kinds={"likes", "quotes"}) == (want[2], want[3])
    assert cast(store, by={did("cyd"), did("dan")}) == want[:2]
    assert cast(store, by=frozenset()) == cast(store, kinds=()) == ()


def test_what_comes_again_keeps_its_time(store: Store) -> None:
    apply(store, written("p", "red", rev="1"), engaged("bea", "1", uri("p"), seconds=5))
    apply(store, engaged("bea", "1", uri("p"), seconds=6))
    apply(store, engaged("bea", "1", uri("p"), seconds=7), engaged("bea", "1", uri("p"), seconds=8))
    assert cast(store) == (like("bea", 5),)
    apply(store, disengaged("bea", "1"), engaged("bea", "2", uri("p"), seconds=9))
    assert cast(store) == (like("bea", 9),)


def test_who_likes_twice_votes_once(store: Store) -> None:
    apply(store, written("p", "red", rev="1"))
    apply(store, engaged("bea", "1", uri("p"), seconds=5), engaged("bea", "2", uri("p"), seconds=6))
    assert cast(store) == (like("bea", 5),)


def test_votes_go_with_their_post(store: Store) -> None:
    apply(store, written("p", "red", rev="1"), engaged("bea", "1", uri("p"), seconds=5))
    apply(store, deleted("p", rev="2"), written("p", "red", rev="3", seconds=8))
    assert cast(store) == ()


def test_from_before_times_were_noted(store: Store) -> None:
    apply(store, written("p", "red", rev="1"), engaged("bea", "1", uri("p"), seconds=5))
    store.db.run(
        "INSERT INTO engagements (actor, rkey, kind, post_id, counted) "
        "SELECT 'did:plc:old', rkey, kind, post_id, counted FROM engagements"
    )
    assert cast(store) == (like("bea", 5), Vote("did:plc:old", "like", EPOCH))


def test_a_moved_recording_moves_votes() -> None:
    event = Engaged("at://did:plc:b/app.bsky.feed.like/1", "like", "did:plc:b", uri("p"), us(3))
    frame = moved(Frame(1, us(3), (event,)), 2_000_000)
    assert frame.events[0].time == frame.time == us(5)  # type: ignore[union-attr]


def test_as_a_plain_program_would_count_them(store: Store) -> None:
    """Random votes, often at one time, against a sort in Python; so both databases agree."""
    for seed in range(12 if store.db.sqlite else 4):
        chance = random.Random(seed)
        clear(store)
        store.sync_feeds({"red": "1"})
        names, steps, want = [f"p{n}" for n in range(6)], [], {}
        apply(store, *(written(name, "red", rev="1") for name in names))
        for number in range(150):
            name, kind = chance.choice(names), chance.choice(("like", "repost"))
            who, seconds = (
                chance.choice(("Ann", "ann", "b.b", "b-b", "b:b", "zed")),
                chance.randint(0, 9),
            )
            steps.append(engaged(who, f"k{number}", uri(name), kind, seconds))
            want.setdefault((name, kind, did(who)), Vote(did(who), kind, at(seconds)))
        apply(store, *steps)
        of_a_post, most = chance.choice(((500, 500), (3, 500), (500, 11), (4, 13)))
        kinds = chance.choice(({"likes"}, {"likes", "reposts"}))
        by = chance.choice((None, {did("ann"), did("b.b"), did("zed")}))
        ids = dict(store.db.rows("SELECT uri, id FROM posts"))
        some = [
            (vote, ids[uri(name)])
            for (name, kind, who), vote in want.items()
            if f"{kind}s" in kinds and (by is None or who in by)
        ]
        order = lambda one: (-one[0].at.timestamp(), -one[1], one[0].actor, one[0].kind != "like")  # noqa: E731
        places: dict[int, int] = {}
        kept = []
        for vote, post_id in sorted(some, key=order):
            places[post_id] = places.get(post_id, 0) + 1
            if places[post_id] <= of_a_post:
                kept.append((vote, post_id))
        expected: dict[int, tuple[Vote, ...]] = {}
        for vote, post_id in kept[:most]:
            expected[post_id] = (*expected.get(post_id, ()), vote)
        got = votes(store.db, sorted(ids.values()), kinds, by, of_a_post, most)
        assert got == expected, f"seed {seed}"


@pytest.mark.parametrize("restricted", [False, True])
def test_votes_are_found_by_the_index_of_posts(store: Store, restricted: bool) -> None:
    """And not by looking up every account under every post, which could be millions of times."""
    sql = query(store.db, {"likes"}, restricted)
    params = ["[1, 2]", *(['["did:plc:a"]'] if restricted else []), 5, 9]
    if store.db.sqlite:
        plan = "\n".join(row[3] for row in store.db.rows("EXPLAIN QUERY PLAN " + sql, params))
        index = "SEARCH e USING INDEX engagements_post_id_kind_actor (post_id=? AND kind=?)"
        assert index in plan
    else:
        store.db.run("SET enable_seqscan = off")  # for so few rows it is cheaper
        plan = "\n".join(line for (line,) in store.db.rows("EXPLAIN " + sql, params))
        assert "engagements_post_id_kind_actor" in plan
        (found,) = (line for line in plan.splitlines() if "Index Cond" in line)
        assert "post_id" in found
        assert "actor" not in found


def test_candidates_have_votes_only_if_asked(store: Store) -> None:
    apply(store, written("p", "red", rev="1"), engaged("bea", "1", uri("p"), seconds=5))
    apply(store, engaged("bea", "1", uri("p"), "repost", seconds=5), written("o", "red", rev="2"))
    (_, plain), _ = reversed(store.candidates("red", 9))
    assert plain.votes == ()
    got = {
        p.uri: p.votes for _, p in store.candidates("red", 9, voters=Voters(frozenset({"likes"})))
    }
    assert got == {uri("p"): (like("bea", 5),), uri("o"): ()}


def feed(ranker, *select) -> FeedConfig:
    return FeedConfig("red", Everything(), ranker, select)


def test_whose_votes_a_feed_needs() -> None:
    ann, bea = did("ann"), did("bea")
    assert feed(Gravity()).voters is None
    assert feed(Newest()).voters is None
    assert feed(Trending(reposts=1)).voters == Voters(frozenset({"likes", "reposts"}))
    by_ann = Top(votes_from=ann)
    assert feed(by_ann).voters == Voters(frozenset({"likes"}), frozenset({ann}))
    assert by_ann.needs == {"likes", "voters"}
    assert Top(likes=0, votes_from=ann).needs == set()
    both = Blend([BlendPart(ranker=by_ann), BlendPart(ranker=Gravity(reposts=1, votes_from=bea))])
    assert feed(both).voters == Voters(frozenset({"likes", "reposts"}), frozenset({ann, bea}))
    any_too = Blend([BlendPart(ranker=by_ann), BlendPart(ranker=Bridging())])
    assert feed(any_too).voters == Voters(frozenset({"likes"}))
    assert voters([Affinity()]) is None
    assert hydrated([any_too, both]) == frozenset()
    service = Service("x", "x", "x", {"red": feed(both)})
    assert service.engagement == {"likes", "reposts"}


def ranked(store: Store, made: FeedConfig) -> list[str]:
    take_snapshot(store, made)
    found = store.latest_version("red")
    uris = dict(store.db.rows("SELECT id, uri FROM posts"))
    return [uris[n].rpartition("/")[2] for n in store.version_slice(found.id, 0, 99)]


def test_a_ranking_reads_the_votes_that_it_needs(store: Store) -> None:
    apply(store, *(written(f"p{n}", "red", rev=f"{n}", seconds=n) for n in range(3)))
    apply(store, *(engaged(f"many{n}", "1", uri("p0")) for n in range(5)))
    apply(store, engaged("bea", "1", uri("p1")))
    assert ranked(store, feed(Top())) == ["p0", "p1", "p2"]
    assert ranked(store, feed(Top(votes_from=did("bea")))) == ["p1", "p2", "p0"]
    # Without the votes it would count nobody's.
    candidates = Candidates.of(store.candidates("red", 9))
    assert len(rank(feed(Top(votes_from=did("bea"))), candidates, datetime.now(UTC))) == 3


def test_a_list_of_voters_is_taken_up_with_the_next_ranking(store: Store) -> None:
    made = replace(feed(Top(votes_from=LIST)), refresh=timedelta(seconds=0))
    service = Service("x", "did:plc:x", "did:web:x", {"red": made})
    store.sync_feeds({"red": made.filter.fingerprint()})
    apply(store, *(written(f"p{n}", "red", rev=f"{n}", seconds=n) for n in range(3)))
    apply(store, engaged("bea", "1", uri("p0")), engaged("cyd", "1", uri("p1")))
    jobs = Jobs(service, store)

    def order_after(*members: str) -> list[str]:
        if members:
            (source,) = made.rank.votes_from.sources
            store.account_sets.save(source.key, frozenset(map(did, members)), us(1), us(9), "")
            jobs.decide_people_again()
        store.mark_asked("red", round(datetime.now(UTC).timestamp() * 1e6))
        store._asked.clear()
        assert jobs.rank() == 1
        uris = dict(store.db.rows("SELECT id, uri FROM posts"))
        ids = store.version_slice(store.latest_version("red").id, 0, 9)
        return [uris[n].rpartition("/")[2] for n in ids]

    assert order_after() == ["p2", "p1", "p0"]  # nobody known yet: newest first
    assert order_after("bea") == ["p0", "p2", "p1"]
    assert order_after("cyd") == ["p1", "p2", "p0"]


def test_the_record_of_a_post_holds_no_votes(store: Store) -> None:
    step, feeds = written("p", "red", rev="1", votes=(like("bea", 1),))
    assert isinstance(step, PostWritten)
    apply(store, (step, feeds))
    assert store.find_post(uri("p")).post.votes == ()  # type: ignore[union-attr]
