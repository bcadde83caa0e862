"""Filling feeds from the past, and the gaps that were filled so."""

from __future__ import annotations

STATEMENTS = (
    "ALTER TABLE gaps ADD COLUMN filled_at BIGINT NOT NULL DEFAULT 0",
    """CREATE TABLE backfills (
        id {id},
        name TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        since BIGINT NOT NULL,
        cursor BIGINT NOT NULL,
        time BIGINT NOT NULL,
        place TEXT NOT NULL,
        settled {bool} NOT NULL,
        touched_at BIGINT NOT NULL
    )""",
    """CREATE TABLE backfill_posts (
        run_id BIGINT NOT NULL,
        post_id BIGINT NOT NULL,
        PRIMARY KEY (run_id, post_id)
    ) {clustered}""",
    "CREATE INDEX backfill_posts_post_id ON backfill_posts (post_id)",
    """CREATE TABLE backfill_accounts (
        run_id BIGINT NOT NULL,
        did TEXT NOT NULL,
        state TEXT NOT NULL,
        PRIMARY KEY (run_id, did)
    ) {clustered}""",
)
