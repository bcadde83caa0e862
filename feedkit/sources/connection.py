"""One websocket connection, read by whoever asks for the next message, without a thread.

`websockets.sync` reads ahead in a thread of its own. Under load that thread and ingest take the
interpreter's lock from each other thousands of times a second, which measured a third of the
whole. So the socket is read here, and `websockets` does the protocol.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence

from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

READ = 1 << 18  # bytes asked of the kernel at once


class Connection:
    """An open connection. Use `connect` to get one."""

    def __init__(self, sock: socket.socket, protocol: ClientProtocol) -> None:
        self._sock = sock
        self._protocol = protocol
        self._messages: deque[bytes] = deque()
        self._parts: list[bytes] = []  # of a message that comes in fragments
        self._closed: ConnectionClosed | None = None
        self._go_on()  # with what came right behind the answer to the upgrade

    def recv(self, timeout: float) -> bytes:
        """The next message, text and binary alike as bytes. Raises TimeoutError if none comes in
        `timeout` seconds, ConnectionClosed after the last one."""
        until = 0.0
        while not self._messages:
            if self._closed is not None:
                raise self._closed
            now = time.monotonic()
            until = until or now + timeout
            if now >= until:
                raise TimeoutError
            self._sock.settimeout(until - now)
            try:
                data = self._sock.recv(READ)
            except (TimeoutError, ssl.SSLWantReadError):
                raise TimeoutError from None
            except OSError:
                data = b""
            self._take(data)
        return self._messages.popleft()

    def close(self) -> None:
        """Say goodbye, if the other side still listens, and leave."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
            self._send()
        self._sock.close()

    def _take(self, data: bytes) -> None:
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._go_on()

    def _go_on(self) -> None:
        """Do what follows from what was received."""
        self._read()
        self._send()  # pongs, and the answer to a goodbye
        if self._protocol.state is not State.OPEN:
            self._protocol.receive_eof()
            self._closed = self._protocol.close_exc

    def _read(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                continue
            assert isinstance(event, Frame)
            if event.opcode in (Opcode.TEXT, Opcode.BINARY) and event.fin:
                self._messages.append(bytes(event.data))
            elif event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._parts.append(bytes(event.data))
                if event.fin:
                    self._messages.append(b"".join(self._parts))
                    self._parts.clear()

    def _send(self) -> None:
        try:
            for data in self._protocol.data_to_send():
                if data:
                    self._sock.sendall(data)
        except OSError:  # whoever does not listen gets no answer
            pass


def connect(
    url: str, *, subprotocols: Sequence[str] = (), max_size: int, timeout: float
) -> Connection:
    """Open `url` (ws:// or wss://); `timeout` seconds for all of it. Raises what goes wrong:
    OSError, InvalidURI, InvalidHandshake (InvalidStatus if an HTTP answer came instead)."""
    until = time.monotonic() + timeout
    where = parse_uri(url)
    sock = socket.create_connection((where.host, where.port), timeout)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if where.secure:
            sock.settimeout(max(until - time.monotonic(), 0.001))
            context = ssl.create_default_context()
            sock = context.wrap_socket(sock, server_hostname=where.host)
        protocol = ClientProtocol(
            where,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            max_size=max_size,
        )
        protocol.send_request(protocol.connect())
        sock.sendall(b"".join(protocol.data_to_send()))
        _shake_hands(sock, protocol, until)
        return Connection(sock, protocol)
    except BaseException:
        sock.close()
        raise


def _shake_hands(sock: socket.socket, protocol: ClientProtocol, until: float) -> None:
    while protocol.state is State.CONNECTING and protocol.handshake_exc is None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out while waiting for the server's answer")
        sock.settimeout(left)
        data = sock.recv(READ)
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
    if protocol.handshake_exc is not None:
        raise protocol.handshake_exc
