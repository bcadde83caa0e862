"""An AppView on loopback that knows handles and posts: real HTTP, the answers of the real one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ALICE = "did:plc:alice234567abcdefghijkl2"
URI = f"at://{ALICE}/app.bsky.feed.post/3mptbyoeyc22k"


class AppView:
    """`handles`: DIDs by handle. `posts`: records by at:// URI. `raw`: (status, body) by method,
    in place of the right answer. `asked`: (method, first parameter) of all requests."""

    def __init__(self) -> None:
        self.handles = {"alice.test": ALICE}
        self.posts: dict[str, Any] = {
            URI: {
                "$type": "app.bsky.feed.post",
                "text": "A heron on the weir #birds",
                "langs": ["en"],
                "createdAt": "2026-07-04T14:38:06.240Z",
                "facets": [
                    {
                        "index": {"byteStart": 20, "byteEnd": 26},
                        "features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "birds"}],
                    }
                ],
            }
        }
        self.raw: dict[str, tuple[int, bytes]] = {}
        self.asked: list[tuple[str, str]] = []
        self.url = ""

    def answer(self, path: str) -> tuple[int, bytes]:
        parts = urlsplit(path)
        method = parts.path.removeprefix("/xrpc/")
        value = next(iter(parse_qs(parts.query).values()))[0]
        self.asked.append((method, value))
        if method in self.raw:
            return self.raw[method]
        if method == "com.atproto.identity.resolveHandle":
            if value in self.handles:
                return 200, json.dumps({"did": self.handles[value]}).encode()
            error = {"error": "InvalidRequest", "message": "Unable to resolve handle"}
            return 400, json.dumps(error).encode()
        found = [
            {"uri": value, "cid": "bafy", "record": self.posts[value],
             "indexedAt": "2026-07-04T14:38:08.085Z", "likeCount": 3}
        ] if value in self.posts else []  # fmt: skip
        return 200, json.dumps({"posts": found}).encode()


@contextmanager
def appview() -> Iterator[AppView]:
    made = AppView()

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True  # else an answer in two writes takes 40 ms

        def do_GET(self) -> None:
            status, body = made.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
