"""The archive of a Jetstream v2 on loopback: what a `History` remembers, in sealed segments, over
real HTTP. The format is that which the SDK reads (`atproto_jetstream.archive.segment`)."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import zstandard
from _history import History
from _streams import V2, cbor

KINDS = {"create": 1, "update": 2, "delete": 3, "identity": 4, "account": 5, "sync": 6}
KEY = "a-key-of-the-archive"
Row = tuple[int, int, int, str, str, str, str, bytes]
Answer = tuple[int, dict[str, str], bytes]


def row_of(message: str) -> Row:
    """An event of the stream: number, time, kind, collection, DID, record key, rev, payload."""
    event = json.loads(message)["payload"]
    at = datetime.fromisoformat(event["time"])
    us = int(at.timestamp()) * 1_000_000 + at.microsecond
    kind = event["$type"].partition("#")[2]
    if kind != "commit":
        payload = cbor({"did": event["did"], "seq": 1, **event[kind]})
        return event["seq"], us, KINDS[kind], "", event["did"], "", "", payload
    payload = cbor(event["record"]) if "record" in event else b""
    return (
        event["seq"], us, KINDS[event["operation"]], event["collection"], event["did"],
        event["rkey"], event["rev"], payload,
    )  # fmt: skip


def block_of(rows: list[Row], shown: dict[int, int]) -> bytes:
    """A block, column by column. `shown`: times of display, by number; none is 0."""
    texts = [[text.encode() for text in row[3:7]] + [row[7]] for row in rows]
    columns = [
        ("Q", [row[0] for row in rows]),
        ("q", [row[1] for row in rows]),
        ("q", [shown.get(row[0], 0) for row in rows]),
        ("B", [row[2] for row in rows]),
        *((size, [len(text[n]) for text in texts]) for n, size in enumerate("BHBBI")),
    ]
    raw = struct.pack("<I", len(rows))
    raw += b"".join(struct.pack(f"<{len(rows)}{size}", *values) for size, values in columns)
    raw += b"".join(text[n] for n in range(5) for text in texts)
    return zstandard.compress(raw)


def segment_of(blocks: list[bytes], events: int, checksum: int) -> bytes:
    body = b"".join(struct.pack("<Q", len(block)) + block for block in blocks)
    header = bytearray(256)
    header[:4] = b"jss0"
    struct.pack_into("<QHII", header, 4, checksum, 1, len(blocks), events)
    struct.pack_into("<Q", header, 58, 256 + len(body))
    struct.pack_into("<Q", header, 90, 256 + len(body))
    return bytes(header) + body + b"\0" * 1000  # a footer that nobody needs


class Sealed:
    """A segment: its rows, by blocks."""

    def __init__(self, number: int, blocks: list[list[Row]], shown: dict[int, int]) -> None:
        self.name, self.number, self.rows = f"seg_{number:010x}.jss", number, blocks
        self.checksum = 0xFEED0000 + number
        self.blocks = [block_of(rows, shown) for rows in blocks]

    @property
    def etag(self) -> str:
        return f"{self.checksum:016x}"

    @property
    def file(self) -> bytes:
        return segment_of(self.blocks, sum(map(len, self.rows)), self.checksum)

    @property
    def first(self) -> Row:
        return self.rows[0][0]

    @property
    def last(self) -> Row:
        return self.rows[-1][-1]


class Archive:
    """The archive of `history`, up to the event `sealed`. Blocks of `block` rows, segments of
    `blocks` blocks, plans of `page` segments, listings of `listed`; `whole`: segments are to be
    fetched whole. `before`: answers that come first, each once, for these methods (None: as
    usual); `cut`: the download that ends in the middle, counted down; `asked`: what was
    asked for; `sent`: bytes of segments."""

    def __init__(self, history: History, sealed: int, **layout: Any) -> None:
        self.history, self.asked, self.sent = history, [], 0
        self.block, self.per_segment = layout.get("block", 5), layout.get("blocks", 4)
        self.page, self.listed = layout.get("page", 2), layout.get("listed", 2)
        self.whole = layout.get("whole", False)
        self.shown: dict[int, int] = layout.get("shown", {})
        self.key = KEY
        self.before: list[tuple[str, Answer | None]] = []
        self.cut = 0  # downloads until one ends in the middle
        self.url = ""
        self.segments: list[Sealed] = []
        self.seal(sealed)

    def seal(self, last: int) -> None:
        """Seal segments up to the event `last`."""
        first = self.segments[-1].last[0] if self.segments else 0
        rows = [row_of(message) for *_, message in self.history.events[first:last]]
        blocks = [rows[n : n + self.block] for n in range(0, len(rows), self.block)]
        for n in range(0, len(blocks), self.per_segment):
            some = blocks[n : n + self.per_segment]
            self.segments.append(Sealed(len(self.segments), some, self.shown))

    def answer(self, method: str, query: dict[str, str], body: Any, headers: Any) -> Answer:
        self.asked.append((method, query, body))
        if headers["authorization"] != f"Bearer {self.key}":
            return error(401, "AuthenticationRequired", "this key is not known")
        if self.before and self.before[0][0] == method:
            fixed = self.before.pop(0)[1]
            if fixed is not None:
                return fixed
        if method == "listSegments":
            return self._list(int(query.get("cursor", "0")))
        if method == "planSnapshot":
            return self._plan(body)
        name = query.get("segment", query.get("name"))
        sealed = next((segment for segment in self.segments if segment.name == name), None)
        if sealed is None:
            return error(404, "SegmentNotFound", "no such segment")
        if method == "getBlock":
            number = int(query["blockIndex"])
            if number >= len(sealed.blocks):
                return error(404, "BlockNotFound", "no such block")
            return 200, {"etag": f'"{sealed.etag}"'}, sealed.blocks[number]
        start, end = map(int, headers["range"].removeprefix("bytes=").split("-"))
        if start >= len(sealed.file):
            return 416, {}, b""
        return 206, {"etag": f'"{sealed.etag}"'}, sealed.file[start : end + 1]

    def _list(self, start: int) -> Answer:
        some = self.segments[start : start + self.listed]
        listed = [
            {
                "name": one.name, "index": one.number, "sizeBytes": len(one.file),
                "checksum": one.etag, "eventCount": sum(map(len, one.rows)),
                "minSeq": one.first[0], "maxSeq": one.last[0],
                "minWitnessedAt": one.first[1], "maxWitnessedAt": one.last[1],
            }
            for one in some
        ]  # fmt: skip
        more = start + len(some) < len(self.segments)
        return said({"segments": listed, **({"cursor": str(start + len(some))} if more else {})})

    def _plan(self, asked: dict[str, Any]) -> Answer:
        after = asked.get("afterSeq", 0)
        tip = self.segments[-1].last[0] if self.segments else 0
        tip = min(tip, asked.get("beforeSeq", tip))
        units, through = [], tip
        for one in self.segments:
            if one.last[0] <= after or one.first[0] > tip:
                continue
            if len(units) == self.page:
                break
            found = [
                number
                for number, rows in enumerate(one.rows)
                if any(after < row[0] <= tip and wanted(row, asked) for row in rows)
            ]
            through = min(one.last[0], tip)
            if found:
                unit = {
                    "name": one.name, "index": one.number, "checksum": one.etag,
                    "minSeq": one.first[0], "maxSeq": one.last[0],
                    "mode": "segment" if self.whole else "blocks",
                }  # fmt: skip
                if not self.whole:
                    unit["blocks"] = [{"first": number, "last": number} for number in found]
                units.append(unit)
        else:
            through = tip
        stats = dict.fromkeys(
            ("segmentsExamined", "segmentsMatched", "blocksMatched", "entries"), 0
        )
        plan = {"plannedThroughSeq": through, "sealedTipSeq": tip, "segments": units}
        return said({**plan, "stats": stats})

    def fetched(self) -> list[tuple[str, str]]:
        """The blocks that were asked for: segment and number."""
        return [(q["segment"], q["blockIndex"]) for m, q, _ in self.asked if m == "getBlock"]

    @contextmanager
    def serving(self) -> Iterator[Archive]:
        archive = self

        class Handler(BaseHTTPRequestHandler):
            disable_nagle_algorithm = True  # else an answer in two writes takes 40 ms
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._do(None)

            def do_POST(self) -> None:
                self._do(json.loads(self.rfile.read(int(self.headers["content-length"]))))

            def _do(self, body: Any) -> None:
                url = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(url.query).items()}
                method = url.path.rpartition(".")[2]
                status, headers, answer = archive.answer(method, query, body, self.headers)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                if method.startswith("get") and status < 300:
                    archive.sent += len(answer)
                    archive.cut -= 1
                    if archive.cut == 0:
                        answer = answer[: len(answer) // 2]
                        self.close_connection = True
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            streams = int(urlsplit(self.history.url).port or 0)
            with door(streams, server.server_port) as port:
                self.url = f"ws://127.0.0.1:{port}/xrpc/{V2}"
                yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@contextmanager
def door(streams: int, archive: int) -> Iterator[int]:
    """One port for both, as a Jetstream has: websockets go to `streams`, the rest to `archive`."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.05)
    over = threading.Event()

    def pipe(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            other.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := one.recv(65536):
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def let_in(guest: socket.socket) -> None:
        head = b""
        with suppress(OSError), guest:
            while b"\r\n\r\n" not in head:
                data = guest.recv(65536)
                if not data:
                    return
                head += data
            port = streams if b"upgrade: websocket" in head.lower() else archive
            with socket.create_connection(("127.0.0.1", port)) as host:
                host.sendall(head)
                back = threading.Thread(target=pipe, args=(host, guest), daemon=True)
                back.start()
                pipe(guest, host)
                back.join()

    def listen() -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                guest = listening.accept()[0]
                guest.settimeout(None)
                threading.Thread(target=let_in, args=(guest,), daemon=True).start()

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        thread.join()
        listening.close()


def wanted(row: Row, asked: dict[str, Any]) -> bool:
    kinds = {"commit": row[2] <= 3, "account": row[2] == 5}
    if not any(kinds.get(kind, False) for kind in asked.get("kinds", [])):
        return False
    return row[2] > 3 or row[3] in asked["collections"]


def said(body: Any, status: int = 200, **headers: str) -> Answer:
    return status, headers, json.dumps(body).encode()


def error(status: int, name: str, message: str = "", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, json.dumps({"error": name, "message": message}).encode()
