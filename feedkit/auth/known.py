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

LONGEST = 2.0  # seconds that a request waits for a key
FRESH = 3600.0  # seconds for which a key is believed
STALE = 86_400.0  # seconds for which it is used while it cannot be asked for
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

    def key(self, did: str) -> Key:
        """The key of `did`. Raises `BadToken` where there is none, `KeyUnavailable` where that
        cannot be found out in time."""

        def is_due() -> bool:
            with self._lock:
                return self._clock() >= self._entry(did).until

        if is_due():
            self._ask(did, is_due)
        with self._lock:
            entry, now = self._entry(did), self._clock()
            if entry.key is not None and now - entry.at < STALE:
                return entry.key
            problem = entry.problem if now < entry.until else None
        if isinstance(problem, BadToken):  # made anew: one that two threads raise mixes tracebacks
            raise BadToken(problem.error, problem.message)
        message = problem.message if problem else f"too many keys are asked for to ask for {did}'s"
        raise KeyUnavailable(message)

    def other_key(self, did: str, than: Key, since: float) -> Key | None:
        """The key of `did` if it is another than `than` by now: asked for again, whatever is
        believed, unless it was fetched after `since`, or often in the last minute."""

        def may_ask() -> bool:
            with self._lock:
                entry, now = self._entry(did), self._clock()
                entry.forced = tuple(at for at in entry.forced if now - at < 60.0)
                if entry.key != than or entry.at >= since or len(entry.forced) >= FORCED:
                    return False
                entry.forced += (now,)
                return True

        self._ask(did, may_ask)
        with self._lock:
            key = self._entry(did).key
        return key if key != than else None

    def prove(self, did: str) -> None:
        """Note that a good token came from `did`."""
        with self._lock:
            if did in self._tried:
                self._proved[did] = self._tried.pop(did)
                self._trim(self._proved)

    def __len__(self) -> int:
        return len(self._proved) + len(self._tried)

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

    def _ask(self, did: str, may_start: Callable[[], bool]) -> None:
        lane = self._web if did.startswith(WEB) else self._plc
        try:
            self._lookups.wait(did, lane, self._longest, may_start)
        except Full:
            pass
        except TooLong as error:
            self._away(did, error)

    def _look_up(self, did: str, deadline: float) -> None:
        try:
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
