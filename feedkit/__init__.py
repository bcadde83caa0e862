"""feedkit: composable custom feeds for Bluesky and the AT Protocol.

These are the names that a plugin author imports; everything else is feedkit's own business.
"""

from feedkit.filters.author import Author, Quote, Reply
from feedkit.filters.boolean import Everything, SameAs
from feedkit.filters.content import HasMedia, Labelled, LinksTo
from feedkit.filters.regex import Regex
from feedkit.filters.text import Hashtags, Keywords, Language
from feedkit.plugin import All, Any, Feed, Field, Filter, Not, Pinned, Ranker, Selector
from feedkit.post import Post, Request, Viewer
from feedkit.rankers.engagement import Gravity
from feedkit.rankers.time import Newest
from feedkit.selectors.authors import PerAuthor
from feedkit.selectors.pins import Pin

__version__ = "0.1.0"

__all__ = [
    "All", "Any", "Author", "Everything", "Feed", "Field", "Filter", "Gravity", "HasMedia",
    "Hashtags", "Keywords", "Labelled", "Language", "LinksTo", "Newest", "Not", "PerAuthor",
    "Pin", "Pinned", "Post", "Quote", "Ranker", "Regex", "Reply", "Request", "SameAs",
    "Selector", "Viewer",
]  # fmt: skip
