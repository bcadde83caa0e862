"""What may stand before a PostgreSQL: TLS, with certificates made for the purpose, and PgBouncer."""

from __future__ import annotations

import asyncio
import datetime
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from _network import free_port
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SSL_REQUEST = bytes.fromhex("0000000804d2162f")


def certificates(folder: Path) -> None:
    """`ca.pem`, and `server.pem` and `server.key` by it for the name localhost; `other.pem` is a CA
    that made none of them."""
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)

    def sign(name, key, issuer, by, *extensions):
        made = x509.CertificateBuilder(
            issuer, name, key.public_key(), x509.random_serial_number(), now - day, now + day
        )
        for extension in extensions:
            made = made.add_extension(extension, critical=False)
        return made.sign(by, hashes.SHA256())

    def named(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    authority = x509.BasicConstraints(ca=True, path_length=None)
    ca, other, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    found = {
        "ca.pem": sign(named("A CA"), ca, named("A CA"), ca, authority),
        "other.pem": sign(named("Another CA"), other, named("Another CA"), other, authority),
        "server.pem": sign(
            named("localhost"), own, named("A CA"), ca,
            x509.SubjectAlternativeName([x509.DNSName("localhost")]),
        ),
    }  # fmt: skip
    for file, certificate in found.items():
        (folder / file).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        own.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def socket_of(url: str) -> str:
    """The folder of the socket of the server at `url`."""
    return parse_qs(urlsplit(url).query)["host"][0]


@contextmanager
def tls_before(url: str, folder: Path | None) -> Iterator[int]:
    """A port before the server at `url` where TLS ends, with `server.pem` of `folder`; nobody gets
    in without TLS. Without a folder: the port of a server that speaks none."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if folder:
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
    ready, port = threading.Event(), free_port()

    async def pump(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def serve(reader, writer):
        writers = [writer]
        try:
            first = await reader.readexactly(8)
            if first == SSL_REQUEST and folder is None:
                writer.write(b"N")
                first = await reader.read(65536)  # what it says now, if it stays
            elif first == SSL_REQUEST:
                writer.write(b"S")
                await writer.drain()
                await writer.start_tls(context)
                first = b""
            else:
                said = (
                    b'SFATAL\0C28000\0Mno pg_hba.conf entry for host "127.0.0.1", no encryption\0\0'
                )
                writer.write(b"E" + (len(said) + 4).to_bytes(4, "big") + said)
                await writer.drain()
                return
            there, back = await asyncio.open_unix_connection(f"{socket_of(url)}/.s.PGSQL.5432")
            writers.append(back)
            back.write(first)
            await asyncio.gather(pump(reader, back), pump(there, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for one in writers:
                one.transport.abort()

    async def main():
        nonlocal stop
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()

        def stop():
            loop.call_soon_threadsafe(stopped.set)

        async with await asyncio.start_server(serve, "127.0.0.1", port):
            ready.set()
            await stopped.wait()

    stop = None
    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield port
    finally:
        stop()
        thread.join(10)


def openssl_server() -> Path | None:
    """The folder of a PostgreSQL on this machine that speaks TLS itself."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        said = subprocess.run([folder / "pg_config", "--configure"], capture_output=True, text=True)
        if "--with-openssl" in said.stdout or "--with-ssl" in said.stdout:
            return folder
    return None


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder that other users may enter; pytest's own is for its user alone."""
    folder = Path(tempfile.mkdtemp(prefix="feedkit-pg-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def tls_server(programs: Path, certs: Path) -> Iterator[int]:
    """The port of a PostgreSQL that takes connections with TLS only, user and database
    `postgres`. The user `locked`, whom nobody made, needs a password."""
    with own_folder() as folder:
        yield from _tls_server(programs, certs, folder)


def _tls_server(programs: Path, certs: Path, folder: Path) -> Iterator[int]:
    user = "postgres" if os.geteuid() == 0 else None
    data, log, port = folder / "data", folder / "log", free_port()
    data.mkdir()
    if user:
        shutil.chown(data, user)
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8"],
        check=True, capture_output=True, user=user, cwd="/",
    )  # fmt: skip
    for name in ("server.pem", "server.key"):
        shutil.copy(certs / name, data)
        (data / name).chmod(0o600)
        if user:
            shutil.chown(data / name, user)
    (data / "pg_hba.conf").write_text(
        "hostssl all locked 127.0.0.1/32 scram-sha-256\nhostssl all all 127.0.0.1/32 trust\n"
    )
    settings = {
        "ssl": "on", "ssl_cert_file": "server.pem", "ssl_key_file": "server.key", "fsync": "off",
        "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
    }  # fmt: skip
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with log.open("w") as file:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-p", str(port), *words],
            stdout=file, stderr=file, user=user, cwd="/",
        )  # fmt: skip
    try:
        until = time.monotonic() + 30
        while "ready to accept" not in log.read_text():
            assert server.poll() is None and time.monotonic() < until, log.read_text()  # noqa: PT018
            time.sleep(0.05)
        yield port
    finally:
        server.send_signal(signal.SIGINT)  # waits for no client
        server.wait(30)


@contextmanager
def bouncer(url: str, mode: str, users: Iterable[str] = ()) -> Iterator[int]:
    """The port of a PgBouncer before the server at `url`, which lets in `users`, and `postgres`."""
    with own_folder() as folder:
        yield from _bouncer(url, folder, mode, users)


def _bouncer(url: str, folder: Path, mode: str, users: Iterable[str]) -> Iterator[int]:
    port, log = free_port(), folder / "pgbouncer.log"
    options = {
        "listen_addr": "127.0.0.1", "listen_port": port, "unix_socket_dir": "",
        "auth_type": "trust", "auth_file": folder / "users.txt", "pool_mode": mode,
        "server_idle_timeout": 2,
        "default_pool_size": 40 if mode == "session" else 10,  # each keeps its own, in a session
    }  # fmt: skip
    (folder / "users.txt").write_text("".join(f'"{name}" ""\n' for name in ("postgres", *users)))
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\npostgres = host={socket_of(url)} port=5432\n[pgbouncer]\n"
        + "".join(f"{name} = {value}\n" for name, value in options.items())
    )
    user = Path(socket_of(url)).owner() if os.geteuid() == 0 else None  # it refuses to be root
    with log.open("w") as file:
        process = subprocess.Popen(
            [shutil.which("pgbouncer"), folder / "pgbouncer.ini"],
            stdout=file, stderr=file, user=user, cwd="/",
        )  # fmt: skip
    try:
        until = time.monotonic() + 30
        while "process up" not in log.read_text():
            assert process.poll() is None and time.monotonic() < until, log.read_text()  # noqa: PT018
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait(30)
