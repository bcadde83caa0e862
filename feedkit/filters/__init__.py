"""The built-in filters, but for `All`, `Any` and `Not` (plugin.py). A new one is a class in one of
these modules and a name in `FILTERS`."""

from __future__ import annotations

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
from feedkit.plugin import Filter

FILTERS: tuple[type[Filter], ...] = (
    AtLeastOf, Everything, SameAs, Sample,
    Keywords, Hashtags, Regex, Length, Language, DetectedLanguage, SimilarTo,
    Author, InList, FollowedBy, Mentions, Reply, Quote,
    HasMedia, AltText, LinksTo, Count, Labelled, Imported, Bridged, Posted,
    NewAccount, AuthorFollowers, AuthorRate, QuotedPost, ParentPost,
)  # fmt: skip
