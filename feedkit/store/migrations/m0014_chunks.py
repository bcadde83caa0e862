"""Rankings are no part of an index: on SQLite five of them filled a page of it, on every level."""

from __future__ import annotations

STATEMENTS = (
    """CREATE TABLE chunks_apart (
        version_id BIGINT NOT NULL,
        number INTEGER NOT NULL,
        ids {blob} NOT NULL,
        PRIMARY KEY (version_id, number)
    )""",
    "INSERT INTO chunks_apart SELECT version_id, number, ids FROM chunks",
    "DROP TABLE chunks",
    "ALTER TABLE chunks_apart RENAME TO chunks",
)
