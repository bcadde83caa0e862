"""What each process last said of itself."""

from __future__ import annotations

STATEMENTS = (
    """CREATE TABLE heartbeats (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        host TEXT NOT NULL,
        pid BIGINT NOT NULL,
        started_at BIGINT NOT NULL,
        at BIGINT NOT NULL,
        figures TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    )""",
)
