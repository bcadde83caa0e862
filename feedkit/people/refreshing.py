"""Keeping sets of people current: asked again when due, and stored posts decided by what is new."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection

from feedkit.accounts import Source
from feedkit.appview import AppView, Away, Gone, Unresolved
from feedkit.matcher import Matcher
from feedkit.people.membership import Membership
from feedkit.people.resolving import Partly, Resolving
from feedkit.settings import Service
from feedkit.store import Store
from feedkit.store.account_sets import Undecided

log = logging.getLogger(__name__)

SECOND = 1_000_000  # µs
USUAL = 600  # seconds until a set is asked for again …
A_REQUEST = 5  # … or so many for each request that it took, whichever is longer
HANDLE = 86_400  # seconds for which a handle's DID is believed
FILE = 60  # seconds until a file that names DIDs alone is read again
AFTER_FAILURE = 60  # seconds; 15 while the set was never known
SETTLE = 30  # seconds until every ingest has taken up a change: decided again after that
GIVE_UP = 3  # so many sets in a row that could not be asked for: the network is away
KEPT = 30 * 86_400  # seconds for which sets are kept that no feed uses
AT_ONCE = 500  # posts decided again in one transaction


class Refreshing:
    """The two jobs about people of one service. `refresh` asks the network and is slow;
    `decide_again` only works on the store. Either returns how much it did."""

    def __init__(
        self, service: Service, store: Store, members: Membership, stop: threading.Event
    ) -> None:
        self._service, self._store, self._members, self._stop = service, store, members, stop
        self._sets = store.account_sets
        self._keys = {source.key: source for source in members.sources}
        self._said: dict[Source, str] = {}

    def refresh(self) -> int:
        """Find out again what is due. A set that cannot be found out stays what it was."""
        now = _now()
        due = self._due(now)
        if not due:
            return 0
        done = failures = 0
        with AppView(self._service.network.appview, self._stop) as appview:
            resolving = Resolving(appview, self._service.path.parent)
            try:
                resolving.learn(source.about for source in due if source.kind == "handle")
            except Unresolved as error:  # each is told on its own below
                log.debug("several handles at once: %s", error)
            for source in due:
                if self._stop.is_set() or failures >= GIVE_UP:
                    break
                before = appview.requests
                try:
                    self._save(source, resolving.find(source), appview.requests - before)
                except Away as error:
                    failures += 1
                    self._failed(source, error)
                    continue
                except Partly as error:
                    self._save(source, error.members, appview.requests - before, str(error))
                except Gone as error:
                    self._gone(source, error)
                failures = 0
                done += 1
        self._sets.forget(self._keys, now - KEPT * SECOND)
        return done

    def decide_again(self, settle: float = SETTLE) -> int:
        """Decide the stored posts of those who came or went again, `settle` seconds after that.
        Returns the number of sets."""
        now = _now()
        changes = [
            change
            for change in self._sets.undecided(self._keys)
            if not 0 <= now - change.changed_at < settle * SECOND
        ]
        self._members.look()  # after that, lest a change be taken for decided that is not bound
        waiting = {
            change.key
            for change in changes
            for feed in self._members.deciding([self._keys[change.key]])
            if self._members.unknown(feed)
        }
        changes = [change for change in changes if change.key not in waiting]
        everything = [change for change in changes if change.everything]
        if self._decide_everything(everything) and self._decide_some(
            [change for change in changes if not change.everything]
        ):
            self._sets.decided(changes)
            return len(changes)
        return 0

    def _due(self, now: int) -> list[Source]:
        """What is to be asked for, the longest waiting first; what was never known before all."""
        states = self._sets.states(self._keys)
        due = []
        for key, source in self._keys.items():
            state = states.get(key)
            if state is None:
                due.append((0, 0, source))
            elif not 0 < state.due_at - now <= HANDLE * SECOND:  # or our clock was wrong
                due.append((state.resolved_at > 0, state.due_at, source))
        return [source for _, _, source in sorted(due)]

    def _save(
        self, source: Source, members: frozenset[str], requests: int, problem: str = ""
    ) -> None:
        wait = max(USUAL, A_REQUEST * requests)
        if source.kind == "handle":
            wait = HANDLE
        elif source.kind == "file" and not requests:
            wait = FILE
        now = _now()
        came, went = self._sets.save(source.key, members, now, now + wait * SECOND, problem)
        if came or went:
            log.info("accounts %s: %d now, %d came, %d went", source, len(members), came, went)
        self._say(source, problem and f"{problem}; the others are taken")

    def _gone(self, source: Source, error: Gone) -> None:
        """The network knows no such thing. What it was is kept; what never was is nobody."""
        if self._was_known(source):
            self._sets.failed(source.key, str(error), _now() + USUAL * SECOND)
            self._say(source, f"{error}; those who it meant until now are kept")
        else:
            now = _now()
            self._sets.save(source.key, frozenset(), now, now + USUAL * SECOND, str(error))
            self._say(source, f"{error}; it means nobody, is it written right?")

    def _failed(self, source: Source, error: Away) -> None:
        known = self._was_known(source)
        wait = AFTER_FAILURE if known else AFTER_FAILURE // 4
        self._sets.failed(source.key, str(error), _now() + wait * SECOND)
        feeds = ", ".join(self._members.deciding([source])[:5])
        until = f"filters with it match nothing ({feeds})" if feeds else "no votes by them count"
        self._say(
            source,
            f"{error}; those who it meant until now are kept"
            if known
            else f"{error}; until it is known, {until}",
        )

    def _was_known(self, source: Source) -> bool:
        state = self._sets.states([source.key]).get(source.key)
        return state is not None and state.resolved_at > 0

    def _say(self, source: Source, problem: str) -> None:
        """Tell a problem once, and again when it is another one."""
        if problem and self._said.get(source) != problem:
            log.warning("accounts %s: %s", source, problem)
        elif not problem and source in self._said:
            log.info("accounts %s: found out again", source)
        if problem:
            self._said[source] = problem
        else:
            self._said.pop(source, None)

    def _decide_everything(self, changes: Collection[Undecided]) -> bool:
        feeds = self._members.deciding(self._keys[change.key] for change in changes)
        if not feeds:
            return True
        log.info("it is known now whom %s mean: stored posts are decided again", _names(feeds))
        filters = {name: self._service.feeds[name].filter for name in feeds}
        fingerprints = {name: filter.fingerprint() for name, filter in filters.items()}
        matcher = Matcher(filters, self._service.keeps_missing)
        after: int | None = 0
        while after is not None:
            if self._stop.is_set():
                return False
            after = self._store.redecide(fingerprints, matcher.match, after)
        return True

    def _decide_some(self, changes: Collection[Undecided]) -> bool:
        by_author: set[str] = set()
        anywhere: set[str] = set()
        for change in changes:
            alone = self._members.by_author_alone(self._keys[change.key])
            (by_author if alone else anywhere).update(change.dids)
        feeds = self._members.deciding(self._keys[change.key] for change in changes)
        if not feeds:
            return True
        found = set(self._store.posts_concerning(by_author, as_authors=True))
        if anywhere:
            found |= set(self._store.posts_concerning(anywhere, as_authors=False))
        posts = sorted(found)
        matcher = Matcher(
            {name: self._service.feeds[name].filter for name in feeds},
            self._service.keeps_missing,
        )
        for start in range(0, len(posts), AT_ONCE):
            if self._stop.is_set():
                return False
            self._store.redecide_posts(feeds, matcher.match, posts[start : start + AT_ONCE])
        return True


def _now() -> int:
    return time.time_ns() // 1000


def _names(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
