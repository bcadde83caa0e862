"""One GET, with an end to everything: time in all, size, no redirects, no proxies."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore

import feedkit

LARGEST = 65_536  # bytes of an answer

_FAILURES = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    OSError,
    ValueError,
)


class Failed(Exception):
    """No answer, or none that is fit to read. The message says why."""


def get(
    url: str, deadline: float, tls: ssl.SSLContext, addresses: Sequence[str] | None = None
) -> tuple[int, bytes]:
    """Status and body of `url`; both before `deadline` (`time.monotonic`). Of `addresses`, where
    given, the first that answers is asked, and the name in the URL is not resolved again: it stays
    what the Host header and the certificate are about. Raises `Failed`."""
    headers: dict[bytes | str, bytes | str] = {
        "accept": "application/did+ld+json, application/json",
        "accept-encoding": "identity",  # a small body must stay small
        "user-agent": f"feedkit/{feedkit.__version__}",
    }
    backend = _Backend(deadline, addresses)
    try:
        with (
            httpcore.ConnectionPool(ssl_context=tls, network_backend=backend) as pool,
            pool.stream("GET", url, headers=headers) as answer,
        ):
            body = bytearray()
            for piece in answer.iter_stream():
                body += piece
                if len(body) > LARGEST:
                    raise Failed(f"the answer has more than {LARGEST:,} bytes")
            return answer.status, bytes(body)
    except _FAILURES as error:
        raise Failed(str(error) or type(error).__name__) from error


def _left(deadline: float) -> float:
    """Seconds until `deadline`; raises where it is over."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("it took too long")
    return left


class _Backend(httpcore.NetworkBackend):
    """Connects to `addresses` whatever the name, and lets nothing outlast `deadline`: httpcore's
    own limits are for each read, so that a byte now and then would hold us for ever."""

    def __init__(self, deadline: float, addresses: Sequence[str] | None) -> None:
        self._deadline, self._addresses = deadline, addresses
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception | None = None
        addresses = (host,) if self._addresses is None else self._addresses
        for untried, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                left = _left(self._deadline) / untried
                return _Stream(self._inner.connect_tcp(address, port, left), self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secure = self._inner.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _Stream(secure, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
