"""The store: a fold over the network's events, in SQLite or PostgreSQL."""

from __future__ import annotations

from feedkit.store.candidates import Narrowing, Place
from feedkit.store.errors import SchemaError, StoreError, Unavailable
from feedkit.store.fold import Applied
from feedkit.store.hydrating import Answer, Due, Settled
from feedkit.store.pruning import Pruned
from feedkit.store.reading import Row, StoredPost
from feedkit.store.stats import Stats
from feedkit.store.store import Store, open_store
from feedkit.store.versions import Recipe, Version

__all__ = [
    "Answer",
    "Applied",
    "Due",
    "Narrowing",
    "Place",
    "Pruned",
    "Recipe",
    "Row",
    "SchemaError",
    "Settled",
    "Stats",
    "Store",
    "StoreError",
    "StoredPost",
    "Unavailable",
    "Version",
    "open_store",
]  # fmt: skip
