"""For a plugin author's tests: posts in one line, a clock that stands still, and the contract.

No test framework is needed: what is broken raises `ContractBroken`, an `AssertionError`.

```python
from feedkit.testing import check_plugin, post


def test_described():
    described = Described(words=3)
    assert described.match(post(images=["a grey heron"]))
    assert not described.match(post(images=[""]))
    check_plugin(described)
```
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from feedkit.contract import CORPUS, ContractBroken, check_plugin
from feedkit.post import Counts, External, Image, Post, Request, Video, Viewer
from feedkit.text import normalise

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)  # a Thursday noon: the clock of every test
ALICE = "did:plc:alice"
"""The author of a post that names none."""

_numbers = itertools.count(1)
_TAG = re.compile(r"(?<!\w)[#＃](\w+)")
_LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]]")
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_COUNTS = frozenset({"likes", "reposts", "replies", "quotes"})


def age(text: str | float | timedelta) -> timedelta:
    """A length of time, from `30m`, `2h`, `1.5d`, a number of hours, or itself."""
    if isinstance(text, timedelta):
        return text
    if isinstance(text, (int, float)):
        return timedelta(hours=text)
    found = _AGE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no age; write 30s, 20m, 2h, 1.5d or 1w")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})
