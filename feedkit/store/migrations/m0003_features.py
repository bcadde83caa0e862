"""What hydrators found out, who waits for it, and scores of the operator's own."""

from __future__ import annotations

STATEMENTS = (
    """CREATE TABLE features (
        post_id BIGINT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        tries INTEGER NOT NULL,
        next_at BIGINT NOT NULL,
        PRIMARY KEY (post_id, name)
    ) {clustered}""",
    "CREATE INDEX features_name_next_at ON features (name, next_at)",
    """CREATE TABLE pending (
        post_id BIGINT NOT NULL,
        feed_id BIGINT NOT NULL,
        PRIMARY KEY (post_id, feed_id)
    ) {clustered}""",
    "CREATE INDEX pending_feed_id ON pending (feed_id)",
    """CREATE TABLE scores (
        uri TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (uri, name)
    ) {clustered}""",
)
