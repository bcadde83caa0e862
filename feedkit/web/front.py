"""What stands before Flask: it remembers the pages of shared feeds for a moment.

A shared feed is the same for everybody, so that its pages may be kept and one look-up may answer
many who ask at once. Nothing else is kept: whatever concerns a viewer goes to Flask, and what is
shared goes there without saying who asks. While Flask or the store is slow or gone, the last good
page is served, marked as stale.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

from feedkit.web.backstage import Answer, Backstage, Busy, Message, Receive, Scope, Send
from feedkit.web.bodies import INTERACTIONS, Bodies, Refused

log = logging.getLogger(__name__)

SKELETON = "/xrpc/app.bsky.feed.getFeedSkeleton"
PEOPLE = ("/", "/why")
FRESH = 0.5  # seconds for which a page is served again without a look at the store
PATIENCE = 0.3  # seconds that a reader waits for a fresh page where a stale one is at hand
STALE = 600.0  # seconds for which the last good page stands in
MOST = 16_000_000  # bytes of pages
MOST_KEYS = 10_000  # queries whose meaning is remembered
LONGEST_QUERY = 1_000  # bytes of a query that may be remembered
WHO = frozenset({b"authorization", b"cookie"})  # the headers that say who asks
_NAMES = ("feed", "limit", "cursor")
_LANGUAGE = b"accept-language"

Key = tuple[str, ...]


class Kept(NamedTuple):
    """A page, as the messages that send it. `made`: the loop's time when it was asked for."""

    made: float
    start: Message
    body: Message
    answer: Answer


class Stages(NamedTuple):
    """Threads for each kind of request, so that none can hold up the others. `sharing`: pages that
    are the same for everybody, and what says how the service is; `viewers`: whoever must be known
    first, which may take the network; `people`: pages for people, which may take long."""

    sharing: Backstage
    viewers: Backstage
    people: Backstage

    def for_path(self, path: str) -> Backstage:
        if path in (SKELETON, INTERACTIONS):
            return self.viewers
        return self.people if path in PEOPLE else self.sharing


class Front:
    """The ASGI application. `shared`: the feeds whose pages are the same for everybody, each with
    whether they depend on the languages that are asked for. `counts`: what became of requests."""

    def __init__(self, stages: Stages, shared: Mapping[str, bool]) -> None:
        self._stages, self._shared, self._bodies = stages, dict(shared), Bodies()
        self._pages: OrderedDict[Key, Kept] = OrderedDict()  # the least recently used first
        self._size = 0
        self._keys: dict[bytes, Key | None] = {}
        self._asked: dict[Key, asyncio.Task[Kept]] = {}
        self.counts: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if scope["path"] == SKELETON and scope["method"] == "GET":
                key = self._key(scope)
                if key is not None:
                    await self._share(key, scope, send)
                    return
            await self._pass_on(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    def _key(self, scope: Scope) -> Key | None:
        """What names the page that is asked for; None where it is not one that all may share."""
        query = scope["query_string"]
        try:
            key = self._keys[query]
        except KeyError:
            key = self._read(query)
            if len(query) <= LONGEST_QUERY:
                if len(self._keys) >= MOST_KEYS:
                    self._keys.clear()
                self._keys[query] = key
        if key is not None and self._shared[key[-1]]:
            said = b",".join(value for name, value in scope["headers"] if name == _LANGUAGE)
            return (*key, said.decode("latin-1"))
        return key

    def _read(self, query: bytes) -> Key | None:
        try:
            given = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
        except (UnicodeDecodeError, ValueError):
            return None
        values = {name: [v for n, v in given if n == name] for name in _NAMES}
        if any(len(several) > 1 for several in values.values()) or not values["feed"]:
            return None
        name = values["feed"][0].rpartition("/")[2]
        if name not in self._shared:
            return None
        # What is absent differs from what is empty.
        return (*("".join([f"={v}" for v in several]) for several in values.values()), name)

    async def _share(self, key: Key, scope: Scope, send: Send) -> None:
        kept = self._pages.get(key)
        if kept is not None:
            age = asyncio.get_running_loop().time() - kept.made
            if age < FRESH:
                self.counts["hit"] += 1
                self._pages.move_to_end(key)
                await send(kept.start)
                await send(kept.body)
                return
            if age > STALE:
                kept = None
        task = self._asked.get(key)
        if task is None:
            task = asyncio.create_task(self._ask(key, scope))
            self._asked[key] = task
            task.add_done_callback(lambda done: self._answered(key, done))
            self.counts["miss"] += 1
        else:
            self.counts["merged"] += 1
        if kept is not None:
            await asyncio.wait({task}, timeout=PATIENCE)
            if not task.done() or task.exception() or task.result().answer.status >= 500:
                await self._send_stale(kept, send)
                return
        try:
            fresh = await asyncio.shield(task)
        except Busy as error:
            await _refuse(send, 503, error.error, error.message)
            return
        await send(fresh.start)
        await send(fresh.body)

    async def _ask(self, key: Key, scope: Scope) -> Kept:
        made = asyncio.get_running_loop().time()
        answer = await self._stages.sharing.call(scope, b"", without=WHO)
        kept = Kept(made, *_messages(answer), answer)
        if answer.status == 200:  # an error is not remembered, only shared by who asks meanwhile
            self._keep(key, kept)
        return kept

    def _answered(self, key: Key, task: asyncio.Task[Kept]) -> None:
        del self._asked[key]
        if not task.cancelled():
            task.exception()  # whoever waited has it; where a stale page went out, nobody did

    def _keep(self, key: Key, kept: Kept) -> None:
        before = self._pages.pop(key, None)
        if before is not None:
            self._size -= _size(key, before)
        self._pages[key] = kept
        self._size += _size(key, kept)
        while self._size > MOST:
            oldest, dropped = self._pages.popitem(last=False)
            self._size -= _size(oldest, dropped)

    async def _send_stale(self, kept: Kept, send: Send) -> None:
        self.counts["stale"] += 1
        age = asyncio.get_running_loop().time() - kept.made
        headers = [*kept.answer.headers, (b"x-feedkit-stale", b"%d" % age)]
        await send(kept.start | {"headers": headers})  # type: ignore[operator]
        await send(kept.body)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.counts["passed"] += 1
        try:
            body = await self._bodies.read(scope, receive)
        except Refused as error:
            await _refuse(send, error.status, error.error, error.message)
            return
        try:
            answer = await self._stages.for_path(scope["path"]).call(scope, body)
        except Busy as error:
            await _refuse(send, 503, error.error, error.message)
            return
        for part in _messages(answer):
            await send(part)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            if kind == "lifespan.shutdown":
                for stage in self._stages:
                    stage.close()
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return


def _messages(answer: Answer) -> tuple[Message, Message]:
    return (
        {"type": "http.response.start", "status": answer.status, "headers": answer.headers},
        {"type": "http.response.body", "body": answer.body},
    )


async def _refuse(send: Send, status: int, error: str, message: str) -> None:
    body = b'{"error":"%s","message":"%s"}' % (error.encode(), message.encode())
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    for part in _messages(Answer(status, headers, body)):
        await send(part)


def _size(key: Key, kept: Kept) -> int:
    return len(kept.answer.body) + sum(map(len, key)) + 1_000  # about what the objects take
