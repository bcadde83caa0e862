"""DID documents: of a did:plc from the directory of this network, of a did:web from its host."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
import msgspec

from feedkit.auth.fetching import Failed, get
from feedkit.auth.reachable import Unreachable, addresses_of, is_public, public_name

WEB = "did:web:"


class NoDocument(Exception):
    """There is no such DID, or it names a host that is not to be asked. The message says which."""


@dataclass
class Documents:
    """`plc` is the address of the PLC directory, taken as the operator wrote it. The rest says how
    the host of a did:web is found and asked; nothing but a test changes that."""

    plc: str
    addresses_of: Callable[[str], Sequence[str]] = addresses_of
    is_allowed: Callable[[str], bool] = is_public
    port: int = 443

    @cached_property
    def tls(self) -> ssl.SSLContext:
        return httpx.create_ssl_context()

    def fetch(self, did: str, deadline: float) -> dict[str, Any]:
        """The document of `did` (did:plc, or did:web with a domain name), before `deadline`
        (`time.monotonic`). Raises `NoDocument`, or `Failed` where another time may do better."""
        if did.startswith(WEB):
            status, body = self._web(did.removeprefix(WEB), deadline)
        else:
            status, body = get(f"{self.plc.rstrip('/')}/{did}", deadline, self.tls)
        if status in (404, 410):
            raise NoDocument(f"there is no {did}")
        if status != 200:
            raise Failed(f"the answer was status {status}")
        try:
            document = msgspec.json.decode(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise Failed("the answer is no JSON object")
        return document

    def _web(self, host: str, deadline: float) -> tuple[int, bytes]:
        try:
            public_name(host)
        except Unreachable as error:
            raise NoDocument(str(error)) from error
        try:
            addresses = self.addresses_of(host)
        except (OSError, UnicodeError) as error:
            raise Failed(f"{host} cannot be found ({error})") from error
        # One address that is not public is one too many: the next answer may hold only that one.
        if not addresses or not all(map(self.is_allowed, addresses)):
            raise NoDocument(f"{host} is no host of the public internet")
        port = "" if self.port == 443 else f":{self.port}"
        url = f"https://{host}{port}/.well-known/did.json"
        status, body = get(url, deadline, self.tls, addresses)
        if 300 <= status < 400:
            raise NoDocument(f"{host} redirects, which a did:web may not")
        return status, body
