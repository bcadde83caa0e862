"""The built-in rankers. A new one is a class in one of these modules and a name in `RANKERS`."""

from __future__ import annotations

from feedkit.plugin import Ranker
from feedkit.rankers.blend import Blend, Boost
from feedkit.rankers.chance import Random
from feedkit.rankers.engagement import Conversation, Fading, Gravity, HalfLife, RedditHot, Top
from feedkit.rankers.expression import Expression
from feedkit.rankers.time import Newest

RANKERS: tuple[type[Ranker], ...] = (
    Newest, Gravity, RedditHot, HalfLife, Fading, Top, Conversation,
    Expression, Blend, Boost, Random,
)  # fmt: skip

__all__ = [
    "RANKERS", "Blend", "Boost", "Conversation", "Expression", "Fading", "Gravity", "HalfLife",
    "Newest", "Random", "RedditHot", "Top",
]  # fmt: skip
