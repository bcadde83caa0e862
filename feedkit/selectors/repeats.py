"""Selectors that show the same thing once: of a thread, of a link, of a text."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit

from feedkit.plugin import Field, Selector
from feedkit.post import Post, Request
from feedkit.text import normalise

# What sites add to an address to see where a reader came from.
_TRACKING = re.compile(
    r"utm_.*|fbclid|gclid|dclid|msclkid|mc_[ce]id|igshid?|si|ref|ref_src|smid|cmpid", re.ASCII
)
_NOT_SAID = re.compile(r"https?://\S+|@[\w.-]+")  # differs among copies by machines
_GRAM = 4  # characters


class OnePerThread(Selector):
    """Of each thread only the best ranked post; the others are left out.

    ```yaml
    one_per_thread
    ```
    """

    def select(self, posts: list[Post], request: Request) -> list[Post]:
        return list(_first_of(posts, [{_thread(post)} for post in posts]))

    def explain(
        self, post: Post, before: Sequence[Post], after: Sequence[Post], request: Request
    ) -> str:
        for place, other in enumerate(after, 1):
            if other.uri != post.uri and _thread(other) == _thread(post):
                return f"the same thread stands at place {place}"
        return ""


class OnePerLink(Selector):
    """Of all posts that share a link, in the text or by a link card, only the best ranked one;
    the others are left out. What sites add to an address to follow readers does not count.

    ```yaml
    one_per_link
    ```
    """

    def select(self, posts: list[Post], request: Request) -> list[Post]:
        return list(_first_of(posts, [set(map(link_identity, post.links)) for post in posts]))

    def explain(
        self, post: Post, before: Sequence[Post], after: Sequence[Post], request: Request
    ) -> str:
        own = {link_identity(link): link for link in post.links}
        for place, other in enumerate(after, 1):
            shared = own.keys() & set(map(link_identity, other.links))
            if shared and other.uri != post.uri:
                return f"the same link stands at place {place}: {own[min(shared)]}"
        return ""


class OnePerText(Selector):
    """Of posts that say nearly the same only the best ranked one; the others are left out.

    Two texts are as similar as the part of their sequences of four letters that they share
    (Jaccard), without case, white space, links and @names.

    ```yaml
    one_per_text: {similarity: 0.7}
    ```
    """

    similarity: float = Field(
        default=0.8, ge=0.5, le=1, description="from where on texts count as the same, 0.5 to 1"
    )
    least: int = Field(
        default=20, ge=_GRAM, description="texts with fewer letters are never taken for copies"
    )

    def select(self, posts: list[Post], request: Request) -> list[Post]:
        return [posts[n] for n in distinct([self._grams(p) for p in posts], self.similarity)]

    def _grams(self, post: Post) -> frozenset[str]:
        text = said(post.text)
        return grams(text if len(text) >= self.least else "")

    def explain(
        self, post: Post, before: Sequence[Post], after: Sequence[Post], request: Request
    ) -> str:
        own = self._grams(post)
        for place, other in enumerate(after, 1):
            alike = similarity(own, self._grams(other))
            if alike >= self.similarity and other.uri != post.uri:
                return f"a text that is {alike:.0%} the same stands at place {place}"
        return ""


def _thread(post: Post) -> str:
    return post.reply_root or post.uri


def _first_of(posts: Sequence[Post], marks: Sequence[set[str]]) -> Iterator[Post]:
    """The posts none of whose marks an earlier shown one has."""
    seen: set[str] = set()
    for post, own in zip(posts, marks, strict=True):
        if seen.isdisjoint(own):
            seen |= own
            yield post


def link_identity(link: str) -> str:
    """What of an address says where it leads: no scheme, `www.`, tracking or fragment."""
    try:
        parts = urlsplit(link)
    except ValueError:  # such as http://[
        return link
    query = [pair for pair in parse_qsl(parts.query, True) if not _TRACKING.fullmatch(pair[0])]
    host = parts.netloc.lower().removeprefix("www.")
    return f"{host}{parts.path.rstrip('/')}?{urlencode(sorted(query))}"


def said(text: str) -> str:
    """What of a text counts when it is compared with another."""
    return normalise(_NOT_SAID.sub("", text)).replace(" ", "")


def grams(text: str) -> frozenset[str]:
    """The sequences of four letters in `text`."""
    return frozenset(text[start : start + _GRAM] for start in range(len(text) - _GRAM + 1))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """The part of all their elements that two sets share (Jaccard); 0 for two empty ones."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared) if shared else 0.0


def distinct(sets: Sequence[frozenset[str]], alike: float) -> list[int]:
    """The numbers of those sets that are not `alike` one before them that is kept; empty sets are
    all kept.

    Two sets that are alike must share one of their n - ⌈alike·n⌉ + 1 rarest elements, so only
    sets with such an element in common are compared (prefix filtering; Chaudhuri, Ganti, Kaushik:
    A Primitive Operator for Similarity Joins, 2006).
    """
    common = Counter(element for elements in sets for element in elements)
    holders: dict[str, list[int]] = defaultdict(list)
    kept = []
    for number, elements in enumerate(sets):
        # In floats 0.56 · 25 is 14.000000000000002, whose ceiling would be one too many.
        prefix = len(elements) - math.ceil(alike * len(elements) - 1e-9) + 1
        rarest = sorted(elements, key=lambda element: (common[element], element))[:prefix]
        others = {other for element in rarest for other in holders[element]}
        if any(similarity(elements, sets[other]) >= alike for other in others):
            continue
        kept.append(number)
        for element in rarest:
            holders[element].append(number)
    return kept
