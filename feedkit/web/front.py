"""What stands before Flask: it remembers the pages of shared feeds for a moment.

A shared feed is the same for everybody, so that its pages may be kept and one look-up may answer
many who ask at once. Nothing else is kept: whatever concerns a viewer goes to Flask, and what is
shared goes there as a request of nobody's. While Flask or the store is slow or gone, the last good
page is served, marked as stale.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import NamedTuple

from feedkit.web.asked import Asked, Key, Queries
from feedkit.web.backstage import Answer, Backstage, Busy, Receive, Scope, Send
from feedkit.web.bodies import INTERACTIONS, Bodies, Refused
from feedkit.web.kept import Kept, Pages

log = logging.getLogger(__name__)

SKELETON = "/xrpc/app.bsky.feed.getFeedSkeleton"
PEOPLE = ("/", "/why")
FRESH = 0.25  # seconds for which a page is served again without a look at the store
PATIENCE = 0.3  # seconds that a reader waits for a fresh page where a stale one is at hand
STALE = 600.0  # seconds for which the last good page stands in
_LANGUAGES = 3  # where in the key of a page by language the languages begin


class Stages(NamedTuple):
    """Threads for each kind of request, so that none can hold up the others. `sharing`: pages that
    are the same for everybody, and what says how the service is; `viewers`: whoever must be known
    first, which may take the network; `sending`: what viewers tell, which waits for those who
    write; `people`: pages for people, which may take long."""

    sharing: Backstage
    viewers: Backstage
    sending: Backstage
    people: Backstage

    def for_path(self, path: str) -> Backstage:
        if path == SKELETON:
            return self.viewers
        if path == INTERACTIONS:
            return self.sending
        return self.people if path in PEOPLE else self.sharing


class Asking(NamedTuple):
    """A look-up that is under way. `began`: the loop's time then."""

    began: float
    task: asyncio.Task[Kept]


class Front:
    """The ASGI application. `queries` tells what a request asks for; `counts`: what became of
    requests."""

    def __init__(self, stages: Stages, queries: Queries) -> None:
        self._stages, self._queries, self._bodies = stages, queries, Bodies()
        self._pages = Pages()
        self._asked: dict[Key, Asking] = {}
        self.counts: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if scope["path"] == SKELETON:
                await self._skeleton(self._queries(scope), scope, receive, send)
            else:
                await self._pass_on(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _skeleton(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        if asked.key is not None and scope["method"] == "GET":
            await self._share(asked.key, scope, send)
        else:
            await self._pass_on(scope, receive, send)

    async def _share(self, key: Key, scope: Scope, send: Send) -> None:
        kept, now = self._pages.find(key), asyncio.get_running_loop().time()
        if kept is not None:
            age = now - kept.made
            if age < FRESH:
                self.counts["hit"] += 1
                self._pages.used(key)
                await send_answer(send, kept.answer)
                return
            if age > STALE:
                kept = None
        asking = self._asked.get(key)
        if asking is None:
            task = asyncio.create_task(self._ask(key, scope["query_string"]))
            asking = self._asked[key] = Asking(now, task)
            task.add_done_callback(lambda done: self._answered(key, done))
            self.counts["miss"] += 1
        else:
            self.counts["merged"] += 1
        task = asking.task
        if kept is not None:
            # Who comes later waits no longer than who began it: where the store hangs, not at all.
            await asyncio.wait({task}, timeout=max(asking.began + PATIENCE - now, 0.0))
            # The query was good before, so that any other answer is our fault.
            if not task.done() or task.exception() or task.result().answer.status != 200:
                await self._send_stale(kept, send)
                return
        try:
            fresh = await asyncio.shield(task)
        except Busy as error:
            await _refuse(send, 503, error.error, error.message)
            return
        await send_answer(send, fresh.answer)

    async def _ask(self, key: Key, query: bytes) -> Kept:
        made = asyncio.get_running_loop().time()
        answer = await self._stages.sharing.call(_for_all(key, query), b"")
        kept = Kept(made, answer)
        if answer.status == 200:  # an error is not remembered, only shared by who asks meanwhile
            self._pages.keep(key, kept)
        return kept

    def _answered(self, key: Key, task: asyncio.Task[Kept]) -> None:
        del self._asked[key]
        if not task.cancelled():
            task.exception()  # whoever waited has it; where a stale page went out, nobody did

    async def _send_stale(self, kept: Kept, send: Send) -> None:
        self.counts["stale"] += 1
        age = asyncio.get_running_loop().time() - kept.made
        headers = [*kept.answer.headers, (b"x-feedkit-stale", b"%d" % age)]
        await send_answer(send, kept.answer._replace(headers=headers))

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.counts["passed"] += 1
        try:
            body = await self._bodies.read(scope, receive)
        except Refused as error:
            await _refuse(send, error.status, error.error, error.message)
            return
        try:
            answer = await self._stages.for_path(scope["path"]).call(
                scope, body, ended=lambda: self._bodies.release(body)
            )
        except Busy as error:
            await _refuse(send, 503, error.error, error.message)
            return
        await send_answer(send, answer)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.shutdown":
                for stage in self._stages:
                    stage.close()
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return


def _for_all(key: Key, query: bytes) -> Scope:
    """The request for a page that many may wait for. Of who asks first it has nothing but the query
    and the languages, which all have asked for: a header of theirs might say who they are, or be
    one for which Flask refuses the request."""
    headers = [(b"host", b"localhost")]
    if languages := key[_LANGUAGES:]:
        headers.append((b"accept-language", ",".join(languages).encode()))
    return {
        "method": "GET",
        "path": SKELETON,
        "query_string": query,
        "http_version": "1.1",
        "headers": headers,
    }


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a finished answer, as ASGI wants it."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _refuse(send: Send, status: int, error: str, message: str) -> None:
    body = b'{"error":"%s","message":"%s"}' % (error.encode(), message.encode())
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    await send_answer(send, Answer(status, headers, body))
