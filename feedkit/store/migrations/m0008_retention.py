"""When a configuration last named a feed, and since when an account counts as deleted."""

from __future__ import annotations

STATEMENTS = (
    "ALTER TABLE feeds ADD COLUMN named_at BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE accounts ADD COLUMN at BIGINT NOT NULL DEFAULT 0",
)
