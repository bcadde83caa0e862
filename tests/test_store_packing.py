"""Post ids as bytes: what is packed is what is read, also what an earlier version packed."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from feedkit.store.packing import pack, unpack
from feedkit.store.versions import CHUNK

MOST = (1 << 63) - 1
# anything; and what is near some number, most of all near one where a byte more begins
NEAR = st.one_of(
    st.integers(0, MOST), *(st.just(1 << bits) for bits in (16, 24, 25, 32, 56, 62))
).flatmap(lambda n: st.integers(max(0, n - (1 << 24)), min(MOST, n + (1 << 24))))
IDS = st.one_of(
    st.lists(st.integers(0, MOST), max_size=300),
    NEAR.flatmap(
        lambda n: st.lists(st.integers(max(0, n - 5000), min(MOST, n + 5000)), max_size=300)
    ),
    st.lists(NEAR, max_size=30),
)


def as_before(ids: list[int]) -> bytes:
    """As ids were kept at first."""
    return struct.pack(f"<{len(ids)}q", *ids)


@settings(deadline=None)
@given(IDS)
@example([0])
@example([MOST, 0])
@example([(1 << 56) - 1, 1 << 56])
@example([(1 << 24) - 1, 1 << 24])
@example([1 << 24, (1 << 25) - 1, (1 << 25)])
def test_what_is_packed_is_what_is_read(ids: list[int]) -> None:
    packed = pack(ids)
    assert list(unpack(packed)) == ids
    assert len(packed) % 8, "it may be taken for what an earlier version packed"


@settings(deadline=None)
@given(IDS)
@example([3, 5])  # begin as what is packed now does
@example([1, 2])
def test_what_an_earlier_version_packed_is_read(ids: list[int]) -> None:
    assert list(unpack(as_before(ids))) == ids


@pytest.mark.parametrize("first", [0, 1, 5 << 24, (1 << 24) - 700, (1 << 32) - 700, 1 << 40])
@pytest.mark.parametrize("count", [*range(1, 12), CHUNK])
def test_ids_that_are_close_take_three_bytes_each(first: int, count: int) -> None:
    ids = [first + n * 7919 % 100_003 for n in range(count)]
    packed = pack(ids)
    assert list(unpack(packed)) == ids
    assert len(packed) <= 3 * count + 12  # so five chunks fill a page of SQLite's


@pytest.mark.parametrize(
    ("ids", "packed"),
    [
        pytest.param([0x04030201, 0x04070605, 0x04000000], "03 04 010500 020600 030700", id="close"),
        pytest.param(
            [0x00FFFFFE, 0x00FFFFFF, 0x01000000], "01 feffff00000000 03 00 000102 000000 000000",
            id="close, though the highest bytes are two",
        ),
        pytest.param([1, 0x04030201], "04 01000000 01020304", id="far apart"),
        pytest.param([1, 1 << 62], "08 0100000000000000 0000000000000040", id="very far apart"),
        pytest.param([1, 2], "03 00 0102 0000 0000 00", id="one more, else the length divides by 8"),
    ],
)  # fmt: skip
def test_the_forms(ids: list[int], packed: str) -> None:
    """Rankings live for an hour: what is written today must be read by the next version."""
    assert pack(ids) == bytes.fromhex(packed)
    assert list(unpack(bytes.fromhex(packed))) == ids
