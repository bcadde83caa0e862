"""One question over HTTP, with an end to it, and in words why there is no answer."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

import feedkit
from feedkit.asking import object_in
from feedkit.doctor.verdict import NoAnswer

LONGEST = 8.0  # seconds for an answer
LARGEST = 5_000_000  # bytes of an answer

_CHAIN = (
    "nobody whom one knows here has signed the certificate; if the server sends its own "
    "certificate alone, give it the full chain (fullchain.pem); if not, get one that everybody "
    "believes"
)
# X509_V_ERR_… (OpenSSL's verify_code) → what to do.
_CERTIFICATES = {
    9: "the certificate is not valid yet; check the clocks of both machines",
    10: "the certificate has expired; renew it, and see why that was not done by itself",
    18: "the certificate is signed by itself alone; get one that everybody believes: Caddy does so "
    "by itself, certbot by hand",
    19: "the certificate's root is one that nobody else knows; get one that everybody believes: "
    "Caddy does so by itself, certbot by hand",
    20: _CHAIN,
    21: _CHAIN,
    62: "the certificate is for another name; get one for this host name, or correct service: "
    "hostname",
}


class Answer(NamedTuple):
    """An HTTP answer. `seconds`: how long it took; `received`: when, seconds since 1970; `days`:
    how long the certificate is still good, None without TLS; `ending`: whether that is the last
    tenth of its life, in which it should have been renewed."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    received: float
    days: float | None
    ending: bool

    @property
    def object(self) -> dict[str, Any]:
        """The JSON object in it; empty where there is none."""
        return object_in(self.body) or {}

    @property
    def told(self) -> str:
        """The status, with the error and the message of an XRPC error."""
        parts = [self.object.get("error"), self.object.get("message")]
        said = ": ".join(" ".join(one.split())[:200] for one in parts if isinstance(one, str))
        return f"status {self.status}" + (f" ({said})" if said else "")


class Asker:
    """Asks over HTTP. Follows no redirection: neither does the app."""

    def __init__(self) -> None:
        self._client = httpx.Client(
            timeout=LONGEST, headers={"user-agent": f"feedkit/{feedkit.__version__}"}
        )

    def close(self) -> None:
        self._client.close()

    def ask(self, url: str, **params: str) -> Answer:
        """What the server answers. Raises `NoAnswer`."""
        began = time.monotonic()
        body = b""
        try:
            with self._client.stream("GET", url, params=params or None) as answer:
                days, ending = _life(answer)  # once the answer is read the connection may be closed
                for piece in answer.iter_bytes():
                    body += piece
                    if len(body) > LARGEST:
                        raise NoAnswer(
                            f"{_origin(url)} answers with more than {LARGEST:,} bytes",
                            "see what is there: it is not what feedkit asks for",
                        )
                    if time.monotonic() - began > LONGEST:
                        raise httpx.ReadTimeout("")
                seconds = time.monotonic() - began
                return Answer(
                    answer.status_code, answer.headers, body, seconds, time.time(), days, ending
                )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _explained(url, error) from error


def _origin(url: str) -> str:
    return "{0.scheme}://{0.netloc}".format(urlsplit(url))


def _life(answer: httpx.Response) -> tuple[float | None, bool]:
    """`days` and `ending` of an `Answer`."""
    stream = answer.extensions.get("network_stream")
    tls = stream.get_extra_info("ssl_object") if stream is not None else None
    found = (tls.getpeercert() or {}) if tls is not None else {}
    if not {"notBefore", "notAfter"} <= found.keys():
        return None, False
    begin, end = (ssl.cert_time_to_seconds(found[key]) for key in ("notBefore", "notAfter"))
    left = end - time.time()
    return left / 86_400, left < (end - begin) / 10


def _explained(url: str, error: Exception) -> NoAnswer:
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    cause = _cause(error)
    if isinstance(cause, socket.gaierror):
        if cause.errno == socket.EAI_AGAIN:
            return NoAnswer(
                f"the DNS could not be asked for {host}", "check this machine's connection"
            )
        return NoAnswer(
            f"the DNS does not know {host}",
            "add the record that your host names (A, AAAA or CNAME), wait until it is spread, or "
            "correct the name in the configuration",
        )
    if isinstance(cause, ssl.SSLCertVerificationError):
        meaning = _CERTIFICATES.get(
            cause.verify_code, f"the certificate is refused: {cause.verify_message}; renew it"
        )
        said, _, remedy = meaning.partition("; ")
        return NoAnswer(f"{_origin(url)}: {said}", remedy)
    if isinstance(cause, ssl.SSLError):
        return NoAnswer(
            f"{_origin(url)}: what answers at port {port} does not speak TLS "
            f"({cause.reason or cause})",
            "put a proxy with a certificate before feedkit: a PaaS has one, for a server there is "
            "Caddy",
        )
    if isinstance(cause, ConnectionRefusedError):
        return NoAnswer(
            f"{_origin(url)}: nothing listens at port {port}",
            "start the web process (`feedkit serve`), and the proxy before it",
        )
    if isinstance(error, httpx.TimeoutException):
        return NoAnswer(
            f"{_origin(url)} gives no answer within {LONGEST:.0f} s",
            f"see whether the process hangs, and whether a firewall lets port {port} through",
        )
    said = str(cause).strip() or type(cause).__name__
    return NoAnswer(f"{_origin(url)} cannot be asked ({said})", "check the connection")


def _cause(error: BaseException) -> BaseException:
    """The innermost reason."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error
