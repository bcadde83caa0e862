"""The firehose's DAG-CBOR (com.atproto.sync.subscribeRepos of a relay or a PDS) as events."""

from __future__ import annotations

from typing import Any

from libipld import decode_dag_cbor, decode_dag_cbor_multi, encode_cid

from feedkit.event import Event, Frame
from feedkit.sources.decode import (
    BadFrame,
    StreamNotice,
    account_changed,
    check_cursor,
    deleted,
    engaged,
    written,
)
from feedkit.sources.records import POST, BadRecord
from feedkit.sources.syntax import parse_time, tid_time

LARGEST_RECORD = 2**20  # bytes of DAG-CBOR; atproto.com/guides/data-validation
_CID = 36  # bytes of the only CIDs that repositories use: version 1, sha-256


def firehose_frame(raw: bytes, wanted: frozenset[str], since: int = 0) -> Frame:
    """One message of the firehose.

    `wanted`: the collections whose records become events. A message from before `since`
    (microseconds since 1970) gives a frame without events. Raises BadFrame, and StreamNotice for
    what the server says about the stream.
    """
    try:
        header, body = decode_dag_cbor_multi(raw)
    except (ValueError, RecursionError):
        header, body = _lone_header(raw)
    if not isinstance(header, dict) or not isinstance(body, dict):
        raise BadFrame("its two parts are no objects")
    kind = header.get("t")
    if header.get("op") != 1:
        if header.get("op") == -1:
            name, message = body.get("error"), body.get("message")
            raise StreamNotice(str(name or "an error"), str(message or ""), final=True)
        raise BadFrame("its header has an unknown op")
    if kind == "#info":
        raise StreamNotice(str(body.get("name")), str(body.get("message") or ""), final=False)
    if kind not in ("#commit", "#account", "#identity", "#sync"):
        raise BadFrame(f"it is of the unknown type {str(kind)[:80]!r}")
    cursor = check_cursor(body.get("seq"))
    said = body.get("time")
    time = parse_time(said) if isinstance(said, str) else 0
    if 0 < time < since:
        return Frame(cursor, time)
    if kind == "#commit":
        return _commit(cursor, time, body, wanted)
    if kind == "#account":
        return _account(cursor, time, body)
    return Frame(cursor, time)


def _lone_header(raw: bytes) -> tuple[Any, Any]:
    """An error frame may come without a body: then its header names the error."""
    try:
        header = decode_dag_cbor(raw)
    except (ValueError, RecursionError) as problem:
        raise BadFrame(f"it is not two DAG-CBOR objects ({problem})") from None
    return header, header


def _commit(cursor: int, time: int, body: dict[str, Any], wanted: frozenset[str]) -> Frame:
    did, rev, ops = body.get("repo"), body.get("rev"), body.get("ops")
    if not isinstance(did, str) or not isinstance(rev, str) or not isinstance(ops, list):
        raise BadFrame("it is a commit without repo, rev or ops")
    events: list[Event] = []
    skipped: list[tuple[str, str]] = []
    blocks: dict[bytes, bytes] = {}
    for op in ops:
        path = op.get("path") if isinstance(op, dict) else None
        if not isinstance(path, str):
            skipped.append(("", "it is an op without a path"))
            continue
        collection, _, rkey = path.partition("/")
        if collection not in wanted:
            continue
        uri, action = f"at://{did}/{path}", op.get("action")
        try:
            if action == "delete":
                events.append(deleted(uri, collection, rev, time))
            elif action == "create" or action == "update":
                if not blocks:
                    blocks = _blocks(body.get("blocks"))
                cid = op.get("cid")
                record = _record(blocks, cid)
                if collection == POST:
                    created = action == "create"
                    name = encode_cid(cid)
                    events.append(written(uri, did, rkey, rev, name, record, time, created))
                elif event := engaged(uri, did, collection, rev, _subject(record), time):
                    events.append(event)
        except BadRecord as problem:
            readable = uri.isascii() and uri.isprintable() and len(uri) < 4096
            skipped.append((uri if readable else "", str(problem)))
    return Frame(cursor, time or tid_time(rev), tuple(events), tuple(skipped))


def _account(cursor: int, time: int, body: dict[str, Any]) -> Frame:
    did, active, status = body.get("did"), body.get("active"), body.get("status")
    if not isinstance(did, str) or not isinstance(active, bool):
        raise BadFrame("it is an account event without did or active")
    try:
        event = account_changed(did, active, status if isinstance(status, str) else None)
        return Frame(cursor, time, (event,))
    except BadRecord as problem:
        return Frame(cursor, time, (), (("", str(problem)),))


def _subject(record: Any) -> Any:
    subject = record.get("subject") if isinstance(record, dict) else None
    return subject.get("uri") if isinstance(subject, dict) else None


def _record(blocks: dict[bytes, bytes], cid: Any) -> Any:
    """A record, as Python objects. Raises BadRecord."""
    block = blocks.get(cid) if isinstance(cid, bytes) else None
    if block is None:
        raise BadRecord("its block is not in the commit")
    if len(block) > LARGEST_RECORD:
        raise BadRecord(f"it is larger than {LARGEST_RECORD >> 20} MiB")
    try:
        return decode_dag_cbor(block)
    except (ValueError, RecursionError) as problem:
        raise BadRecord(f"it is not valid DAG-CBOR ({problem})") from None


def _blocks(car: Any) -> dict[bytes, bytes]:
    """The blocks of a CAR (v1) by their CIDs, not decoded, up to the first malformed one.

    Five times as fast as `libipld.decode_car`, which decodes the repository's tree as well and
    refuses all blocks for a bad one. Format: ipld.io/specs/transport/car/carv1.
    """
    blocks: dict[bytes, bytes] = {}
    if not isinstance(car, bytes):
        return blocks
    at, size = 0, len(car)
    try:
        while at < size:
            length, at = car[at], at + 1
            shift = 7
            while length >> shift and shift < 63:  # LEB128: the last byte has no eighth bit
                length += (car[at] - 1) << shift
                at, shift = at + 1, shift + 7
            end = at + length
            if end > size:
                break
            blocks[car[at : at + _CID]] = car[at + _CID : end]  # the first is the header
            at = end
    except IndexError:
        pass
    return blocks
