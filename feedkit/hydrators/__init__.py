"""The built-in hydrators. A new one is a class in one of these modules and a name in
`HYDRATORS`."""

from __future__ import annotations

from feedkit.hydrators.authors import AuthorProfile
from feedkit.hydrators.posts import Parent, Quoted
from feedkit.hydrators.rates import PostingRate
from feedkit.hydrators.sentences import SentenceVector
from feedkit.plugin import Hydrator

HYDRATORS: tuple[type[Hydrator], ...] = (
    AuthorProfile, PostingRate, Quoted, Parent, SentenceVector,
)  # fmt: skip

__all__ = [
    "HYDRATORS", "AuthorProfile", "Parent", "PostingRate", "Quoted", "SentenceVector",
]  # fmt: skip
