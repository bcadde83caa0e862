"""Messages of all three wires as events, whatever they hold."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import libipld
import msgspec
import pytest
import zstandard
from _streams import (
    ALL,
    DID,
    LIKE,
    NOW,
    OTHER,
    POST,
    REPOST,
    REV,
    RKEY,
    SHARED,
    URI,
    car,
    cbor,
    cid_bytes,
    commit,
    firehose,
    firehose_commit,
    firehose_error,
    like_record,
    needs_shared,
    post_record,
    v1,
    v2,
    v2_error,
    v2_info,
)
from hypothesis import given
from hypothesis import strategies as st

from feedkit.event import (
    AccountChanged,
    Disengaged,
    Engaged,
    Event,
    Frame,
    PostDeleted,
    PostWritten,
)
from feedkit.links import domains_of, host_of, is_link
from feedkit.post import EPOCH, External, Image, Post, Video
from feedkit.sources.decode import BadFrame, StreamNotice, wanted_collections
from feedkit.sources.firehose_wire import firehose_frame
from feedkit.sources.jetstream_wire import jetstream_frame
from feedkit.sources.records import BadRecord, post_from_record
from feedkit.sources.syntax import (
    LAST_MICROSECOND,
    is_did,
    is_post_uri,
    is_tid,
    parse_moment,
    parse_time,
    tid_time,
)

BLOB = {"$type": "blob", "ref": {"$link": "bafk"}, "mimeType": "image/png", "size": 1}
SEEN = datetime(2026, 7, 4, 14, 38, 8, 85434, tzinfo=UTC)
CREATED = datetime(2026, 7, 4, 14, 38, 6, 240000, tzinfo=UTC)


def post(**fields: Any) -> Post:
    return post_from_record(DID, RKEY, "bafy", post_record(**fields), NOW)


def three(*ops: tuple[str, str, Any]) -> Iterator[tuple[Event, ...]]:
    """The events of a commit, over v1, v2 and the firehose."""
    for wire in (v1, v2):
        events: tuple[Event, ...] = ()
        for action, path, record in ops:
            collection, rkey = path.split("/")
            one = commit(... if record is None else record, collection, operation=action, rkey=rkey)
            message = v1(commit=one) if wire is v1 else v2(**one)
            events += jetstream_frame(message, ALL).events
        yield events
    yield firehose_frame(firehose_commit(*ops), ALL).events


# ---- a record


def test_a_plain_post() -> None:
    assert post(langs=["en"]) == Post(
        uri=URI,
        author=DID,
        cid="bafy",
        text="hello",
        langs=("en",),
        created_at=CREATED,
        seen_at=SEEN,
        sort_at=CREATED,
    )


def facet(kind: str, start: Any = 0, end: Any = 5, **fields: Any) -> dict[str, Any]:
    feature = {"$type": f"app.bsky.richtext.facet#{kind}", **fields}
    return {"index": {"byteStart": start, "byteEnd": end}, "features": [feature]}


TAG = facet("tag", tag="Cats")
QUOTE = f"at://{OTHER}/{POST}/3mpsjbtci2c2o"
IMAGES = {"$type": "app.bsky.embed.images", "images": [{"alt": "a cat", "image": BLOB}]}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"text": ""}, {"text": ""}),
        ({"text": "a\0b"}, {"text": "ab"}),
        ({"text": "\U0001d482" * 750}, {"text": "\U0001d482" * 750}),  # 3,000 bytes
        ({"$type": f"{POST}#main"}, {"text": "hello"}),
        ({"unknown": {"deep": [1]}}, {"text": "hello"}),
        ({"langs": None}, {"langs": ()}),
        ({"langs": "en"}, {"langs": ()}),
        ({"langs": ["JA", "", None, 3, "pt-BR"]}, {"langs": ("JA", "pt-BR")}),
        # facets
        ({"facets": [TAG]}, {"tags": {"cats"}}),
        ({"facets": [TAG], "tags": ["#Ärger", "ＦＵＬＬ", "", "#", None, "x" * 641]},
         {"tags": {"cats", "ärger", "full"}}),
        ({"facets": [facet("mention", did=OTHER)]}, {"mentions": {OTHER}}),
        ({"facets": [facet("mention", did="alice.example")]}, {"mentions": set()}),
        ({"facets": [facet("link", uri="https://Docs.Python.org/3/")]},
         {"links": ("https://Docs.Python.org/3/",),
          "domains": {"docs.python.org", "python.org"}}),
        ({"facets": [facet("link", uri="javascript:alert(1)")]}, {"links": (), "domains": set()}),
        ({"facets": [facet("link", uri=None), facet("link"), TAG]}, {"tags": {"cats"}}),
        ({"facets": [facet("tag", 4, 1, tag="x")]}, {"tags": set()}),
        ({"facets": [facet("tag", 2, 2, tag="x")]}, {"tags": set()}),
        ({"facets": [facet("tag", -1, 3, tag="x")]}, {"tags": set()}),
        ({"facets": [facet("tag", True, 3, tag="x")]}, {"tags": set()}),
        ({"facets": [facet("tag", "0", 3, tag="x")]}, {"tags": set()}),
        ({"text": "🔗 link", "facets": [facet("tag", 1, 3, tag="x")]}, {"tags": set()}),
        ({"text": "🔗 link", "facets": [facet("tag", 0, 4, tag="x")]}, {"tags": {"x"}}),
        ({"facets": [facet("tag", 0, 500, tag="x")]}, {"tags": {"x"}}),  # apps cut the range
        ({"facets": [{"features": TAG["features"]}]}, {"tags": set()}),
        ({"facets": [None, 3, {"index": []}, facet("hashtag", hashtag="x"), TAG]},
         {"tags": {"cats"}}),
        ({"facets": [{**TAG, "features": []}, {**TAG, "features": None}]}, {"tags": set()}),
        ({"facets": {"0": TAG}}, {"tags": set()}),
        ({"entities": [{"type": "link", "value": "https://a.example"}]}, {"links": ()}),
        # what it carries
        ({"embed": IMAGES}, {"images": (Image("a cat", "bafk", "image/png"),), "gallery": False}),
        ({"embed": {**IMAGES, "images": [{"image": BLOB}]}},
         {"images": (Image("", "bafk", "image/png"),)}),
        ({"embed": {**IMAGES, "images": [{"alt": None, "image": "bafkold"}, None, 5]}},
         {"images": (Image("", "bafkold"),)}),
        ({"embed": {**IMAGES, "images": [{"image": {"cid": "bafkold", "mimeType": "image/gif"}}]}},
         {"images": (Image("", "bafkold", "image/gif"),)}),
        ({"embed": {**IMAGES, "images": None}}, {"images": ()}),
        ({"embed": {"$type": "app.bsky.embed.gallery",
                    "items": [{"alt": "x", "image": BLOB, "aspectRatio": {"width": 3, "height": 0}}]
                    }},
         {"images": (Image("x", "bafk", "image/png", 3, 0),), "gallery": True}),
        ({"embed": {"$type": "app.bsky.embed.video", "video": BLOB, "presentation": "gif",
                    "aspectRatio": {"width": True, "height": 2**40}}},
         {"video": Video("", "bafk", "image/png", 0, 0, True)}),
        ({"embed": {"$type": "app.bsky.embed.external",
                    "external": {"uri": "https://www.a.example/x", "title": "T", "description": 0}
                    }},
         {"external": External("https://www.a.example/x", "T", ""),
          "links": ("https://www.a.example/x",), "domains": {"a.example"}}),
        ({"embed": {"$type": "app.bsky.embed.external",
                    "external": {"uri": "javascript:x", "title": "T"}}},
         {"external": External("", "T"), "links": (), "domains": set()}),
        ({"embed": {"$type": "app.bsky.embed.record", "record": {"uri": QUOTE}}}, {"quote": QUOTE}),
        ({"embed": {"$type": "app.bsky.embed.record",
                    "record": {"uri": f"at://{OTHER}/app.bsky.graph.list/x"}}}, {"quote": ""}),
        ({"embed": {"$type": "app.bsky.embed.recordWithMedia", "media": IMAGES,
                    "record": {"$type": "app.bsky.embed.record", "record": {"uri": QUOTE}}}},
         {"quote": QUOTE, "images": (Image("a cat", "bafk", "image/png"),)}),
        ({"embed": {"$type": "app.bsky.embed.recordWithMedia",
                    "media": {"$type": "app.bsky.embed.recordWithMedia"}}},
         {"quote": "", "images": ()}),
        ({"embed": {"$type": "com.example.new"}}, {"images": ()}),
        ({"embed": ["images"]}, {"images": ()}),
        # references
        ({"reply": {"root": {"uri": QUOTE}, "parent": {"uri": URI}}},
         {"reply_root": QUOTE, "reply_parent": URI}),
        ({"reply": {"root": {"uri": f"at://alice.example/{POST}/1"}, "parent": QUOTE}},
         {"reply_root": "", "reply_parent": ""}),
        ({"reply": None}, {"reply_root": "", "reply_parent": ""}),
        # labels
        ({"labels": {"$type": "com.atproto.label.defs#selfLabels",
                     "values": [{"val": "porn"}, {"val": None}, "x", {}]}}, {"labels": {"porn"}}),
        ({"labels": ["porn"]}, {"labels": set()}),
    ],
)  # fmt: skip
def test_what_a_post_says(record: dict[str, Any], expected: dict[str, Any]) -> None:
    made = post(**record)
    assert {name: getattr(made, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"text": ...}, "no text"),
        ({"text": None}, "no text"),
        ({"text": ["hello"]}, "no text"),
        ({"text": "x" * 3001}, "longer than 3,000 bytes"),
        ({"text": "é" * 1501}, "longer than 3,000 bytes"),
        ({"createdAt": ...}, "when it was created"),
        ({"createdAt": 1783175888}, "when it was created"),
        ({"$type": ...}, "$type"),
        ({"$type": LIKE}, "$type"),
    ],
)
def test_what_is_no_post(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRecord, match=reason.replace("$", r"\$")):
        post(**record)


@pytest.mark.parametrize("record", [None, [], "text", 5])
def test_a_record_that_is_no_object(record: Any) -> None:
    with pytest.raises(BadRecord, match="no record"):
        post_from_record(DID, RKEY, "", record, NOW)


@pytest.mark.parametrize(
    ("claimed", "created", "sort"),
    [
        ("2026-07-04T14:38:06.240Z", CREATED, CREATED),
        ("2026-07-04T23:38:06.24+09:00", CREATED, CREATED),
        ("2026-07-04T14:38:06.24000099Z", CREATED, CREATED),  # what is finer is cut off
        ("3023-01-01T00:00:00.000Z", datetime(3023, 1, 1, tzinfo=UTC), SEEN),
        ("0023-06-15T12:34:56.789Z", EPOCH, EPOCH),
        ("1969-12-31T23:59:59Z", EPOCH, EPOCH),
        ("0001-01-01T00:00:00+23:59", SEEN, SEEN),
        ("0000-01-01T00:00:00.000Z", SEEN, SEEN),
        ("9999-12-31T23:59:59.999-23:59", SEEN, SEEN),
        ("2026-07-04T14:38:06.240", SEEN, SEEN),
        ("1985-04-12T23:20:61.123Z", SEEN, SEEN),
        ("yesterday", SEEN, SEEN),
        ("", SEEN, SEEN),
    ],
)
def test_times(claimed: str, created: datetime, sort: datetime) -> None:
    made = post(createdAt=claimed)
    assert (made.created_at, made.seen_at, made.sort_at) == (created, SEEN, sort)


@given(st.text())
def test_any_time_is_read_or_refused(text: str) -> None:
    assert 0 <= parse_time(text) <= LAST_MICROSECOND


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_are_exact(moment: datetime) -> None:
    us = parse_time(moment.isoformat())
    assert EPOCH + timedelta(microseconds=us) == max(moment, EPOCH)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = """$type text createdAt langs facets tags embed reply labels index features byteStart
