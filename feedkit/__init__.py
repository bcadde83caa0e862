"""feedkit: composable custom feeds for Bluesky and the AT Protocol.

These are the names that a plugin author imports; everything else is feedkit's own business.
"""

from feedkit.accounts import Accounts
from feedkit.filters.author import Author, FollowedBy, InList, Mentions, Quote, Reply
from feedkit.filters.boolean import AtLeastOf, Everything, SameAs, Sample
from feedkit.filters.bridged import Bridged
from feedkit.filters.content import HasMedia, Labelled, LinksTo
from feedkit.filters.detected import DetectedLanguage
from feedkit.filters.found import AuthorFollowers, AuthorRate, NewAccount, ParentPost, QuotedPost
from feedkit.filters.numbers import AltText, Count, Length
from feedkit.filters.regex import Regex
from feedkit.filters.similar import SimilarTo
from feedkit.filters.text import Hashtags, Keywords, Language
from feedkit.filters.time import Imported, Posted
from feedkit.filters.viewer import (
    AnyOf,
    Followers,
    Follows,
    HideRepliesToStrangers,
    HideSeen,
    Mentioned,
    Mutuals,
    NoneOf,
    NotInterested,
)  # fmt: skip
from feedkit.hydrators import AuthorProfile, Parent, PostingRate, Quoted, SentenceVector
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
    Sought,
    Term,
)  # fmt: skip
from feedkit.post import CoLike, Liked, Post, Request, Viewer, Vote
from feedkit.rankers.above import FriendsFirst, UnseenFirst
from feedkit.rankers.blend import Blend, BlendPart, Boost
from feedkit.rankers.bridging import Bridging
from feedkit.rankers.chance import Random
from feedkit.rankers.engagement import Conversation, Fading, Gravity, HalfLife, RedditHot, Top
from feedkit.rankers.expression import Expression
from feedkit.rankers.personal import Affinity, CoLiked
from feedkit.rankers.time import Newest
from feedkit.rankers.trending import Trending
from feedkit.selectors.authors import AuthorDecay, PerAuthor, Throttle
from feedkit.selectors.languages import Spoken
from feedkit.selectors.pins import Pin, Rotate, RotatedPost
from feedkit.selectors.repeats import OnePerLink, OnePerText, OnePerThread
from feedkit.selectors.thresholds import AtLeast, Within
from feedkit.selectors.variety import Diversify, Mix, Shuffle
from feedkit.viewing import ViewerFilter

__version__ = "0.1.0"

__all__ = [
    "Accounts", "Affinity", "All", "AltText", "Any", "AnyOf", "AtLeast", "AtLeastOf", "Author",
    "AuthorDecay", "AuthorFollowers", "AuthorProfile", "AuthorRate", "Blend", "BlendPart", "Boost",
    "Bridged", "Bridging", "CoLike", "CoLiked", "Context", "Conversation", "Count",
    "DetectedLanguage", "Diversify", "Everything", "Expression", "Fading", "Feed", "Field",
    "Filter", "FollowedBy", "Followers", "Follows", "FriendsFirst", "Gravity", "HalfLife",
    "HasMedia", "Hashtags", "HideRepliesToStrangers", "HideSeen", "Hydrator", "Imported", "InList",
    "Keywords", "Labelled", "Language", "Length", "Liked", "LinksTo", "Mentioned", "Mentions",
    "Mix", "Mutuals", "NewAccount", "Newest", "NoneOf", "Not", "NotInterested", "OnePerLink",
    "OnePerText", "OnePerThread", "Parent", "ParentPost", "PerAuthor", "Pin", "Pinned", "Post",
    "Posted", "PostingRate", "Quote", "Quoted", "QuotedPost", "Random", "Ranker", "RedditHot",
    "Regex", "Reply", "Request", "Rotate", "RotatedPost", "SameAs", "Sample", "Selector",
    "SentenceVector", "Shuffle", "SimilarTo", "Sought", "Spoken", "Term", "Throttle", "Top",
    "Trending", "UnseenFirst", "Viewer", "ViewerFilter", "Vote", "Within",
]  # fmt: skip
