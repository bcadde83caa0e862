"""Streams for tests: messages as the network sends them, and servers on loopback that send them.

The messages are real JSON, DAG-CBOR and CAR; the servers are real websockets, real TCP.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import libipld
import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from feedkit.event import Frame
from feedkit.settings import Stream

DID = "did:plc:44ybard66vv44zksje25o7dz"
OTHER = "did:plc:wq4aajammjtxdomz3e23667t"
REV = "3mptbypcq372f"
RKEY = "3mptbyoeyc22k"
NOW = 1_783_175_888_085_434  # 2026-07-04T14:38:08.085434Z
NOW_TEXT = "2026-07-04T14:38:08.085434Z"
POST, LIKE, REPOST = "app.bsky.feed.post", "app.bsky.feed.like", "app.bsky.feed.repost"
URI = f"at://{DID}/{POST}/{RKEY}"
ALL = frozenset({POST, LIKE, REPOST})
EVERYTHING = frozenset({"likes", "reposts", "replies", "quotes"})
V2 = "network.bsky.jetstream.subscribeEvents"

SHARED = Path(os.environ.get("FEEDKIT_SHARED", Path(__file__).resolve().parents[2] / "shared"))
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recordings are not here; FEEDKIT_SHARED may name their folder"
)


def post_record(**fields: Any) -> dict[str, Any]:
    """A post's record; a field given as `...` is left out."""
    record = {"$type": POST, "text": "hello", "createdAt": "2026-07-04T14:38:06.240Z"} | fields
    return {key: value for key, value in record.items() if value is not ...}


def like_record(subject: str = URI) -> dict[str, Any]:
    return {"$type": LIKE, "createdAt": NOW_TEXT, "subject": {"uri": subject, "cid": cid_of(b"")}}


def cid_of(block: bytes) -> str:
    return libipld.encode_cid(cid_bytes(block))


def cid_bytes(block: bytes) -> bytes:
    return b"\x01\x71\x12\x20" + hashlib.sha256(block).digest()


def commit(record: Any = ..., collection: str = POST, **fields: Any) -> dict[str, Any]:
    """What a commit says of one record, in Jetstream's words."""
    made = {"rev": REV, "operation": "create", "collection": collection, "rkey": RKEY}
    if record is not ...:
        made |= {"record": record, "cid": cid_of(b"")}
    return made | fields


def v1(kind: str = "commit", time_us: Any = NOW, did: str = DID, **fields: Any) -> bytes:
    """A message of /subscribe; `commit={…}` or `account={…}`."""
    return json.dumps({"did": did, "time_us": time_us, "kind": kind, **fields}).encode()


def v2(
    kind: str = "commit", seq: Any = 1, did: str = DID, time: Any = NOW_TEXT, **fields: Any
) -> bytes:
    """A message of subscribeEvents; a commit's fields lie open in it."""
    payload = {"$type": f"{V2}#{kind}", "seq": seq, "did": did, "time": time, **fields}
    return json.dumps({"$type": "message", "payload": payload}).encode()


def v2_post(seq: int, time: str = NOW_TEXT, text: str = "hello", **fields: Any) -> bytes:
    return v2(seq=seq, time=time, **commit(post_record(text=text)), **fields)


def v2_info(name: str, message: str = "") -> bytes:
    payload = {"$type": f"{V2}#info", "name": name, "message": message}
    return json.dumps({"$type": "message", "payload": payload}).encode()


def v2_error(name: str, message: str = "") -> bytes:
    return json.dumps({"$type": "error", "error": name, "message": message}).encode()


def cbor(value: Any) -> bytes:
    """DAG-CBOR, in which every bytes value that is a CID becomes a link (tag 42)."""
    data = libipld.encode_dag_cbor(value)
    at = 0
    while (at := data.find(b"\x58\x24\x01\x71\x12\x20", at)) >= 0:
        data = data[:at] + b"\xd8\x2a\x58\x25\x00" + data[at + 2 :]
        at += 5 + 36
    return data


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def car(*blocks: bytes) -> bytes:
    parts = [cbor({"version": 1, "roots": [cid_bytes(b"root")]})]
    parts += [cid_bytes(block) + block for block in blocks]
    return b"".join(varint(len(part)) + part for part in parts)


def firehose(kind: str, body: dict[str, Any]) -> bytes:
    return cbor({"op": 1, "t": kind}) + cbor(body)


