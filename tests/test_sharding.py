"""Shards: each event finds the shards that it concerns, and together they fold as one ingest does;
whoever takes over leaves out nothing."""

from __future__ import annotations

import random
import threading
from collections import Counter

import pytest
from storing import (
    ALL,
    account,
    clear,
    contents,
    deleted,
    did,
    disengaged,
    engaged,
    order,
    uri,
    us,
    written,
)
from test_fold import FEEDS, World

from feedkit.cli import run
from feedkit.event import Frame
from feedkit.handover import noting_first, take_over, wait_for_first
from feedkit.sharding import Shard, account_of, numbered_shard, parse_shard
from feedkit.store import Store, StoreError, Unavailable, open_store
from feedkit.store.cursors import Superseded

SOURCE = "jetstream wss://stream.example.com/subscribe"


@pytest.mark.parametrize(
    ("text", "shard"), [("1/1", (1, 1)), (" 2/3 ", (2, 3)), ("12/12", (12, 12))]
)
def test_a_shard_is_written_i_n(text, shard):
    assert parse_shard(text) == shard
    assert str(parse_shard(text)) == text.strip()


@pytest.mark.parametrize(
    "text", ["", "1", "0/3", "4/3", "-1/3", "1/0", "a/b", "1/2/3", "1.5/3", "1/9999"]
)
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ValueError, match="is no shard"):
        parse_shard(text)