byteEnd uri did tag images image items video external record media alt ref aspectRatio width values
val parent root""".split()  # noqa: SIM905
SHAPED = st.recursive(
    JSON
    | st.sampled_from(
        ["app.bsky.embed.images", "app.bsky.embed.video", "app.bsky.embed.gallery",
         "app.bsky.embed.external", "app.bsky.embed.record", "app.bsky.embed.recordWithMedia",
         "app.bsky.richtext.facet#tag", "app.bsky.richtext.facet#link", "https://[::1"]
    ),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=15,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), SHAPED))
def test_any_record_is_a_post_or_a_bad_record(fields: dict[str, Any]) -> None:
    record = {"$type": POST, "text": "x", "createdAt": "2026-07-04T14:38:06Z"} | fields
    for one in (fields, record):
        try:
            made = post_from_record(DID, RKEY, "", one, NOW)
        except BadRecord:
            continue
        assert "\0" not in repr(made)
        assert EPOCH <= made.sort_at <= made.seen_at


# ---- links and identifiers


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.COM/path", "example.com"),
        ("http://example.com:8080", "example.com"),
        ("https://user:pass@example.com/", "example.com"),
        ("https://example.com@evil.test\\@good.test/‥", "evil.test"),
        ("https://good.test\\.evil.test", "good.test"),
        ("https://example.com.", "example.com"),
        ("https://ex%61mple.com/", "example.com"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("https://ｆｕｌｌ.example/", "full.example"),
        ("https://exa mple.com", ""),
        ("https://[::1", ""),
        ("https://[::1]/", ""),
        ("https://" + "a" * 300, ""),
        ("https://..é..", ""),
        ("https://", ""),
        ("", ""),
    ],
)
def test_the_host_is_the_one_a_browser_opens(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("host", "domains"),
    [
        ("www.docs.python.org", {"docs.python.org", "python.org"}),
        ("example.com", {"example.com"}),
        ("localhost", {"localhost"}),
        ("127.0.0.1", {"127.0.0.1"}),
        ("xn--bcher-kva.example", {"xn--bcher-kva.example", "bücher.example"}),
        ("a.xn--bcher-kva.example",
         {"a.xn--bcher-kva.example", "a.bücher.example",
          "xn--bcher-kva.example", "bücher.example"}),
        ("xn--0.example", {"xn--0.example"}),
    ],
)  # fmt: skip
def test_domains(host: str, domains: set[str]) -> None:
    assert domains_of(host) == domains


@given(st.text())
def test_any_link_has_a_host_or_none(text: str) -> None:
    for url in (text, f"https://{text}"):
        assert host_of(url) == host_of(url).lower()
    assert not is_link(f"javascript:{text}")


@needs_shared
@pytest.mark.parametrize(
    ("name", "accepts"),
    [
        ("did_syntax", is_did),
        ("tid_syntax", is_tid),
        ("recordkey_syntax", lambda key: is_post_uri(f"at://{DID}/{POST}/{key}")),
    ],
)
def test_identifiers_by_the_protocols_own_vectors(name: str, accepts: Any) -> None:
    folder = SHARED / "protocol" / "interop" / "syntax"
    for verdict in ("valid", "invalid"):
        lines = (folder / f"{name}_{verdict}.txt").read_text().splitlines()
        for line in [line for line in lines if line and not line.startswith("#")]:
            assert bool(accepts(line)) is (verdict == "valid"), line


@needs_shared
def test_times_by_the_protocols_own_vectors() -> None:
    folder = SHARED / "protocol" / "interop" / "syntax"
    for line in (folder / "datetime_syntax_valid.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            assert parse_moment(line) is not None, line


def test_a_tid_is_a_time() -> None:
    assert datetime.fromtimestamp(tid_time(REV) / 1e6, UTC).date().isoformat() == "2026-07-04"
    assert tid_time("nonsense") == 0


# ---- commits, over every wire


LIKED = Engaged(f"at://{DID}/{LIKE}/{RKEY}", "like", DID, URI, NOW)


@pytest.mark.parametrize(
    ("ops", "events"),
    [
        ([("create", f"{LIKE}/{RKEY}", like_record())], (LIKED,)),
        ([("create", f"{REPOST}/{RKEY}", like_record() | {"via": {"uri": "at://x"}})],
         (Engaged(f"at://{DID}/{REPOST}/{RKEY}", "repost", DID, URI, NOW),)),
        ([("create", f"{LIKE}/{RKEY}", like_record(f"at://{DID}/app.bsky.feed.generator/x"))], ()),
        ([("create", f"{LIKE}/{RKEY}", like_record(f"{URI}\0"))], ()),
        ([("create", f"{LIKE}/{RKEY}", {"subject": URI})], ()),
        ([("create", f"{LIKE}/{RKEY}", {"subject": {"uri": 3}})], ()),
        ([("create", f"{LIKE}/{RKEY}", [])], ()),
        ([("delete", f"{LIKE}/{RKEY}", None)], (Disengaged(f"at://{DID}/{LIKE}/{RKEY}", "like"),)),
        ([("delete", f"{POST}/{RKEY}", None)], (PostDeleted(URI, REV, NOW),)),
        ([("create", "app.bsky.graph.follow/x", {"subject": DID})], ()),
        ([("upsert", f"{POST}/{RKEY}", post_record())], ()),
        ([("create", f"{POST}/..", post_record())], ()),
        ([("create", f"{POST}/a b", post_record())], ()),
        ([("delete", f"{LIKE}/a\0b", None)], ()),
        ([("create", f"{LIKE}/{'x' * 513}", like_record())], ()),
        ([("create", f"{LIKE}/1", like_record()), ("create", f"{LIKE}/2", like_record()),
          ("delete", f"{LIKE}/3", None)],
         (Engaged(f"at://{DID}/{LIKE}/1", "like", DID, URI, NOW),
          Engaged(f"at://{DID}/{LIKE}/2", "like", DID, URI, NOW),
          Disengaged(f"at://{DID}/{LIKE}/3", "like"))),
    ],
)  # fmt: skip
def test_commits(ops: list[tuple[str, str, Any]], events: tuple[Event, ...]) -> None:
    for got in three(*ops):
        assert got == events


@pytest.mark.parametrize("key", ["self", "x" * 300, "a:b~c_d-e.f"])
@pytest.mark.parametrize("action", ["create", "update"])
def test_posts_over_every_wire(action: str, key: str) -> None:
    record = post_record(embed={"$type": "app.bsky.embed.record", "record": {"uri": QUOTE}})
    for got in three((action, f"{POST}/{key}", record)):
        (event,) = got
        assert isinstance(event, PostWritten)
        assert (event.rev, event.created, event.time) == (REV, action == "create", NOW)
        assert event.post.uri == f"at://{DID}/{POST}/{key}"
        assert event.post.quote == QUOTE
        assert event.post.cid.startswith("bafyrei")


def test_a_blob_has_the_same_cid_over_every_wire() -> None:
    named = libipld.encode_cid(b"\x01\x55\x12\x20" + bytes(32))
    linked = b"\x01\x71\x12\x20" + bytes(32)
    link = libipld.encode_cid(linked)
    json_image = {**IMAGES, "images": [{"image": {**BLOB, "ref": {"$link": link}}}]}
    cbor_image = {**IMAGES, "images": [{"image": {**BLOB, "ref": linked}}]}
    assert named != link
    first = jetstream_frame(v1(commit=commit(post_record(embed=json_image))), ALL).events[0]
    raw = firehose_commit(("create", f"{POST}/{RKEY}", post_record(embed=cbor_image)))
    second = firehose_frame(raw, ALL).events[0]
    assert isinstance(first, PostWritten)
    assert isinstance(second, PostWritten)
    assert first.post.images == second.post.images == (Image("", link, "image/png"),)


@pytest.mark.parametrize("size", [10, 100, 127, 128, 300, 16_383, 16_384, 16_500, 500_000])
def test_blocks_of_any_size_are_found(size: int) -> None:
    paths = [f"{POST}/{n}" for n in range(3)]
    ops = [("create", path, post_record(pad="x" * size, n=n)) for n, path in enumerate(paths)]
    frame = firehose_frame(firehose_commit(*ops), ALL)
    assert [event.post.uri[-1] for event in frame.events] == ["0", "1", "2"]  # type: ignore[union-attr]
    assert frame.skipped == ()


def test_a_bad_record_leaves_the_others_of_its_commit() -> None:
    good = post_record()
    raw = firehose_commit(
        ("create", f"{POST}/1", good | {"text": "one"}),
        ("create", f"{POST}/2", post_record(text=...)),
        ("create", f"{POST}/3", b"\xff\xff"),
        ("create", f"{POST}/4", b"\x62\xf0\x9f"),  # text that is no UTF-8
        ("create", f"{POST}/5", b"\x81" * 5000),  # nested 5,000 deep
        ("create", f"{POST}/6", good | {"text": "six"}),
    )
    frame = firehose_frame(raw, ALL)
    assert [event.post.text for event in frame.events] == ["one", "six"]  # type: ignore[union-attr]
    assert [uri[-1] for uri, _ in frame.skipped] == ["2", "3", "4", "5"]
    assert frame.skipped[0][1] == "it has no text"


@pytest.mark.parametrize(
    "blocks",
    [
        None,
        b"",
        b"\xff" * 20,
        b"\xff" * 2_000_000,
        b"\x05abc",
        car(),
        car()[:-3],
        "text",
        car(cbor(post_record()))[:-1],
    ],
)
def test_a_commit_without_its_blocks(blocks: Any) -> None:
    raw = firehose_commit(("create", f"{POST}/{RKEY}", post_record()), blocks=blocks, tooBig=True)
    frame = firehose_frame(raw, ALL)
    assert (frame.events, frame.cursor) == ((), 1)
    assert frame.skipped == ((URI, "its block is not in the commit"),)


@pytest.mark.parametrize("cid", [None, "bafy", 3, b"", b"\x01"])
def test_an_op_without_a_cid(cid: Any) -> None:
    raw = firehose_commit(ops=[{"action": "create", "path": f"{POST}/x", "cid": cid}])
    assert firehose_frame(raw, ALL).events == ()


@pytest.mark.parametrize("ops", [[None], [{}], [{"path": 3}], ["x"]])
def test_ops_that_are_none(ops: list[Any]) -> None:
    frame = firehose_frame(firehose_commit(ops=ops), ALL)
    assert frame.skipped == (("", "it is an op without a path"),)


def test_only_wanted_records_are_read() -> None:
    bad = like_record(subject="")
    for wanted, n in ((ALL, 1), (wanted_collections(frozenset({"replies"})), 0)):
        message = v1(commit=commit(like_record(), LIKE))
        assert len(jetstream_frame(message, wanted).events) == n
        raw = firehose_commit(("create", f"{LIKE}/1", like_record()), ("create", f"{LIKE}/2", bad))
        assert len(firehose_frame(raw, wanted).events) == n
    assert wanted_collections(frozenset({"likes", "reposts"})) == ALL


# ---- accounts


@pytest.mark.parametrize(
    ("active", "status", "state"),
    [
        (True, None, "active"),
        (True, "desynchronized", "active"),
        (False, "takendown", "takendown"),
        (False, "suspended", "suspended"),
        (False, "deactivated", "deactivated"),
        (False, "deleted", "deleted"),
        (False, "memorialised", "memorialised"),
        (False, "x\0" * 500, "x" * 64),
        (False, None, "deactivated"),
        (False, "", "deactivated"),
        (False, "active", "deactivated"),
    ],
)
def test_accounts(active: bool, status: str | None, state: str) -> None:
    body = {"active": active, "did": DID, "seq": 7, "time": "2026-07-04T14:38:07Z"}
    if status is not None:
        body["status"] = status
    expected = (AccountChanged(DID, state),)
    assert jetstream_frame(v1("account", account=body), ALL) == Frame(NOW, NOW, expected)
    assert jetstream_frame(v2("account", seq=9, account=body), ALL) == Frame(9, NOW, expected)
    assert firehose_frame(firehose("#account", body), ALL).events == expected


@pytest.mark.parametrize("did", ["DID:plc:x", "did:plc:", "alice.example", "did:plc:x\0", ""])
def test_an_account_that_is_none(did: str) -> None:
    body = {"active": False, "did": did, "seq": 7, "time": "2026-07-04T14:38:07Z"}
    for frame in (
        jetstream_frame(v1("account", did=did, account=body), ALL),
        jetstream_frame(v2("account", did=did, account=body), ALL),
        firehose_frame(firehose("#account", body), ALL),
    ):
        assert frame.events == ()
        assert frame.skipped == (("", "its account is malformed"),)


# ---- messages


@pytest.mark.parametrize(
    ("message", "cursor"),
    [
        (v1("identity", identity={"did": DID}), NOW),
        (v1("something-new"), NOW),
        (v1("account"), NOW),
        (v1("commit"), NOW),
        (v1("commit", time_us=None), 0),  # nothing to go on from
        (v2("identity", seq=5, identity={"did": DID, "handle": "a.test"}), 5),
        (v2("sync", seq=6, sync={"blocks": {"$bytes": "AAAA"}}), 6),
        (v2("something-new", seq=2**63 - 1), 2**63 - 1),
        (v2("commit", seq=8, **commit(collection="com.example.x", operation="delete")), 8),
    ],
)
def test_messages_without_events(message: bytes, cursor: int) -> None:
    assert jetstream_frame(message, ALL) == Frame(cursor, NOW if cursor else 0)


def test_firehose_messages_without_events() -> None:
    for kind in ("#identity", "#sync"):
        raw = firehose(kind, {"seq": 5, "did": DID, "time": "2026-07-04T14:38:08.085434Z"})
        assert firehose_frame(raw, ALL) == Frame(5, NOW)
    old = firehose_commit(("create", f"{POST}/{RKEY}", post_record()), seq=7)
    assert firehose_frame(old, ALL, since=NOW + 1) == Frame(7, NOW)
    assert len(firehose_frame(old, ALL, since=NOW).events) == 1


LONE = json.dumps({"did": DID, "time_us": NOW, "kind": "commit", "commit": commit(post_record())})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"bad \ud83d end", "bad  end"),
        (r"\udc00\ud800", ""),
        (r"good \ud83d\ude00", "good 😀"),
        (r"nul\u0000", "nul"),
        (r"a \"quoted\" \\ud83d", r'a "quoted" \ud83d'),
    ],
)
def test_lone_surrogates_and_nul_are_removed(text: str, expected: str) -> None:
    message = LONE.replace('"hello"', f'"{text}"').encode()
    (event,) = jetstream_frame(message, ALL).events
    assert isinstance(event, PostWritten)
    assert event.post.text == expected
    event.post.text.encode()


@pytest.mark.parametrize("key", [r"3mpt\u0000byo", r"3mpt\ud83dbyo"])
def test_an_identifier_is_not_mended(key: str) -> None:
    frame = jetstream_frame(LONE.replace(RKEY, key).encode(), ALL)
    assert frame.events == ()
    assert frame.skipped == (("", "its account or record key is malformed"),)


def test_a_lone_surrogate_in_an_unwanted_record_costs_nothing() -> None:
    message = LONE.replace("hello", r"\ud83d").replace(POST, "com.example.note").encode()
    assert jetstream_frame(message, ALL) == Frame(NOW, NOW)


def test_of_two_keys_the_last_counts() -> None:
    message = LONE.replace('"text": "hello"', '"text": "first", "text": "second"').encode()
    (event,) = jetstream_frame(message, ALL).events
    assert isinstance(event, PostWritten)
    assert event.post.text == "second"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"record": None}, "there is no record"),
        ({"record": ...}, "there is no record"),
        ({"rev": "nonsense"}, "its rev is malformed"),
        ({"rkey": "."}, "its account or record key is malformed"),
    ],
)
def test_records_that_are_skipped(fields: dict[str, Any], reason: str) -> None:
    one = {k: v for k, v in (commit(post_record()) | fields).items() if v is not ...}
    frame = jetstream_frame(v1(commit=one), ALL)
    assert (frame.cursor, frame.events) == (NOW, ())
    assert [said for _, said in frame.skipped] == [reason]


def test_a_record_too_large_is_skipped() -> None:
    huge = post_record(extra="x" * 2**21)
    for frame in (
        jetstream_frame(v1(commit=commit(huge)), ALL),
        firehose_frame(firehose_commit(("create", f"{POST}/{RKEY}", huge)), ALL),
    ):
        assert frame.events == ()
        assert "larger than" in frame.skipped[0][1]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b'"blah"',
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b"{" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 3000 + b'"\\ud800"' + b"]" * 3000,
        LONE.replace("hello", "hel\x00lo").encode(),
        LONE.encode()[:-20],
        LONE.encode().replace(RKEY.encode(), b"3m\xf0\x9f\x98"),  # a cut character
        LONE.replace(str(NOW), "1" * 5000).encode(),
        LONE.replace(str(NOW), "NaN").encode(),
        LONE.replace(str(NOW), "NaN").replace("hello", r"\ud83d").encode(),
        LONE.replace(str(NOW), "-5").encode(),
        LONE.replace(str(NOW), "0").encode(),
        LONE.replace(str(NOW), str(2**63)).encode(),
        LONE.replace(str(NOW), str(2**63 - 1)).encode(),  # a time after the year 9999
        LONE.replace(str(NOW), f'"{NOW}"').encode(),
        LONE.replace(str(NOW), str(2**63)).replace("hello", r"\ud83d").encode(),
        v1(did=3),  # type: ignore[arg-type]
        v1("account", account={"active": "yes"}),
        v2(seq=0),
        v2(seq=-1),
        v2(seq=2**63),
        v2(seq="5"),
        v2(seq=None),
        v2(seq=1.5),
        v2(time="2026-07-04T14:38:08"),
        v2(time="soon"),
        json.dumps({"$type": "surprise", "payload": {"seq": 1}}).encode(),
        json.dumps({"$type": "message", "payload": []}).encode(),
    ],
)  # fmt: skip
def test_messages_that_are_none(message: bytes) -> None:
    with pytest.raises(BadFrame):
        jetstream_frame(message, ALL)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        cbor({"op": 1, "t": "#commit"}),
        cbor([1]) + cbor({}),
        cbor({"op": 1, "t": "#commit"}) + cbor([]),
        cbor({"op": 7, "t": "#commit"}) + cbor({"seq": 1}),
        cbor({"op": 1, "t": "#new"}) + cbor({"seq": 1}),
        cbor({"op": 1, "t": None}) + cbor({"seq": 1}),
        cbor({"op": 1, "t": "#commit"}) + b"\x81" * 5000,
        firehose_commit(seq=0),
        firehose_commit(seq=-1),
        firehose_commit(seq=2**63),
        firehose_commit(seq=True),
        firehose_commit(seq="1"),
        firehose_commit(seq=None),
        firehose_commit(repo=None),
        firehose_commit(rev=3),
        firehose_commit(ops={}),
        firehose("#account", {"seq": 1, "did": DID, "active": "yes"}),
        firehose("#account", {"seq": 1, "active": True}),
        firehose_commit() + cbor({}),
    ],
)
def test_firehose_messages_that_are_none(message: bytes) -> None:
    with pytest.raises(BadFrame):
        firehose_frame(message, ALL)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_message_is_a_frame_or_a_bad_frame(message: bytes) -> None:
    for decode in (jetstream_frame, firehose_frame):
        try:
            decode(message, ALL)
        except (BadFrame, StreamNotice):
            continue


KEYS = """did time_us kind commit account payload seq time rev operation collection rkey record cid
active status $type error message""".split()  # noqa: SIM905
COMMIT_FIELDS = st.dictionaries(
    st.sampled_from(KEYS),
    JSON | st.sampled_from([POST, LIKE, "create", "delete", "commit", "account", DID, REV, NOW]),
)  # fmt: skip


@given(COMMIT_FIELDS, COMMIT_FIELDS)
def test_any_shape_of_event(outer: dict[str, Any], inner: dict[str, Any]) -> None:
    whole = {"did": DID, "time_us": NOW, "kind": "commit", "commit": commit(post_record()) | inner}
    two = {"$type": "message", "payload": {"$type": "commit", "seq": 1, **inner}}
    for value in (outer, whole | outer, whole, two):
        try:
            frame = jetstream_frame(json.dumps(value).encode(), ALL)
        except (BadFrame, StreamNotice):
            continue
        assert 0 <= frame.cursor < 2**63
        assert 0 <= frame.time < 2**63


@given(COMMIT_FIELDS, JSON)
def test_any_shape_of_firehose_event(fields: dict[str, Any], ops: Any) -> None:
    body = {"seq": 1, "repo": DID, "rev": REV, "ops": ops, "time": "x"} | fields
    for kind in ("#commit", "#account", "#identity", "#info"):
        try:
            raw = firehose(kind, body)
        except (ValueError, OverflowError):
            return  # what DAG-CBOR cannot hold
        try:
            frame = firehose_frame(raw, ALL)
        except (BadFrame, StreamNotice):
            continue
        assert 0 < frame.cursor < 2**63


@pytest.mark.parametrize(
    ("decode", "message", "name", "final"),
    [
        (jetstream_frame, v2_error("ConsumerTooSlow", "too slow"), "ConsumerTooSlow", True),
        (jetstream_frame, v2_info("OutdatedCursor", "from 5"), "OutdatedCursor", False),
        (jetstream_frame, b'{"error":"x"}', "x", True),
        (firehose_frame, firehose_error("FutureCursor"), "FutureCursor", True),
        (firehose_frame, cbor({"op": -1, "error": "FutureCursor"}), "FutureCursor", True),
        (firehose_frame, cbor({"op": -1}) + cbor({}), "an error", True),
        (firehose_frame, firehose("#info", {"name": "OutdatedCursor"}), "OutdatedCursor", False),
    ],
)
def test_what_the_server_says(decode: Any, message: bytes, name: str, final: bool) -> None:
    with pytest.raises(StreamNotice) as notice:
        decode(message, ALL)
    assert (notice.value.name, notice.value.final) == (name, final)


def test_without_a_time_of_its_own_the_rev_tells_it() -> None:
    for frame in (
        jetstream_frame(v1(time_us=None, commit=commit(post_record(createdAt="never"))), ALL),
        firehose_frame(
            firehose_commit(("create", f"{POST}/x", post_record(createdAt="never")), time="x"), ALL
        ),
    ):
        (event,) = frame.events
        assert isinstance(event, PostWritten)
        assert event.time == tid_time(REV)
        assert event.post.sort_at.date().isoformat() == "2026-07-04"


# ---- recordings


def lines(path: Path) -> Iterator[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        yield from file


def without_times(event: Event) -> Any:
    """An event without what a relay and a Jetstream see at different moments."""
    if isinstance(event, PostWritten):
        post = msgspec.structs.replace(event.post, seen_at=EPOCH, sort_at=EPOCH)
        return msgspec.structs.replace(event, time=0, post=post)
    timed = isinstance(event, (PostDeleted, Engaged))
    return msgspec.structs.replace(event, time=0) if timed else event


def big_endian_frames(path: Path) -> Iterator[bytes]:
    data, at = path.read_bytes(), 0
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 4 + size]
        at += 4 + size


@needs_shared
def test_150_real_frames_and_productions_own_jetstream_give_the_same_events() -> None:
    folder = SHARED / "data" / "firehose-corpus"
    blob = (folder / "frames.bin.zst").read_bytes()
    data = zstandard.ZstdDecompressor().decompressobj().decompress(blob)
    over_firehose, at, n = [], 0, 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        frame = firehose_frame(data[at + 4 : at + 4 + size], ALL)
        assert frame.skipped == ()
        over_firehose += map(without_times, frame.events)
        at, n = at + 4 + size, n + 1
    over_jetstream = []
    for line in lines(folder / "expected_v1.jsonl"):
        frame = jetstream_frame(line, ALL)
        assert frame.skipped == ()
        over_jetstream += map(without_times, frame.events)
    assert n == 150
    assert len(over_jetstream) > 100
    key = lambda event: event.post.uri if isinstance(event, PostWritten) else repr(event)  # noqa: E731
    assert sorted(over_firehose, key=key) == sorted(over_jetstream, key=key)


@needs_shared
def test_v1_and_v2_of_the_same_events() -> None:
    one = [
        jetstream_frame(x, ALL).events
        for x in lines(SHARED / "data/firehose-corpus/expected_v1.jsonl")
    ]
    two = [
        jetstream_frame(x, ALL).events for x in lines(SHARED / "data/derived-jetstream-v2.jsonl.gz")
    ]
    assert one == two


@needs_shared
@pytest.mark.parametrize("name", ["jetstream-v1", "posts-firehose2024", "posts-mixed"])
def test_real_events(name: str) -> None:
    skipped, written = [], 0
    for line in lines(SHARED / "data" / f"real-events-{name}.jsonl.gz"):
        frame = jetstream_frame(line, ALL)
        skipped += frame.skipped
        written += sum(isinstance(event, PostWritten) for event in frame.events)
    assert skipped == []
    assert written > 20


@needs_shared
@pytest.mark.parametrize("name", ["firehose_live", "firehose_replay_cursor0"])
def test_a_recorded_pds(name: str) -> None:
    kinds: dict[str, int] = {}
    for raw in big_endian_frames(SHARED / "network" / "recorded" / f"{name}.frames"):
        frame = firehose_frame(raw, ALL)
        assert frame.skipped == ()
        for event in frame.events:
            kinds[type(event).__name__] = kinds.get(type(event).__name__, 0) + 1
    assert kinds["PostWritten"] > 30
    assert kinds["AccountChanged"] >= 10
    assert kinds["PostDeleted"] >= 1


@needs_shared
def test_a_recorded_network_over_every_wire() -> None:
    folder = SHARED / "network" / "recorded"
    over_firehose = [
        without_times(event)
        for raw in big_endian_frames(folder / "firehose_live.frames")
        for event in firehose_frame(raw, ALL).events
    ]
    for version in ("v1", "v2"):
        recorded = json.loads((folder / f"jetstream_{version}_standin.json").read_text())
        events = [
            without_times(event)
            for message in recorded
            for event in jetstream_frame(json.dumps(message).encode(), ALL).events
        ]
        assert events == over_firehose


@needs_shared
@pytest.mark.parametrize("name", ["ConsumerTooSlow", "FutureCursor", "OutdatedCursor"])
def test_a_recorded_notice(name: str) -> None:
    kind = "info" if name == "OutdatedCursor" else "error"
    (raw,) = big_endian_frames(SHARED / "network" / "recorded" / f"frame_{kind}_{name}.frames")
    with pytest.raises(StreamNotice) as notice:
        firehose_frame(raw, ALL)
    assert notice.value.name == name


# What becomes of each hostile message: events, skipped (the record), bad (the message), nothing,
# or the name of a notice. Requests are the web's business.
HOSTILE = {
    "skipped": "time-not-a-string time-missing utf8-invalid-bytes nul-in-rkey record-null "
    "record-missing text-missing type-missing did-bad",
    "bad": "time_us-string time_us-huge bigint-5000-digits nan frame-not-object "
    "frame-empty firehose-toobig",
    "nothing": "op-unknown identity-no-handle",
    "events": "time-far-future time-year-0000 time-short-year time-9999-negative-offset "
    "time-no-timezone time-leap-second time-9-digit-fraction delete-before-create delete-unknown "
    "recreate-same-rkey like-before-post unlike repost-with-via lone-surrogate zero-width-real "
    "fullwidth homoglyph-cyrillic combining-flood nfd-vs-nfc emoji-zwj text-3000-bytes redos "
    "redos-spaces dup-keys text-empty type-suffix unknown-fields cid-garbage rkey-not-tid did-web "
    "langs-wrong langs-region langs-case langs-many langs-null facet-negative-length "
    "facet-splits-utf8 facet-no-features facet-hashtag-variant facet-index-missing entities-legacy "
    "embed-gallery embed-image-as-string embed-alt-missing embed-link-hostile reply-self-cycle "
    "self-labels account-takendown account-deleted account-unknown-status",
    "OutdatedCursor": "v2-info",
    "ConsumerTooSlow": "v2-error",
}


@needs_shared
def test_hostile_messages() -> None:
    outcome = {name: verdict for verdict, names in HOSTILE.items() for name in names.split()}
    got = {}
    for line in lines(SHARED / "data" / "hostile.jsonl"):
        case = json.loads(line)
        if case["category"] == "request" or case["id"] == "firehose-error-frame":
            continue
        if "raw_b64" in case:
            messages = [base64.b64decode(case["raw_b64"])]
        elif "raw" in case:
            messages = [case["raw"].encode()]
        else:
            messages = [json.dumps(e).encode() for e in case.get("events") or [case["event"]]]
        for message in messages:
            try:
                frame = jetstream_frame(message, ALL)
            except BadFrame:
                verdict = "bad"
            except StreamNotice as notice:
                verdict = notice.name
            else:
                verdict = "events" if frame.events else "skipped" if frame.skipped else "nothing"
            assert got.setdefault(case["id"], verdict) == verdict
    assert got == outcome


@needs_shared
def test_hostile_firehose_messages() -> None:
    for line in lines(SHARED / "data" / "hostile.jsonl"):
        case = json.loads(line)
        if case["id"] == "firehose-error-frame":
            with pytest.raises(StreamNotice, match="FutureCursor"):
                firehose_frame(base64.b64decode(case["raw_b64"]), ALL)
        elif case["id"] == "firehose-toobig":
            body = json.loads(case["raw"])
            assert firehose_frame(firehose("#commit", body), ALL).events == ()
            op = {"action": "create", "path": f"{POST}/x", "cid": cid_bytes(b"")}
            frame = firehose_frame(firehose("#commit", body | {"ops": [op]}), ALL)
            assert frame.events == ()
            assert len(frame.skipped) == 1
