"""The tables, as peewee models. They are made by `feedkit.store.migrations`, never from here; a
test checks that both agree. Times are microseconds since 1970, UTC.

Queries that run for every page or every batch are SQL by hand (measured: building one with the
ORM costs more than running it); the others use these models.
"""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CompositeKey,
    IntegerField,
    Model,
    SmallIntegerField,
    TextField,
)

from feedkit.store.backfill_models import Backfill, BackfillAccount, BackfillPost
from feedkit.store.viewer_models import Interaction, Sender, Viewer, ViewerSet


class Feed(Model):
    """A feed that has or had hits. `fingerprint`: the filter by which its posts were decided."""

    id = BigAutoField()
    name = TextField(unique=True)
    fingerprint = TextField(default="")
    asked_at = BigIntegerField(default=0)  # when somebody last asked for a page of it
    named_at = BigIntegerField(default=0)  # when a running configuration last named it

    class Meta:
        table_name = "feeds"


class Post(Model):
    """A post that some feed wants. `body`: its content as JSON, see `feedkit.store.body`."""

    id = BigAutoField()  # never used twice
    uri = TextField(unique=True)
    author = TextField()
    cid = TextField()
    rev = TextField()
    sort_at = BigIntegerField()
    seen_at = BigIntegerField()
    hidden = BooleanField(default=False)  # its author's account is not active
    body = TextField()
    likes = IntegerField(default=0)
    reposts = IntegerField(default=0)
    replies = IntegerField(default=0)
    quotes = IntegerField(default=0)

    class Meta:
        table_name = "posts"
        indexes = ((("author", "sort_at", "id"), False),)


class Hit(Model):
    """This post is in this feed."""

    feed_id = BigIntegerField()
    sort_at = BigIntegerField()
    post_id = BigIntegerField(index=True)

    class Meta:
        table_name = "hits"
        primary_key = CompositeKey("feed_id", "sort_at", "post_id")


class Engagement(Model):
    """A record that engages with a stored post. Actor, kind and record key are its URI.
    `counted` is False for the second like or repost of one post by one actor. `at`: when the
    network saw it, 0 where that was not noted yet."""

    actor = TextField()
    rkey = TextField()
    kind = SmallIntegerField()  # see `feedkit.store.touched.KINDS`
    post_id = BigIntegerField()
    counted = BooleanField(default=True)
    at = BigIntegerField(default=0)

    class Meta:
        table_name = "engagements"
        primary_key = CompositeKey("actor", "rkey", "kind", "post_id")
        indexes = ((("post_id", "kind", "actor"), False),)


class Account(Model):
    """An account that is not active, so that its later posts start hidden. `at`: since when it is
    known to be deleted, 0 where that was not noted yet."""

    did = TextField(primary_key=True)
    state = TextField()
    at = BigIntegerField(default=0)

    class Meta:
        table_name = "accounts"


class Tombstone(Model):
    """What is left of a post that was removed: its last rev, so that a replay of older commits
    does not bring it back. `deleted`: the post itself is gone, not only our interest in it."""

    uri = TextField(primary_key=True)
    rev = TextField()
    at = BigIntegerField(index=True)
    deleted = BooleanField()

    class Meta:
        table_name = "tombstones"


class Cursor(Model):
    """How far a source was read."""

    source = TextField(primary_key=True)
    cursor = BigIntegerField()
    time = BigIntegerField()

    class Meta:
        table_name = "cursors"


class Gap(Model):
    """A stretch of the stream that was missed."""

    id = BigAutoField()
    source = TextField()
    from_us = BigIntegerField()
    to_us = BigIntegerField()
    reason = TextField()
    seen_at = BigIntegerField(index=True)
    filled_at = BigIntegerField(default=0)  # 0: it is not

    class Meta:
        table_name = "gaps"


class Version(Model):
    """One ranking of a feed, for everybody (`viewer` empty) or for a viewer. Its posts never
    change."""

    id = BigAutoField()
    feed_id = BigIntegerField()
    viewer = TextField(default="")
    created_at = BigIntegerField()
    # when a later one for everybody took its place; null: none did, or `created_at` has that time
    replaced_at = BigIntegerField(null=True)
    size = IntegerField()
    recipe = TextField(default="")  # what it was ranked and selected by
    probe = BooleanField(default=False)  # only its first post was given

    class Meta:
        table_name = "versions"
        indexes = ((("feed_id", "viewer", "id"), False), (("replaced_at", "created_at"), False))


class Chunk(Model):
    """A run of a version's post ids, see `feedkit.store.packing`."""

    version_id = BigIntegerField()
    number = IntegerField()
    ids = BlobField()

    class Meta:
        table_name = "chunks"
        primary_key = CompositeKey("version_id", "number")


class Identity(Model):
    """Which DID a handle belongs to, and when that was checked."""

    handle = TextField(primary_key=True)
    did = TextField()
    checked_at = BigIntegerField()

    class Meta:
        table_name = "identities"


class AccountSet(Model):
    """Whom a list, a handle … means (`feedkit.accounts.Source.key`). `version` is higher than
    every one before it, of all sets. `members` and `undecided` (those who came or went since
    stored posts were decided; `*`: everybody) are DIDs, one a line."""

    key = TextField(primary_key=True)
    version = BigIntegerField(index=True)
    changed_at = BigIntegerField()
    resolved_at = BigIntegerField()  # 0: never yet
    due_at = BigIntegerField()  # when to ask again
    problem = TextField()  # why it could not be found out at the last try
    undecided = TextField()
    members = TextField()  # last: it may be megabytes long, and is rarely read

    class Meta:
        table_name = "account_sets"


class Feature(Model):
    """A word that is known of a post, or asked for, see `feedkit.store.waiting`."""

    post_id = BigIntegerField()
    name = TextField()
    value = TextField()
    tries = IntegerField(default=0)
    next_at = BigIntegerField(default=0)

    class Meta:
        table_name = "features"
        primary_key = CompositeKey("post_id", "name")
        indexes = ((("name", "next_at"), False),)


class Pending(Model):
    """This feed cannot say yet whether it wants this post."""

    post_id = BigIntegerField()
    feed_id = BigIntegerField(index=True)

    class Meta:
        table_name = "pending"
        primary_key = CompositeKey("post_id", "feed_id")


class Score(Model):
    """What `feedkit scores` loaded: a value (JSON) for a post that need not be stored."""

    uri = TextField()
    name = TextField()
    value = TextField()

    class Meta:
        table_name = "scores"
        primary_key = CompositeKey("uri", "name")


class Heartbeat(Model):
    """What a process last said of itself, see `feedkit.store.heartbeats`."""

    kind = TextField()
    name = TextField()
    host = TextField()
    pid = BigIntegerField()
    started_at = BigIntegerField()
    at = BigIntegerField()
    figures = TextField()  # JSON

    class Meta:
        table_name = "heartbeats"
        primary_key = CompositeKey("kind", "name")


MODELS = (
    Feed, Post, Hit, Engagement, Account, Tombstone, Cursor, Gap, Version, Chunk, Identity,
    AccountSet,
    Feature, Pending, Score,
    Viewer, ViewerSet, Interaction, Sender,
    Backfill, BackfillPost, BackfillAccount,
    Heartbeat,
)  # fmt: skip
