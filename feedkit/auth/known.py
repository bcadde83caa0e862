"""The keys of viewers, kept: how long each is believed, and when it is asked for again."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from feedkit.auth.documents import WEB, Documents, NoDocument
from feedkit.auth.errors import BadToken, KeyUnavailable
from feedkit.auth.fetching import Failed
from feedkit.auth.keys import Key, NoKey, key_of
from feedkit.auth.lookups import Full, Lane, Lookups, TooLong
from feedkit.logs import worth_saying

log = logging.getLogger(__name__)

LONGEST = 2.0  # seconds that a look-up takes, and that a request waits for it …
SHORT = 0.35  # … if it can be answered without, as a page can: then the look-up goes on alone
FRESH = 3600.0  # seconds for which a key is believed
STALE = 86_400.0  # seconds for which it is used while it is asked for again, or cannot be
REFUSED = 60.0  # seconds for which «there is no such DID» is believed
AWAY = 5.0  # seconds until one is asked for again that could not be fetched …
PATIENCE = 30.0  # … and where there is an old one to go on with
FORCED = 3  # times a minute that a bad signature makes us ask for a DID's key again
MOST = 10_000  # DIDs remembered that have proved who they are (under 1 kB each), and as many others


@dataclass(slots=True)
class _Entry:
    key: Key | None = None
    problem: BadToken | KeyUnavailable | None = None
    at: float = float("-inf")  # when the key was fetched
    until: float = float("-inf")  # before then nobody is asked
    forced: tuple[float, ...] = ()  # when a bad signature made us ask, in the last minute


class Known:
    """Keys by DID, safe for threads. `clock` gives seconds that only grow."""

    def __init__(
        self,
        documents: Documents,
        clock: Callable[[], float] = time.monotonic,
        longest: float = LONGEST,
        most: int = MOST,
    ) -> None:
        self._documents, self._clock = documents, clock
        self._longest, self._most = longest, most
        self._lock = threading.Lock()
        # Two shelves: a flood of tokens that prove nothing pushes out no key of a real viewer.
        self._proved: OrderedDict[str, _Entry] = OrderedDict()
        self._tried: OrderedDict[str, _Entry] = OrderedDict()
        self._lookups = Lookups(self._look_up)
        # The host of a did:web is a stranger's: it may be slow on purpose.
        self._plc, self._web = Lane(most=8, waiting=32), Lane(most=4, waiting=4)
        self._failed = 0

    def key(self, did: str, patience: float | None = None) -> Key:
        """The key of `did`; an old one at once, and it is asked for again behind that. Raises
        `BadToken` where there is none, `KeyUnavailable` where that is not found out in `patience`
        (seconds; None: as long as a look-up takes)."""
        patience = self._longest if patience is None else patience

        def is_due() -> bool:
            with self._lock:
                return self._clock() >= self._entry(did).until

        why = ""
        if is_due():
            why = self._ask(did, 0.0 if self._believed(did) else patience, is_due)
        if (key := self._believed(did)) is not None:
            return key
        with self._lock:
            entry = self._entry(did)
            problem = entry.problem if self._clock() < entry.until else None
        if isinstance(problem, BadToken):  # made anew: one that two threads raise mixes tracebacks
            raise BadToken(problem.error, problem.message)
        raise KeyUnavailable(problem.message if problem else f"the key of {did} is unknown: {why}")

    def other_key(
        self, did: str, than: Key, since: float, patience: float | None = None
    ) -> Key | None:
        """The key of `did` if it is another than `than` by now: asked for again, whatever is
        believed, unless it was fetched after `since`, or often in the last minute. Raises
        `KeyUnavailable` where that is not found out in `patience` and `than` is old: it is good
        enough to believe a token, not to call it bad."""
        patience = self._longest if patience is None else patience

        def may_ask() -> bool:
            with self._lock:
                entry, now = self._entry(did), self._clock()
                entry.forced = tuple(at for at in entry.forced if now - at < 60.0)
                if entry.key != than or entry.at >= since or len(entry.forced) >= FORCED:
                    return False
                entry.forced += (now,)
                return True

        why = self._ask(did, patience, may_ask)
        with self._lock:
            entry = self._entry(did)
            key, age = entry.key, self._clock() - entry.at
        if why and key == than and age >= FRESH:
            raise KeyUnavailable(f"whether {did} has another key is unknown: {why}")
        return key if key != than else None

    def prove(self, did: str) -> None:
        """Note that a good token came from `did`."""
        with self._lock:
            if did in self._tried:
                self._proved[did] = self._tried.pop(did)
                self._trim(self._proved)

    def __len__(self) -> int:
        return len(self._proved) + len(self._tried)

    def _believed(self, did: str) -> Key | None:
        """The key of `did` that may be used, if there is one."""
        with self._lock:
            entry = self._entry(did)
            return entry.key if self._clock() - entry.at < STALE else None

    def _entry(self, did: str) -> _Entry:
        """What is remembered of `did`, made if need be; the lock is held."""
        for shelf in (self._proved, self._tried):
            if (entry := shelf.get(did)) is not None:
                shelf.move_to_end(did)
                return entry
        entry = self._tried[did] = _Entry()
        self._trim(self._tried)
        return entry

    def _trim(self, shelf: OrderedDict[str, _Entry]) -> None:
        while len(shelf) > self._most:
            shelf.popitem(last=False)

    def _ask(self, did: str, patience: float, may_start: Callable[[], bool]) -> str:
        """Wait until `did` was looked up, so many seconds; or why that is not done."""
        lane = self._web if did.startswith(WEB) else self._plc
        try:
            self._lookups.wait(did, lane, patience, may_start)
        except Full:
            return "too many keys are asked for"
        except TooLong as error:
            if patience >= self._longest:  # else it may come to a good end
                self._away(did, error)
            return "it is being asked for"
        return ""

    def _look_up(self, did: str) -> None:
        """The look-up ends by its own time, not by that of the request that began it."""
        try:
            deadline = time.monotonic() + self._longest
            key = key_of(self._documents.fetch(did, deadline), did)
        except Failed as error:
            self._away(did, error)
        except NoDocument as error:
            self._keep(did, None, BadToken("BadJwtIss", str(error)), REFUSED)
        except NoKey as error:
            self._keep(did, None, BadToken("BadJwtIss", f"{did}: {error}"), REFUSED)
        except Exception:
            log.exception("looking up the key of %s failed; please report this", did)
            self._away(did, Failed("an error of ours, which the log has"))
        else:
            self._keep(did, key, None, FRESH)

    def _keep(self, did: str, key: Key | None, problem: BadToken | None, span: float) -> None:
        with self._lock:
            entry, now = self._entry(did), self._clock()
            entry.key, entry.problem, entry.at, entry.until = key, problem, now, now + span

    def _away(self, did: str, error: Exception) -> None:
        """It could not be asked: an old key serves on, for a while."""
        with self._lock:
            entry, now = self._entry(did), self._clock()
            if now < entry.until:
                return  # a forced question, or another look-up has succeeded meanwhile
            if entry.key is not None and now - entry.at < STALE:
                entry.until = min(now + PATIENCE, entry.at + STALE)
            else:
                message = f"the key of {did} cannot be fetched now: {error}"
                entry.key, entry.problem = None, KeyUnavailable(message)
                entry.until = now + AWAY
            self._failed += 1
            count = self._failed
        if worth_saying(count):
            log.warning("the key of %s cannot be fetched (failure %d): %s", did, count, error)
