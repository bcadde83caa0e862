"""The built-in rankers. A new one is a class in one of these modules and a name in `RANKERS`."""

from __future__ import annotations

from feedkit.plugin import Ranker
from feedkit.rankers.engagement import Gravity
from feedkit.rankers.time import Newest

RANKERS: tuple[type[Ranker], ...] = (Newest, Gravity)

__all__ = ["RANKERS", "Gravity", "Newest"]
