"""Jetstream's JSON, v1 (`/subscribe`) and v2 (`xrpc.v1.json`), as events.

Typed msgspec reads the envelope and leaves the record alone unless its collection is wanted: two
thirds of the network are likes, and most messages need no more than their sequence number.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta, Raw, Struct

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
from feedkit.sources.syntax import LAST_MICROSECOND, microseconds

LARGEST_RECORD = 2 * 2**20  # bytes of JSON; atproto.com/guides/data-validation
_V2 = "network.bsky.jetstream.subscribeEvents#"
_COMMIT, _ACCOUNT, _INFO = f"{_V2}commit", f"{_V2}account", f"{_V2}info"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Account(Struct, gc=False):
    active: bool
    status: str | None = None


class _Commit(Struct, gc=False):
    rev: str = ""
    operation: str = ""
    collection: str = ""
    rkey: str = ""
    record: Raw = Raw()
    cid: str | None = None


class _Payload(_Commit, gc=False):
    """v2: everything in one object."""

    type: str = msgspec.field(name="$type", default="")
    seq: int = 0
    did: str = ""
    time: Annotated[datetime, Meta(tz=True)] | None = None
    account: _Account | None = None
    name: str = ""
    message: str = ""


class _Message(Struct, gc=False):
    """A v1 event, or the envelope of v2."""

    type: str = msgspec.field(name="$type", default="")
    payload: _Payload | None = None
    error: str = ""
    message: str = ""
    did: str = ""
    time_us: int | None = None
    kind: str = ""
    commit: _Commit | None = None
    account: _Account | None = None


class _Subject(Struct, gc=False):
    uri: str


class _Engagement(Struct, gc=False):
    subject: _Subject


_message = msgspec.json.Decoder(_Message).decode
_engagement = msgspec.json.Decoder(_Engagement).decode
_anything = msgspec.json.Decoder().decode


def jetstream_frame(raw: bytes, wanted: frozenset[str]) -> Frame:
    """One message of Jetstream, v1 or v2.

    `wanted`: the collections whose records become events. A v1 event without a time gives a frame
    with cursor 0: nothing to go on from. Raises BadFrame, and StreamNotice for what the server
    says about the stream.
    """
    try:
        message = _message(raw)
    except _REFUSED as problem:
        message = _mended(raw, problem)
    payload = message.payload
    if payload is None:
        return _v1(message, wanted)
    kind = payload.type
    if message.type != "message":
        raise BadFrame(f"it is of the unknown type {message.type[:80]!r}")
    if kind == _INFO:
        raise StreamNotice(payload.name, payload.message, final=False)
    cursor = payload.seq
    if not 0 < cursor < 2**63:
        check_cursor(cursor)
    time = max(microseconds(payload.time), 0) if payload.time else 0
    if kind == _COMMIT:
        if payload.collection in wanted:
            return _commit(cursor, time, payload.did, payload)
    elif kind == _ACCOUNT and payload.account:
        return _account(cursor, time, payload.did, payload.account)
    return Frame(cursor, time)


def _v1(message: _Message, wanted: frozenset[str]) -> Frame:
    if message.type == "error" or message.error:
        raise StreamNotice(message.error or "an error", message.message, final=True)
    if not message.kind:
        raise BadFrame("it is no event of Jetstream")
    time = message.time_us
    if time is None:
        time = 0
    elif not 0 < time <= LAST_MICROSECOND:
        raise BadFrame("its time_us is no moment from 1970 to 9999")
    if commit := message.commit:
        if commit.collection in wanted and message.kind == "commit":
            return _commit(time, time, message.did, commit)
    elif message.kind == "account" and message.account:
        return _account(time, time, message.did, message.account)
    return Frame(time, time)


def _commit(cursor: int, time: int, did: str, commit: _Commit) -> Frame:
    collection, operation = commit.collection, commit.operation
    uri = f"at://{did}/{collection}/{commit.rkey}"
    event: Event | None = None
    try:
        if operation == "delete":
            event = deleted(uri, collection, commit.rev, time)
        elif operation == "create" or operation == "update":
            if collection == POST:
                record, created = _record(commit.record), operation == "create"
                event = written(
                    uri, did, commit.rkey, commit.rev, commit.cid or "", record, time, created
                )
            else:
                subject = _subject(commit.record)
                event = engaged(uri, did, collection, commit.rev, subject, time)
    except BadRecord as problem:
        return Frame(cursor, time, (), ((_readable(uri), str(problem)),))
    return Frame(cursor, time, (event,) if event else ())


def _account(cursor: int, time: int, did: str, account: _Account) -> Frame:
    try:
        return Frame(cursor, time, (account_changed(did, account.active, account.status),))
    except BadRecord as problem:
        return Frame(cursor, time, (), (("", str(problem)),))


def _subject(raw: Raw) -> Any:
    try:
        return _engagement(raw).subject.uri
    except _REFUSED:
        record = _record(raw)
        subject = record.get("subject") if isinstance(record, dict) else None
        return subject.get("uri") if isinstance(subject, dict) else None


def _record(raw: Raw) -> Any:
    """A record, as Python objects. Raises BadRecord."""
    data = bytes(raw)
    if len(data) > LARGEST_RECORD:
        raise BadRecord(f"it is larger than {LARGEST_RECORD >> 20} MiB")
    if not data:
        return None
    try:
        return _anything(data)
    except _REFUSED as problem:
        try:
            return _anything(_mend(data, problem))
        except (BadFrame, *_REFUSED) as still:
            raise BadRecord(f"it is not valid JSON ({still})") from None


def _mended(raw: bytes, problem: Exception) -> _Message:
    try:
        return _message(_mend(raw, problem))
    except _REFUSED as still:
        raise BadFrame(f"it is no event of Jetstream ({still})") from None


def _mend(raw: bytes, problem: Exception) -> bytes:
    """The same JSON with a NUL for every lone surrogate, which no UTF-8 can hold. The NUL is
    removed from texts later, and makes an identifier invalid. Raises BadFrame."""
    if b"\\u" not in raw:  # nothing that could be mended
        raise BadFrame(f"it is not valid JSON ({problem})") from None
    try:
        data = json.loads(raw.decode(), parse_constant=_refuse)
        text = json.dumps(data, ensure_ascii=False)
    except (ValueError, RecursionError) as still:
        raise BadFrame(f"it is not valid JSON ({still})") from None
    return _LONE_SURROGATE.sub(r"\\u0000", text).encode()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _readable(uri: str) -> str:
    return uri if uri.isascii() and uri.isprintable() and len(uri) < 4096 else ""
