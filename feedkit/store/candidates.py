"""What rankers are given: the newest posts of a feed, or those of some authors."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, NamedTuple

from msgspec.structs import replace

from feedkit.needs import Voters
from feedkit.post import Post
from feedkit.store.database import Database, as_json
from feedkit.store.reading import CONTENT, as_post
from feedkit.store.votes import votes
from feedkit.store.waiting import features

LOOKED_AT = 200  # posts of one author that are looked through for the newest few in a feed
FEW = 10_000  # posts of some authors that may be looked through without the order of the feed
# What one of them costs, beside a post that is passed over by time, if all are to be found in an
# index: 0.6 µs and 0.5. Theirs may be spread less evenly than is supposed.
DEARER = 1


Place = tuple[int, int]  # sort_at, id: a post stands below it if its own are smaller


class Narrowing(NamedTuple):
    """Which posts of a feed are looked for. `authors`: only theirs (DIDs); None: anybody's.
    `naming`: only those in which all of these DIDs stand. `uris`: only these; None: any."""

    authors: Collection[str] | None = None
    naming: Collection[str] = ()
    uris: Collection[str] | None = None


ANY = (Narrowing(),)
_Rows = list[tuple[Any, ...]]  # of CONTENT


def candidates(
    db: Database, feed: str, limit: int, featured: bool = False, voters: Voters | None = None,
    narrowing: Collection[Narrowing] = ANY, before: Place | None = None,
) -> list[tuple[int, Post]]:  # fmt: skip
    """The newest `limit` visible posts of `feed` with their counts, newest first, each with its
    id; of those that are one of `narrowing`, below the place `before`. `featured`: with what
    hydrators know of them. `voters`: with these votes."""
    rows = _merged([_rows(db, feed, limit, one, before) for one in narrowing], limit)
    return _posts(db, rows, featured, voters)


def newest_of_each(
    db: Database, feed: str, authors: Collection[str], most: int, featured: bool = False,
    voters: Voters | None = None,
) -> list[tuple[int, Post]]:  # fmt: skip
    """As `candidates`: of each of `authors` (DIDs) the newest `most` of their visible posts in
    `feed`, in no order. Of each only the newest `LOOKED_AT` that are stored are looked at."""
    theirs = (
        "SELECT t.id FROM (SELECT q.id, q.sort_at, q.hidden FROM posts AS q "
        "WHERE q.author = k.value ORDER BY q.sort_at DESC, q.id DESC "
        f"LIMIT {LOOKED_AT}) AS t WHERE NOT t.hidden AND EXISTS (SELECT 1 FROM hits AS h "
        "WHERE h.post_id = t.id AND h.feed_id = (SELECT id FROM feeds WHERE name = ?)) "
        f"{_again(db)}LIMIT ?"
    )
    keys = "json_each(?) AS k" if db.sqlite else "json_array_elements_text(?::json) AS k(value)"
    found = f"{keys} CROSS JOIN posts AS p WHERE p.id IN ({theirs})"
    if not db.sqlite:
        found = f"{keys} CROSS JOIN LATERAL ({theirs}) AS t JOIN posts AS p ON p.id = t.id"
    rows = db.rows(f"SELECT {CONTENT} FROM {found}", (as_json(authors), feed, most))
    return _posts(db, rows, featured, voters)


def _again(db: Database) -> str:
    """The order of `t`, where a database must be told it again to keep it. SQLite keeps the order
    of what has a limit; told again, it would look at all of it before it gives the first."""
    return "" if db.sqlite else "ORDER BY t.sort_at DESC, t.id DESC "


def _posts(
    db: Database, rows: _Rows, featured: bool, voters: Voters | None
) -> list[tuple[int, Post]]:
    ids = [row[0] for row in rows]
    known = features(db, ids) if featured else {}
    found = [(row[0], as_post(row, known.get(row[0]))) for row in rows]
    if voters is None:
        return found
    theirs = votes(db, ids, voters.kinds, voters.by)
    return [(id, replace(p, votes=theirs[id]) if id in theirs else p) for id, p in found]


def _merged(several: list[_Rows], limit: int) -> _Rows:
    if len(several) == 1:
        return several[0]
    rows = {row[0]: row for rows in several for row in rows}
    return sorted(rows.values(), key=lambda row: (row[2], row[0]), reverse=True)[:limit]


def _rows(db: Database, feed: str, limit: int, narrowing: Narrowing, before: Place | None) -> _Rows:
    only, params = "", list[Any]()
    for did in narrowing.naming:
        only += r"AND p.body LIKE ? ESCAPE '\' "
        params.append(f"%{_LIKE.sub(_ESCAPED, did)}%")
    if before is not None:
        only += "AND (p.sort_at, p.id) < (?, ?) "
        params += before
    if narrowing.authors is None and narrowing.uris is None:
        return _by_time(db, feed, limit, only, params, before)
    authors = None if narrowing.authors is None else as_json(narrowing.authors)
    if narrowing.uris is None and authors is not None and _few(db, feed, authors, limit):
        return _by_author(db, feed, limit, authors, only, params)
    if authors is not None:
        only += f"AND p.author IN ({db.texts}) "
        params.append(authors)
    if narrowing.uris is None:
        return _by_time(db, feed, limit, only, params, before)
    return _by_uri(db, feed, limit, as_json(narrowing.uris), only, params)


_LIKE = re.compile(r"([\\%_])")
_ESCAPED = r"\\\1"


def _by_time(
    db: Database, feed: str, limit: int, only: str, params: list[Any], before: Place | None
) -> _Rows:
    """From the newest on, until there are enough."""
    below = "AND (h.sort_at, h.post_id) < (?, ?) " if before is not None else ""
    return db.rows(
        f"SELECT {CONTENT} FROM hits AS h JOIN posts AS p ON p.id = h.post_id "
        f"WHERE h.feed_id = (SELECT id FROM feeds WHERE name = ?) {below}AND NOT p.hidden {only}"
        "ORDER BY h.sort_at DESC, h.post_id DESC LIMIT ?",
        (feed, *(before or ()), *params, limit),
    )


def _by_author(
    db: Database, feed: str, limit: int, authors: str, only: str, params: list[Any]
) -> _Rows:
    """From all posts of these authors, which an index has in order, to the first that are enough.
    Measured, for 200 authors who wrote 5,000 of a feed's 53,000 posts: 4.2 ms, by time 5.9 where
    theirs are spread evenly; for 20 of them 1.5 and 19."""
    theirs = db.among("posts AS q", "q.author", "text")
    fence = "LIMIT -1" if db.sqlite else "OFFSET 0"
    return db.rows(
        f"SELECT {CONTENT} FROM (SELECT q.id, q.sort_at FROM {theirs} "
        f"ORDER BY q.sort_at DESC, q.id DESC {fence}) AS t "
        "CROSS JOIN hits AS h CROSS JOIN posts AS p "
        "WHERE h.feed_id = (SELECT id FROM feeds WHERE name = ?) AND h.sort_at = t.sort_at "
        f"AND h.post_id = t.id AND p.id = t.id AND NOT p.hidden {only}{_again(db)}LIMIT ?",
        (authors, feed, *params, limit),
    )


def _by_uri(db: Database, feed: str, limit: int, uris: str, only: str, params: list[Any]) -> _Rows:
    """Of these posts, those that the feed has."""
    return db.rows(
        f"SELECT {CONTENT} FROM {db.among('posts AS p', 'p.uri', 'text')} AND NOT p.hidden {only}"
        "AND EXISTS (SELECT 1 FROM hits AS h WHERE h.post_id = p.id AND h.feed_id = "
        "(SELECT id FROM feeds WHERE name = ?)) ORDER BY p.sort_at DESC, p.id DESC LIMIT ?",
        (uris, *params, feed, limit),
    )


def _few(db: Database, feed: str, authors: str, limit: int) -> bool:
    """Whether these authors wrote so few posts that it is quicker to look through all of them
    than to go back in time until there are `limit`, if theirs are spread evenly, or the feed ends.
    """
    theirs = db.among("posts AS p", "p.author", "text")
    written, stored = db.rows(
        f"SELECT (SELECT count(*) FROM (SELECT 1 FROM {theirs} LIMIT {FEW + 1}) AS k), "
        "(SELECT max(id) FROM posts) - (SELECT min(id) FROM posts) + 1",
        (authors,),
    )[0]
    if written > FEW or DEARER * written * written >= limit * (stored or 1):
        return False
    return bool(
        db.rows(
            "SELECT 1 FROM hits WHERE feed_id = (SELECT id FROM feeds WHERE name = ?) "
            "LIMIT 1 OFFSET ?",
            (feed, DEARER * written),
        )
    )
