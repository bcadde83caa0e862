"""How often chance is tried: fully in CI, which has the time, and a part of it each time."""

from __future__ import annotations

import os


def trials(many: int, part: int = 4) -> int:
    """`many` with FEEDKIT_SLOW, else a `part`-th of it, rounded up."""
    return many if os.environ.get("FEEDKIT_SLOW") else -(-many // part)
