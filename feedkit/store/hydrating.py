"""The posts that hydrators are to look at, and what becomes of their answers.

An answer is about one revision of a post: if the post was written anew or removed meanwhile, it
comes to nothing. Answer, hits and what is pending change in one transaction, so that killing the
process at any moment loses and doubles nothing: what is still asked for is asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from feedkit.awaiting import decided, undecided
from feedkit.post import UNKNOWN, Post
from feedkit.store.body import decode
from feedkit.store.database import Database
from feedkit.store.fold import Tombstone
from feedkit.store.reading import stream_clock
from feedkit.store.waiting import ASKED, NEVER, ask, features, wait
from feedkit.store.writing import bury, remove_posts

_NOTHING = "null"


class Due(Struct, frozen=True):
    """A post to be looked at for `words`. `tries`: how often that failed already."""

    id: int
    rev: str
    post: Post
    words: frozenset[str]
    tries: int


class Answer(Struct, frozen=True):
    """What was found out about a post: by word, its value as JSON. Words in `failed` are tried
    again at this time (µs since 1970), or given up where that is None."""

    id: int
    rev: str
    known: Mapping[str, str]
    failed: Mapping[str, int | None] = {}


class Settled(Struct):
    """What answers led to, in posts."""

    late: int = 0  # changed or gone before the answer came
    hits: int = 0
    removed: int = 0


class Hydration:
    """What hydrators are asked, and what they answered."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def due(self, words: Iterable[str], now: int, limit: int) -> list[Due]:
        """The `limit` visible posts that have waited longest to be asked for any of `words`."""
        rows: list[tuple[Any, ...]] = []
        for word in sorted(words):
            rows += self._db.rows(
                "SELECT f.next_at, f.post_id, f.name, f.tries FROM features AS f "
                "JOIN posts AS p ON p.id = f.post_id "
                "WHERE f.name = ? AND f.next_at <= ? AND NOT p.hidden "
                "ORDER BY f.next_at, f.post_id LIMIT ?",
                (word, now, limit),
            )
        asked: dict[int, dict[str, int]] = {}
        for _, post_id, word, tries in sorted(rows):
            if post_id in asked or len(asked) < limit:
                asked.setdefault(post_id, {})[word] = tries
        posts = _posts(self._db, asked)
        return [
            Due(post_id, posts[post_id][0], posts[post_id][1], frozenset(of), max(of.values()))
            for post_id, of in asked.items()
            if post_id in posts
        ]

    def settle(
        self,
        answers: Collection[Answer],
        feeds: Collection[str],
        decide: Callable[[Post], frozenset[str]],
        keep: Collection[str] = (),
    ) -> Settled:
        """Note `answers`, and decide where the posts belong that waited for them, as regards
        `feeds`.

        `decide` gives the feeds that want a post, as `Matcher.match` does. A post that no feed
        wants or waits for is removed. Words that nobody waits for any more are not asked for any
        longer, but for those in `keep`.
        """
        done = Settled()
        with self._db.writing():
            revs = dict(
                self._db.each("p.id, p.rev", "posts AS p", "p.id", {one.id for one in answers})
            )
            there = [answer for answer in answers if revs.get(answer.id) == answer.rev]
            done.late = len(answers) - len(there)
            _note(self._db, there)
            _decide(self._db, {answer.id for answer in there}, feeds, decide, keep, done)
        return done

    def ask_for_ranking(self, feed: str, words: Collection[str], depth: int) -> int:
        """Ask for `words` of the newest `depth` posts in `feed`, which ranks by them; how many
        posts lacked some."""
        rows = self._db.rows(
            "SELECT h.post_id FROM hits AS h "
            "WHERE h.feed_id = (SELECT id FROM feeds WHERE name = ?) "
            "ORDER BY h.sort_at DESC, h.post_id DESC LIMIT ?",
            (feed, depth),
        )
        ids = [number for (number,) in rows]
        known = set(self._db.each("f.post_id, f.name", "features AS f", "f.post_id", ids))
        missing = [(i, word) for i in ids for word in sorted(words) if (i, word) not in known]
        if missing:
            with self._db.writing():
                there = dict(self._db.each("p.id, p.uri", "posts AS p", "p.id", ids))
                ask(self._db, [row for row in missing if row[0] in there])
        return len({i for i, _ in missing})

    def save_scores(self, scores: Iterable[tuple[str, str, str]]) -> None:
        """Keep scores (URI, word, value as JSON) of posts, stored or not."""
        with self._db.transaction():
            self._db.many(
                "INSERT INTO scores (uri, name, value) VALUES (?, ?, ?) "
                "ON CONFLICT (uri, name) DO UPDATE SET value = excluded.value",
                scores,
            )

    def revisions(self, uris: Collection[str]) -> dict[str, tuple[int, str]]:
        """Id and revision of those of the posts at `uris` that are stored."""
        rows = self._db.each("p.uri, p.id, p.rev", "posts AS p", "p.uri", uris)
        return {uri: (number, rev) for uri, number, rev in rows}


