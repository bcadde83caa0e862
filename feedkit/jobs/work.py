"""What happens beside the stream: rank the feeds that are due, prune, decide again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter

from feedkit.backfill.notice import tell_of_new_feeds, tell_of_wider_feeds
from feedkit.heartbeat import JobsPulse
from feedkit.hydrate import Hydration
from feedkit.identity import learn_publishers
from feedkit.jobs.clock import Contained, on_their_clocks
from feedkit.logs import worth_saying
from feedkit.matcher import Matcher
from feedkit.people import Membership, Refreshing
from feedkit.people.viewers import ViewerSets
from feedkit.ranking import by_keyset, take_snapshot
from feedkit.settings import Service
from feedkit.store import Pruned, Recipe, Store
from feedkit.store.pruning import LEAST
from feedkit.times import micros, moment
from feedkit.viewers import wishes_for
from feedkit.wording import size_text

log = logging.getLogger(__name__)

SPARE = 0.5  # seconds of ranking, in a second, that leave time for a feed that nobody asks for


class Jobs:
    """The jobs of one service. Each is a method that does its work once and returns; `run` puts
    them on a clock. None overlaps itself; one that fails is logged and tried again."""

    def __init__(self, service: Service, store: Store) -> None:
        self._service, self._store = service, store
        self._stop = threading.Event()
        self._people = Membership(service, store)
        self._refreshing = Refreshing(service, store, self._people, self._stop)
        self._viewer_sets = ViewerSets(service, store, self._stop)
        self._hydration = Hydration(service, store)
        self._pulse = JobsPulse(store, self._hydration.counts)
        self._spared = 0  # times in a row that posts could not make room
        self._fingerprints = {n: feed.filter.fingerprint() for n, feed in service.feeds.items()}

    def rank(self) -> int:
        """Take a snapshot of every feed that is due, and if that leaves time of one that nobody
        asked for in minutes. Returns how many were taken."""
        ranked = {
            name: Recipe(feed.refresh // timedelta(microseconds=1), feed.recipe)
            for name, feed in self._service.feeds.items()
            if not by_keyset(feed)
        }
        now = micros(datetime.now(UTC))
        due = self._store.feeds_due(ranked, now)
        if others := {other for name in due for other in self._service.feeds[name].mixes}:
            # Who asks for a feed asks for what it mixes in, which is ranked first.
            for other in others:
                self._store.mark_asked(other, now)
            due = self._store.feeds_due(ranked, now)
            due.sort(key=lambda name: bool(self._service.feeds[name].mixes))
        began, taken = perf_counter(), 0
        for name in due:
            taken += self._take(name)
        if perf_counter() - began < SPARE and (quiet := self._store.quiet_feed(ranked, now)):
            taken += self._take(quiet)
        return taken

    def _take(self, name: str) -> bool:
        """Take a snapshot, unless the jobs end; whether it was taken."""
        if self._stop.is_set():
            return False
        take_snapshot(self._store, self._service.feeds[name], feeds=self._service.feeds)
        return True

    def rank_all(self) -> int:
        """Take a snapshot of every feed that has them, due or not. Returns how many were taken."""
        ranked = [feed for feed in self._service.feeds.values() if not by_keyset(feed)]
        ranked.sort(key=lambda feed: bool(feed.mixes))  # after those that they mix in
        for feed in ranked:
            take_snapshot(self._store, feed, feeds=self._service.feeds)
        log.info("ranked %d of %d feeds; newest needs none", len(ranked), len(self._service.feeds))
        return len(ranked)

    def prune(self) -> Pruned:
        """Remove what no feed keeps any longer."""
        feeds = self._service.feeds
        pruned = self._store.prune(
            {name: feed.keep for name, feed in feeds.items()},
            micros(datetime.now(UTC)),
            self._stop.is_set,
            {name: feed.keep_most for name, feed in feeds.items()},
            self._service.store_max,
            self._service.store_rankings,
            wishes_for(self._service),
        )
        self._tell_of_size(pruned)
        if pruned.hits or pruned.feeds:
            log.info(
                "pruned %d hits and %d posts that no feed keeps any longer",
                pruned.hits, pruned.posts,
            )  # fmt: skip
        return pruned

    def _tell_of_size(self, pruned: Pruned) -> None:
        most = list(pruned.held.items())[:3]
        held = ", ".join(f"{kind} {size_text(size)}" for kind, size in most)
        self._spared = self._spared + 1 if pruned.spared else 0
        if pruned.cut and not pruned.spared:
            log.warning(
                "the store holds more than store: max: allows (%s): posts from before %s UTC go, "
                "whatever keep: says; allow more, or keep less",
                held, moment(pruned.cut).isoformat(" ", "seconds")[:19],
            )  # fmt: skip
        elif worth_saying(self._spared):
            log.warning(
                "the store holds more than store: max: allows (%s), most of which is no posts: the "
                "oldest go, but for the newest %d of each feed; allow more",
                held, LEAST,
            )  # fmt: skip
        if pruned.early:
            log.info(
                "the store held more than store: max: allows (%s): %d rankings for viewers went "
                "early",
                held, pruned.early,
            )  # fmt: skip

    def tidy(self) -> None:
        """Upkeep that can wait."""
        done = self._store.tidy(micros(datetime.now(UTC)), self._stop.is_set)
        if done.accounts or done.gaps or done.pages:
            log.info(
                "forgot %d accounts deleted long ago and %d old gaps; gave back %d pages",
                done.accounts, done.gaps, done.pages,
            )  # fmt: skip

    def decide_again(self) -> int:
        """Decide stored posts again for the feeds whose filter has changed since it last decided
        them all. Returns the number of feeds."""
        self._people.look()
        tell_of_new_feeds(self._store, self._fingerprints)
        changed = self._store.sync_feeds(self._fingerprints, micros(datetime.now(UTC)))
        # Who is not known yet is in no feed: it must not lose its posts for that.
        changed -= {name for name in changed if self._people.unknown(name)}
        if not changed:
            return 0
        log.info("the filter of %s changed: stored posts are decided again", _names(changed))
        matcher = Matcher(
            {name: self._service.feeds[name].filter for name in sorted(changed)},
            self._service.keeps_missing,
        )
        again = {name: self._fingerprints[name] for name in changed}
        after: int | None = 0
        while after is not None:
            if self._stop.is_set():
                return 0
            after = self._store.redecide(again, matcher.match, after)
        log.info("stored posts are decided again for %s", _names(changed))
        tell_of_wider_feeds(changed)
        return len(changed)

    def refresh_people(self) -> int:
        """Ask again whom the lists, handles … mean that are due. Returns how many were asked."""
        return self._refreshing.refresh()

    def decide_people_again(self) -> int:
        """Decide stored posts of those who came or went again. Returns the number of sets."""
        return self._refreshing.decide_again()

    def refresh_viewers(self) -> int:
        """Ask whom those follow who ask for personal feeds. Returns how many were asked for."""
        return self._viewer_sets.refresh()

    def learn_publishers(self) -> None:
        """Find the DIDs of the publishers that the configuration names by handle."""
        for problem in learn_publishers(self._service, self._store, self._stop):
            log.warning("%s", problem)

    def ask_for_rankings(self) -> int:
        """Ask hydrators for what rankers need. Returns how many posts lacked something."""
        return self._hydration.ask_for_rankings()

    def hydrate(self) -> int:
        """Look at all posts that wait for a hydrator. Returns how many did."""
        return self._hydration.once(self._stop)

    def once(self) -> bool:
        """Ask whom lists and handles mean, decide again, prune and rank every feed, now, unless
        another process does the jobs of this store. Whether all of it worked; what did not is
        logged."""
        owner = self._store.ownership()
        if not owner.acquire():
            # It does all of this on its clocks, and would for as long as we wait.
            log.error("another process does the jobs of this store, and goes on with them")
            return False
        try:
            return self._all()
        finally:
            owner.release()

    def _all(self) -> bool:
        jobs: tuple[Callable[[], object], ...] = (
            self.refresh_people, self.decide_people_again, self.decide_again, self.hydrate,
            self.prune, self.tidy, self.rank_all,
        )  # fmt: skip
        done = [Contained(job)() for job in jobs]  # all of them, whether they work or not
        return all(done)

    def run(self, stop: threading.Event) -> None:
        """Do all jobs on their clocks until `stop` is set; the one that is running then ends."""
        jobs: list[tuple[Callable[[], object], float]] = [
            (self.decide_again, 60),
            (self.rank, 1),
            (self.prune, 60),
            (self.tidy, 600),
            (self.learn_publishers, 600),
            (self.refresh_people, 10),
            (self.decide_people_again, 10),
            *([(self.refresh_viewers, 1)] if self._viewer_sets.names else []),
            *([(self.ask_for_rankings, 10)] if self._service.hydrators else []),
        ]
        with (
            on_their_clocks(
                jobs, self._store, self._pulse.watched, self._stop, self._pulse.overdue
            ),
            self._hydration.running(),
        ):
            self._pulse.until(stop)


def _names(names: set[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
