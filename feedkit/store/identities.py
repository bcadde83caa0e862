"""Which DIDs handles belonged to when that was last asked."""

from __future__ import annotations

from feedkit.store.database import Database
from feedkit.store.models import Identity


class Identities:
    """DIDs by handle, in the store."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def find(self, handle: str) -> tuple[str, int] | None:
        """The DID that `handle` belonged to, and when that was checked."""
        found: tuple[str, int] | None = self._db.first(
            Identity.select(Identity.did, Identity.checked_at).where(Identity.handle == handle)
        )
        return found

    def save(self, handle: str, did: str, now: int) -> None:
        """Note that `handle` belongs to `did`."""
        self._db.execute(
            Identity.insert(handle=handle, did=did, checked_at=now).on_conflict(
                conflict_target=[Identity.handle], preserve=[Identity.did, Identity.checked_at]
            )
        )
