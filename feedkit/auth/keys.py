"""Public keys as DID documents write them, and signatures by them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import libipld

from feedkit.auth.token import KEY

try:  # a ninth of OpenSSL's time for this curve, which nearly all accounts use
    from coincurve import PublicKey
    from coincurve.ecdsa import cdata_to_der, deserialize_compact, signature_normalize
except ImportError:  # there are not wheels for every Python
    PublicKey = None  # type: ignore[assignment, misc]

_BASE58 = re.compile(r"z[1-9A-HJ-NP-Za-km-z]{1,200}")
# atproto.com/specs/cryptography: what stands before the compressed point in a Multikey …
_PREFIXES = {b"\xe7\x01": "ES256K", b"\x80\x24": "ES256"}
# … and the types whose key is the point alone.
_OLD_TYPES = {
    "EcdsaSecp256k1VerificationKey2019": "ES256K",
    "EcdsaSecp256r1VerificationKey2019": "ES256",
}


class NoKey(ValueError):
    """The document has no key that could sign a token. The message says what it has."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key for `algorithm` (ES256K or ES256): the `point`, uncompressed. The library's own object
    is made anew for each signature: it takes 2.5 kB, and making it an eighth of the time."""

    algorithm: str
    point: bytes

    def signed(self, data: bytes, signature: bytes, algorithm: str) -> bool:
        """Whether `signature` (64 bytes, r and s) is this key's of `data` by `algorithm`.

        Either of the two s that fit is taken, as the reference does for tokens: unlike in a
        repository nothing hangs on a signature's being the only one, and general JWT libraries
        give the high one half of the time.
        """
        if algorithm != self.algorithm or len(signature) != 64:
            return False
        if algorithm == "ES256K" and PublicKey is not None:
            try:
                given = deserialize_compact(signature)
            except ValueError:  # a number that the curve does not have
                return False
            low = cdata_to_der(signature_normalize(given)[1])  # libsecp256k1 takes no other
            return PublicKey(self.point).verify(low, data)
        from feedkit.auth import openssl  # 9 MB, which a process without such keys does not need

        return openssl.signed(algorithm, self.point, data, signature)


def key_of(document: dict[str, Any], did: str) -> Key:
    """The key that signs for the account `did`, of its document: a Multikey, or of the old types
    EcdsaSecp256k1VerificationKey2019 and EcdsaSecp256r1VerificationKey2019. Raises `NoKey`."""
    if document.get("id") != did:
        raise NoKey("its document is that of another DID")
    methods = document.get("verificationMethod")
    for method in methods if isinstance(methods, list) else ():
        if isinstance(method, dict) and method.get("id") in (f"#{KEY}", f"{did}#{KEY}"):
            return _key(method.get("type"), method.get("publicKeyMultibase"))
    raise NoKey(f"its document has no key called {KEY}")


def _key(kind: object, multibase: object) -> Key:
    if not isinstance(multibase, str) or not _BASE58.fullmatch(multibase):
        raise NoKey(f"the key {KEY} in its document cannot be read")
    try:
        point = bytes(libipld.decode_multibase(multibase)[1])
        algorithm = _OLD_TYPES.get(str(kind))
        if kind == "Multikey":
            algorithm, point = _PREFIXES.get(point[:2]), point[2:]
        if algorithm is None:
            raise NoKey(f"the key {KEY} in its document is of a type that signs no tokens")
        return Key(algorithm, _uncompressed(algorithm, point))
    except NoKey:
        raise
    except ValueError as error:
        raise NoKey(f"the key {KEY} in its document cannot be read") from error


def _uncompressed(algorithm: str, point: bytes) -> bytes:
    """A point in its long form. Raises `ValueError` where it is none of the curve's."""
    if algorithm == "ES256K" and PublicKey is not None:
        if point[:1] not in (b"\x02", b"\x03", b"\x04"):  # which libsecp256k1 takes, too
            raise ValueError("not a point in a form of SEC 1 that keys have")
        return PublicKey(point).format(compressed=False)
    from feedkit.auth import openssl

    return openssl.uncompressed(algorithm, point)
