"""When somebody voted."""

from __future__ import annotations

STATEMENTS = (
    # 0: from before it was noted
    "ALTER TABLE engagements ADD COLUMN at BIGINT NOT NULL DEFAULT 0",
)
