"""The store: all that the rest of feedkit may ask of the database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from datetime import timedelta

from feedkit.event import Event
from feedkit.needs import Voters
from feedkit.post import Post
from feedkit.sharding import Shard
from feedkit.store import candidates as finding
from feedkit.store import cursors, pruning, reading, schema, stats, tidying, versions, writing
from feedkit.store import feeds as deciding
from feedkit.store.account_sets import AccountSets
from feedkit.store.backfilling import Backfills
from feedkit.store.database import Database
from feedkit.store.fold import Applied
from feedkit.store.heartbeats import Heartbeats
from feedkit.store.hydrating import Hydration
from feedkit.store.identities import Identities
from feedkit.store.interactions import Interactions
from feedkit.store.likes import Likes
from feedkit.store.models import Gap
from feedkit.store.opening import open_database
from feedkit.store.ownership import Ownership
from feedkit.store.viewers import StoredViewers

_ASKED_EVERY = 30 * 1_000_000  # µs between two notes that a feed was asked for


def open_store(url: str, timeout: float | None = None) -> Store:
    """The store at `url`: sqlite:///PATH, postgresql://… or postgres://…. Opens no connection yet:
    that is done by the first call, and by each thread for itself.

    `timeout`, seconds, bounds what a single statement and a new connection may take, for the
    processes that answer requests; `Unavailable` is raised after it. Raises `StoreError` where the
    address cannot be one.
    """
    return Store(open_database(url, timeout))


class Store(AbstractContextManager["Store"]):
    """Posts, feeds and their hits, engagement, accounts, cursors, rankings. All times are
    microseconds since 1970. Every method may raise `StoreError`; `Unavailable` where trying again
    may help."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.account_sets = AccountSets(db)
        self.hydration = Hydration(db)
        self.identities = Identities(db)
        self.viewers = StoredViewers(db)
        self.interactions = Interactions(db)
        self.likes = Likes(db)
        self.backfills = Backfills(db)
        self.heartbeats = Heartbeats(db)
        self._asked: dict[str, int] = {}

    @property
    def place(self) -> str:
        """The address without the password, for messages."""
        return self.db.place

    # The tables

    def migrate(self) -> list[str]:
        """Bring the tables up to date; what was done. Safe at any time, by any number of
        processes."""
        return schema.migrate(self.db)

    def check_schema(self) -> None:
        """Raise `SchemaError` unless the tables are those of this version of feedkit."""
        schema.check_schema(self.db)

    def close(self) -> None:
        """Close this thread's connection."""
        self.db.close()

    def __exit__(self, *error: object) -> None:
        self.close()

    # Ingest

    def sync_feeds(self, feeds: Mapping[str, str], now: int = 0) -> set[str]:
        """Register the configured feeds (name → fingerprint of the filter); the names of those
        whose stored posts must be decided again, see `redecide`. `now`: these feeds are named by
        a configuration that runs."""
        return deciding.sync_feeds(self.db, feeds, now)

    def name_feeds(self, feeds: Collection[str], now: int) -> None:
        """Note that a running configuration names `feeds`, lest another one's prune them. Writes
        once in ten minutes at most."""
        deciding.name_feeds(self.db, feeds, now)

    def apply(
        self, batch: Sequence[tuple[Event, frozenset[str]]], source: str, cursor: int, time: int,
        engagement: frozenset[str], shard: Shard | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Applied:  # fmt: skip
        """Fold a batch of events into the store and move the cursor of `source`, in one
        transaction.

        `batch`: events in order, each `PostWritten` with the names of the feeds that it matches
        (others with an empty set). `time`: the stream's clock at `cursor`, 0 if unknown.
        `engagement`: which of likes, reposts, replies, quotes some feed needs. `shard`: only what
        is its own changes. `stop`: whether it is to wait no longer for a lock of somebody else's.
        """
        return writing.apply(self.db, batch, source, cursor, time, engagement, shard, stop)

    def cursor(self, source: str) -> tuple[int, int] | None:
        """How far `source` was read: its cursor, and the stream's clock there. Where shards read
        it, the lowest of theirs."""
        return cursors.cursor(self.db, source)

    def other_readers(self, source: str, shard: Shard | None) -> dict[str, tuple[int, int]]:
        """The cursors of those that read `source` by another number of shards than `shard`."""
        return cursors.others(self.db, source, shard)

    def take_over(self, source: str, shard: Shard | None) -> None:
        """Read `source` from now on by as many shards as `shard` says (None: by one ingest),
        from the lowest cursor; see `feedkit.store.cursors`."""
        cursors.take_over(self.db, source, shard)

    def begin_shards(self, source: str, shard: Shard, cursor: int, time: int) -> None:
        """Let all shards of `source` begin at `cursor` that have not read anything yet."""
        cursors.begin(self.db, source, shard, cursor, time)

    def add_gap(self, source: str, from_us: int, to_us: int, reason: str, now: int) -> None:
        """Note a stretch of the stream that was missed."""
        self.db.execute(
            Gap.insert(source=source, from_us=from_us, to_us=to_us, reason=reason, seen_at=now)
        )

    def gaps(self, since: int) -> list[tuple[str, int, int, str, int]]:
        """Gaps noted at `since` or later, not filled: source, from_us, to_us, reason, seen_at."""
        return self.db.execute(
            Gap.select(Gap.source, Gap.from_us, Gap.to_us, Gap.reason, Gap.seen_at)
            .where(Gap.seen_at >= since, Gap.filled_at == 0)
            .order_by(Gap.seen_at, Gap.id)
        )

    # Pages

    def newest(self, feed: str, before: tuple[int, int] | None, limit: int) -> list[reading.Row]:
        """The newest `limit` visible posts of `feed` below the place `before` (sort_at, id)."""
        return reading.newest(self.db, feed, before, limit)

    def place_by_time(self, feed: str, sort_at: int, post_id: int) -> tuple[int, int]:
        """The place, from 1, of a visible post where the newest come first; of how many."""
        return reading.place_by_time(self.db, feed, sort_at, post_id)

    def candidates(
        self, feed: str, limit: int, featured: bool = False, voters: Voters | None = None,
        narrowing: Collection[finding.Narrowing] = finding.ANY, before: finding.Place | None = None,
    ) -> list[tuple[int, Post]]:  # fmt: skip
        """The newest `limit` visible posts of `feed` with their counts, newest first, each with
        its id; if `featured`, with what hydrators know of them; with the votes of `voters`; only
        those of one of `narrowing`, and below the place `before` (sort_at, id)."""
        return finding.candidates(self.db, feed, limit, featured, voters, narrowing, before)

    def newest_of_each(
        self, feed: str, authors: Collection[str], most: int, featured: bool = False,
        voters: Voters | None = None,
    ) -> list[tuple[int, Post]]:  # fmt: skip
        """As `candidates`: of each of `authors` the last `most` of their posts in `feed`."""
        return finding.newest_of_each(self.db, feed, authors, most, featured, voters)

    def posts(self, ids: Collection[int]) -> dict[int, reading.Row]:
        """Those of the posts `ids` that are there and visible."""
        return reading.posts(self.db, ids)

    def find_post(self, uri: str) -> reading.StoredPost | None:
        """The post at `uri`, hidden or not; None if it is not stored."""
        return reading.find_post(self.db, uri)

    def is_deleted(self, uri: str) -> bool:
        """Whether a post is known to be deleted, or its author's account to be hidden or gone."""
        return reading.is_deleted(self.db, uri)

    def stream_clock(self) -> int:
        """The time of the newest event read; 0 before the first one."""
        return reading.stream_clock(self.db)

    def live_clock(self) -> int:
        """The time of the newest event read from a live stream, microseconds since 1970; 0 before
        the first one."""
        return cursors.live_clock(self.db)

    # Rankings

    def save_version(
        self, feed: str, viewer: str, ids: Sequence[int], now: int, recipe: str = "",
        probe: bool = False,
    ) -> int:  # fmt: skip
        """Keep a ranking of `feed`, for `viewer` (DID) or for everybody (""); its id."""
        return versions.save_version(self.db, feed, viewer, ids, now, recipe, probe)

    def keep_version(self, version: int) -> None:
        """Note that more of a probe's ranking was given than its first post."""
        versions.keep_version(self.db, version)

    def latest_version(
        self, feed: str, viewer: str = "", recipe: str | None = None
    ) -> versions.Version | None:
        """The newest ranking of `feed`; of those made by `recipe`, where one is named."""
        return versions.latest_version(self.db, feed, viewer, recipe)

    def recipes(self, feed: str, viewer: str) -> frozenset[str]:
        """The recipes of the rankings that are kept for one viewer."""
        return versions.recipes(self.db, feed, viewer)

    def askers(self, feed: str, most: int) -> int:
        """How many there are who have a ranking of `feed` of their own; up to `most`."""
        return versions.askers(self.db, feed, most)

    def find_version(self, version: int, feed: str, viewer: str = "") -> versions.Version | None:
        """The ranking with this id, if it is still kept and is one of `feed` for `viewer`."""
        return versions.find_version(self.db, version, feed, viewer)

    def version_slice(self, version: int, start: int, count: int) -> list[int]:
        """The ids at the places `start` (from 0) to `start + count` of a ranking."""
        return versions.version_slice(self.db, version, start, count)

    def version_position(self, version: int, post_id: int) -> int | None:
        """The place (from 0) of a post in a ranking."""
        return versions.version_position(self.db, version, post_id)

    def mark_asked(self, feed: str, now: int) -> None:
        """Note that somebody asked for `feed`. Writes once in 30 seconds at most."""
        if not 0 <= now - self._asked.get(feed, 0) < _ASKED_EVERY:
            versions.mark_asked(self.db, feed, now)
            self._asked[feed] = now

    def feeds_due(self, feeds: Mapping[str, versions.Recipe], now: int) -> list[str]:
        """Those of `feeds` that must be ranked, longest waiting first."""
        return versions.feeds_due(self.db, feeds, now)

    def quiet_feed(self, feeds: Mapping[str, versions.Recipe], now: int) -> str | None:
        """The one to rank where none is due; see `feedkit.store.versions.quiet_feed`."""
        return versions.quiet_feed(self.db, feeds, now)

    # Upkeep

    def ownership(self) -> Ownership:
        """The right to do this store's jobs, which one process has at a time."""
        return Ownership(self.db)

    def redecide(
        self,
        feeds: Mapping[str, str],
        decide: Callable[[Post], frozenset[str]],
        after: int = 0,
        limit: int = deciding.MOST,
    ) -> int | None:
        """Decide the next stored posts again; see `feedkit.store.feeds.redecide`."""
        return deciding.redecide(self.db, feeds, decide, after, limit)

    def redecide_posts(
        self,
        feeds: Collection[str],
        decide: Callable[[Post], frozenset[str]],
        posts: Sequence[int],
    ) -> None:
        """Decide these stored posts again; see `feedkit.store.feeds.redecide_posts`."""
        deciding.redecide_posts(self.db, feeds, decide, posts)

    def posts_concerning(self, dids: AbstractSet[str], as_authors: bool) -> list[int]:
        """The ids of the stored posts by these accounts, or else of all in which their DIDs
        stand."""
        if as_authors:
            return deciding.posts_by(self.db, dids)
        return deciding.posts_naming(self.db, dids)

    def prune(
        self, keep: Mapping[str, timedelta], now: int, stop: Callable[[], bool] = lambda: False,
        most: Mapping[str, int] | None = None, size: int = 0,
        rankings: timedelta = pruning.RANKINGS, wishes: timedelta = pruning.WISHES,
    ) -> pruning.Pruned:  # fmt: skip
        """Remove what is too old or too much; see `feedkit.store.pruning.prune`."""
        return pruning.prune(self.db, keep, now, stop, most or {}, size, rankings, wishes)

    def tidy(self, now: int, stop: Callable[[], bool] = lambda: False) -> tidying.Tidied:
        """Upkeep that can wait; see `feedkit.store.tidying.tidy`."""
        return tidying.tidy(self.db, now, stop)

    def stats(self) -> stats.Stats:
        """How much is stored. Counts everything, so not for every request."""
        return stats.stats(self.db)
