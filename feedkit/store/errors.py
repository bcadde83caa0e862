"""What can go wrong with a store, said so that the operator knows what to do."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot do what it was asked. The message names the store, the fault, the remedy."""


class Unavailable(StoreError):
    """The store cannot be reached or answers too late, for now: trying again may help."""


class Conflict(Unavailable):
    """Another process wrote the same rows at the same moment: trying again will help."""


class SchemaError(StoreError):
    """The store's tables are not those that this version of feedkit works with."""
