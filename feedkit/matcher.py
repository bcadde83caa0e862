"""Every feed's filter as one look-up.

Each filter may say by `keys()`: «a post with none of these cannot match». Keys of all feeds go
into one index, so that a post is shown only to the filters that it may concern; each of these is
then asked exactly. The index is one-sided: it may ask too many filters, never too few.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from time import perf_counter
from types import TracebackType

from feedkit.accounts import NotKnownYet, accounts_in
from feedkit.awaiting import Wanted, awaited, given_up
from feedkit.failures import failed
from feedkit.filters.boolean import AtLeastOf, SameAs
from feedkit.index import Index
from feedkit.keys import wrong_keys
from feedkit.logs import worth_saying
from feedkit.plugin import All, Any, Filter, Key, Not, Plugin, WrongType
from feedkit.post import Post

log = logging.getLogger(__name__)

SLOW = 0.05  # seconds for one post, after which a filter is named as slow


class Matcher:
    """Says which feeds want a post.

    `filters`: the exact filter of each feed, by feed name. `missing`: the feeds that keep a post
    of which a hydrator found nothing. `indexed`: False asks all filters of every post. `errors`
    and `slow` count, by (feed, plugin), how often a filter raised or took longer than `SLOW`.
    None of that ends anything, not even `sys.exit()`.
    """

    def __init__(
        self, filters: Mapping[str, Filter], missing: Collection[str] = (), indexed: bool = True
    ) -> None:
        self.errors: Counter[tuple[str, str]] = Counter()
        self.slow: Counter[tuple[str, str]] = Counter()
        self._feeds = tuple(filters.items())
        self._missing = frozenset(missing)
        self._indexed = indexed
        changing = {number for number, (_, filter) in enumerate(self._feeds) if _changes(filter)}
        self._changing = sorted(changing)
        self._steady = self._index(n for n in range(len(self._feeds)) if n not in changing)
        self.people_changed()

    def people_changed(self) -> None:
        """Take up whom the filters' `Accounts` mean now. Only the feeds that name others than
        single DIDs are looked at again."""
        self._people = self._index(self._changing) if self._changing else None

    def match(self, post: Post) -> frozenset[str]:
        """The names of the feeds whose filter keeps `post`; a `Wanted` where some cannot say yet.
        Never raises: a filter that raises does not match, is counted in `errors` and logged with
        the post's URI."""
        kept = []
        waiting = {}
        began = perf_counter()
        for number in sorted(self._asked(post)):
            name, filter = self._feeds[number]
            try:
                verdict = filter.decide(post)
                if verdict is True:
                    kept.append(name)
                elif verdict is None:
                    if words := awaited(filter, post):
                        waiting[name] = words
                    elif name in self._missing and given_up(filter, post):
                        kept.append(name)
            except (Exception, SystemExit) as error:
                self._failed(name, filter, post, error)
            ended = perf_counter()
            if ended - began > SLOW:
                self._was_slow(name, filter, post, ended - began)
            began = ended
        return Wanted(kept, waiting) if waiting else frozenset(kept)

    def _asked(self, post: Post) -> set[int]:
        asked = self._steady.asked(post)
        if self._people is not None:
            asked |= self._people.asked(post)
        return asked

    def _index(self, numbers: Iterable[int]) -> Index:
        return Index((number, self._keys(*self._feeds[number])) for number in numbers)

    def _keys(self, feed: str, filter: Filter) -> AbstractSet[Key] | None:
        if not self._indexed:
            return None
        try:
            keys = filter.keys()
            if problem := wrong_keys(keys):
                raise WrongType(problem)
            return keys
        except NotKnownYet:  # a plugin goes through accounts that are not known
            return None
        except (Exception, SystemExit) as error:
            plugin = _raiser(error.__traceback__) or filter.yaml_name()
            self.errors[feed, plugin] += 1
            failed(feed, plugin)
            log.error(
                "feeds.%s: the filter %s cannot be looked up (%s: %s); it is asked about every "
                "post, which takes time: mend its keys()",
                feed, plugin, type(error).__name__, error,
            )  # fmt: skip
            return None

    def _failed(self, feed: str, filter: Filter, post: Post, error: BaseException) -> None:
        plugin = _raiser(error.__traceback__) or filter.yaml_name()
        self.errors[feed, plugin] += 1
        failed(feed, plugin)
        if worth_saying(self.errors[feed, plugin]):
            log.error(
                "feeds.%s: the filter %s failed on %s (%s: %s), %d times so far; "
                "the post is left out of the feed",
                feed, plugin, post.uri, type(error).__name__, error, self.errors[feed, plugin],
            )  # fmt: skip

    def _was_slow(self, feed: str, filter: Filter, post: Post, seconds: float) -> None:
        plugin = filter.yaml_name()
        self.slow[feed, plugin] += 1
        if worth_saying(self.slow[feed, plugin]):
            log.warning(
                "feeds.%s: the filter %s took %.0f ms for %s, %d times so far; "
                "everything waits for it",
                feed, plugin, seconds * 1000, post.uri, self.slow[feed, plugin],
            )  # fmt: skip


def _changes(filter: Filter) -> bool:
    """Whether the keys of `filter` may be others tomorrow: they go by whom `Accounts` mean."""
    if type(filter) is Not:  # it has no keys, whoever is in it
        return False
    if type(filter) in (All, Any, AtLeastOf, SameAs):  # they have those of their parts
        return any(isinstance(part, Filter) and _changes(part) for part in filter.children())
    return any(accounts.sources for plugin in filter.walk() for accounts in accounts_in(plugin))


def _raiser(traceback: TracebackType | None) -> str | None:
    """The innermost plugin that was running when an exception was raised."""
    name = None
    while traceback is not None:
        plugin = traceback.tb_frame.f_locals.get("self")
        if isinstance(plugin, Plugin):
            name = plugin.yaml_name()
        traceback = traceback.tb_next
    return name
