"""Blocks of an archive's segments as frames, as the stream would have sent them. The columns of a
block are the SDK's business."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import zstandard
from atproto_jetstream.archive import SegmentEvent, decode_block
from atproto_jetstream.archive.segment import KIND_ACCOUNT
from atproto_jetstream.exceptions import JetstreamError
from libipld import decode_dag_cbor, encode_cid

from feedkit.backfill.archive import Damaged
from feedkit.event import Event, Frame
from feedkit.sources.decode import account_changed, deleted, written
from feedkit.sources.firehose_wire import LARGEST_RECORD
from feedkit.sources.records import POST, BadRecord
from feedkit.sources.syntax import LAST_MICROSECOND

COLLECTIONS = frozenset({POST})
LARGEST_BLOCK = 256 * 2**20  # bytes, decompressed
_CID = bytes([1, 0x71, 0x12, 32])  # version 1, dag-cbor, sha-256 of 32 bytes


def frames(block: bytes) -> Iterator[Frame]:
    """The frames of a block, in order. Raises `Damaged` before the first if it is no block."""
    try:
        if zstandard.frame_content_size(block) > LARGEST_BLOCK:  # it would be allocated first
            raise Damaged("it says that it is very large")
        rows = decode_block(block)
    except (JetstreamError, zstandard.ZstdError) as error:
        raise Damaged(str(error) or type(error).__name__) from None
    last = 0
    for row in rows:
        if not last < row.seq < 2**63 or not 0 < row.witnessed_at <= LAST_MICROSECOND:
            raise Damaged(f"its row {row.seq:,} is not where or when it should be")
        last = row.seq
    return map(_frame, rows)


def _frame(row: SegmentEvent) -> Frame:
    """The frame's time is when the server saw it; its events' that which the stream would show."""
    try:
        event = _event(row)
    except BadRecord as problem:
        return Frame(row.seq, row.witnessed_at, (), (("", str(problem)),))
    return Frame(row.seq, row.witnessed_at, (event,) if event else ())


def _event(row: SegmentEvent) -> Event | None:
    if row.kind == KIND_ACCOUNT:
        told = _decoded(row.payload)
        active, status = told.get("active"), told.get("status")
        if not isinstance(active, bool):
            raise BadRecord("it does not say whether the account is active")
        return account_changed(row.did, active, status if isinstance(status, str) else None)
    if not row.is_commit or row.collection not in COLLECTIONS:
        return None
    uri = f"at://{row.did}/{row.collection}/{row.rkey}"
    shown = row.indexed_at if 0 < row.indexed_at <= LAST_MICROSECOND else row.witnessed_at
    if row.operation == "delete":
        return deleted(uri, row.collection, row.rev, shown)
    record = _decoded(row.payload)
    cid = encode_cid(_CID + sha256(row.payload or b"").digest())
    created = row.operation == "create"
    return written(uri, row.did, row.rkey, row.rev, cid, record, shown, created)


def _decoded(payload: bytes | None) -> Any:
    if not payload or len(payload) > LARGEST_RECORD:
        raise BadRecord("it is empty or too large")
    try:
        told = decode_dag_cbor(payload)
    except (ValueError, RecursionError) as problem:
        raise BadRecord(f"it is not valid DAG-CBOR ({problem})") from None
    if not isinstance(told, dict):
        raise BadRecord("it is no object")
    return told
