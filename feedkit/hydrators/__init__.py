"""The built-in hydrators. A new one is a class in one of these modules and a name in
`HYDRATORS`."""

from __future__ import annotations

from feedkit.hydrators.authors import AuthorProfile
from feedkit.hydrators.posts import Parent, Quoted
from feedkit.plugin import Hydrator

HYDRATORS: tuple[type[Hydrator], ...] = (AuthorProfile, Quoted, Parent)

__all__ = ["HYDRATORS", "AuthorProfile", "Parent", "Quoted"]
