"""What rankers seek for a viewer among a feed's older posts."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable
from itertools import islice
from weakref import WeakKeyDictionary

from feedkit.cache import Cache
from feedkit.failures import failed
from feedkit.logs import worth_saying
from feedkit.narrowing import both, kept
from feedkit.plugin import Ranker, Sought
from feedkit.post import Post, Viewer
from feedkit.ranking import Candidates, candidates_of, latest_of_each
from feedkit.settings import FeedConfig
from feedkit.store import Narrowing, Place, Store
from feedkit.times import moment

log = logging.getLogger(__name__)

THEIRS = 60  # posts by authors who are sought
# So many authors, as those whose posts somebody likes most, are also those of others: of each the
# newest few posts are remembered. Of more, such as all whom somebody follows, the store is asked.
FEW, OF_EACH = 40, 3
REMEMBERED = 60_000_000  # µs; what was deleted since is left out when the page is read
MOST_REMEMBERED = 12_000  # posts, and authors who have none: about 1 kB each

_Found = tuple[tuple[int, Post], ...]
_recent: WeakKeyDictionary[Store, Cache[_Found]] = WeakKeyDictionary()


def sought_by(feed: FeedConfig, viewer: Viewer) -> Sought:
    """What the feed's rankers seek for the viewer."""
    uris: dict[str, None] = {}
    authors: set[str] = set()
    for ranker in feed.seekers:
        try:
            sought = ranker.seeks(viewer)
            uris |= dict.fromkeys(sought.uris)
            authors |= sought.authors
        except (Exception, SystemExit) as error:
            _complain(feed, ranker, error)
    return Sought(tuple(uris), authors)


def older(
    store: Store, feed: FeedConfig, viewer: Viewer, narrowing: tuple[Narrowing, ...],
    sought: Sought, depth: int, below: Place,
) -> Candidates:  # fmt: skip
    """What is sought of the posts below a place, newest first: at most half of `depth`, which is
    what is ranked, and `THEIRS` by authors."""
    found = Candidates.of(())
    for wanted, most in (
        (Narrowing(uris=(*islice(sought.uris, depth // 2),)), depth // 2),
        (Narrowing(sought.authors), min(depth // 4, THEIRS)),
    ):
        if wanted.uris or wanted.authors:
            most = min(most, depth // 2 - len(found.posts))
            if wanted.authors and len(wanted.authors) <= FEW:
                some = _by_few(store, feed, wanted.authors, below)
            else:
                asked = [both(one, wanted) for one in narrowing]
                some = candidates_of(store, feed, most, asked, below)
            found = _joined(found, some.only(kept(feed, some.posts, viewer)).first(most))
    return found


def _joined(some: Candidates, others: Candidates) -> Candidates:
    """All of both, each once, newest first."""
    both = some.then(others)
    if both in (some, others):
        return both
    return _newest_first(dict(zip(both.numbers, both.posts, strict=True)).items())


def _newest_first(found: Iterable[tuple[int, Post]]) -> Candidates:
    return Candidates.of(sorted(found, key=lambda one: (one[1].sort_at, one[0]), reverse=True))


def _by_few(store: Store, feed: FeedConfig, authors: Collection[str], below: Place) -> Candidates:
    """The newest few posts by each of `authors`, as they were a moment ago, below a place."""
    if (recent := _recent.get(store)) is None:
        recent = _recent.setdefault(store, Cache(MOST_REMEMBERED))
    now = time.monotonic_ns() // 1000
    some, unknown = list[tuple[int, Post]](), list[str]()
    for author in authors:
        theirs = recent.get((feed.name, author), now, REMEMBERED)
        if theirs is None:
            unknown.append(author)
        else:
            some += theirs
    if unknown:
        some += (new := latest_of_each(store, feed, unknown, OF_EACH))
        for author in unknown:
            theirs = tuple(one for one in new if one[1].author == author)
            recent.put((feed.name, author), theirs, now, 1 + len(theirs))
    last = moment(below[0]), below[1]
    return _newest_first((id, post) for id, post in some if (post.sort_at, id) < last)


def _complain(feed: FeedConfig, ranker: Ranker, error: BaseException) -> None:
    times = failed(feed.name, ranker.yaml_name())
    if worth_saying(times):
        log.error(
            "feeds.%s: the ranker %s failed to say what it seeks (%s: %s), %d times so far; the "
            "newest posts are ranked",
            feed.name, ranker.yaml_name(), type(error).__name__, error, times,
        )  # fmt: skip
