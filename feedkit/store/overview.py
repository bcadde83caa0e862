"""How it stands with the store, by look-ups that stay cheap however much is in it. What must count
rows stands in `feedkit.store.stats`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from feedkit.store.database import Database
from feedkit.store.errors import StoreError, Unavailable
from feedkit.store.size import OIDS, TABLES
from feedkit.store.waiting import NEVER

MOST = 100_000  # rows that are counted at most


class FeedState(NamedTuple):
    """A feed. Times: microseconds since 1970, 0 for never. `ranked_at`, `ranked`: of its newest
    ranking for everybody, and how many posts that holds."""

    newest: int
    asked_at: int
    ranked_at: int
    ranked: int


class Trouble(NamedTuple):
    """What cannot be found out of some of `all`: of how many nothing is known yet (`waiting`), how
    many failed at the last try, and of up to ten of these why, by name."""

    all: int
    waiting: int
    failing: int
    problems: dict[str, str]


def feed_states(db: Database) -> dict[str, FeedState]:
    """All feeds that are registered, by name: two look-ups by index for each."""
    rows = db.rows(
        "SELECT f.name, coalesce((SELECT max(sort_at) FROM hits WHERE feed_id = f.id), 0), "
        "f.asked_at, coalesce(v.created_at, 0), coalesce(v.size, 0) FROM feeds AS f "
        "LEFT JOIN versions AS v ON v.id = "
        "(SELECT max(id) FROM versions WHERE feed_id = f.id AND viewer = '')"
    )
    return {name: FeedState(*state) for name, *state in rows}


def hits_since(db: Database, since: int) -> dict[str, int]:
    """How many posts of each feed are dated after `since`: reads that part of an index."""
    return dict(
        db.rows(
            "SELECT f.name, (SELECT count(*) FROM hits AS h WHERE h.feed_id = f.id "
            "AND h.sort_at > ?) FROM feeds AS f",
            (since,),
        )
    )


def clocks(db: Database) -> dict[str, int]:
    """How far each live stream was read: the time of the newest event, 0 if unknown."""
    return dict(db.rows("SELECT source, time FROM cursors WHERE source <> 'replay'"))


def pending(db: Database) -> dict[str, int]:
    """How many posts wait for a hydrator, by feed; at most `MOST` are counted."""
    rows = db.rows(
        "SELECT f.name, count(*) FROM (SELECT feed_id FROM pending LIMIT ?) AS p "
        "JOIN feeds AS f ON f.id = p.feed_id GROUP BY f.name",
        (MOST,),
    )
    return dict(rows)


def asked_words(db: Database, words: Collection[str]) -> dict[str, int]:
    """Of how many posts each of the hydrators' `words` is asked for; at most `MOST` each."""
    sql = (
        "SELECT count(*) FROM "
        "(SELECT 1 AS one FROM features WHERE name = ? AND next_at < ? LIMIT ?) AS asked"
    )
    return {word: int(db.rows(sql, (word, NEVER, MOST))[0][0]) for word in sorted(words)}


def account_sets(db: Database) -> Trouble:
    """The lists, handles … of the configuration."""
    known, waiting, failing = db.rows(
        "SELECT count(*), coalesce(sum(CASE WHEN resolved_at = 0 THEN 1 ELSE 0 END), 0), "
        "coalesce(sum(CASE WHEN problem <> '' THEN 1 ELSE 0 END), 0) FROM account_sets"
    )[0]
    problems = db.rows(
        "SELECT key, problem FROM account_sets WHERE problem <> '' ORDER BY key LIMIT 10"
    )
    return Trouble(known, waiting, failing, dict(problems))


def viewers(db: Database, since: int) -> Trouble:
    """The viewers of personal feeds who asked after `since`."""
    known, waiting, failing = db.rows(
        "SELECT count(*), coalesce(sum(CASE WHEN NOT known THEN 1 ELSE 0 END), 0), "
        "coalesce(sum(CASE WHEN problem <> '' THEN 1 ELSE 0 END), 0) "
        "FROM viewers WHERE asked_at > ?",
        (since,),
    )[0]
    problems = db.rows(
        "SELECT did, problem FROM viewers WHERE asked_at > ? AND problem <> '' "
        "ORDER BY asked_at DESC LIMIT 10",
        (since,),
    )
    return Trouble(known, waiting, failing, dict(problems))


def size(db: Database) -> int:
    """The bytes that the store takes on its disk; 0 where the database does not say: its relatives
    have not all of PostgreSQL's functions."""
    if db.sqlite:
        path = Path(db.driver.database)
        files = (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm"))
        return sum(file.stat().st_size for file in files if file.is_file())
    sql = (
        "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class AS c "
        f"WHERE c.oid IN ({OIDS})"
    )
    try:
        return int(db.rows(sql)[0][0])
    except Unavailable:
        raise
    except StoreError:
        return 0


def estimated_rows(db: Database) -> dict[str, int]:
    """About how many rows the tables have, as the database's own statistics say; those that it
    has none of are left out."""
    if db.sqlite:
        if not db.rows("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'"):
            return {}
        said = db.rows("SELECT tbl, stat FROM sqlite_stat1 WHERE stat <> ''")
        return {table: int(stat.split()[0]) for table, stat in said if table in TABLES}
    rows = db.rows(f"SELECT relname, reltuples::bigint FROM pg_class WHERE oid IN ({OIDS})")
    return {table: int(number) for table, number in rows if number is not None and number >= 0}
