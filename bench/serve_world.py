"""What bench/serve.py measures against: a store of 50,000 posts, viewers with tokens and their DID
documents, and the rivals."""

from __future__ import annotations

import base64
import json
import random
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

POSTS, VIEWERS, AUTHORS, PAGE = 50_000, 6_000, 2_000, 30
PUBLISHER = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
HOST = "feeds.example.com"
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def did(kind: str, number: int) -> str:
    return f"did:plc:{kind}{number:0{24 - len(kind)}}".replace("0", "a").replace("1", "b").replace(
        "8", "c").replace("9", "d")  # fmt: skip


def configure(folder: Path, plc: str, stream: str) -> Path:
    """A configuration with a feed of each kind: by time, ranked, and personal."""
    every = {"language": {"languages": ["en"]}}
    config = {
        "service": {"hostname": HOST, "publisher": PUBLISHER},
        "store": f"sqlite:///{folder}/feedkit.db",
        "stream": {"jetstream": {"url": stream, "compress": "false"}},
        "network": {"plc": plc},
        "feeds": {
            "new": {"filter": every, "keep": "30d"},
            "best": {"filter": every, "rank": "gravity", "keep": "30d"},
            "mine": {"filter": every, "rank": "affinity", "viewer": ["not_interested"],
                     "keep": "30d", "accepts_interactions": True},
            "friends": {"filter": every, "rank": "gravity", "viewer": ["follows"], "keep": "30d"},
        },
    }  # fmt: skip
    path = folder / "config.yaml"
    path.write_text(json.dumps(config), "utf-8")  # JSON is YAML
    return path


def fill(config: Path) -> list[str]:
    """50,000 posts by 2,000 authors with some likes, a ranking of them, and what is known of the
    viewers. Returns cursors that lead deep into the ranked feed."""
    from feedkit.config import load_config
    from feedkit.event import Engaged, PostWritten
    from feedkit.post import Post
    from feedkit.ranking import take_snapshot
    from feedkit.store import open_store

    service, rnd = load_config(config), random.Random(1)
    now = datetime.now(UTC)
    with open_store(service.store) as store:
        store.migrate()
        store.sync_feeds({name: feed.filter.fingerprint() for name, feed in service.feeds.items()})
        uris = []
        for start in range(0, POSTS, 500):
            batch = []
            for n in range(start, start + 500):
                at = now - timedelta(seconds=2 * (POSTS - n))
                author = did("author", rnd.randrange(AUTHORS))
                uri = f"at://{author}/app.bsky.feed.post/3k{n:011}"
                uris.append(uri)
                post = Post(
                    uri=uri, author=author, text=f"post {n} about this and that " * 3,
                    langs=("en",), created_at=at, seen_at=at, sort_at=at,
                )  # fmt: skip
                us = int(at.timestamp() * 1e6)
                batch.append((PostWritten(post, f"3{n:012}", True, us), frozenset(service.feeds)))
            store.apply(batch, "bench", start + 1, us, service.engagement)
        likes = []
        for n in range(10 * VIEWERS):
            actor = did("viewer", rnd.randrange(VIEWERS))
            likes.append((Engaged(
                f"at://{actor}/app.bsky.feed.like/3k{n:011}", "like", actor,
                uris[-1 - int(rnd.paretovariate(0.3)) % 3_000], us), frozenset()))  # fmt: skip
        for start in range(0, len(likes), 500):
            store.apply(likes[start : start + 500], "bench", POSTS + start, us, service.engagement)
        for n in range(VIEWERS):
            follows = [did("author", number) for number in rnd.sample(range(AUTHORS), 200)]
            store.viewers.asked(did("viewer", n), us, missing=True)
            store.viewers.save(did("viewer", n), {"follows": follows}, us, us + 10**12, "")
        take_snapshot(store, service.feeds["best"])
        version = store.latest_version("best")
        ids = store.version_slice(version.id, 0, version.size)
        return [f"{version.id}.{place}.{ids[place - 1]}" for place in range(60, version.size - 60)]


def time_cursors(folder: Path, first: int, last: int, many: int = 20_000) -> list[str]:
    """Cursors into the newest-first feed, after a post between these places."""
    import sqlite3

    with sqlite3.connect(folder / "feedkit.db") as db:
        rows = db.execute(
            "SELECT sort_at, post_id FROM hits WHERE feed_id = (SELECT id FROM feeds WHERE name = "
            "'new') ORDER BY sort_at DESC, post_id DESC LIMIT ? OFFSET ?",
            (last - first, first),
        ).fetchall()
    return [f"0.{at}.{id}" for at, id in random.Random(2).sample(rows, min(many, len(rows)))]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def multibase(data: bytes) -> str:
    number, text = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return f"z{text}"


class Plc:
    """A PLC directory on loopback, in which all viewers have the same key; and their tokens."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        self.key = ec.generate_private_key(ec.SECP256K1())
        point = self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
        )
        multikey = multibase(b"\xe7\x01" + point)

        class Answers(BaseHTTPRequestHandler):
            disable_nagle_algorithm = True  # else an answer in two writes takes 40 ms

            def do_GET(self) -> None:
                who = self.path.strip("/")
                body = json.dumps({
                    "id": who,
                    "verificationMethod": [{
                        "id": f"{who}#atproto", "type": "Multikey", "controller": who,
                        "publicKeyMultibase": multikey,
                    }],
                }).encode()  # fmt: skip
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def token(self, who: str, seconds: int = 240) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        now = int(time.time())
        head = {"typ": "JWT", "alg": "ES256K"}
        body = {
            "iss": who, "aud": f"did:web:{HOST}", "lxm": "app.bsky.feed.getFeedSkeleton",
            "iat": now, "exp": now + seconds, "jti": f"{random.random()}",
        }  # fmt: skip
        signed = ".".join(b64(json.dumps(part).encode()) for part in (head, body))
        r, s = utils.decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
        s = min(s, order - s)
        return f"{signed}.{b64(r.to_bytes(32) + s.to_bytes(32))}"
