"""From a URL that anybody may have written to the domains that a filter asks for."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from feedkit.addresses import unicode_host

_HOST = re.compile(r"(?!-)[a-z0-9._-]{1,253}").fullmatch
_LINK = re.compile(r"https?://[^\s]", re.IGNORECASE).match
_LONGEST = 8192


def is_link(url: str) -> bool:
    """Whether `url` is a web address: http or https, nothing that a browser would run."""
    return len(url) <= _LONGEST and _LINK(url) is not None


def host_of(url: str) -> str:
    """The host that a browser would open for `url`, in lower case and ASCII; "" if there is none.

    Browsers take `\\` for `/` (WHATWG URL), so `https://good.test@evil.test\\@good.test/` opens
    evil.test, whatever RFC 3986 says.
    """
    try:
        host = urlsplit(url.replace("\\", "/")).hostname or ""
    except ValueError:
        return ""
    if "%" in host:
        host = unquote(host)
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    host = host.lower().rstrip(".")
    return host if _HOST(host) else ""


def path_of(url: str) -> str:
    """The path of `url`, as a browser takes it, see `host_of`."""
    try:
        return urlsplit(url.replace("\\", "/")).path
    except ValueError:
        return ""


def domains_of(host: str) -> set[str]:
    """`host` without `www.` and every domain above it that still has a dot. An international name
    is given in both spellings, `bücher.example` and `xn--bcher-kva.example`."""
    host = host.removeprefix("www.")
    found = {host}
    if host.rpartition(".")[2].isdigit():  # an IPv4 address: nothing is above it
        return found
    rest = host
    while "." in (rest := rest.partition(".")[2]):
        found.add(rest)
    if "xn--" in host:
        found |= set(map(unicode_host, found))
    return found
