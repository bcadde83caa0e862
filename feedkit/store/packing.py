"""Post ids as bytes, in little space and quickly.

What is packed begins with its form. Ids of one ranking lie close together, so that nearly always
it is the first one:

    3  the highest of four bytes, which is the same one for all; then the lowest bytes of all ids,
       the second ones, and the third ones
    1  a number in seven bytes; then, packed in form 3, how far the ids are above it
    4  each id in four bytes
    8  each id in eight bytes

all of them little-endian. Earlier, ids were kept in eight bytes each with nothing before them. The
length tells: only theirs divides by 8.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence


def pack(ids: Sequence[int]) -> bytes:
    """`ids`, from 0 to 2**63 - 1, as bytes."""
    try:
        each = _little("I", ids)
    except OverflowError:
        return _above(ids) or b"\x08" + _little("q", ids)
    highest = each[3::4]
    if highest != highest[:1] * len(ids):
        return _above(ids) or b"\x04" + each
    packed = b"\x03" + highest[:1] + each[::4] + each[1::4] + each[2::4]
    return packed if len(packed) % 8 else packed + b"\x00"


def _above(ids: Sequence[int]) -> bytes:
    """Form 1; nothing, where the ids are too far apart or too large for it."""
    least = min(ids)
    if max(ids) - least >= 1 << 24 or least >= 1 << 56:
        return b""
    return b"\x01" + least.to_bytes(7, "little") + pack([id - least for id in ids])


def unpack(packed: bytes) -> Sequence[int]:
    """The ids that `pack`, of this version or an earlier one, was given."""
    if len(packed) % 8 == 0:
        return _numbers("q", packed)
    form = packed[0]
    if form == 1:
        least = int.from_bytes(packed[1:8], "little")
        return [least + id for id in unpack(packed[8:])]
    if form != 3:
        return _numbers("I" if form == 4 else "q", packed[1:])
    count = (len(packed) - 2) // 3
    each = bytearray(packed[1:2]) * (4 * count)
    for place in range(3):
        each[place::4] = packed[2 + place * count : 2 + (place + 1) * count]
    return _numbers("I", bytes(each))


def _little(kind: str, ids: Sequence[int]) -> bytes:
    numbers: array[int] = array(kind, ids)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _numbers(kind: str, each: bytes) -> array[int]:
    numbers: array[int] = array(kind, each)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
