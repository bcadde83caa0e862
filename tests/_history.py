"""A Jetstream v2 on loopback that remembers: it can be rewound to a number or to a time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from _streams import V2, Server, cid_of, post_record, server, xrpc_error
from websockets.sync.server import ServerConnection

POST, LIKE = "app.bsky.feed.post", "app.bsky.feed.like"
_DIGITS = "234567abcdefghijklmnopqrstuvwxyz"
HOUR = 3_600_000_000


def tid(number: int) -> str:
    """The TID of a moment (microseconds since 1970)."""
    number <<= 10
    return "".join(_DIGITS[number >> shift & 31] for shift in range(60, -1, -5))


def text_of(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def author(name: str) -> str:
    return f"did:plc:{name:a<24}"


def uri(name: str, by: str = "ann") -> str:
    return f"at://{author(by)}/{POST}/{name}"


class History:
    """Events in order; `ago` counts in hours. Connections get what they ask for, and then what is
    added. `pace`: seconds before each message; `oldest`: the number before which all is
    forgotten; `refuses`: the error with which a cursor before that is answered."""

    def __init__(self) -> None:
        self.events: list[tuple[int, int, str, str]] = []  # number, time, collection, message
        self.now = time.time_ns() // 1000
        self.pace = 0.0
        self.oldest, self.refuses = 0, ""
        self.sent = 0
        self.paths: list[str] = []
        self.url = ""
        self._more = threading.Condition()

    def add(self, kind: str, ago: float, did: str, **fields: Any) -> int:
        """An event `ago` hours before the test began; its time."""
        us = round(self.now - ago * HOUR)
        with self._more:
            number = len(self.events) + 1
            payload = {
                "$type": f"{V2}#{kind}", "seq": number, "did": did, "time": text_of(us), **fields,
            }  # fmt: skip
            message = json.dumps({"$type": "message", "payload": payload})
            self.events.append((number, us, fields.get("collection", ""), message))
            self._more.notify_all()
        return us

    def commit(self, operation: str, name: str, ago: float, by: str, collection: str, record: Any):
        us = round(self.now - ago * HOUR)
        more = {} if record is None else {"record": record, "cid": cid_of(name.encode())}
        self.add(
            "commit", ago, author(by),
            rev=tid(us), operation=operation, collection=collection, rkey=name, **more,
        )  # fmt: skip

    def post(self, name: str, ago: float, text: str, by: str = "ann", operation: str = "create"):
        at = text_of(round(self.now - ago * HOUR))
        self.commit(operation, name, ago, by, POST, post_record(text=text, createdAt=at))

    def delete(self, name: str, ago: float, by: str = "ann") -> None:
        self.commit("delete", name, ago, by, POST, None)

    def like(self, name: str, ago: float, subject: str, by: str = "bob") -> None:
        record = {"$type": LIKE, "subject": {"uri": subject, "cid": cid_of(b"")}}
        record["createdAt"] = text_of(self.now)
        self.commit("create", name, ago, by, LIKE, record)

    def account(self, state: str, ago: float, by: str) -> None:
        told = {"active": True} if state == "active" else {"active": False, "status": state}
        self.add("account", ago, author(by), account=told)

    def _script(self, connection: ServerConnection) -> None:
        query = parse_qs(urlsplit(connection.request.path).query)
        cursor = int(query["cursor"][0]) if "cursor" in query else 0
        wanted = query.get("collections", [])
        number = 1
        if not cursor:
            number = len(self.events) + 1
        elif cursor < 10**15:
            number = cursor
        else:
            number = next((n for n, us, _, _ in self.events if us >= cursor), len(self.events) + 1)
        if number < self.oldest:
            number = self.oldest
            told = {"$type": f"{V2}#info", "name": "OutdatedCursor", "message": "too old"}
            connection.send(json.dumps({"$type": "message", "payload": told}))
        while True:
            with self._more:
                if len(self.events) < number:
                    self._more.wait(0.1)
                some = self.events[number - 1 :]
            for _, _, collection, message in some:
                if not collection or not wanted or collection in wanted:
                    connection.send(message, text=True)
                    self.sent += 1
                    if self.pace:
                        time.sleep(self.pace)
            number += len(some)
            with suppress(TimeoutError):
                connection.recv(timeout=0)

    def _answer(self, connection: ServerConnection, request: Any) -> Any:
        query = parse_qs(urlsplit(request.path).query)
        self.paths.append(request.path)
        cursor = int(query.get("cursor", ["0"])[0])
        first = self.events[self.oldest - 1][1] if self.oldest else 0
        if self.refuses and cursor >= 10**15 and cursor < first:
            return xrpc_error(self.refuses, "there is nothing so old")
        return None

    @contextmanager
    def serving(self) -> Iterator[Server]:
        with server(self._script, answer=self._answer) as made:
            self.url = f"{made.url}/xrpc/{V2}"
            yield made
