"""The tables of `m0006_backfill`, and what came to them later, as peewee models, see
`feedkit.store.models`."""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    Model,
    TextField,
)


class Backfill(Model):
    """A backfill that has begun. `since`: from when on the stream is read; `cursor`, `time`: how
    far it was; `place`: how far another source was, in its own words. `owner`: the process that
    works on it, which may have been killed. `settled`: everything was read, and what it found may
    be shown. `began`: from when on the stream really was read, later than `since` where it does
    not go back so far; 0 while that is not known."""

    id = BigAutoField()
    name = TextField(unique=True)
    owner = TextField()
    since = BigIntegerField()
    cursor = BigIntegerField()
    time = BigIntegerField()
    place = TextField()
    settled = BooleanField()
    touched_at = BigIntegerField()
    began = BigIntegerField(default=0)

    class Meta:
        table_name = "backfills"


class BackfillPost(Model):
    """A stored post without hits that a backfill has found, and will decide when it has read
    everything."""

    run_id = BigIntegerField()
    post_id = BigIntegerField(index=True)

    class Meta:
        table_name = "backfill_posts"
        primary_key = CompositeKey("run_id", "post_id")


class BackfillAccount(Model):
    """The last state of an account that a backfill has read."""

    run_id = BigIntegerField()
    did = TextField()
    state = TextField()

    class Meta:
        table_name = "backfill_accounts"
        primary_key = CompositeKey("run_id", "did")
