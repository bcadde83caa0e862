"""What viewers like, and what those like who like the same: read from the engagement that is
stored, in few queries of bounded size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from math import log, sqrt
from typing import NamedTuple

from feedkit.post import CoLike, Liked
from feedkit.store.database import Database, as_json
from feedkit.store.touched import LIKE
from feedkit.times import moment

MOST = 1000  # likes that are read of a viewer: the newest
# For co-likes are read: the viewer's newest likes; likes of the same posts; of the people who gave
# these some are looked at, so many of their likes are counted; some of them are taken, with so
# many likes each. Measured with 200,000 likes stored: 12 ms on SQLite, 20 ms on PostgreSQL.
OWN, LIKERS, LOOKED_AT, COUNTED, TAKEN, OF_EACH = 100, 2500, 250, 200, 150, 20

_DIGITS = "234567abcdefghijklmnopqrstuvwxyz"  # of did:plc, as text is ordered
_LAST = "did:zzzz"  # after every DID, also where a database orders text as dictionaries do


class Like(NamedTuple):
    """A like of a stored post. `at`: microseconds since 1970, 0 where it was not noted."""

    post_id: int
    uri: str
    author: str
    at: int
    likes: int  # of the post, by anybody


class Likes:
    """The likes of stored posts."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def of(self, actor: str, most: int = MOST) -> tuple[Liked, ...]:
        """The newest likes of `actor` (a DID), newest first."""
        likes = own_likes(self._db, actor, most)
        return tuple(Liked(like.uri, like.author, moment(like.at)) for like in likes)

    def co_likes(self, viewer: str, since: int, salt: str = "") -> Mapping[str, tuple[CoLike, ...]]:
        """What those like who like what `viewer` likes, see `co_likes`."""
        return co_likes(self._db, viewer, since, salt)


def own_likes(db: Database, actor: str, most: int = MOST) -> list[Like]:
    """The newest likes of `actor` (a DID) of stored posts, newest first."""
    # By record key, which is the time for every app (TIDs), and by which they are found.
    rows = db.rows(
        "SELECT p.id, p.uri, p.author, e.at, p.likes FROM (SELECT post_id, at FROM engagements "
        "WHERE actor = ? AND kind = ? AND counted ORDER BY rkey DESC LIMIT ?) AS e "
        "JOIN posts AS p ON p.id = e.post_id",
        (actor, LIKE, most),
    )
    return sorted((Like(*row) for row in rows), key=lambda like: (-like.at, -like.post_id))


def co_likes(
    db: Database, viewer: str, since: int, salt: str = ""
) -> Mapping[str, tuple[CoLike, ...]]:
    """By the URI of a stored post that `viewer` did not like lately: the likes it got since then,
    newest first, by the people who like most of what the viewer liked `since` then (µs since 1970).

    Who likes the same is weighed as by Adamic and Adar (2003): each post that both like counts
    1 / ln(1 + its likes), so a rare one says more; and divided by the root of how many posts they
    like, as in the cosine of two sets, so that who likes everything is like nobody. `salt`: with
    another one other people may stand for those who liked a very popular post.
    """
    own = [like for like in own_likes(db, viewer, OWN) if like.at >= since]
    shared, weight = _likers(db, viewer, own, salt)
    looked_at = sorted(shared, key=lambda actor: (-weight[actor], actor))[:LOOKED_AT]
    counts, bounds = _of_each(db, looked_at)
    taken = sorted(looked_at, key=lambda actor: (-weight[actor] / sqrt(counts[actor] or 1), actor))
    return _their_likes(
        db, [(actor, bounds[actor]) for actor in taken[:TAKEN]], {like.uri for like in own},
        since, shared, counts,
    )  # fmt: skip


def _likers(
    db: Database, viewer: str, own: Sequence[Like], salt: str
) -> tuple[dict[str, int], dict[str, float]]:
    """Those who liked the posts `own`: how many of them, and with what weight."""
    shared: dict[str, int] = {}
    weight: dict[str, float] = {}
    if not own:
        return shared, weight
    counts = {like.post_id: like.likes for like in own}
    says = {post_id: 1 / log(1 + max(likes, 2)) for post_id, likes in counts.items()}
    rows = db.rows(
        "SELECT e.actor, e.post_id FROM "
        + _for_each(
            db, "e.actor, e.post_id", "engagements AS e",
            f"e.post_id = {_part(db, 0, 'bigint')} AND e.kind = {LIKE} "
            f"AND e.actor BETWEEN {_part(db, 1)} AND {_part(db, 2)} AND e.counted",
        )
        + " LIMIT ?",
        (as_json(list(_samples(counts, salt + viewer))), 2 * LIKERS),
    )  # fmt: skip
    for actor, post_id in rows:
        if actor != viewer:
            shared[actor] = shared.get(actor, 0) + 1
            weight[actor] = weight.get(actor, 0.0) + says[post_id]
    return shared, weight


