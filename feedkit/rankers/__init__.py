"""The built-in rankers. A new one is a class in one of these modules and a name in `RANKERS`."""

from __future__ import annotations

from feedkit.plugin import Ranker
from feedkit.rankers.above import FriendsFirst, UnseenFirst
from feedkit.rankers.blend import Blend, Boost
from feedkit.rankers.bridging import Bridging
from feedkit.rankers.chance import Random
from feedkit.rankers.engagement import Conversation, Fading, Gravity, HalfLife, RedditHot, Top
from feedkit.rankers.expression import Expression
from feedkit.rankers.personal import Affinity, CoLiked
from feedkit.rankers.time import Newest
from feedkit.rankers.trending import Trending

RANKERS: tuple[type[Ranker], ...] = (
    Newest, Gravity, RedditHot, HalfLife, Fading, Top, Trending, Conversation, Bridging,
    FriendsFirst, UnseenFirst, Affinity, CoLiked,
    Expression, Blend, Boost, Random,
)  # fmt: skip

__all__ = [
    "RANKERS", "Affinity", "Blend", "Boost", "Bridging", "CoLiked", "Conversation", "Expression",
    "Fading", "FriendsFirst", "Gravity", "HalfLife", "Newest", "Random", "RedditHot", "Top",
    "Trending", "UnseenFirst",
]  # fmt: skip
