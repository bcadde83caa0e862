"""What the archive of a Jetstream v2 has, and what is to be fetched of it: nothing twice that can
be helped, and whole segments piece by piece, since they are too large for the memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from atproto_jetstream.archive import SegmentHeader, read_sealed_header
from atproto_jetstream.exceptions import JetstreamError
from msgspec import Struct

from feedkit.asking import Answer
from feedkit.backfill.asking import LARGEST, Asking, NoArchive, Rewritten

PIECE = 8 * 2**20  # bytes of a segment fetched at once
HEADER = 256  # bytes before the first block of a segment
LENGTH = 8  # bytes before each block, which say how long it is
MOST_PAGES = 1000
KINDS = ("commit", "account")

T = TypeVar("T")


class Damaged(Exception):
    """A part of a segment is not what it should be."""


class Segment(Struct, rename="camel"):
    """A segment that is listed. Times: microseconds since 1970."""

    name: str
    size_bytes: int
    min_seq: int
    min_witnessed_at: int
    max_witnessed_at: int


class _Segments(Struct, rename="camel"):
    segments: list[Segment]
    cursor: str = ""


class Blocks(Struct):
    """Blocks of a segment, from the first to the last."""

    first: int
    last: int


class Unit(Struct, rename="camel"):
    """What to fetch of a segment: these blocks, or all of it (`mode` is `segment`)."""

    name: str
    checksum: str
    mode: str
    blocks: list[Blocks] = []

    @property
    def whole(self) -> bool:
        return self.mode != "blocks"


class Plan(Struct, rename="camel"):
    """A page of what to fetch."""

    planned_through_seq: int
    sealed_tip_seq: int
    segments: list[Unit]


class Archive:
    """The archive that `asking` reaches. Every method raises `NoArchive` and `Stopped`."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    @property
    def spent(self) -> int:
        """Bytes of segments that were fetched."""
        return self._asking.bytes

    def segments(self) -> Iterator[Segment]:
        """All segments, oldest first."""
        cursor = ""
        for _ in range(MOST_PAGES):
            asked = {"limit": "1000"} | ({"cursor": cursor} if cursor else {})
            page = self._read(
                "listSegments", self._asking.ask("listSegments", asked).body, _Segments
            )
            yield from page.segments
            if not page.cursor or page.cursor == cursor:
                return
            cursor = page.cursor
        raise NoArchive(f"{self._asking.host} has no end of segments")

    def plan(self, after: int, collections: frozenset[str]) -> Iterator[Plan]:
        """What to fetch for all rows of these collections, and of accounts, after the number
        `after`, page by page. The end of the archive is that of the first page, though more may
        be added meanwhile."""
        asked: dict[str, Any] = {"kinds": KINDS, "collections": sorted(collections)}
        while True:
            body = self._asking.ask("planSnapshot", {}, {**asked, "afterSeq": after}).body
            page = self._read("planSnapshot", body, Plan)
            tip = page.sealed_tip_seq = asked.setdefault("beforeSeq", page.sealed_tip_seq)
            yield page
            if page.planned_through_seq >= tip:
                return
            if page.planned_through_seq <= after:
                raise NoArchive(
                    f"{self._asking.host} plans the same again and again; try another server"
                )
            after = page.planned_through_seq

    def block(self, unit: Unit, number: int) -> bytes:
        """A block as it is stored. Raises `Rewritten`."""
        asked = {"segment": unit.name, "blockIndex": str(number)}
        return _same(unit, self._asking.ask("getBlock", asked)).body

    def blocks(self, unit: Unit, number: int, offset: int) -> Iterator[tuple[int, bytes, int]]:
        """The blocks of a whole segment from `number` on, which begins at the byte `offset` (0:
        not known, from the first on): number, block, and where it ends. Raises `Rewritten`,
        `Damaged`."""
        if not offset:
            number, offset = 0, HEADER
        header = self._header(unit)
        held = bytearray()
        while number < header.block_count:
            while (size := _size(held)) is None or len(held) < LENGTH + size:
                at = offset + len(held)
                end = at + PIECE
                if at < header.footer_offset:
                    end = min(end, header.footer_offset)
                piece = self._part(unit, at, end)
                if not piece:
                    raise Damaged("it ends too early")
                held += piece
            block = bytes(held[LENGTH : LENGTH + size])
            del held[: LENGTH + size]
            offset += LENGTH + size
            yield number, block, offset
            number += 1

    def _header(self, unit: Unit) -> SegmentHeader:
        try:
            return read_sealed_header(self._part(unit, 0, HEADER))
        except JetstreamError as error:
            raise Damaged(str(error)) from None

    def _part(self, unit: Unit, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, or fewer where the segment ends."""
        answer = self._asking.ask(
            "getSegment", {"name": unit.name}, more={"range": f"bytes={start}-{end - 1}"}
        )
        if answer.status == 416:
            return b""
        if _same(unit, answer).status != 206:
            raise NoArchive(
                f"{self._asking.host} does not give parts of a segment; try another server"
            )
        return answer.body

    def _read(self, method: str, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NoArchive(
                f"{self._asking.host} answered {method} with nonsense ({error})"
            ) from None


def _same(unit: Unit, answer: Answer) -> Answer:
    """`answer`, if it is of the segment as it was planned. Raises `Rewritten`."""
    if answer.headers.get("etag", unit.checksum).removeprefix("W/").strip('"') != unit.checksum:
        raise Rewritten
    return answer


def _size(held: bytearray) -> int | None:
    """How long the block is with which `held` begins; None if too little of it is there."""
    if len(held) < LENGTH:
        return None
    size = int.from_bytes(held[:LENGTH], "little")
    if not 0 < size <= LARGEST:
        raise Damaged(f"it says that it has {size:,} bytes")
    return size