def _samples(counts: Mapping[int, int], seed: str) -> Iterable[tuple[int, str, str]]:
    """For each post which DIDs are looked for: all where few liked it; of very popular ones a
    stretch of the DIDs (which are hashes), and for a less popular one a stretch around that, so
    that who likes two such posts is found in both. About LIKERS in all."""
    middle = int.from_bytes(blake2b(seed.encode(), digest_size=6).digest()) / (1 << 48)
    left, posts = LIKERS, len(counts)
    for post_id, likes in sorted(counts.items(), key=lambda item: (item[1], item[0])):
        part = left / posts / likes if likes else 1.0
        if part >= 1:  # and so it was for all that are less popular
            left, posts = left - likes, posts - 1
            yield post_id, "", _LAST
        else:
            start = middle * (1 - part)
            yield post_id, _did_at(start), _did_at(start + part)


def _did_at(part: float) -> str:
    """The DID below which this part (0 to 1) of all of did:plc is."""
    if part >= 1:
        return _LAST
    digits = ""
    for _ in range(8):
        part *= 32
        digits += _DIGITS[int(part)]
        part -= int(part)
    return f"did:plc:{digits}"


def _of_each(db: Database, actors: Sequence[str]) -> tuple[dict[str, int], dict[str, str]]:
    """How many posts each of `actors` likes (COUNTED at most), and the record key with which the
    newest OF_EACH of their likes begin."""
    if not actors:
        return {}, {}
    likes = f"FROM engagements AS e WHERE e.actor = k.value AND e.kind = {LIKE}"
    keys = "json_each(?) AS k" if db.sqlite else "json_array_elements_text(?::json) AS k(value)"
    rows = db.rows(
        f"SELECT k.value, (SELECT count(*) FROM (SELECT 1 {likes} LIMIT {COUNTED}) AS counted), "
        f"(SELECT e.rkey {likes} ORDER BY e.rkey DESC LIMIT 1 OFFSET {OF_EACH - 1}) FROM {keys}",
        (as_json(actors),),
    )
    return {row[0]: int(row[1]) for row in rows}, {row[0]: row[2] or "" for row in rows}


def _their_likes(
    db: Database,
    taken: Sequence[tuple[str, str]],
    known: set[str],
    since: int,
    shared: Mapping[str, int],
    counts: Mapping[str, int],
) -> Mapping[str, tuple[CoLike, ...]]:
    """What those who were `taken` like since then, but for the posts `known` (URIs)."""
    if not taken:
        return {}
    rows = db.rows(
        "SELECT p.uri, e.actor, e.at FROM "
        + _for_each(
            db, "e.actor, e.post_id, e.at", "engagements AS e",
            f"e.actor = {_part(db, 0)} AND e.kind = {LIKE} AND e.rkey >= {_part(db, 1)} "
            "AND e.counted AND e.at >= ?",
        )
        + " JOIN posts AS p ON p.id = e.post_id WHERE NOT p.hidden "
        "ORDER BY e.at DESC, e.actor LIMIT ?",
        (as_json(taken), since, TAKEN * OF_EACH),
    )  # fmt: skip
    found: dict[str, list[CoLike]] = {}
    for uri, actor, at in rows:
        if uri not in known:
            like = CoLike(actor, moment(at), shared[actor], counts[actor])
            found.setdefault(uri, []).append(like)
    return {uri: tuple(some) for uri, some in found.items()}


def _for_each(db: Database, what: str, table: str, where: str) -> str:
    """What stands after FROM for the rows that belong to each of the lists in one parameter,
    `as_json`; `where` compares with `_part`s of one list."""
    if db.sqlite:
        return f"json_each(?) AS k CROSS JOIN {table} ON {where}"
    # OFFSET keeps the planner from turning it round: by index, whatever it takes the sizes for.
    return (
        f"json_array_elements(?::json) AS k(value) CROSS JOIN LATERAL "
        f"(SELECT {what} FROM {table} WHERE {where} OFFSET 0) AS e"
    )


def _part(db: Database, number: int, kind: str = "text") -> str:
    if db.sqlite:
        return f"json_extract(k.value, '$[{number}]')"
    return f"(k.value->>{number})::{kind}"
