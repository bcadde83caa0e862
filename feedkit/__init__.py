"""feedkit: composable custom feeds for Bluesky and the AT Protocol.

These are the names that a plugin author imports; everything else is feedkit's own business.
"""

from feedkit.accounts import Accounts
from feedkit.filters.author import Author, FollowedBy, InList, Mentions, Quote, Reply
from feedkit.filters.boolean import AtLeastOf, Everything, SameAs, Sample
from feedkit.filters.content import HasMedia, Labelled, LinksTo
from feedkit.filters.found import AuthorFollowers, NewAccount, ParentPost, QuotedPost
from feedkit.filters.numbers import AltText, Count, Length
from feedkit.filters.regex import Regex
from feedkit.filters.text import Hashtags, Keywords, Language
from feedkit.filters.time import Imported, Posted
from feedkit.hydrators import AuthorProfile, Parent, Quoted
from feedkit.plugin import (
    All,
    Any,
    Context,
    Feed,
    Field,
    Filter,
    Hydrator,
    Not,
    Pinned,
    Ranker,
    Selector,
)  # fmt: skip
from feedkit.post import Post, Request, Viewer
from feedkit.rankers.blend import Blend, BlendPart, Boost
from feedkit.rankers.chance import Random
from feedkit.rankers.engagement import Conversation, Fading, Gravity, HalfLife, RedditHot, Top
from feedkit.rankers.expression import Expression
from feedkit.rankers.time import Newest
from feedkit.selectors.authors import AuthorDecay, PerAuthor, Throttle
from feedkit.selectors.pins import Pin, Rotate, RotatedPost
from feedkit.selectors.repeats import OnePerLink, OnePerText, OnePerThread
from feedkit.selectors.thresholds import AtLeast, Within
from feedkit.selectors.variety import Diversify, Shuffle

__version__ = "0.1.0"

__all__ = [
    "Accounts", "All", "AltText", "Any", "AtLeast", "AtLeastOf", "Author", "AuthorDecay",
    "AuthorFollowers", "AuthorProfile", "Blend", "BlendPart", "Boost", "Context", "Conversation",
    "Count", "Diversify", "Everything", "Expression", "Fading", "Feed", "Field", "Filter",
    "FollowedBy", "Gravity", "HalfLife", "HasMedia", "Hashtags", "Hydrator", "Imported", "InList",
    "Keywords", "Labelled", "Language", "Length", "LinksTo", "Mentions", "NewAccount", "Newest",
    "Not", "OnePerLink", "OnePerText", "OnePerThread", "Parent", "ParentPost", "PerAuthor", "Pin",
    "Pinned", "Post", "Posted", "Quote", "Quoted", "QuotedPost", "Random", "Ranker", "RedditHot",
    "Regex", "Reply", "Request", "Rotate", "RotatedPost", "SameAs", "Sample", "Selector", "Shuffle",
    "Throttle", "Top", "Viewer", "Within",
]  # fmt: skip
