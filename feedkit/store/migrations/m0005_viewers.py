"""Who asks for personal feeds: whom they follow, and what the app says they did."""

from __future__ import annotations

STATEMENTS = (
    """CREATE TABLE viewers (
        did TEXT NOT NULL PRIMARY KEY,
        asked_at BIGINT NOT NULL,
        tried_at BIGINT NOT NULL,
        due_at BIGINT NOT NULL,
        known {bool} NOT NULL,
        tries INTEGER NOT NULL,
        problem TEXT NOT NULL
    ) {clustered}""",
    "CREATE INDEX viewers_known_due_at ON viewers (known, due_at)",
    "CREATE INDEX viewers_asked_at ON viewers (asked_at)",
    # Not clustered: some hundred kilobytes of one viewer are no part of an index.
    """CREATE TABLE viewer_sets (
        viewer TEXT NOT NULL,
        name TEXT NOT NULL,
        known_at BIGINT NOT NULL,
        members TEXT NOT NULL,
        PRIMARY KEY (viewer, name)
    )""",
    """CREATE TABLE interactions (
        viewer TEXT NOT NULL,
        event TEXT NOT NULL,
        item TEXT NOT NULL,
        feed TEXT NOT NULL,
        at BIGINT NOT NULL,
        author TEXT NOT NULL,
        feed_context TEXT NOT NULL,
        req_id TEXT NOT NULL,
        PRIMARY KEY (viewer, event, item, feed)
    ) {clustered}""",
    "CREATE INDEX interactions_viewer_event_at ON interactions (viewer, event, at)",
    "CREATE INDEX interactions_at ON interactions (at)",
    """CREATE TABLE senders (
        viewer TEXT NOT NULL PRIMARY KEY,
        minute BIGINT NOT NULL,
        sent INTEGER NOT NULL
    ) {clustered}""",
    "CREATE INDEX senders_minute ON senders (minute)",
)
