"""What is noted of the requests for pages, outside of the front: which feed, how long, what came
of it. It is said in the store, so that any web process can tell what all of them did."""

from __future__ import annotations

import os
import socket
import threading
from bisect import bisect_left
from collections.abc import Collection, Mapping
from time import perf_counter
from urllib.parse import parse_qsl

from feedkit.heartbeat import Pulse
from feedkit.heartbeat.figures import BOUNDS, Requests, Serving
from feedkit.heartbeat.pulse import EVERY
from feedkit.store import Store
from feedkit.web.backstage import Message, Receive, Scope, Send
from feedkit.web.front import SKELETON, Front, Stages

MOST_FEEDS = 1000  # of which figures are kept; those that are asked for later are "" together
MOST_QUERIES = 10_000  # of which is remembered which feed they name
LONGEST_QUERY = 1_000  # bytes of a query that may be remembered


class Watch(Front):
    """A front that is watched. `feeds`: the names of all those that are served."""

    def __init__(
        self, stages: Stages, shared: Mapping[str, bool], feeds: Collection[str], store: Store
    ) -> None:
        super().__init__(stages, shared)
        self._feeds, self._store = frozenset(feeds), store
        self._requests: dict[str, Requests] = {}
        self._named: dict[bytes, str] = {}
        self._stop = threading.Event()
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == SKELETON:
            await self._watched(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def figures(self) -> Serving:
        """What this process did so far."""
        feeds = {
            name: Requests(dict(one.answers), list(one.within), one.seconds)
            for name, one in list(self._requests.items())
        }
        return Serving(feeds=feeds, front=dict(self.counts))

    async def _watched(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        began = perf_counter()
        try:
            await super().__call__(scope, receive, noting)
        finally:
            self._note(scope["query_string"], status, perf_counter() - began)

    def _note(self, query: bytes, status: int, seconds: float) -> None:
        name = self._named.get(query)
        if name is None:
            name = self._name(query)
        noted = self._requests.get(name)
        if noted is None:
            if len(self._requests) > MOST_FEEDS:
                name = ""
            noted = self._requests.setdefault(name, Requests())
        noted.answers[status] = noted.answers.get(status, 0) + 1
        noted.within[bisect_left(BOUNDS, seconds)] += 1
        noted.seconds += seconds

    def _name(self, query: bytes) -> str:
        """The feed that a query asks for, "" for what is none of ours: names come from outside."""
        try:
            given = dict(parse_qsl(query.decode("ascii"), errors="strict"))
        except ValueError:
            given = {}
        name = given.get("feed", "").rpartition("/")[2]
        name = name if name in self._feeds else ""
        if len(query) <= LONGEST_QUERY:
            if len(self._named) >= MOST_QUERIES:
                self._named.clear()
            self._named[query] = name
        return name

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
        pulse = Pulse(self._store, "web", self.name, self.figures)
        threading.Thread(target=self._beat, args=(pulse,), daemon=True, name="pulse").start()

    def _beat(self, pulse: Pulse) -> None:
        while not self._stop.is_set():
            pulse.beat()
            self._stop.wait(EVERY)
        pulse.end()
        self._store.close()
