"""The tables of `m0005_viewers`, as peewee models, see `feedkit.store.models`."""

from __future__ import annotations

from peewee import BigIntegerField, BooleanField, CompositeKey, IntegerField, Model, TextField


class Viewer(Model):
    """Somebody who asks for a feed that needs to know whom they follow. `due_at`: when the network
    is to be asked. `known`: whether all that the feeds need was found out. `tries` that failed
    since then, the last with `problem`."""

    did = TextField(primary_key=True)
    asked_at = BigIntegerField(index=True)  # when they last asked for such a feed
    tried_at = BigIntegerField()  # 0: never yet
    due_at = BigIntegerField()
    known = BooleanField()
    tries = IntegerField()
    problem = TextField()

    class Meta:
        table_name = "viewers"
        indexes = ((("known", "due_at"), False),)


class ViewerSet(Model):
    """The `follows` or the `followers` of a viewer: DIDs, one a line. In a table of its own: it may
    be hundreds of kilobytes, and a viewer's other columns change often."""

    viewer = TextField()
    name = TextField()
    known_at = BigIntegerField()
    members = TextField()

    class Meta:
        table_name = "viewer_sets"
        primary_key = CompositeKey("viewer", "name")


class Interaction(Model):
    """What the app says that a viewer did with a post, `item`, in `feed` (its name; empty where
    that is not known), the last time that they did. `author`: of the post."""

    viewer = TextField()
    event = TextField()  # a token, such as app.bsky.feed.defs#interactionSeen
    item = TextField()
    feed = TextField()
    at = BigIntegerField(index=True)
    author = TextField()
    feed_context = TextField()
    req_id = TextField()

    class Meta:
        table_name = "interactions"
        primary_key = CompositeKey("viewer", "event", "item", "feed")
        indexes = ((("viewer", "event", "at"), False),)


class Sender(Model):
    """How many interactions a viewer `sent` in this `minute` (since 1970)."""

    viewer = TextField(primary_key=True)
    minute = BigIntegerField(index=True)
    sent = IntegerField()

    class Meta:
        table_name = "senders"
