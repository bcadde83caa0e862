"""Filling feeds from the past, beside the live stream: the same records, the same filters, and no
deleted post. What that takes of the store: `feedkit.store.staging`."""

from __future__ import annotations

from feedkit.backfill.filling import Filling
from feedkit.backfill.runs import NotPossible, Outcome
from feedkit.backfill.staging import Stopped

__all__ = ["Filling", "NotPossible", "Outcome", "Stopped"]
