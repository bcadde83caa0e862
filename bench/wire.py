"""Events as a Jetstream server sends them.

`write(folder, n)` makes websocket bytes of `n` made-up events in the proportions of the network
(60 % likes, 8 % posts, 10 % reposts, 15 % follows); `python wire.py FILE PORT` sends them to every
client, `python wire.py live PORT 500` events that happen now. Server frames need no mask, so sending
costs next to nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import mmap
import random
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path

from feedkit.demo import events as sample
from feedkit.demo import iso, make_cid, make_did, make_rkey, tid

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
START = 1_767_225_600_000_000
STEP = 1_500  # microseconds between two events
MIX = {"like": 60, "post": 8, "repost": 10, "follow": 15, "unlike": 3, "account": 2, "identity": 2}


def messages(at: Callable[[int], int]) -> Iterator[bytes]:
    """Messages of a Jetstream without an end; `at` gives the time of each (µs since 1970)."""
    rnd = random.Random(1)
    posts = [e["commit"]["record"] for e in sample() if e["commit"]["collection"].endswith(".post")]
    posts = [{k: v for k, v in post.items() if k != "reply"} for post in posts]
    known: list[dict[str, str]] = []
    likes: list[tuple[str, str]] = []
    for number in count():
        time = at(number)
        kind = rnd.choices(list(MIX), MIX.values())[0]
        payload = {
            "seq": number + 1,
            "did": make_did("actor", rnd.randrange(50_000)),
            "time": iso(time),
        }
        commit = {
            "rev": tid(time),
            "operation": "create",
            "rkey": make_rkey(str(number)),
            "cid": make_cid(str(number)),
        }
        if kind in ("account", "identity"):
            active = {"active": True} if kind == "account" else {}
            payload |= {kind: {"did": payload["did"], "seq": number, "time": iso(time), **active}}
        elif kind == "post":
            record = {
                "$type": "app.bsky.feed.post",
                **rnd.choice(posts),
                "createdAt": iso(time),
            }
            payload |= commit | {"collection": "app.bsky.feed.post", "record": record}
            uri = f"at://{payload['did']}/app.bsky.feed.post/{commit['rkey']}"
            known.append({"uri": uri, "cid": commit["cid"]})
        elif kind == "unlike" and likes:
            did, rkey = likes.pop(rnd.randrange(len(likes)))
            del commit["cid"]
            payload |= commit | {
                "did": did,
                "operation": "delete",
                "rkey": rkey,
                "collection": "app.bsky.feed.like",
            }
        elif kind == "follow":
            record = {
                "subject": make_did("actor", rnd.randrange(50_000)),
                "createdAt": iso(time),
            }
            payload |= commit | {"collection": "app.bsky.graph.follow", "record": record}
        else:  # more than half of the network's likes are for posts from before
            kind = "like" if kind == "unlike" else kind
            subject = {
                "uri": f"at://{make_did('old', rnd.randrange(9999))}/app.bsky.feed.post/{make_rkey(str(rnd.random()))}",
                "cid": make_cid("old"),
            }
            if known and rnd.random() < 0.4:
                subject = known[-min(int(rnd.paretovariate(0.5)), len(known))]  # the newest, mostly
            record = {
                "$type": f"app.bsky.feed.{kind}",
                "subject": subject,
                "createdAt": iso(time),
            }
            payload |= commit | {"collection": f"app.bsky.feed.{kind}", "record": record}
            if kind == "like":
                likes.append((payload["did"], commit["rkey"]))
        name = "commit" if "rev" in payload else kind
        payload["$type"] = f"network.bsky.jetstream.subscribeEvents#{name}"
        text = json.dumps({"$type": "message", "payload": payload}, ensure_ascii=False)
        yield _frame(text.encode())


def write(folder: Path, n: int) -> Path:
    """The file with `n` events, made if it is not there yet."""
    target = folder / f"jetstream-{n}.ws"
    if not target.exists():
        partial = target.with_suffix(".part")
        with partial.open("wb") as out:
            out.writelines(islice(messages(lambda number: START + number * STEP), n))
        partial.rename(target)
    return target


def _frame(data: bytes) -> bytes:
    size = len(data)
    if size < 126:
        return bytes((0x81, size)) + data
    if size < 65_536:
        return b"\x81\x7e" + struct.pack(">H", size) + data
    return b"\x81\x7f" + struct.pack(">Q", size) + data


def serve(port: int, send: Callable[[socket.socket], None]) -> None:
    """Let `send` send to one client after the other, and wait for each to leave."""
    server = socket.create_server(("127.0.0.1", port))
    print("ready", flush=True)
    while True:
        client, _ = server.accept()
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            lines = dict(h.split(b": ", 1) for h in head.split(b"\r\n")[1:] if b": " in h)
            key = next(v for k, v in lines.items() if k.lower() == b"sec-websocket-key")
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            client.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Protocol: xrpc.v1.json\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            try:
                send(client)
                while client.recv(4096):
                    pass
            except OSError:
                pass


def from_file(file: Path) -> Callable[[socket.socket], None]:
    """Sends all of `file`, as fast as the client reads."""

    def send(client: socket.socket) -> None:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as m:
            client.sendall(m)

    return send


def live(pace: float) -> Callable[[socket.socket], None]:
    """Sends `pace` events a second that happen now, without an end."""
    events = messages(lambda number: time.time_ns() // 1000)

    def send(client: socket.socket) -> None:
        began = time.monotonic()
        for sent, event in enumerate(events, 1):
            client.sendall(event)
            time.sleep(max(0.0, began + sent / pace - time.monotonic()))

    return send


if __name__ == "__main__":  # FILE PORT, or: live PORT EVENTS-A-SECOND
    what, on = sys.argv[1], int(sys.argv[2])
    serve(on, live(float(sys.argv[3])) if what == "live" else from_file(Path(what)))
