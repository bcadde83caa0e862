"""Names and addresses of the protocol, as types: each takes what is well-formed, or says in a plain
sentence what is expected."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

# https://atproto.com/specs/handle, …/did, …/record-key
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HANDLE = re.compile(rf"(?:{_LABEL}\.)+[a-zA-Z](?:[a-zA-Z0-9-]{{0,61}}[a-zA-Z0-9])?")
_DID = re.compile(r"did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]")
_RECORD_KEY = re.compile(r"[A-Za-z0-9._:~-]{1,512}")
_LOCALHOST = re.compile(r"localhost(:\d{1,5})?")
_STORES = ("sqlite", "postgres", "postgresql")


def is_handle(text: str) -> bool:
    return len(text) <= 253 and _HANDLE.fullmatch(text) is not None


def is_did(text: str) -> bool:
    return len(text) <= 2048 and _DID.fullmatch(text) is not None


def is_record_key(text: str) -> bool:
    return _RECORD_KEY.fullmatch(text) is not None and text not in (".", "..")


def did_web(hostname: str) -> str:
    """The did:web of a host; a port is written %3A in it."""
    return "did:web:" + hostname.replace(":", "%3A")


def _hostname(text: str) -> str:
    name = text.strip().lower()
    if "://" in name or "/" in name:
        host = urlsplit(name if "://" in name else f"//{name}").hostname or "feeds.example.com"
        raise ValueError(f"must be the host name alone, without https:// or a path: {host}")
    if not is_handle(name) and not _LOCALHOST.fullmatch(name):
        raise ValueError(f"must be a host name such as feeds.example.com, not {text[:80]!r}")
    return name


def _account(text: str) -> str:
    name = text.strip().removeprefix("@")
    if not is_handle(name) and not is_did(name):
        raise ValueError(
            f"must be a handle such as alice.example.com, or a DID such as "
            f"did:plc:ewvi7nxzyoun6zhxrhs64oiz, not {text[:80]!r}"
        )
    return name if is_did(name) else name.lower()


def _did(text: str) -> str:
    if not is_did(text):
        raise ValueError(f"must be a DID such as did:web:feeds.example.com, not {text[:80]!r}")
    return text


def _url(text: str, schemes: tuple[str, ...]) -> str:
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in schemes and parts.hostname and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable:
        example = f"{schemes[-1]}://example.com"
        raise ValueError(f"must be an address such as {example}, not {text[:80]!r}")
    return text.strip()


def _socket(text: str) -> str:
    return _url(text, ("ws", "wss"))


def _service(text: str) -> str:
    return _url(text, ("http", "https")).rstrip("/")


def _store(text: str) -> str:
    scheme = text.partition(":")[0]
    if scheme not in _STORES or not text.startswith(f"{scheme}://"):
        # What comes after the scheme may hold a password.
        raise ValueError(
            "must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME, "
            f"not {scheme[:20]!r} and what follows it"
        )
    return text


def graphemes(text: str) -> int:
    """How many characters a reader sees."""
    if text.isascii():
        return len(text)
    import regex  # takes 10 ms, and few need it

    return len(regex.findall(r"\X", text))


def _text(what: str, most: int, most_bytes: int) -> AfterValidator:
    def check(text: str) -> str:
        text = text.strip()
        if graphemes(text) > most or len(text.encode()) > most_bytes:
            raise ValueError(
                f"Bluesky takes {most} characters for {what}, this has {graphemes(text)}"
                if graphemes(text) > most
                else f"Bluesky takes {most_bytes} bytes for {what}, this has {len(text.encode())}"
            )
        return text

    return AfterValidator(check)


def _label(text: str) -> str:
    if not text or len(text.encode()) > 128:
        raise ValueError("a label has 1 to 128 bytes")
    return text


Account = Annotated[str, AfterValidator(_account)]
SocketURL = Annotated[str, AfterValidator(_socket)]
ServiceURL = Annotated[str, AfterValidator(_service)]
Hostname = Annotated[str, AfterValidator(_hostname)]
Did = Annotated[str, AfterValidator(_did)]
StoreURL = Annotated[str, AfterValidator(_store)]
Label = Annotated[str, AfterValidator(_label)]
# The limits of app.bsky.feed.generator.
DisplayName = Annotated[str, _text("a name", 24, 240)]
Description = Annotated[str, _text("a description", 300, 3000)]