def _posts(db: Database, ids: Collection[int]) -> dict[int, tuple[str, Post]]:
    """Revision and content, with what is known, of those of the posts `ids` that are there."""
    known = features(db, ids)
    rows = db.each("p.id, p.rev, p.body, p.sort_at, p.seen_at", "posts AS p", "p.id", ids)
    return {
        row[0]: (row[1], replace(decode(*row[2:5]), features=known.get(row[0], UNKNOWN)))
        for row in rows
    }


def _note(db: Database, answers: Iterable[Answer]) -> None:
    known, failed = [], []
    for one in answers:
        known += [(one.id, word, value) for word, value in one.known.items()]
        for word, next_at in one.failed.items():
            if next_at is None:
                known.append((one.id, word, _NOTHING))
            else:
                failed.append((next_at, one.id, word, ASKED))
    db.many(
        "INSERT INTO features (post_id, name, value, tries, next_at) VALUES (?, ?, ?, 0, ?) "
        "ON CONFLICT (post_id, name) DO UPDATE SET value = excluded.value, "
        "next_at = excluded.next_at",
        [(*row, NEVER) for row in known],
    )
    db.many(
        "UPDATE features SET tries = tries + 1, next_at = ? "
        "WHERE post_id = ? AND name = ? AND value = ?",
        failed,
    )


def _decide(
    db: Database,
    ids: Collection[int],
    feeds: Collection[str],
    decide: Callable[[Post], frozenset[str]],
    keep: Collection[str],
    done: Settled,
) -> None:
    numbers = dict(db.each("f.name, f.id", "feeds AS f", "f.name", feeds))
    names = {number: name for name, number in numbers.items()}
    waiting: dict[int, set[int]] = {}
    for post_id, feed_id in db.each("post_id, feed_id", "pending", "post_id", ids):
        waiting.setdefault(post_id, set()).add(feed_id)
    over, hits, wants = [], [], []
    idle = set(ids) - waiting.keys()
    for post_id, (_, post) in _posts(db, waiting).items():
        wanted = decide(post)
        certain, open_ = decided(wanted), undecided(wanted)
        asking = {feed_id for feed_id in waiting[post_id] if feed_id in names}
        still = {feed_id for feed_id in asking if names[feed_id] in open_}
        wants.append((post_id, wanted))
        over += [(post_id, feed_id) for feed_id in asking - still]
        hits += [(post_id, feed_id) for feed_id in asking - still if names[feed_id] in certain]
        if waiting[post_id] == asking - still:
            idle.add(post_id)
    db.many("DELETE FROM pending WHERE post_id = ? AND feed_id = ?", over)
    db.many(
        "INSERT INTO hits (feed_id, sort_at, post_id) "
        "SELECT ?, sort_at, id FROM posts WHERE id = ? ON CONFLICT DO NOTHING",
        [(feed_id, post_id) for post_id, feed_id in hits],
    )
    wait(db, [(i, wanted) for i, wanted in wants if i not in idle], numbers)
    done.hits = len(hits)
    _tidy(db, idle, keep, done)


def _tidy(db: Database, idle: Collection[int], keep: Collection[str], done: Settled) -> None:
    """Posts that no feed waits for any more: ask no further, and remove those without a hit."""
    asked = db.each(
        "f.post_id, f.name", "features AS f", "f.post_id", idle, "AND f.value = ?", (ASKED,)
    )
    db.many(
        "DELETE FROM features WHERE post_id = ? AND name = ?",
        [row for row in asked if row[1] not in keep],
    )
    hit = {number for (number,) in db.each("DISTINCT post_id", "hits", "post_id", idle)}
    clock = stream_clock(db)
    lonely = {
        number: (uri, Tombstone(rev, clock, deleted=False))
        for number, uri, rev in db.each("p.id, p.uri, p.rev", "posts AS p", "p.id", set(idle) - hit)
    }
    remove_posts(db, lonely)
    bury(db, dict(lonely.values()))
    done.removed = len(lonely)
