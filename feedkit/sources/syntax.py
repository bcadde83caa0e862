"""Identifiers and times as the AT Protocol writes them. What does not fit is nobody's."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from feedkit.post import EPOCH

# atproto.com/specs/did, /specs/record-key, /specs/tid
_DID = r"did:[a-z]+:[a-zA-Z0-9._:%-]{0,2000}[a-zA-Z0-9._-]"
_RECORD_KEY = r"(?!\.{1,2}$)[A-Za-z0-9._:~-]{1,512}"

is_did = re.compile(_DID).fullmatch
is_post_uri = re.compile(rf"at://{_DID}/app\.bsky\.feed\.post/{_RECORD_KEY}").fullmatch
is_record_uri = re.compile(
    rf"at://{_DID}/app\.bsky\.feed\.(?:post|like|repost)/{_RECORD_KEY}"
).fullmatch
is_tid = re.compile("[2-7a-j][2-7a-z]{12}").fullmatch

_TID_DIGITS = {char: value for value, char in enumerate("234567abcdefghijklmnopqrstuvwxyz")}

LAST_MICROSECOND = (datetime.max - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def parse_moment(text: str) -> datetime | None:
    """`text` as a datetime in UTC, or None where it is no date and time with a time zone. What
    `datetime.fromisoformat` reads is read; leap seconds are not."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is UTC:
            return moment
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_time(text: str) -> int:
    """`text` as microseconds since 1970; 0 where it is no moment, or one before that."""
    moment = parse_moment(text)
    return max(microseconds(moment), 0) if moment else 0


def microseconds(moment: datetime) -> int:
    """A datetime with a time zone as microseconds since 1970, exactly."""
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment(us: int) -> datetime:
    """Microseconds since 1970 (0 to LAST_MICROSECOND) as a datetime."""
    return EPOCH + timedelta(microseconds=us)


def without_login(text: str) -> str:
    """An address, or a text with some, without user and password: it is logged, and names a
    source."""
    return re.sub(r"(?<=://)[^/?#\s]*@", "", text)


def tid_time(tid: str) -> int:
    """When a TID (a rev, most record keys) was made: microseconds since 1970; 0 if it is none."""
    if not is_tid(tid):
        return 0
    number = 0
    for char in tid:
        number = number * 32 + _TID_DIGITS[char]
    return number >> 10
