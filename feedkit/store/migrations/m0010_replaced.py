"""When a ranking for everybody was replaced."""

from __future__ import annotations

STATEMENTS = (
    # Null: it was not, or that is what its `created_at` says, as it was noted before.
    "ALTER TABLE versions ADD COLUMN replaced_at BIGINT",
    "DROP INDEX versions_created_at",
    "CREATE INDEX versions_replaced_at_created_at ON versions (replaced_at, created_at)",
)
