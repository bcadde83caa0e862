"""The built-in selectors. A new one is a class in one of these modules and a name in
`SELECTORS`."""

from __future__ import annotations

from feedkit.plugin import Selector
from feedkit.selectors.authors import PerAuthor
from feedkit.selectors.pins import Pin

SELECTORS: tuple[type[Selector], ...] = (PerAuthor, Pin)
