"""Whom the lists, handles … of the configuration mean."""

from __future__ import annotations

STATEMENTS = (
    """CREATE TABLE account_sets (
        key TEXT NOT NULL PRIMARY KEY,
        version BIGINT NOT NULL,
        changed_at BIGINT NOT NULL,
        resolved_at BIGINT NOT NULL,
        due_at BIGINT NOT NULL,
        problem TEXT NOT NULL,
        undecided TEXT NOT NULL,
        members TEXT NOT NULL
    )""",
    "CREATE INDEX account_sets_version ON account_sets (version)",
)
