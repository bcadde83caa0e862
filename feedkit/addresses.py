"""Posts and sites as people paste them: types for the parameters of plugins. (People:
`feedkit.accounts`.)

Each turns what was pasted into the one form that posts carry, or says what to write instead.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

_DID = re.compile(r"did:[a-z]+:[A-Za-z0-9._:%-]*[A-Za-z0-9._-]")
_POST = re.compile(rf"at://({_DID.pattern})/(app\.bsky\.feed\.post)/([A-Za-z0-9._:~-]+)")
_PAGE = re.compile(r"https?://bsky\.app/profile/([^/?#]+)(?:/post/([^/?#]+))?/?(?:[?#].*)?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def post_address(text: str) -> str:
    """The at:// address of a post, from itself or from its page on bsky.app (with a DID)."""
    text = text.strip()
    page = _PAGE.fullmatch(text)
    if page and page[2]:
        text = f"at://{page[1]}/app.bsky.feed.post/{page[2]}"
    if _POST.fullmatch(text):
        return text
    if page and page[2]:
        raise ValueError(
            f"{page[0]!r} names its author by handle; write the post's at:// address, "
            f"which `feedkit resolve {page[0]}` prints"
        )
    raise ValueError(
        f"{text!r} is no post; write its address, at://DID/app.bsky.feed.post/RECORD-KEY"
    )


def post_or_feed(text: str) -> str:
    """As `post_address`, but for what cannot be an address: that is the name of a feed."""
    return post_address(text) if "://" in text else text.strip()


def site(text: str) -> str:
    """A host without `www.`, with the path if one was given, from a domain name or a URL."""
    pasted = text.strip()
    try:
        parts = urlsplit(pasted if "://" in pasted else f"//{pasted}")
    except ValueError:  # such as http://[
        parts = urlsplit("")
    host = (parts.hostname or "").rstrip(".").removeprefix("*.").removeprefix("www.")
    if not is_domain(host):
        raise ValueError(f"{text!r} is no site; write its domain name, such as example.org")
    return host + parts.path.rstrip("/")


def is_domain(host: str) -> bool:
    """Whether `host` is a domain name of at least two labels, in Unicode or in Punycode."""
    labels = ascii_host(host).split(".")
    return len(labels) > 1 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()


def ascii_host(host: str) -> str:
    """`host` as the network's machines write it: lower case, Punycode where it is not ASCII."""
    if host.isascii():
        return host.lower()
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host.casefold()


def unicode_host(host: str) -> str:
    """`host` as people read it."""
    try:
        return host.encode().decode("idna") if "xn--" in host else host.casefold()
    except UnicodeError:
        return host


PostAddress = Annotated[str, AfterValidator(post_address)]
Site = Annotated[str, AfterValidator(site)]
