"""Where a token may lead: to hosts of the public internet, and nowhere else.

A did:web names a host, and anyone can write a token in its name. Without this, a stranger could
make us ask our own database, a neighbour, or a cloud's metadata service.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

# atproto.com/specs/handle, whose rules hold for a did:web too; `test` is for development.
_NO_TOP = frozenset(
    {"alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"}
)
# Beyond what `is_global` knows in every Python: IANA's registries of special-purpose addresses.
_SPECIAL = tuple(
    ip_network(written)
    for written in (
        "192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
)  # fmt: skip
_UNICAST = IPv6Network("2000::/3")  # all that is handed out to anyone
_NAT64 = IPv6Network("64:ff9b::/96")  # an IPv4 address in its last 32 bits


class Unreachable(Exception):
    """This host is not to be asked. The message says why."""


def public_name(host: str) -> str:
    """`host` (a domain name in ASCII), if its top level is one of the public internet. Raises
    `Unreachable`."""
    if len(host) > 253 or host.rpartition(".")[2].lower() in _NO_TOP:
        raise Unreachable(f"{host[:100]} is no host of the public internet")
    return host


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet: not private, loopback, link-local,
    multicast, reserved, shared (CGNAT), nor an IPv6 address that wraps such an IPv4 one."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip in _NAT64:
            return is_public(str(IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip not in _UNICAST:
            return False
    return (
        ip.is_global
        and not (ip.is_multicast or ip.is_reserved)
        and not any(ip in special for special in _SPECIAL)
    )


def addresses_of(host: str) -> list[str]:
    """The IP addresses of `host`, as the system's resolver finds them, without its search domains.
    Raises `OSError`."""
    found = socket.getaddrinfo(f"{host}.", 443, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
