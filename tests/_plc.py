"""A PLC directory on loopback, accounts with real keys, and the tokens that they sign."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import libipld
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256K1,
    SECP256R1,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SERVICE_DID = "did:web:feeds.example.com"
SKELETON = "app.bsky.feed.getFeedSkeleton"
NOW = 1_800_000_000

_KINDS = {
    "ES256K": (SECP256K1(), b"\xe7\x01", "EcdsaSecp256k1VerificationKey2019"),
    "ES256": (SECP256R1(), b"\x80\x24", "EcdsaSecp256r1VerificationKey2019"),
}
_ORDERS = {
    "ES256K": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
}


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def plc_did(number: int) -> str:
    return "did:plc:" + base64.b32encode(number.to_bytes(15, "big")).decode().lower()


class Account:
    """`style`: how its document writes the key, multikey or old."""

    def __init__(self, did: str = plc_did(1), algorithm: str = "ES256K", style: str = "multikey"):
        self.did, self.algorithm, self.style = did, algorithm, style
        self.rotate()

    def rotate(self, algorithm: str = "") -> None:
        self.algorithm = algorithm or self.algorithm
        self.key = generate_private_key(_KINDS[self.algorithm][0])

    def point(self, form: PublicFormat = PublicFormat.CompressedPoint) -> bytes:
        return self.key.public_key().public_bytes(Encoding.X962, form)

    def method(self, name: str = "#atproto") -> dict[str, str]:
        _, prefix, old = _KINDS[self.algorithm]
        multikey = self.style == "multikey"
        point = self.point() if multikey else self.point(PublicFormat.UncompressedPoint)
        return {
            "id": name,
            "type": "Multikey" if multikey else old,
            "controller": self.did,
            "publicKeyMultibase": libipld.encode_multibase(
                "z", prefix + point if multikey else point
            ),
        }

    def document(self, name: str = "#atproto") -> dict[str, Any]:
        return {"id": self.did, "alsoKnownAs": [], "verificationMethod": [self.method(name)]}

    def sign(self, data: bytes, high_s: bool = False, der: bool = False) -> bytes:
        raw = self.key.sign(data, ECDSA(SHA256()))
        r, s = decode_dss_signature(raw)
        order = _ORDERS[self.algorithm]
        s = max(s, order - s) if high_s else min(s, order - s)
        return raw if der else r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def token(self, header: dict[str, Any] | None = None, without: str = "", **claims: Any) -> str:
        """A good token but for what is given; `without` names what is left out."""
        head = {"typ": "JWT", "alg": self.algorithm, **(header or {})}
        body = {
            "iss": self.did, "aud": SERVICE_DID, "lxm": SKELETON,
            "iat": NOW, "exp": NOW + 60, "jti": "x", **claims,
        }  # fmt: skip
        return self.signed(
            *(
                json.dumps({k: v for k, v in part.items() if k != without}).encode()
                for part in (head, body)
            )
        )

    def signed(self, head: bytes, body: bytes, **how: bool) -> str:
        text = f"{base64url(head)}.{base64url(body)}"
        return f"{text}.{base64url(self.sign(text.encode(), **how))}"


class FakePLC:
    """`documents` by DID; `status`: what it answers to everything, 0 for as usual; `slow`: seconds
    before every answer; `drip`: seconds between two bytes of it. `asked`: every DID asked for."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.status, self.slow, self.drip = 0, 0.0, 0.0
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []
        self.hosts: list[str] = []
        self.most = 0  # requests at one time
        self.at_once = 0
        self.address, self.port = "", 0
        self._lock = threading.Lock()

    def add(self, *accounts: Account) -> None:
        for account in accounts:
            self.documents[account.did] = account.document()

    @contextmanager
    def serving(self, tls: Any = None) -> Iterator[FakePLC]:
        plc = self

        class Handler(BaseHTTPRequestHandler):
            disable_nagle_algorithm = True  # else an answer in two writes takes 40 ms

            def do_GET(self) -> None:
                did = self.path.removeprefix("/")
                with plc._lock:
                    plc.asked.append(did)
                    plc.hosts.append(self.headers["host"])
                    plc.at_once += 1
                    plc.most = max(plc.most, plc.at_once)
                try:
                    time.sleep(plc.slow)
                    self.answer(plc.documents.get(did))
                except OSError:  # who asked has gone
                    pass
                finally:
                    with plc._lock:
                        plc.at_once -= 1

            def answer(self, document: Any) -> None:
                status = plc.status or (404 if document is None else 200)
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                for name, value in plc.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if not plc.drip:
                    self.wfile.write(body)
                for byte in body if plc.drip else b"":
                    self.wfile.write(bytes([byte]))
                    time.sleep(plc.drip)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that minds our certificate

        server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        self.port = server.server_port
        self.address = f"http://127.0.0.1:{self.port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
