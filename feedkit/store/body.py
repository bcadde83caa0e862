"""A post's content as the store keeps it: JSON of the fields that say something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from feedkit.post import Counts, Post
from feedkit.times import moment


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a post cannot be stored with a {type(value).__name__} in it")


# What the store keeps in columns of its own, since it changes without the record changing.
_COLUMNS = {"sort_at", "seen_at", "counts", "votes"}
_FIELDS = tuple(
    (field.name, None if field.required else field.default)
    for field in msgspec.structs.fields(Post)
    if field.name not in _COLUMNS
)
_encoder = msgspec.json.Encoder(enc_hook=_plain)
_decoder = msgspec.json.Decoder(Post)


def encode(post: Post) -> str:
    """The JSON text of a post's record."""
    said = {name: value for name, default in _FIELDS if (value := getattr(post, name)) != default}
    return _encoder.encode(said).decode()


def decode(body: str, sort_at: int, seen_at: int, counts: Counts | None = None) -> Post:
    """The post again, with what the store's columns say of it."""
    return msgspec.structs.replace(
        _decoder.decode(body), sort_at=moment(sort_at), seen_at=moment(seen_at), counts=counts
    )
