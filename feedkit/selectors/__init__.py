"""The built-in selectors. A new one is a class in one of these modules and a name in
`SELECTORS`."""

from __future__ import annotations

from feedkit.plugin import Selector
from feedkit.selectors.authors import AuthorDecay, PerAuthor, Throttle
from feedkit.selectors.languages import Spoken
from feedkit.selectors.pins import Pin, Rotate
from feedkit.selectors.repeats import OnePerLink, OnePerText, OnePerThread
from feedkit.selectors.thresholds import AtLeast, Within
from feedkit.selectors.variety import Diversify, Mix, Shuffle

SELECTORS: tuple[type[Selector], ...] = (
    PerAuthor, AuthorDecay, Throttle, OnePerThread, OnePerLink, OnePerText,
    AtLeast, Within, Spoken, Diversify, Shuffle, Mix, Pin, Rotate,
)  # fmt: skip
