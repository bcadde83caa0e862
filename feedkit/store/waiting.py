"""Posts that some feed cannot decide yet: what is known of them, and what is still asked.

A row of `features` is a word that a post has (its value as JSON; `null`: there is nothing to be
known) or that is asked for: then its value is `ASKED`, and `next_at` says when to try (again).
A row of `pending` says that a feed waits for a post's words: the post has no hit there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from feedkit.awaiting import undecided
from feedkit.post import Features
from feedkit.store.database import Database

ASKED = ""  # no JSON
NEVER = 1 << 62  # the `next_at` of what is known


def wait(
    db: Database, wants: Iterable[tuple[int, frozenset[str]]], feeds: Mapping[str, int]
) -> None:
    """Note for posts (id, the feeds that want it) which feeds wait for which words. `feeds`: ids
    by name; others are left out."""
    waiting = [
        (post_id, feeds[name], words)
        for post_id, wanted in wants
        for name, words in undecided(wanted).items()
        if name in feeds
    ]
    db.many(
        "INSERT INTO pending (post_id, feed_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(post_id, feed_id) for post_id, feed_id, _ in waiting],
    )
    ask(db, [(post_id, word) for post_id, _, words in waiting for word in sorted(words)])


def ask(db: Database, words: Iterable[tuple[int, str]]) -> None:
    """Note that these words (post id, word) are asked for; known ones stay."""
    db.many(
        "INSERT INTO features (post_id, name, value, tries, next_at) VALUES (?, ?, ?, 0, 0) "
        "ON CONFLICT DO NOTHING",
        [(*word, ASKED) for word in words],
    )


def features(db: Database, ids: Collection[int]) -> dict[int, Features]:
    """What is known of the posts `ids`, by word; those of which nothing is are left out."""
    found: dict[int, Features] = {}
    rows = db.each(
        "f.post_id, f.name, f.value",
        "features AS f",
        "f.post_id",
        ids,
        "AND f.value <> ?",
        (ASKED,),
    )
    for post_id, name, value in rows:
        found.setdefault(post_id, Features())[name] = msgspec.json.decode(value)
    return found


def forget(db: Database, ids: Iterable[int]) -> None:
    """Remove all that is known and asked of posts that are gone or have another content now."""
    keys = [(number,) for number in ids]
    db.many("DELETE FROM pending WHERE post_id = ?", keys)
    db.many("DELETE FROM features WHERE post_id = ?", keys)
