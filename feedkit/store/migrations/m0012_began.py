"""From when on a backfill really had the stream."""

from __future__ import annotations

STATEMENTS = ("ALTER TABLE backfills ADD COLUMN began BIGINT NOT NULL DEFAULT 0",)
