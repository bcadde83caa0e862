"""Keys and signatures by OpenSSL: of P-256, and of secp256k1 where its own library is not."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256K1,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_CURVES = {"ES256K": SECP256K1(), "ES256": SECP256R1()}
_SHA256 = ECDSA(SHA256())


def signed(algorithm: str, point: bytes, data: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes, r and s) is of `data` by the key with this point."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    public = EllipticCurvePublicKey.from_encoded_point(_CURVES[algorithm], point)
    try:
        public.verify(encode_dss_signature(r, s), data, _SHA256)
    except InvalidSignature:
        return False
    return True


def uncompressed(algorithm: str, point: bytes) -> bytes:
    """A point in its long form. Raises `ValueError` where it is none of the curve's."""
    public = EllipticCurvePublicKey.from_encoded_point(_CURVES[algorithm], point)
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
