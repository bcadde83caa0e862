"""A sample of a small network: posts in many languages with replies, reposts and likes.

`python -m feedkit.demo` prints it as Jetstream events, a JSON line each, the last one at
2026-01-01T00:00:00Z. The texts are in posts.tsv and replies.tsv beside this file, written for
this purpose: language, what is attached, text, and the author's name where it matters. All else,
and who likes what, is drawn, with a fixed seed.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

HOUR = 3_600_000_000  # microseconds
END = 1_767_225_600_000_000
AUTHORS = 60
READERS = 400


def events() -> Iterator[dict[str, Any]]:
    """The sample's events in order of time, in the shape of Jetstream v1."""
    rnd = random.Random(7)
    made: list[dict[str, Any]] = []
    lines = _lines("posts.tsv")
    rnd.shuffle(lines)
    replies = _lines("replies.tsv")
    for number, (lang, extra, text, *by) in enumerate(lines):
        author = make_did("author", by[0] if by else rnd.randrange(AUTHORS))
        time = END - int(rnd.expovariate(1 / 14) * HOUR) - rnd.randrange(HOUR)
        uri, cid = _add(made, author, "post", time, f"p{number}", _post(lang, text, extra, time))
        subject = {"uri": uri, "cid": cid}
        fame = rnd.paretovariate(1.1)
        for kind, most, chance in (("like", READERS, 4.0), ("repost", 60, 0.7)):
            for reader in rnd.sample(range(READERS), min(int(fame * chance), most)):
                when = min(time + int(rnd.expovariate(1 / 3) * HOUR) + 1, END)
                record = {"subject": subject, "createdAt": iso(when)}
                _add(made, make_did("reader", reader), kind, when, f"{kind}{number}", record)
        for nth in range(min(int(fame), 5)):
            said_in, said = rnd.choice([r for r in replies if r[0] in (lang, "en")])
            when = min(time + int(rnd.expovariate(1 / 2) * HOUR) + 1, END)
            reply = _post(said_in, said, "-", when)
            reply["reply"] = {"root": subject, "parent": subject}
            name = f"r{number}.{nth}"
            _add(made, make_did("reader", rnd.randrange(READERS)), "post", when, name, reply)
    yield from sorted(made, key=lambda event: event["time_us"])


def _lines(name: str) -> list[list[str]]:
    text = (files("feedkit.demo") / name).read_text("utf-8")
    return [line.split("\t") for line in text.splitlines()]


def _post(lang: str, text: str, extra: str, time: int) -> dict[str, Any]:
    post: dict[str, Any] = {"text": text, "langs": [lang], "createdAt": iso(time)}
    facets = []
    for word in text.split():
        tag = word.strip(".,!")
        if tag.startswith("#"):
            start = len(text[: text.index(tag)].encode())
            features = [{"$type": "app.bsky.richtext.facet#tag", "tag": tag[1:]}]
            index = {"byteStart": start, "byteEnd": start + len(tag.encode())}
            facets.append({"index": index, "features": features})
    if facets:
        post["facets"] = facets
    kind, _, value = extra.partition(":")
    if kind == "img":
        link = {"$link": make_cid(text)}
        blob = {"$type": "blob", "ref": link, "mimeType": "image/jpeg", "size": 9}
        post["embed"] = {
            "$type": "app.bsky.embed.images",
            "images": [{"alt": value, "image": blob, "aspectRatio": {"width": 3, "height": 2}}],
        }
    elif kind == "link":
        external = {"uri": f"https://{value}", "title": value, "description": ""}
        post["embed"] = {"$type": "app.bsky.embed.external", "external": external}
    return post


def _add(
    made: list[dict[str, Any]], did: str, kind: str, time: int, name: str, record: dict[str, Any]
) -> tuple[str, str]:
    collection = f"app.bsky.feed.{kind}"
    rkey, cid = make_rkey(f"{did} {name}"), make_cid(f"{did} {name}")
    commit = {
        "rev": tid(time), "operation": "create", "collection": collection, "rkey": rkey,
        "record": {"$type": collection, **record}, "cid": cid,
    }  # fmt: skip
    made.append({"did": did, "time_us": time, "kind": "commit", "commit": commit})
    return f"at://{did}/{collection}/{rkey}", cid


def tid(micros: int) -> str:
    """A timestamp identifier (atproto.com/specs/tid): 13 base32 digits, sortable as text."""
    value, digits = micros << 10, ""
    for _ in range(13):
        value, digit = divmod(value, 32)
        digits = "234567abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits


def _base32(text: str, length: int) -> str:
    number = int.from_bytes(hashlib.sha256(text.encode()).digest())
    return "".join("234567abcdefghijklmnopqrstuvwxyz"[number >> 5 * i & 31] for i in range(length))


def make_rkey(text: str) -> str:
    return "3" + _base32(text, 12)


def make_did(role: str, number: int | str) -> str:
    return f"did:plc:{_base32(f'{role} {number}', 24)}"


def make_cid(text: str) -> str:
    return "bafyrei" + _base32(text, 52)


def iso(micros: int) -> str:
    when = datetime.fromtimestamp(micros / 1_000_000, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write() -> None:
    """Print the sample."""
    for event in events():
        print(json.dumps(event, ensure_ascii=False, separators=(",", ":")))
