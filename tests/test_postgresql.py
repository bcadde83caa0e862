"""A PostgreSQL as hosts have them: with TLS and certificates, and what is said when these do not
fit. By a server that speaks TLS itself, where this machine has one, and by TLS that ends before one.
And many rows at once."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from _postgresql import certificates, openssl_server, tls_before, tls_server

from feedkit.config import load_config
from feedkit.store import Store, StoreError, Unavailable, open_store


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certs")
    certificates(folder)
    return folder


@pytest.fixture(scope="module", params=["server", "before"])
def tls(request: pytest.FixtureRequest, certs: Path) -> Iterator[int]:
    """The port of a PostgreSQL that lets nobody in without TLS."""
    with ExitStack() as stack:
        if request.param == "before":
            yield stack.enter_context(tls_before(request.getfixturevalue("postgresql"), certs))
            return
        programs = openssl_server()
        if programs is None:
            pytest.skip("there is no PostgreSQL with OpenSSL here")
        yield stack.enter_context(tls_server(programs, certs))


def secure(url: str) -> bool:
    with open_store(url) as store:
        store.db.rows("SELECT 1")
        return bool(store.db.driver.connection().pgconn.ssl_in_use)


@pytest.mark.parametrize(
    ("host", "query"),
    [
        ("localhost", ""),
        ("localhost", "?sslmode=require"),
        ("localhost", "?sslmode=verify-full&sslrootcert={certs}/ca.pem"),
        ("127.0.0.1", "?sslmode=verify-ca&sslrootcert={certs}/ca.pem"),
    ],
    ids=["nothing", "require", "verify-full", "verify-ca"],
)
def test_addresses_with_tls(tls: int, certs: Path, host: str, query: str) -> None:
    assert secure(f"postgresql://postgres@{host}:{tls}/postgres{query.format(certs=certs)}")


@pytest.mark.parametrize(
    ("host", "query", "says"),
    [
        ("localhost", "sslmode=disable", "the server wants TLS.* write sslmode=require"),
        ("localhost", "sslmode=verify-full&sslrootcert={certs}/other.pem",
         "is by no CA that sslrootcert trusts; write sslrootcert=FILE"),
        ("localhost", "sslmode=verify-full&sslrootcert={certs}/none.pem",
         "certificate of its CA cannot be read; write sslrootcert=FILE"),
        ("localhost", "sslmode=verify-full&sslrootcert={certs}/server.key",
         "certificate of its CA cannot be read; write sslrootcert=FILE"),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert={certs}/ca.pem",
         "is for another host name; write that name"),
        ("localhost", "sslrootcert=system", "is by no CA that sslrootcert trusts"),
        ("localhost", "sslmode=requir", "this sslmode cannot be; write require"),
        ("localhost", "sslmode=require&sslrootcert=system", "this sslmode cannot be; write"),
    ],
    ids=["disabled", "other-ca", "no-file", "no-certificate", "other-name", "system", "typo", "weak"],
)  # fmt: skip
def test_what_does_not_fit(tls: int, certs: Path, host: str, query: str, says: str) -> None:
    url = f"postgresql://postgres:secret@{host}:{tls}/postgres?{query.format(certs=certs)}"
    with pytest.raises(StoreError, match=says) as error:
        secure(url)
    assert not isinstance(error.value, Unavailable), "trying again helps nobody"
    assert "secret" not in str(error.value)


def test_a_wrong_password_is_no_matter_of_tls(certs: Path) -> None:
    """Though the driver, which tries both, gives what the server said of either."""
    programs = openssl_server()
    if programs is None:
        pytest.skip("there is no PostgreSQL with OpenSSL here")
    with (
        tls_server(programs, certs) as port,
        pytest.raises(StoreError, match="it refuses the user or the password") as error,
    ):
        secure(f"postgresql://locked:secret@127.0.0.1:{port}/postgres")
    assert "no encryption" in str(error.value), "both are there"
    assert "secret" not in str(error.value)


def test_no_connection_left(postgresql: str) -> None:
    import psycopg

    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
    url = postgresql.replace("//postgres:@", "//crowded:@").replace("//postgres@", "//crowded@")
    assert url != postgresql
    with pytest.raises(Unavailable, match="no connection left; lower the number of web processes"):
        open_store(url).db.rows("SELECT 1")


def test_the_certificates_that_the_machine_trusts(
    tls: int, certs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As OpenSSL finds them for everything else on the machine, Python too."""
    monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, str(certs / "ca.pem"))
    for mode in ("", "&sslmode=verify-full"):
        assert secure(f"postgresql://postgres@localhost:{tls}/postgres?sslrootcert=system{mode}")
    with pytest.raises(StoreError, match="is for another host name"):
        secure(f"postgresql://postgres@127.0.0.1:{tls}/postgres?sslrootcert=system")


