"""The newest posts of an author are found without a look at the others."""

from __future__ import annotations

STATEMENTS = (
    "DROP INDEX posts_author",
    "CREATE INDEX posts_author_sort_at_id ON posts (author, sort_at, id)",
)
