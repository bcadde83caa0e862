"""The languages that the app asks for."""

from __future__ import annotations

import re
from functools import lru_cache

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

MOST = 5
LONGEST = 500  # characters of a header that are read
_TAG = re.compile(r"[a-z]{2,3}")


def preferred(header: str) -> tuple[str, ...]:
    """The languages of an Accept-Language header, the preferred first: at most five, each as its
    primary subtag in lower case («pt» for pt-BR), so that there are few different ones."""
    return _preferred(header[:LONGEST])


@lru_cache(maxsize=1000)
def _preferred(header: str) -> tuple[str, ...]:
    accepted = parse_accept_header(header, LanguageAccept)
    tags = [tag.lower().partition("-")[0] for tag, quality in accepted if quality > 0]
    return tuple(dict.fromkeys(tag for tag in tags if _TAG.fullmatch(tag)))[:MOST]