@pytest.mark.parametrize(
    ("environ", "shard"),
    [
        ("DYNO=worker.2 FEEDKIT_SHARDS=2", (2, 2)),
        ("HONCHO_PROCESS_NAME=worker.1 FEEDKIT_SHARDS=3", (1, 3)),
        ("HONCHO_PROCESS_NAME=worker.3 DYNO=run.1234 FEEDKIT_SHARDS=3", (3, 3)),
        ("DYNO=worker.1 FEEDKIT_SHARDS=1", None),
        ("FEEDKIT_SHARDS=1", None),
        ("DYNO=worker.2", None),
        ("DYNO=worker.2 FEEDKIT_SHARDS=", None),
    ],
)
def test_the_runner_numbers_its_processes(environ, shard):
    assert numbered_shard(variables(environ)) == shard


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ("FEEDKIT_SHARDS=2", "neither HONCHO_PROCESS_NAME nor DYNO is set"),
        ("DYNO=worker FEEDKIT_SHARDS=2", "DYNO is 'worker', where it should be such as worker.2"),
        ("DYNO=web.0 FEEDKIT_SHARDS=2", "DYNO is 'web.0'"),
        ("DYNO=worker.3 FEEDKIT_SHARDS=2", "but this process is worker.3 (DYNO): set FEEDKIT_SH"),
        ("DYNO=run.2 FEEDKIT_SHARDS=2", "but this process is run.2 (DYNO), none of the workers"),
        ("DYNO=worker.2 FEEDKIT_SHARDS=1", "FEEDKIT_SHARDS=1, but this process is worker.2"),
        ("DYNO=worker.2 FEEDKIT_SHARDS=1/2", "'1/2' is no number of shards"),
        ("DYNO=worker.2 FEEDKIT_SHARDS=0", "'0' is no number of shards"),
        ("DYNO=worker.2 FEEDKIT_SHARDS=1001", "'1001' is no number of shards"),
        ("DYNO=worker.2 FEEDKIT_SHARDS=2 FEEDKIT_SHARD=2/2", "are both set; unset one of them"),
    ],
)
def test_a_process_that_does_not_know_its_number_says_so(
    environ, said, tmp_path, monkeypatch, capsys
):
    for name in ("DYNO", "HONCHO_PROCESS_NAME", "FEEDKIT_SHARD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables(environ).items():
        monkeypatch.setenv(name, value)
    for verb in ("worker", "ingest"):
        assert run([verb, "--config", str(tmp_path / "no.yaml")]) == 1
        assert said in capsys.readouterr().err
        run([verb, "--shard", "1/2", "--config", str(tmp_path / "no.yaml")])
        assert "no.yaml" in capsys.readouterr().err, "who says it on the command line is heard"


def variables(text):
    return dict(one.split("=", 1) for one in text.split())


def test_the_accounts_of_a_shard_never_change():
    """Two versions of feedkit at work on one store must agree."""
    assert Shard(2, 3).has("did:plc:ewvi7nxzyoun6zhxrhs64oiz")
    assert [Shard(n, 4).has("did:web:example.com") for n in (1, 2, 3, 4)] == [
        False, True, False, False]  # fmt: skip


def test_accounts_are_spread_evenly():
    counts = Counter(
        number for n in range(9000) for number in (1, 2, 3) if Shard(number, 3).has(did(f"{n:x}"))
    )
    assert sum(counts.values()) == 9000
    assert min(counts.values()) > 2800


def apart():
    """Two shards, and an account of each."""
    one = Shard(1, 2)
    names = [f"a{n}" for n in range(50)]
    return next(n for n in names if one.has(did(n))), next(n for n in names if not one.has(did(n)))


def test_who_is_concerned():
    mine, theirs = apart()
    one, two = Shard(1, 2), Shard(2, 2)
    ours, other = uri("p", mine), uri("p", theirs)
    for event, concerned in (
        (written("p", author=mine, rev="1"), {one}),
        (written("p", author=mine, rev="1", reply_parent=other), {one, two}),
        (written("p", author=mine, rev="1", quote=other), {one, two}),
        (written("p", author=mine, rev="1", quote=ours), {one}),
        (written("p", author=mine, rev="2", quote=other, created=False), {one}),
        (engaged(theirs, "k", ours), {one}),
        (engaged(mine, "k", other), {two}),
        (account(mine, "deleted"), {one}),
        (disengaged(theirs, "k"), {one, two}),
        (deleted("p", author=mine, rev="3"), {one, two}),
    ):
        assert {s for s in (one, two) if s.concerns(event[0])} == concerned, event
    assert account_of("") == account_of("nothing") == ""


def read(store, number, steps, chance, at_once=12):
    """Fold `steps` by shards that are at different places, go on in any order, and now and then
    read a stretch again."""
    places = dict.fromkeys(range(1, number + 1), 0)
    while left := [n for n, place in places.items() if place < len(steps)]:
        n = chance.choice(left)
        shard, start = Shard(n, number), places[n]
        end = min(start + chance.randint(1, at_once), len(steps))
        batch = [
            (event, feeds if shard.has(account_of(event.post.uri)) else frozenset())
            if hasattr(event, "post")
            else (event, feeds)
            for event, feeds in steps[start:end]
            if shard.concerns(event)
        ]
        store.apply(batch, shard.named(SOURCE), end, us(end), ALL, shard)
        places[n] = end


@pytest.mark.parametrize("number", [1, 2, 3])
def test_shards_fold_as_one_ingest_does(store: Store, number: int) -> None:
    """On SQLite too, which only the command refuses: what a shard takes and leaves is the same."""
    for seed in range(60 if store.db.sqlite else 6):
        steps, chance = list(World(seed).events(120)), random.Random(seed)
        clear(store)
        store.sync_feeds(dict.fromkeys(FEEDS, "same"))
        store.apply(steps, SOURCE, 1, us(1), ALL)
        want, orders = contents(store), [order(store, feed) for feed in FEEDS]
        clear(store)
        store.sync_feeds(dict.fromkeys(FEEDS, "same"))
        store.take_over(SOURCE, Shard(1, number))
        read(store, number, steps, chance)
        got = contents(store)
        assert got | {"tombstones": 0} == want | {"tombstones": 0}, f"seed {seed}"
        assert [order(store, feed) for feed in FEEDS] == orders, f"seed {seed}"


def test_a_key_that_was_used_again_by_shards_at_different_places(store: Store) -> None:
    """The like of one post was taken back, and its key used for one of another post."""
    mine, theirs = apart()
    one, two = Shard(1, 2), Shard(2, 2)
    store.sync_feeds({"red": "1"})
    store.take_over(SOURCE, one)
    steps = [
        written("p", "red", author=mine, rev="1"),
        written("q", "red", author=theirs, rev="1"),
        engaged("eve", "k", uri("p", mine)),
        disengaged("eve", "k"),
        engaged("eve", "k", uri("q", theirs)),
    ]

    def step(shard, start, end):
        batch = [s for s in steps[start:end] if shard.concerns(s[0])]
        store.apply(batch, shard.named(SOURCE), end, us(end), ALL, shard)

    for first, second in ((one, two), (two, one)):
        step(first, 0, 3)
        step(second, 0, 5)
        assert likes(store)[uri("q", theirs)] == (second is two)
        step(first, 3, 5)
        step(second, 2, 5)
        assert likes(store) == {uri("p", mine): 0, uri("q", theirs): 1}
        step(first, 2, 3)  # again
        store.take_over(SOURCE, None)  # … and one ingest goes on from there
        store.apply(steps[3:], SOURCE, 5, us(5), ALL)
        assert likes(store) == {uri("p", mine): 0, uri("q", theirs): 1}
        clear(store)
        store.sync_feeds({"red": "1"})
        store.take_over(SOURCE, one)


def likes(store):
    return {name: post[5] for name, post in contents(store)["posts"].items()}


def test_a_record_of_two_shards(store: Store) -> None:
    """An odd account changes what its like is about. Each shard counts it, and forgets it with the
    record."""
    mine, theirs = apart()
    store.sync_feeds({"red": "1"})
    steps = [
        written("p", "red", author=mine, rev="1"),
        written("q", "red", author=theirs, rev="1"),
        engaged("eve", "k", uri("p", mine)),
        engaged("eve", "k", uri("q", theirs)),
    ]
    store.take_over(SOURCE, Shard(1, 2))
    read(store, 2, steps, random.Random(1), at_once=1)
    read(store, 2, [disengaged("eve", "k")], random.Random(1))
    held = contents(store)
    assert not held["engagements"]
    assert all(not post[5] for post in held["posts"].values()), "nobody likes them any more"


def cursors(store):
    return store.stats().cursors


def move(store, name, cursor, shard=None):
    store.apply([], name, cursor, us(cursor), ALL, shard)


def test_new_shards_begin_at_the_lowest_cursor(store: Store) -> None:
    move(store, SOURCE, 500)
    move(store, "replay", 3)
    store.take_over(SOURCE, Shard(1, 2))
    assert cursors(store) == {
        f"{SOURCE} 1/2": (500, us(500)), f"{SOURCE} 2/2": (500, us(500)), "replay": (3, us(3))
    }  # fmt: skip
    move(store, f"{SOURCE} 2/2", 900, Shard(2, 2))
    store.take_over(SOURCE, Shard(2, 2))  # its other half starts, too
    assert store.cursor(f"{SOURCE} 2/2") == (900, us(900))
    assert store.cursor(SOURCE) == (500, us(500))
    assert store.live_clock() == us(500)
    store.take_over(SOURCE, Shard(3, 3))
    assert set(cursors(store).values()) == {(500, us(500)), (3, us(3))}
    assert len(cursors(store)) == 4
    store.take_over(SOURCE, None)
    assert cursors(store) == {SOURCE: (500, us(500)), "replay": (3, us(3))}


def test_the_first_start_knows_no_cursor(store: Store) -> None:
    store.take_over(SOURCE, None)
    assert cursors(store) == {}
    store.take_over(SOURCE, Shard(1, 2))
    assert store.cursor(f"{SOURCE} 1/2") is store.cursor(SOURCE) is None
    assert store.live_clock() == 0
    move(store, f"{SOURCE} 1/2", 70, Shard(1, 2))
    assert store.live_clock() == us(70), "where the other shard begins"
    store.take_over(SOURCE, Shard(1, 3))
    assert store.cursor(f"{SOURCE} 2/3") == (70, us(70))


def test_the_first_shard_says_where_all_begin(store: Store) -> None:
    one, two = Shard(1, 2), Shard(2, 2)
    store.take_over(SOURCE, one)
    stop, waited = threading.Event(), threading.Event()

    whom = []

    def second():
        wait_for_first(store, SOURCE, two, stop, whom.append)
        waited.set()
        store.close()

    thread = threading.Thread(target=second)
    thread.start()
    frames = iter([None, Frame(0, 0), Frame(70, us(70)), Frame(71, us(71))])
    assert not waited.wait(0.7)
    assert set(whom) == {"the shard 1/2"}
    wait_for_first(store, SOURCE, one, stop)  # returns at once
    got = noting_first(store, SOURCE, one, frames)
    assert next(got) is None
    assert next(got).cursor == 0
    assert store.cursor(f"{SOURCE} 2/2") is None
    assert next(got).cursor == 70
    assert waited.wait(10)
    thread.join()
    assert cursors(store) == dict.fromkeys(two.all_named(SOURCE), (69, us(70)))
    assert next(got).cursor == 71
    store.begin_shards(SOURCE, one, 500, us(500))
    assert store.cursor(SOURCE) == (69, us(70)), "once is enough"
    assert not list(got)


def test_locks_need_no_function_that_postgresql_alone_has(new_schema) -> None:
    """A `hashtext` that fails stands before the real one."""
    with open_store(new_schema() + "%2Cpg_catalog") as store:
        store.migrate()
        store.db.run(
            "CREATE FUNCTION hashtext(text) RETURNS int LANGUAGE plpgsql "
            "AS $$ BEGIN RAISE undefined_function; END $$"
        )
        with pytest.raises(StoreError):
            store.db.rows("SELECT hashtext('x')")
        move(store, SOURCE, 5)
        owner = store.ownership()
        assert owner.acquire()
        owner.release()


def test_ingests_wait_for_those_of_the_same_source_only(new_schema) -> None:
    url = new_schema()
    with open_store(url) as one, open_store(url) as two:
        one.migrate()
        two.db.rows("SELECT set_config('lock_timeout', '200ms', false)")
        with one.db.writing(SOURCE):
            with two.db.writing(f"{SOURCE} 1/2"):
                pass
            with (
                pytest.raises(Unavailable, match="another program holds a lock"),
                two.db.writing(SOURCE),
            ):
                pass


def test_who_was_replaced_writes_no_more(store: Store) -> None:
    store.sync_feeds({"red": "1"})
    move(store, SOURCE, 5)
    store.take_over(SOURCE, Shard(1, 2))
    with pytest.raises(Superseded, match="this ingest reads the stream no longer"):
        store.apply([written("p", "red", rev="1")], SOURCE, 6, us(6), ALL)
    store.take_over(SOURCE, Shard(1, 3))
    with pytest.raises(StoreError, match="the shard 1/2 reads the stream no longer"):
        move(store, f"{SOURCE} 1/2", 7, Shard(1, 2))
    assert not contents(store)["posts"]
    move(store, f"{SOURCE} 1/3", 7, Shard(1, 3))


def test_those_that_come_wait_for_those_that_go(store: Store, caplog) -> None:
    caplog.set_level("INFO")
    move(store, SOURCE, 1)
    stop, over = threading.Event(), threading.Event()
    written_until = []

    def work():
        cursor = 1
        while not over.wait(0.05):
            cursor += 1
            try:
                move(store, SOURCE, cursor)
            except Superseded:
                break
            written_until.append(cursor)
        store.close()

    old = threading.Thread(target=work)
    old.start()
    threading.Timer(1.5, over.set).start()
    whom = []
    take_over(store, SOURCE, Shard(1, 2), stop, silence=0.6, waiting=whom.append)
    assert set(whom) == {"the end of one ingest"}
    assert over.is_set(), "it waited until the other one had ended"
    old.join()
    assert store.cursor(f"{SOURCE} 1/2")[0] == written_until[-1]
    assert "was read by one ingest so far; waiting" in caplog.text
    assert f"is read by 1/2 from now on, from {written_until[-1]}" in caplog.text
    stop.set()
    take_over(store, SOURCE, Shard(1, 3), stop, silence=0.6)
    assert store.cursor(f"{SOURCE} 1/2"), "told to stop, it takes nothing over"


def test_what_some_had_stored_and_others_not_counted(store: Store) -> None:
    """Two accounts of different shards are of one shard after their number changed."""
    names = [f"a{n}" for n in range(200)]
    two, three = Shard(1, 2), Shard(1, 3)
    ahead = next(n for n in names if not two.has(did(n)) and three.has(did(n)))
    behind = next(n for n in names if two.has(did(n)) and three.has(did(n)))
    store.sync_feeds({"red": "1"})
    store.take_over(SOURCE, two)
    parent = uri("p", behind)
    steps = [
        engaged("eve", "k", parent, seconds=0),  # before its post
        written("p", "red", author=behind, rev="1", seconds=1),
        written("q", "red", author=ahead, rev="2", seconds=2, reply_parent=parent),
        written("r", "red", author=ahead, rev="3", seconds=3, reply_parent=parent),
        deleted("r", author=ahead, rev="4", seconds=4),
    ]

    def read(shard, start, end):
        some = [(e, f if hasattr(e, "post") and shard.has(e.post.author) else frozenset())
                for e, f in steps[start:end] if shard.concerns(e)]  # fmt: skip
        store.apply(some, shard.named(SOURCE), end, us(end), ALL, shard)

    read(Shard(2, 2), 0, 5)
    read(two, 0, 2)
    store.take_over(SOURCE, three)
    read(three, 0, 5)
    post = contents(store)["posts"][parent]
    assert (post[5], post[7]) == (0, 1), "likes, replies"
