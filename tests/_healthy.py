"""A whole service on loopback that is well: PLC, AppView, PDS and the service over HTTP, a store
with posts and rankings, a stream. Each test of `doctor` then breaks one thing."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ALICE = "did:plc:alice234567abcdefghijkl2"
SERVICE = "did:plc:servic234567abcdefghijk2"
GENERATOR = "app.bsky.feed.generator"
POST = f"at://{ALICE}/app.bsky.feed.post/3mptbyoeyc22k"
NAMES = ("plain", "ranked")


def uri(name: str) -> str:
    return f"at://{ALICE}/{GENERATOR}/{name}"


class World:
    """`answers`: (status, body[, headers]) by method or path, in place of the right answer;
    `hosts`: what the service is reached by; `date`: seconds by which the servers' clock is
    ahead; `slow`: seconds before an answer, by method or path."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.slow: dict[str, float] = {}
        self.date = 0.0
        self.url = self.endpoint = ""
        self.names = list(NAMES)
        self.records = {
            name: {"$type": GENERATOR, "did": SERVICE, "displayName": name,
                   "createdAt": "2026-01-01T00:00:00.000Z"}
            for name in NAMES
        }  # fmt: skip

    def document(self, did: str, name: str, kind: str, endpoint: str) -> dict[str, Any]:
        return {"id": did, "service": [{"id": name, "type": kind, "serviceEndpoint": endpoint}]}

    def answer(self, what: str, query: dict[str, list[str]]) -> Any:
        if what in self.answers:
            return self.answers[what]
        match what:
            case "did:plc:alice234567abcdefghijkl2":
                return 200, self.document(
                    ALICE, "#atproto_pds", "AtprotoPersonalDataServer", self.url
                )
            case "did:plc:servic234567abcdefghijk2":
                return 200, self.document(
                    SERVICE, "#bsky_fg", "BskyFeedGenerator", self.endpoint or self.url
                )
            case "com.atproto.identity.resolveHandle":
                if query["handle"] == ["alice.test"]:
                    return 200, {"did": ALICE}
                return 400, {"error": "InvalidRequest", "message": "Unable to resolve handle"}
            case "com.atproto.repo.listRecords":
                records = [
                    {"uri": uri(name), "cid": f"bafy{name}", "value": value}
                    for name, value in self.records.items()
                ]
                return 200, {"records": records}
            case "_health":
                return 200, {"status": "ok", "version": "1"}
            case "app.bsky.feed.describeFeedGenerator":
                return 200, {"did": SERVICE, "feeds": [{"uri": uri(name)} for name in self.names]}
            case "app.bsky.feed.getFeedSkeleton":
                return 200, {"feed": [{"post": POST}], "cursor": "x"}
            case "app.bsky.feed.getFeedGenerator":
                return 200, {"view": {"did": SERVICE}, "isOnline": True, "isValid": True}
            case "app.bsky.feed.getFeed":
                return 200, {"feed": [{"post": {"uri": POST}}]}
        return 404, {"error": "NotFound", "message": f"no {what}"}

    @contextmanager
    def serving(self, tls: ssl.SSLContext | None = None) -> Iterator[str]:
        """The address of a server that answers so."""
        world = self

        class Handler(BaseHTTPRequestHandler):
            disable_nagle_algorithm = True  # else an answer in two writes takes 40 ms

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                what = parts.path.rpartition("/")[2]
                time.sleep(world.slow.get(what, 0))
                status, body, *more = world.answer(what, parse_qs(parts.query))
                sent = body if isinstance(body, bytes) else json.dumps(body).encode()
                headers = {"content-type": "application/json", **(more[0] if more else {})}
                try:
                    self.send_response(status)
                    for name, value in {**headers, "content-length": str(len(sent))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(sent)
                except OSError:  # who asked has gone
                    self.close_connection = True

            def date_time_string(self, timestamp: float | None = None) -> str:
                return formatdate(time.time() + world.date, usegmt=True)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: Any) -> None:
                pass  # a client that minds our certificate

        server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            server.socket = tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            host = "localhost" if tls else "127.0.0.1"
            yield f"{'https' if tls else 'http'}://{host}:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class Authority:
    """Somebody who signs certificates; `file` is its own, for those who believe it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority")])
        self.file = folder / "authority.pem"
        made = self._certificate(self._name, self._key, None, timedelta(days=1), authority=True)
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def context(
        self, host: str = "localhost", good_for: timedelta = timedelta(days=60), alone: bool = False
    ) -> ssl.SSLContext:
        """For a server with a certificate for `host`; `alone`: signed by itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        made = self._certificate(name, key, host, good_for, alone=alone)
        file = self._folder / "server.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _certificate(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, host: str | None,
        good_for: timedelta, alone: bool = False, authority: bool = False,
    ) -> x509.Certificate:  # fmt: skip
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name if alone else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=90))
            .not_valid_after(now + good_for)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(  # Python 3.13 refuses a certificate that does not name its issuer's key
                x509.AuthorityKeyIdentifier.from_issuer_public_key(
                    (key if alone else self._key).public_key()
                ),
                critical=False,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        if authority:
            builder = builder.add_extension(_signs(), critical=True)
        if host:
            names = x509.SubjectAlternativeName([x509.DNSName(host)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(key if alone else self._key, hashes.SHA256())


def _signs() -> x509.KeyUsage:
    """What the key of an authority is for."""
    uses = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
         "key_agreement", "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    return x509.KeyUsage(**uses, key_cert_sign=True, crl_sign=True)
