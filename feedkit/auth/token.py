"""A service token: what it says, and all that can be refused without knowing its issuer's key.

The form is atproto.com/specs/xrpc, «Inter-service authentication»: a JWS in compact form. The order
of the checks and the names of the errors are those of the reference server (@atproto/xrpc-server).
Beyond it: `lxm` is required, an `exp` far ahead is refused, and so is every `kid` but the account's
own key, which is the specification's safe default (a labeler's key must not stand for its account).
A `jti` may come again: until a token is over, whoever holds it may use it.
"""

from __future__ import annotations

import base64
import re
from typing import TypeVar

import msgspec

from feedkit.auth.errors import BadToken

LARGEST = 4096  # characters; those of the network have about 400
LEEWAY = 60.0  # seconds that the issuer's clock may be ahead of ours
LONGEST_LIFE = 3600.0  # seconds; a PDS gives no service token for longer
KEY = "atproto"  # the verification method that signs for an account
ALGORITHMS = ("ES256K", "ES256")

_PART = re.compile(rb"[A-Za-z0-9_-]+")
_TYPES = ("at+jwt", "refresh+jwt", "dpop+jwt")  # tokens for other uses
_ISSUER = re.compile(
    r"did:plc:[a-z2-7]{24}|did:web:(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)


class _Header(msgspec.Struct):
    alg: str
    typ: str = ""
    kid: str = KEY
    crit: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Claims(msgspec.Struct):
    iss: str
    aud: str
    exp: int | float
    iat: int | float | msgspec.UnsetType = msgspec.UNSET
    nbf: int | float | msgspec.UnsetType = msgspec.UNSET
    lxm: str | msgspec.UnsetType = msgspec.UNSET


class Token(msgspec.Struct, frozen=True):
    """A token that is good if `signature` (64 bytes, r and s) is that of `signed` by the key of
    `issuer` for `algorithm`."""

    issuer: str
    algorithm: str
    signed: bytes
    signature: bytes


_header = msgspec.json.Decoder(_Header)
_claims = msgspec.json.Decoder(_Claims)
_Said = TypeVar("_Said", _Header, _Claims)


def bearer(authorization: str) -> str:
    """The token in an Authorization header. Raises `BadToken`."""
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise BadToken("AuthMissing", "the Authorization header must be: Bearer TOKEN")
    return token.strip()


def read_token(text: str, audiences: frozenset[str], method: str, now: float) -> Token:
    """The token in `text`, meant for one of `audiences` and for `method` at `now` (seconds since
    1970). Raises `BadToken`; nothing is asked of anyone."""
    if len(text) > LARGEST:
        raise BadToken("BadJwt", f"the token is longer than {LARGEST} characters")
    try:
        parts = text.encode("ascii").split(b".")
    except UnicodeEncodeError:
        raise BadToken("BadJwt", "the token has characters that no token has") from None
    if len(parts) != 3:
        raise BadToken("BadJwt", "the token is not three parts with full stops between them")
    header = _decode(_header, "header", parts[0])
    claims = _decode(_claims, "claims", parts[1])
    signature = _from_base64url("signature", parts[2])
    _check_header(header)
    _check_times(claims, now)
    if claims.aud not in audiences:
        raise BadToken(
            "BadJwtAudience", f"the token is not meant for this service, {min(audiences)}"
        )
    if claims.lxm != method:
        told = "is for no method" if claims.lxm is msgspec.UNSET else "is for another method"
        raise BadToken("BadJwtLexiconMethod", f"the token {told} (lxm); this is {method}")
    if not _ISSUER.fullmatch(claims.iss):
        raise BadToken("BadJwtIss", "the token's iss must be a did:plc or a did:web with a domain")
    if len(signature) != 64:
        raise BadToken("BadJwtSignature", "the token's signature must be 64 bytes, r and s")
    return Token(claims.iss, header.alg, parts[0] + b"." + parts[1], signature)


def _check_header(header: _Header) -> None:
    kind = header.typ.lower().removeprefix("application/")
    if kind in _TYPES:
        raise BadToken("BadJwtType", f"the token is of the type {kind}, which is for other uses")
    if header.crit is not msgspec.UNSET:
        raise BadToken("BadJwt", "the token asks for extensions (crit) that are not known here")
    if header.alg not in ALGORITHMS:
        raise BadToken("BadJwtSignature", "the token must be signed with ES256K or ES256 (alg)")
    if header.kid.removeprefix("#") != KEY:
        raise BadToken("BadJwtSignature", f"the token must be signed with the key {KEY} (kid)")


def _check_times(claims: _Claims, now: float) -> None:
    if now > claims.exp:
        raise BadToken("JwtExpired", "the token has expired; ask for a new one")
    if claims.exp > now + LONGEST_LIFE + LEEWAY:
        raise BadToken("BadJwt", f"the token's exp is more than {LONGEST_LIFE:.0f} s ahead")
    for name in ("iat", "nbf"):
        at = getattr(claims, name)
        if at is not msgspec.UNSET and at > now + LEEWAY:
            raise BadToken("BadJwt", f"the token is of the future ({name}); is a clock wrong?")


def _decode(decoder: msgspec.json.Decoder[_Said], what: str, part: bytes) -> _Said:
    try:
        return decoder.decode(_from_base64url(what, part))
    except (ValueError, RecursionError):
        raise BadToken("BadJwt", f"the token's {what} is not what a service token has") from None


def _from_base64url(what: str, part: bytes) -> bytes:
    """Strictly: no padding, no other characters, no bits that mean nothing."""
    if _PART.fullmatch(part) and len(part) % 4 != 1:
        raw = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
        if base64.urlsafe_b64encode(raw).rstrip(b"=") == part:
            return raw
    raise BadToken("BadJwt", f"the token's {what} is not base64url")
