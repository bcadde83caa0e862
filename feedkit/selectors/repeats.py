"""Selectors that show the same thing once: of a thread, of a link, of a text."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
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
_ROUNDED = 1e-9  # in floats 0.56 · 25 is more than 14, whose ceiling would be one too many


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

    No two sets are compared: what a set shares with every one kept is counted at once, in numbers
    whose bit n stands for set n (bit-sliced counters, added by carry-save adders; O'Neil, Quass:
    Improved Query Performance with Variant Indexes, 1997). So the steps grow with the elements of
    all sets, also where each shares many with each, and those of a step with sets / 64.
    """
    common = Counter(element for elements in sets for element in elements)
    holders: dict[str, int] = defaultdict(int)
    sizes: dict[int, int] = defaultdict(int)  # size → the sets kept of this size
    kept = []
    for number, elements in enumerate(sets):
        shared = [element for element in elements if common[element] > 1]
        if _any_alike(_counted([holders[e] for e in shared if e in holders]), len(elements),
                      sizes, alike):  # fmt: skip
            continue
        kept.append(number)
        bit = 1 << number
        for element in shared:
            holders[element] |= bit
        sizes[len(elements)] |= bit
    return kept


def _any_alike(counts: list[int], size: int, sizes: Mapping[int, int], alike: float) -> bool:
    """Whether a set of `size` elements is alike one of those in `sizes`, of which it shares as
    many elements as `counts` says."""
    # Who shares enough with a set shares alike · n with it, and is of this size at least.
    if not counts or not _at_least(counts, math.ceil(alike * size - _ROUNDED)):
        return False
    for other, which in sizes.items():
        if alike * other - _ROUNDED <= size and alike * size - _ROUNDED <= other:
            needed = math.ceil(alike / (1 + alike) * (size + other) - _ROUNDED)
            while needed / (size + other - needed) < alike:  # as `similarity` rounds
                needed += 1
            if _at_least(counts, needed) & which:
                return True
    return False


def _counted(rows: list[int]) -> list[int]:
    """How often each bit is set in `rows`: its number has bit k where it is set in the k-th."""
    counts = []
    while rows:
        carried = []
        while len(rows) > 1:
            one, two = rows.pop(), rows.pop()
            three = rows.pop() if rows else 0
            odd = one ^ two
            rows.append(odd ^ three)
            carried.append(one & two | odd & three)
        counts.append(rows[0])
        rows = carried
    return counts


def _at_least(counts: list[int], least: int) -> int:
    """The bits whose number in `counts` is `least`, 1 or more, or larger."""
    if least >> len(counts):
        return 0
    more, same = 0, -1
    for place in reversed(range(len(counts))):
        if least >> place & 1:
            same &= counts[place]
        else:
            more |= same & counts[place]
            same &= ~counts[place]
    return more | same