def firehose_commit(
    *ops: tuple[str, str, Any], seq: Any = 1, time: Any = NOW_TEXT, rev: str = REV, **fields: Any
) -> bytes:
    """A #commit; an op is (action, path, record), the record an object, or bytes as they are."""
    tree = cbor({"l": None, "e": []})
    blocks, described = [tree], []
    for action, path, record in ops:
        cid = None
        if record is not None:
            blocks.append(record if isinstance(record, bytes) else cbor(record))
            cid = cid_bytes(blocks[-1])
        described.append({"action": action, "path": path, "cid": cid})
    body = {
        "seq": seq,
        "repo": DID,
        "rev": rev,
        "since": None,
        "time": time,
        "ops": described,
        "blocks": car(*blocks),
        "blobs": [],
        "commit": cid_bytes(b"commit"),
        "rebase": False,
        "tooBig": False,
    }
    return firehose("#commit", body | fields)


def firehose_post(seq: int, time: str = NOW_TEXT, text: str = "hello") -> bytes:
    return firehose_commit(("create", f"{POST}/{RKEY}", post_record(text=text)), seq=seq, time=time)


def firehose_error(name: str) -> bytes:
    return cbor({"op": -1}) + cbor({"error": name, "message": f"it is {name}"})


Script = Callable[[ServerConnection], None]
Answer = Callable[[ServerConnection, Request], Response | None]


class Server:
    """A websocket server. Its connections follow the scripts, one after the other; from the last
    one on, all follow that. When a script returns, its connection is closed."""

    def __init__(self, scripts: list[Script], answer: Answer | None) -> None:
        self.scripts = scripts
        self.answer = answer
        self.paths: list[str] = []  # of all requests, refused ones too
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def handle(self, connection: ServerConnection) -> None:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        with suppress(ConnectionClosed, OSError):
            script(connection)

    def request(self, connection: ServerConnection, request: Request) -> Response | None:
        self.paths.append(request.path)
        return self.answer(connection, request) if self.answer else None


@contextmanager
def server(*scripts: Script, answer: Answer | None = None, **options: Any) -> Iterator[Server]:
    made = Server(list(scripts), answer)
    with serve(
        made.handle,
        "127.0.0.1",
        0,
        process_request=made.request,
        compression=None,
        ping_interval=None,
        close_timeout=0.2,
        **options,
    ) as running:
        made.port = running.socket.getsockname()[1]
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            running.shutdown()
            thread.join()


@contextmanager
def tcp(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that knows nothing of websockets; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        stop = threading.Event()

        def accept() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(3)
                    with suppress(OSError):
                        handle(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def sends(*messages: bytes | str, then: str = "stay", code: int = 1000) -> Script:
    """A script: send these (bytes as text), then `stay`, `close` with the code, or `cut`."""

    def script(connection: ServerConnection) -> None:
        for message in messages:
            connection.send(message, text=True)
        end(connection, then, code)

    return script


def sends_binary(*messages: bytes, then: str = "stay", code: int = 1000) -> Script:
    def script(connection: ServerConnection) -> None:
        for message in messages:
            connection.send(message, text=False)
        end(connection, then, code)

    return script


def end(connection: ServerConnection, then: str, code: int = 1000) -> None:
    if then == "stay":
        connection.recv(timeout=None)  # until the client leaves
    elif then == "cut":
        connection.socket.shutdown(socket.SHUT_RDWR)
    else:
        connection.close(code, "bye")


def http(status: int, body: bytes = b"", **headers: str) -> Response:
    lines = Headers({"Content-Length": str(len(body)), "Connection": "close", **headers})
    return Response(status, "Said", lines, body)


def xrpc_error(name: str, message: str = "", status: int = 400) -> Response:
    return http(status, json.dumps({"error": name, "message": message}).encode())


def settings(kind: str, url: str, **fields: Any) -> Stream:
    """Settings with waits that suit a test."""
    waits = {"backoff": 0.01, "backoff_cap": 0.05, "idle": 20.0, "compress": False}
    return Stream(kind=kind, url=url, **(waits | fields))


def collect(
    source: Any,
    enough: Callable[[list[Frame]], bool] | int,
    cursor: int | None = None,
    time_us: int = 0,
    seconds: float = 8,
) -> list[Frame]:
    """Frames of a source until there are `enough`; then the source is stopped, and must stop."""
    stop = threading.Event()
    frames: list[Frame] = []
    until = time.monotonic() + seconds
    stopped = 0.0
    for frame in source.frames(cursor, time_us, stop):
        if frame is not None and not stopped:
            frames.append(frame)
        got = len(frames) >= enough if isinstance(enough, int) else enough(frames)
        if not stopped and (got or time.monotonic() > until):
            stop.set()
            stopped = time.monotonic()
    assert got, f"after {seconds} seconds there were only {frames}"
    assert time.monotonic() - stopped < 1.5
    return frames
