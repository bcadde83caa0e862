"""The built-in filters, but for `All`, `Any` and `Not` (plugin.py). A new one is a class in one of
these modules and a name in `FILTERS`."""

from __future__ import annotations

from feedkit.filters.author import Author, Quote, Reply
from feedkit.filters.boolean import Everything, SameAs
from feedkit.filters.content import HasMedia, Labelled, LinksTo
from feedkit.filters.regex import Regex
from feedkit.filters.text import Hashtags, Keywords, Language
from feedkit.plugin import Filter

FILTERS: tuple[type[Filter], ...] = (
    Everything, SameAs,
    Keywords, Hashtags, Regex, Language,
    Author, Reply, Quote,
    HasMedia, LinksTo, Labelled,
)  # fmt: skip
