"""An AppView on loopback that does as it is told: real HTTP, for what the real one seldom does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, dict[str, str], bytes]


def said(body: Any, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, body if isinstance(body, bytes) else json.dumps(body).encode()


def refused(message: str, status: int = 400, error: str = "InvalidRequest") -> Answer:
    return said({"error": error, "message": message}, status)


class FakeAppView:
    """`lists`, `follows`, `followers`: members, by what they belong to; `packs`: list, by starter
    pack; `handles`: DIDs. `before`: answers that come first, each once (None: as usual); `slow`:
    seconds before every answer. `asked`: method and parameters of every request."""

    def __init__(self) -> None:
        self.lists: dict[str, list[str]] = {}
        self.follows: dict[str, list[str]] = {}
        self.followers: dict[str, list[str]] = {}
        self.packs: dict[str, str] = {}
        self.handles: dict[str, str] = {}
        self.before: list[Answer | None] = []
        self.always: Callable[[str, dict[str, list[str]]], Answer | None] | None = None
        self.slow = 0.0
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.address = ""

    def answer(self, method: str, query: dict[str, list[str]]) -> Answer:
        self.asked.append((method, query))
        time.sleep(self.slow)
        if self.before and (first := self.before.pop(0)) is not None:
            return first
        if self.always and (fixed := self.always(method, query)) is not None:
            return fixed
        match method:
            case "app.bsky.graph.getList":
                return self._page(self.lists, query, "list", "items", "List not found")
            case "app.bsky.graph.getFollows":
                return self._page(self.follows, query, "actor", "follows", "Actor not found: x")
            case "app.bsky.graph.getFollowers":
                return self._page(self.followers, query, "actor", "followers", "Actor not found: x")
            case "app.bsky.graph.getStarterPack":
                if uri := self.packs.get(query["starterPack"][0]):
                    return said({"starterPack": {"list": {"uri": uri}}})
                return refused("Starter pack not found")
            case "app.bsky.actor.getProfiles":
                assert len(query["actors"]) <= 25
                found = [h for h in query["actors"] if h in self.handles]
                return said({"profiles": [{"handle": h, "did": self.handles[h]} for h in found]})
            case "com.atproto.identity.resolveHandle":
                if did := self.handles.get(query["handle"][0]):
                    return said({"did": did})
                return refused("Unable to resolve handle")
        return refused("Method Not Implemented", 501, "MethodNotImplemented")

    def _page(
        self, table: dict[str, list[str]], query: dict[str, list[str]], by: str, key: str, gone: str
    ) -> Answer:
        members = table.get(query[by][0])
        if members is None:
            return refused(gone)
        start, limit = int(query.get("cursor", ["0"])[0]), int(query["limit"][0])
        assert limit <= 100
        some = members[start : start + limit]
        items = [{"subject": {"did": did}} if key == "items" else {"did": did} for did in some]
        more = {"cursor": str(start + limit)} if start + limit < len(members) else {}
        return said({key: items, **more})

    @contextmanager
    def serving(self) -> Iterator[FakeAppView]:
        view = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                status, headers, body = view.answer(
                    parts.path.removeprefix("/xrpc/"), parse_qs(parts.query)
                )
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:  # who asked has gone
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        self.address = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