@pytest.mark.skipif(not ssl.get_default_verify_paths().cafile, reason="this machine trusts nobody")
def test_the_driver_is_told_where_they_are() -> None:
    """It would look beside the OpenSSL that came with it."""
    given = open_store("postgresql://me@db/feeds?sslrootcert=system").db.driver.connect_params
    assert given["sslrootcert"] == ssl.get_default_verify_paths().cafile
    assert given["sslmode"] == "verify-full", "as the driver takes it"


def test_a_store_as_a_configuration_names_it(tls: int, certs: Path, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "service: {hostname: feeds.birds.club, publisher: alice.birds.club}\n"
        "store: ${DATABASE_URL}?sslmode=verify-full&sslrootcert=${CA}\n"
        "feeds: {birds: {filter: {keywords: heron}}}\n"
    )
    url = f"postgres://postgres@localhost:{tls}/postgres"
    service = load_config(file, {"DATABASE_URL": url, "CA": str(certs / "ca.pem")})
    assert secure(service.store)


def test_a_server_without_tls(postgresql: str) -> None:
    with tls_before(postgresql, None) as port:
        assert not secure(f"postgresql://postgres@localhost:{port}/postgres")
        with pytest.raises(StoreError, match="speaks no TLS, but the address asks") as error:
            secure(f"postgresql://postgres@localhost:{port}/postgres?sslmode=require")
    assert not isinstance(error.value, Unavailable)


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = open_store(f"postgresql://a@127.0.0.1:{silent.getsockname()[1]}/b", timeout=2)
        with pytest.raises(Unavailable, match="the server cannot be reached"):
            store.check_schema()


@pytest.mark.parametrize("word", ["yes", "", "transaction"])
def test_what_is_said_of_a_pooler(word: str) -> None:
    said = (
        rf"pgbouncer={word} says nothing; write true where .* transaction, false where .* session"
    )
    with pytest.raises(StoreError, match=said):
        open_store(f"postgresql://me@db/feeds?pgbouncer={word}")


AWKWARD = ["", "\\N", "\\.", "a\tb", "a\nb", "a\\b", "\r", '"', "日本", "🐦", "%s", "NULL"]


@pytest.mark.parametrize("number", [1, 19, 20, 500])
def test_rows_are_added_as_they_are(store: Store, number: int) -> None:
    """By whatever way is the fastest for so many; by COPY, text must be escaped."""
    rows = [(f"{n} {AWKWARD[n % 12]}", AWKWARD[n % 12], n - 10, n % 2 == 0) for n in range(number)]
    with store.db.writing():
        store.db.add("tombstones", "uri, rev, at, deleted", rows)
    found = store.db.rows("SELECT uri, rev, at, deleted FROM tombstones ORDER BY at")
    assert [(*row[:3], bool(row[3])) for row in found] == rows


@pytest.mark.parametrize("number", [2, 100])
def test_rows_that_are_there_already_undo_all(store: Store, number: int) -> None:
    rows = [(f"at {n % (number - 1)}", "1", 0, True) for n in range(number)]
    with pytest.raises(StoreError), store.db.writing():
        store.db.add("tombstones", "uri, rev, at, deleted", rows)
    assert store.db.rows("SELECT count(*) FROM tombstones") == [(0,)]
