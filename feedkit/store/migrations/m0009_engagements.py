"""One engagement record may stand with several posts: shards that are at different places of the
stream see it with one post each, when its record key was used again."""

from __future__ import annotations

STATEMENTS = (
    "ALTER TABLE engagements RENAME TO engagements_before",
    "DROP INDEX engagements_post_id_kind_actor",
    """CREATE TABLE engagements (
        actor TEXT NOT NULL,
        rkey TEXT NOT NULL,
        kind SMALLINT NOT NULL,
        post_id BIGINT NOT NULL,
        counted {bool} NOT NULL,
        at BIGINT NOT NULL DEFAULT 0,
        PRIMARY KEY (actor, rkey, kind, post_id)
    ) {clustered}""",
    "INSERT INTO engagements (actor, rkey, kind, post_id, counted, at) "
    "SELECT actor, rkey, kind, post_id, counted, at FROM engagements_before",
    "DROP TABLE engagements_before",
    "CREATE INDEX engagements_post_id_kind_actor ON engagements (post_id, kind, actor)",
)
