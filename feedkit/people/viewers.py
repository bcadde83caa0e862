"""Whom those follow who ask for personal feeds, and who follows them: asked of the network."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from feedkit.appview import AppView, Away, Gone
from feedkit.logs import worth_saying
from feedkit.settings import Service
from feedkit.sources.syntax import is_did
from feedkit.store import Store

log = logging.getLogger(__name__)

SECOND = 1_000_000  # µs
USUAL = 6 * 3600  # seconds until the sets of a viewer who still asks are asked for again
UNKNOWN = 600  # seconds, of a viewer whom the network does not know
FIRST_WAIT, LONGEST_WAIT = 15, 900  # seconds after a failure; it doubles
AT_ONCE = 4  # viewers who are asked for at the same time
GIVE_UP = 3  # so many in a row that could not be asked for: the network is away
MOST = 10_000  # of the follows, and of the followers: the newest, as the network lists them

# In this order: most feeds need the first alone, and it is seldom long.
_METHODS = {"follows": "app.bsky.graph.getFollows", "followers": "app.bsky.graph.getFollowers"}


class _Asked(NamedTuple):
    """One of the sets of a viewer. `problem`: what is to be said of those before it."""

    did: str
    name: str
    problem: str = ""


class ViewerSets:
    """The job that keeps follows, and followers where some feed needs them, of those who ask."""

    def __init__(self, service: Service, store: Store, stop: threading.Event) -> None:
        needs = {need for feed in service.feeds.values() for need in feed.viewer_needs}
        self.names = tuple(name for name in _METHODS if f"viewer.{name}" in needs)
        self._address, self._viewers, self._stop = service.network.appview, store.viewers, stop
        self._failures = 0  # since the last that worked

    def refresh(self) -> int:
        """Ask for all who are due, also those who become it meanwhile. How many were found out.
        What cannot be found out stays what it was, and is asked for again, ever later."""
        if not self.names or not (due := self._viewers.due(_now(), AT_ONCE)):
            return 0
        done = failures = 0
        asked: dict[Future[tuple[str, ...]], _Asked] = {}
        with AppView(self._address, self._stop) as appview, ThreadPoolExecutor(AT_ONCE) as pool:

            def ask(one: _Asked) -> None:
                asked[pool.submit(_members, appview, one.name, one.did)] = one

            while True:
                for did in self._some(due, asked.values()):
                    ask(_Asked(did, self.names[0]))
                if not asked:
                    return done
                for future in wait(asked, 0.5, FIRST_COMPLETED).done:
                    one = asked.pop(future)
                    try:
                        more_of_it = self._keep(one, future)
                    except Away as error:
                        failures += 1
                        self._failed(one.did, error)
                        continue
                    failures = 0
                    if more_of_it is None:
                        done += 1
                    elif not self._stop.is_set():
                        ask(more_of_it)
                more = failures < GIVE_UP and len(asked) < AT_ONCE and not self._stop.is_set()
                due = self._viewers.due(_now(), 2 * AT_ONCE) if more else []

    def _some(self, due: Iterable[str], asked: Iterable[_Asked]) -> list[str]:
        busy = {one.did for one in asked}
        return [did for did in due if did not in busy][: AT_ONCE - len(busy)]

    def _keep(self, one: _Asked, future: Future[tuple[str, ...]]) -> _Asked | None:
        """Keep what was found out, so that nobody waits for the rest; what is to be asked next of
        this viewer, None if that is all. Raises `Away`."""
        problem = one.problem
        try:
            members = future.result()
        except Gone as error:  # perhaps only for a moment: that must not empty what is known
            if any(dids for _, dids in self._viewers.members(one.did, [one.name]).values()):
                raise Away(str(error)) from error
            members, problem = (), str(error)
        now, found = _now(), {one.name: members}
        if rest := self.names[self.names.index(one.name) + 1 :]:
            self._viewers.save(one.did, found, now, None)
            return _Asked(one.did, rest[0], problem)
        later = UNKNOWN if problem else USUAL
        self._viewers.save(one.did, found, now, now + later * SECOND, problem)
        if self._failures:
            log.info("whom viewers follow is found out again")
            self._failures = 0
        return None

    def _failed(self, did: str, error: Away) -> None:
        if self._stop.is_set():
            return
        tries = self._viewers.tries(did)
        later = min(FIRST_WAIT * 2 ** min(tries, 20), LONGEST_WAIT)
        now = _now()
        self._viewers.failed(did, now, now + later * SECOND, str(error))
        self._failures += 1
        if worth_saying(self._failures):
            log.warning(
                "whom %s follows, or who follows them, could not be found out: %s; until it is, "
                "what was known before counts, and who is not known gets what the signed-out get; "
                "check network: appview", did, error,
            )  # fmt: skip


def _members(appview: AppView, name: str, did: str) -> tuple[str, ...]:
    members: dict[str, None] = {}
    for page in appview.pages(_METHODS[name], {"actor": did}, name):
        for item in page:
            one = item.get("did") if isinstance(item, dict) else None
            if not isinstance(one, str) or not is_did(one):
                raise Away(f"{appview.address} answered {_METHODS[name]} with no DID in an item")
            members[one] = None
        if len(members) >= MOST:
            break
    return tuple(members)[:MOST]


def _now() -> int:
    return time.time_ns() // 1000
