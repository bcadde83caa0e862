"""How a web process fares, outside of the front.

What is noted of the requests for pages: which feed, how long, what came of it. It is said in the
store, so that any web process can tell what all of them did. And whether it lives, /health, which
is said here so that it waits for nothing.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_left
from time import perf_counter

from feedkit.failures import so_far
from feedkit.garbage import look_rarely
from feedkit.heartbeat import NumberedPulse
from feedkit.heartbeat.figures import BOUNDS, Requests, Serving, blamed
from feedkit.store import Store
from feedkit.web.asked import Asked, Queries
from feedkit.web.backstage import Answer, Message, Receive, Scope, Send
from feedkit.web.front import Front, Stages, send_answer
from feedkit.web.health import LOOK, PATHS, Lookout

GARBAGE = 10_000  # objects: a request leaves a few behind
MOST_FEEDS = 1000  # of which figures are kept; those that are asked for later are "" together


class Watch(Front):
    """A front that is watched."""

    def __init__(self, stages: Stages, queries: Queries, store: Store) -> None:
        super().__init__(stages, queries)
        self._store = store
        self._requests: dict[str, Requests] = {}
        self._stop = threading.Event()
        self._pulse = NumberedPulse(store, "web", self.figures)
        self._lookout = Lookout(store)
        self._before = 0  # pages that were served stale while the store was last well

    @property
    def name(self) -> str:
        """Its number among the web processes; nothing before it was said in the store."""
        return self._pulse.name

    def figures(self) -> Serving:
        """What this process did so far."""
        feeds = {
            name: Requests(dict(one.answers), list(one.within), one.seconds)
            for name, one in list(self._requests.items())
        }
        return Serving(feeds=feeds, front=dict(self.counts), errors=blamed(so_far()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == "http"
            and scope["path"] in PATHS
            and scope["method"] in ("GET", "HEAD")
        ):
            await self._lives(scope, send)
        else:
            await super().__call__(scope, receive, send)

    async def _lives(self, scope: Scope, send: Send) -> None:
        """It does, or it could not answer. `stale`: how many pages stood in since the store was
        lost."""
        said = self._lookout.said()
        if self._lookout.lost:
            said["stale"] = self.counts["stale"] - self._before
        body = json.dumps(said, ensure_ascii=False).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send_answer(send, Answer(200, headers, b"" if scope["method"] == "HEAD" else body))

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
        threading.Thread(target=self._beat, daemon=True, name="pulse").start()

    def _beat(self) -> None:
        while not self._stop.is_set():
            self._lookout.look()
            if not self._lookout.lost:
                self._before = self.counts["stale"]
            self._pulse.sometimes()
            self._stop.wait(LOOK)
        self._pulse.end()
        self._store.close()
