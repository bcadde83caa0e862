"""Chance that comes out the same every time, on every machine."""

from __future__ import annotations

from hashlib import blake2b


def fraction(*parts: object) -> float:
    """A number from 0 up to, not including, 1: evenly spread, and the same for the same `parts`."""
    text = "\x1f".join(map(str, parts)).encode("utf-8", "replace")
    bits = int.from_bytes(blake2b(text, digest_size=8).digest())
    return float((bits >> 11) / 2**53)  # a float holds 53 bits
