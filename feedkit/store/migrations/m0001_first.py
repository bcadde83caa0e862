"""The first tables."""

from __future__ import annotations

STATEMENTS = (
    """CREATE TABLE feeds (
        id {id},
        name TEXT NOT NULL UNIQUE,
        fingerprint TEXT NOT NULL,
        asked_at BIGINT NOT NULL
    )""",
    """CREATE TABLE posts (
        id {id},
        uri TEXT NOT NULL UNIQUE,
        author TEXT NOT NULL,
        cid TEXT NOT NULL,
        rev TEXT NOT NULL,
        sort_at BIGINT NOT NULL,
        seen_at BIGINT NOT NULL,
        hidden {bool} NOT NULL,
        body TEXT NOT NULL,
        likes INTEGER NOT NULL,
        reposts INTEGER NOT NULL,
        replies INTEGER NOT NULL,
        quotes INTEGER NOT NULL
    )""",
    "CREATE INDEX posts_author ON posts (author)",
    """CREATE TABLE hits (
        feed_id BIGINT NOT NULL,
        sort_at BIGINT NOT NULL,
        post_id BIGINT NOT NULL,
        PRIMARY KEY (feed_id, sort_at, post_id)
    ) {clustered}""",
    "CREATE INDEX hits_post_id ON hits (post_id)",
    """CREATE TABLE engagements (
        actor TEXT NOT NULL,
        rkey TEXT NOT NULL,
        kind SMALLINT NOT NULL,
        post_id BIGINT NOT NULL,
        counted {bool} NOT NULL,
        PRIMARY KEY (actor, rkey, kind)
    ) {clustered}""",
    "CREATE INDEX engagements_post_id_kind_actor ON engagements (post_id, kind, actor)",
    """CREATE TABLE accounts (
        did TEXT NOT NULL PRIMARY KEY,
        state TEXT NOT NULL
    ) {clustered}""",
    """CREATE TABLE tombstones (
        uri TEXT NOT NULL PRIMARY KEY,
        rev TEXT NOT NULL,
        at BIGINT NOT NULL,
        deleted {bool} NOT NULL
    ) {clustered}""",
    "CREATE INDEX tombstones_at ON tombstones (at)",
    """CREATE TABLE cursors (
        source TEXT NOT NULL PRIMARY KEY,
        cursor BIGINT NOT NULL,
        time BIGINT NOT NULL
    )""",
    """CREATE TABLE gaps (
        id {id},
        source TEXT NOT NULL,
        from_us BIGINT NOT NULL,
        to_us BIGINT NOT NULL,
        reason TEXT NOT NULL,
        seen_at BIGINT NOT NULL
    )""",
    "CREATE INDEX gaps_seen_at ON gaps (seen_at)",
    """CREATE TABLE versions (
        id {id},
        feed_id BIGINT NOT NULL,
        viewer TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        size INTEGER NOT NULL,
        recipe TEXT NOT NULL
    )""",
    "CREATE INDEX versions_feed_id_viewer_id ON versions (feed_id, viewer, id)",
    "CREATE INDEX versions_created_at ON versions (created_at)",
    """CREATE TABLE chunks (
        version_id BIGINT NOT NULL,
        number INTEGER NOT NULL,
        ids {blob} NOT NULL,
        PRIMARY KEY (version_id, number)
    ) {clustered}""",
    """CREATE TABLE identities (
        handle TEXT NOT NULL PRIMARY KEY,
        did TEXT NOT NULL,
        checked_at BIGINT NOT NULL
    )""",
)
