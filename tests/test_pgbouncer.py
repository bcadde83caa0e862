"""Stores behind a real PgBouncer: what they do anywhere, they do there.

The tests of the store and of the owner of the jobs run again, through a pooler that lends
connections for a transaction only, which feedkit must find out by itself, and through one that
lends them for a session, of which the address says so. And once more as the processes that answer
requests ask: each statement with its timeout.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from _network import free_port
from _postgresql import bouncer, socket_of
from _streams import server
from test_jobs_owner import (  # noqa: F401
    test_an_owner_whose_connection_broke_knows_it,
    test_one_at_a_time,
    test_stores_beside_each_other_have_owners_of_their_own,
)
from test_migrations import *  # noqa: F403
from test_run import Process, configure, slowly
from test_store_feeds import *  # noqa: F403
from test_store_pruning import *  # noqa: F403
from test_store_writing import *  # noqa: F403

from feedkit.store import Store, StoreError, Unavailable, open_store
from feedkit.store.models import Feed

pytestmark = [
    pytest.mark.skipif(not os.environ.get("FEEDKIT_SLOW"), reason="FEEDKIT_SLOW=1 runs it"),
    pytest.mark.skipif(not shutil.which("pgbouncer"), reason="there is no pgbouncer here"),
]
USERS = 900
# What the address says, and the seconds that a statement may take.
MODES = {
    "transaction": ("", None),
    "session": ("?pgbouncer=false", None),
    "serving": ("", 60.0),
}
SOON = 0.5  # seconds
numbers = itertools.count()


@pytest.fixture(scope="module", params=MODES)
def pooler(request, postgresql) -> Iterator[tuple[int, str, float | None]]:
    mode = "session" if request.param == "session" else "transaction"
    with bouncer(postgresql, mode, [f"pooled_{n}" for n in range(USERS)]) as port:
        yield port, *MODES[request.param]


@pytest.fixture
def new_schema(pooler, postgresql):
    """Makes the address of an empty place behind the pooler: a user with a schema of its own, as
    a pooler takes no search_path in the address."""

    def make() -> str:
        port, said, _ = pooler
        name = f"pooled_{next(numbers)}"
        with psycopg.connect(postgresql, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
            connection.execute(f"DROP ROLE IF EXISTS {name}")
            connection.execute(f"CREATE ROLE {name} LOGIN")
            connection.execute(f"CREATE SCHEMA {name} AUTHORIZATION {name}")
        return f"postgresql://{name}@127.0.0.1:{port}/postgres{said}"

    return make


@pytest.fixture
def store_url(new_schema, request) -> str:
    if getattr(request, "param", "") == "sqlite":
        pytest.skip("there is no pooler before a file")
    return new_schema()


@pytest.fixture
def store(store_url, pooler) -> Iterator[Store]:
    with open_store(store_url, timeout=pooler[2]) as made:
        made.migrate()
        made.sync_feeds({"red": "1", "blue": "1"})
        yield made


@pytest.mark.parametrize("pooler", ["transaction", "session"], indirect=True)
def test_a_pooler_is_found_out(store, pooler, store_url):
    """By itself; one that lends for a session only by what the address says."""
    for _ in range(10):
        store.stats()
    prepared = store.db.rows("SELECT count(*) > 0 FROM pg_prepared_statements")
    told_nothing = not pooler[1]
    assert (store.db.pooled, prepared) == (told_nothing, [(not told_nothing,)])
    with open_store(store_url.partition("?")[0]) as other:
        other.check_schema()
        assert other.db.pooled


@pytest.mark.parametrize("pooler", ["transaction"], indirect=True)
def test_nothing_of_feedkits_is_left_to_other_clients(store, store_url):
    """What is set lasts for a transaction, also if many clients share one connection."""
    with store.db.writing():
        assert store.db.rows("SHOW synchronous_commit") == [("off",)]
    with psycopg.connect(store_url, prepare_threshold=None) as other:
        assert other.execute("SHOW synchronous_commit").fetchone() == ("on",)


@pytest.mark.parametrize("pooler", ["transaction"], indirect=True)
def test_the_wrong_word_is_told_with_the_right_one(store, store_url):
    def ask(*stores):
        for _ in range(20):
            for one in stores:
                one.stats()

    url = f"{store_url}?pgbouncer=false"
    with (
        open_store(url) as one,
        open_store(url) as two,
        pytest.raises(StoreError, match="write pgbouncer=true into the address"),
    ):
        ask(one, two)


@pytest.fixture
def beside(store_url, postgresql) -> str:
    """The address of the same place without the pooler."""
    user = urlsplit(store_url).username
    return f"postgresql://{user}@/postgres?host={socket_of(postgresql)}"


def refused(url: str, ask) -> tuple[type[StoreError], str]:
    """What `ask` gets from a store that nothing was asked of before, and that the next one gets
    its answer from the same connection."""
    with open_store(url, timeout=SOON) as store:
        with pytest.raises(StoreError) as error:
            ask(store.db)
        connection = store.db.driver.connection()
        assert store.db.rows("SELECT ?, ?::text", (7, "it's")) == [(7, "it's")]
        assert store.db.driver.connection() is connection
    return type(error.value), str(error.value).partition(": ")[2]


ASK = {
    "asleep": lambda db: db.rows("SELECT pg_sleep(?)", (20,)),
    "rows": lambda db: db.rows("SELECT count(*) FROM feeds"),
    "run": lambda db: db.run("UPDATE feeds SET asked_at = ? WHERE name = ?", (1, "red")),
    "execute": lambda db: db.execute(Feed.select()),
}


@pytest.mark.parametrize("pooler", ["transaction", "session"], indirect=True)
@pytest.mark.parametrize("ask", ASK)
def test_a_slow_answer_is_given_up(store, store_url, beside, ask):
    """As without a pooler, also if only the first connection shows that there is one; and nothing
    stays set for others."""
    urls = {store_url, store_url.partition("?")[0], beside}
    if not store_url.endswith("=false"):
        urls.add(f"{store_url}?pgbouncer=true")
    with psycopg.connect(beside) as other:
        other.execute("SET idle_in_transaction_session_timeout = '20s'")  # ends what nobody gave up
        other.execute("LOCK TABLE feeds IN ACCESS EXCLUSIVE MODE")
        said = {refused(url, ASK[ask]) for url in urls}
    assert [kind for kind, _ in said] == [Unavailable], said
    assert "the server took too long to answer (canceling statement due" in str(said)
    assert store.db.rows("SELECT name, asked_at FROM feeds ORDER BY name") == [
        ("blue", 0),
        ("red", 0),
    ]
    with psycopg.connect(store_url.partition("?")[0], prepare_threshold=None) as anyone:
        assert anyone.execute("SHOW statement_timeout").fetchone() == ("0",)


@pytest.mark.parametrize("pooler", ["serving"], indirect=True)
def test_values_arrive_as_without_a_pooler(store, store_url, beside):
    values = (
        None, "", "it's", 'a "b" \\c \\', "100% %s %(a)s ? $1", "a;\n--b", "é\U0001f426\ufeff",
        0, -1, 2**15, -(2**31), 2**31, 2**63 - 1, -(2**63), 1.5, 1e300, True, b"", b"\0'\\\xff",
    )  # fmt: skip
    kinds = {str: "text", int: "bigint", float: "float8", bool: "boolean", bytes: "bytea"}
    marks = ", ".join(f"?::{kinds.get(type(value), 'text')}" for value in values)
    with open_store(beside, timeout=60) as direct:
        for db in (store.db, direct.db):
            assert db.rows(f"SELECT {marks}", values) == [values]
            assert db.rows("SELECT 3 - ?, -?", (-1, -1)) == [(4, 1)]
            assert db.run("UPDATE feeds SET asked_at = ? WHERE name <> ?", (5, "none")) == 2
    said = [
        refused(url, lambda db, value=value: db.rows("SELECT ?::bigint", (value,)))
        for value in ("a\0b", "\ud800", 2**63)
        for url in (store_url, beside)
    ]
    assert said[::2] == said[1::2]


def test_options_in_the_address(store_url):
    mark = "&" if "?" in store_url else "?"
    store = open_store(f"{store_url}{mark}options=-csearch_path%3Da")
    with pytest.raises(StoreError, match=r"takes no `options` .* ALTER ROLE"):
        store.check_schema()


def test_a_service(store_url, tmp_path, monkeypatch):
    """migrate, ingest, jobs and two that serve, each a process."""
    for name in ("FEEDKIT_CONFIG", "FEEDKIT_LOG", "DATABASE_URL", "PORT", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    port = free_port()

    def answered(feed):
        with suppress(httpx.TransportError):
            name = f"at://did:plc:alice234567abcdefghijkl2/app.bsky.feed.generator/{feed}"
            url = f"http://127.0.0.1:{port}/xrpc/app.bsky.feed.getFeedSkeleton"
            answer = httpx.get(url, params={"feed": name, "limit": 100}, timeout=5)
            return len(answer.json().get("feed", ()))
        return 0

    with server(slowly(60)) as stream:
        configure(tmp_path, stream.url)
        config = tmp_path / "config.yaml"
        config.write_text(
            config.read_text()
            .replace(f"sqlite:///{tmp_path}/feedkit.db", store_url)
            .replace("rank: gravity", "rank: gravity, refresh: 1s")
            + "network: {plc: 'http://127.0.0.1:9', appview: 'http://127.0.0.1:9'}\n"
        )
        with Process(tmp_path, "migrate") as migrate:
            assert migrate.ended() == 0, migrate.said
            assert "migrated: 0001" in migrate.said
        with (
            Process(tmp_path, "ingest") as ingest,
            Process(tmp_path, "jobs") as jobs,
            Process(tmp_path, "serve", "--port", str(port), "--workers", "2") as serve,
        ):
            serve.until(lambda: answered("words") == 60, "posts in order of time", 60)
            serve.until(lambda: answered("best") == 60, "posts that were ranked", 120)
            for process in (ingest, jobs, serve):
                assert process.stop() == 0, process.said
                assert "Traceback" not in process.said
                assert "store postgresql" not in process.said
