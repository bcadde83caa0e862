"""What is noted of the requests for pages, outside of the front: which feed, how long, what came
of it. It is said in the store, so that any web process can tell what all of them did."""

from __future__ import annotations

import os
import socket
import threading
from bisect import bisect_left
from time import perf_counter

from feedkit.failures import so_far
from feedkit.garbage import look_rarely
from feedkit.heartbeat import Pulse
from feedkit.heartbeat.figures import BOUNDS, Requests, Serving, blamed
from feedkit.heartbeat.pulse import EVERY
from feedkit.store import Store
from feedkit.web.asked import Asked, Queries
from feedkit.web.backstage import Message, Receive, Scope, Send
from feedkit.web.front import Front, Stages

GARBAGE = 10_000  # objects: a request leaves a few behind
MOST_FEEDS = 1000  # of which figures are kept; those that are asked for later are "" together


class Watch(Front):
    """A front that is watched."""

    def __init__(self, stages: Stages, queries: Queries, store: Store) -> None:
        super().__init__(stages, queries)
        self._store = store
        self._requests: dict[str, Requests] = {}
        self._stop = threading.Event()
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def figures(self) -> Serving:
        """What this process did so far."""
        feeds = {
            name: Requests(dict(one.answers), list(one.within), one.seconds)
            for name, one in list(self._requests.items())
        }
        return Serving(feeds=feeds, front=dict(self.counts), errors=blamed(so_far()))

    async def _skeleton(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        began = perf_counter()
        try:
            await super()._skeleton(asked, scope, receive, noting)
        finally:
            self._note(asked.feed, status, perf_counter() - began)

    def _note(self, name: str, status: int, seconds: float) -> None:
        noted = self._requests.get(name)
        if noted is None:
            if len(self._requests) > MOST_FEEDS:
                name = ""
            noted = self._requests.setdefault(name, Requests())
        noted.answers[status] = noted.answers.get(status, 0) + 1
        noted.within[bisect_left(BOUNDS, seconds)] += 1
        noted.seconds += seconds

    async def _live(self, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._start()
            elif message["type"] == "lifespan.shutdown.complete":
                self._stop.set()
            await send(message)

        await super()._live(receive, noting)

    def _start(self) -> None:
        """Say from now on in the store what this process does, from a thread of its own. It ends
        with the process: what the last seconds brought is not worth a wait."""
        look_rarely(GARBAGE)
        pulse = Pulse(self._store, "web", self.name, self.figures)
        threading.Thread(target=self._beat, args=(pulse,), daemon=True, name="pulse").start()

    def _beat(self, pulse: Pulse) -> None:
        while not self._stop.is_set():
            pulse.beat()
            self._stop.wait(EVERY)
        pulse.end()
        self._store.close()
