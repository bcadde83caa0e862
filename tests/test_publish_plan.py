"""What a feed's record shall be, and what has to be done for it: nothing is sent."""

from __future__ import annotations

import pytest

from feedkit.config import load_config
from feedkit.publish.errors import PublishError
from feedkit.publish.plan import Change, Stored, left_over, plan
from feedkit.publish.publishers import Publisher, passwords, variable
from feedkit.publish.records import blob_cid, facets, handles_in, read_picture, wanted
from feedkit.publish.steps import Pictures, step_for
from feedkit.publish.wording import lines

NOW = "2026-01-15T12:00:00.000Z"
DID = "did:web:feeds.example.com"
PNG = b"\x89PNG\r\n\x1a\n, and so on"
JPEG = b"\xff\xd8\xff\xe0, and so on"


@pytest.fixture
def service(tmp_path):
    """Makes a service with one feed, `birds`, of these lines; `head` comes before `feeds:`."""

    def make(written="", head=""):
        (tmp_path / "config.yaml").write_text(
            "service: {hostname: feeds.example.com, publisher: alice.example.com}\n"
            f"{head}\nfeeds:\n  birds:\n    filter: reply\n{written}"
        )
        return load_config(tmp_path / "config.yaml", {})

    return make


@pytest.fixture
def step(service):
    """The step for a feed of these lines, where there is this record."""

    def make(written="", there=None, head="", dids=None):
        made = service(written, head)
        records = {} if there is None else {"birds": Stored("bafyold", there)}
        return step_for(made.feeds["birds"], made, records, dids or {}, Pictures(made))

    return make


def stored(**fields):
    return {"$type": "app.bsky.feed.generator", "did": DID, "createdAt": "2023-05-01T00:00:00Z",
            "displayName": "Birds", **fields}  # fmt: skip


def said(step):
    return "\n".join(lines(step))


# The plan


def test_a_new_record_has_what_the_configuration_says_and_nothing_empty(step):
    made = step("    description: Of birds\n    labels: []\n    accepts_interactions: no\n")
    created = made.record.pop("createdAt")
    assert made.record == {
        "$type": "app.bsky.feed.generator",
        "did": DID,
        "displayName": "birds",
        "description": "Of birds",
    }
    assert created.endswith("Z")
    assert (made.action, made.before, made.moves) == ("create", None, False)


def test_everything_that_a_record_can_have(step, tmp_path):
    (tmp_path / "birds.png").write_bytes(PNG)
    made = step(
        "    display_name: Birds 🐦\n    description: See example.com\n    avatar: birds.png\n"
        "    content_mode: video\n    accepts_interactions: yes\n    labels: [nudity, spoiler, nudity]\n"
    )
    record = made.record
    assert record["descriptionFacets"] == [
        {
            "index": {"byteStart": 4, "byteEnd": 15},
            "features": [{"$type": "app.bsky.richtext.facet#link", "uri": "https://example.com"}],
        }
    ]
    assert record["avatar"] == {
        "$type": "blob", "ref": {"$link": blob_cid(PNG)}, "mimeType": "image/png", "size": len(PNG)
    }  # fmt: skip
    assert record["contentMode"] == "app.bsky.feed.defs#contentModeVideo"
    assert record["acceptsInteractions"] is True
    assert record["labels"] == {
        "$type": "com.atproto.label.defs#selfLabels",
        "values": [{"val": "nudity"}, {"val": "spoiler"}],
    }


def test_what_is_already_so_is_nothing_to_do(step, tmp_path):
    (tmp_path / "birds.png").write_bytes(PNG)
    written = (
        "    display_name: Birds\n    description: See example.com\n    avatar: birds.png\n"
        "    content_mode: video\n    accepts_interactions: yes\n    labels: [spoiler]\n"
    )
    again = step(written, there=step(written).record)
    assert (again.action, again.changes) == ("nothing", ())


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("accepts_interactions: no", {}),
        ("accepts_interactions: no", {"acceptsInteractions": False}),
        ("content_mode: unspecified", {"contentMode": "app.bsky.feed.defs#contentModeUnspecified"}),
        ("description: ''", {"descriptionFacets": [], "description": ""}),
        ("labels: []", {"labels": {"$type": "com.atproto.label.defs#selfLabels", "values": []}}),
        ("labels: [b, a]", {"labels": {"values": [{"val": "a"}, {"val": "b"}]}}),
        ("avatar: birds.png", {"avatar": {"cid": blob_cid(PNG), "mimeType": "image/png"}}),
        (
            "description: see example.com",
            {
                "description": "see example.com",
                "descriptionFacets": [
                    {
                        "$type": "app.bsky.richtext.facet",
                        "index": {"byteEnd": 15, "byteStart": 4},
                        "features": [
                            {"uri": "https://example.com", "$type": "app.bsky.richtext.facet#link"}
                        ],
                    }
                ],
            },
        ),
    ],
)
def test_what_means_the_same_stays_as_it_was_written(step, tmp_path, written, there):
    (tmp_path / "birds.png").write_bytes(PNG)
    before = stored(**there)
    made = step(f"    {written}\n", before)
    assert (made.action, made.record) == ("nothing", before)


def test_one_changed_field_is_all_that_changes(step):
    before = stored(
        description="Of birds", note={"by": ["hand", None, 3]}, acceptsInteractions=True
    )
    made = step("    description: About birds\n", before)
    assert made.changes == (Change("description", "Of birds", "About birds"),)
    assert made.record == {**before, "description": "About birds"}
    assert (made.action, made.before) == ("change", "bafyold")


def test_links_made_by_hand_stay_while_the_text_does(step):
    by_hand = {
        "index": {"byteStart": 0, "byteEnd": 3},
        "features": [{"$type": "app.bsky.richtext.facet#link", "uri": "https://example.org/rules"}],
    }
    before = stored(description="See #birds", descriptionFacets=[by_hand])
    assert step("    description: 'See #birds'\n", before).action == "nothing"
    made = step("    description: 'See #owls'\n", before)
    assert [one["features"][0].get("tag") for one in made.record["descriptionFacets"]] == ["owls"]
    del before["descriptionFacets"]
    made = step("    description: 'See #birds'\n", before)
    assert [one.field for one in made.changes] == ["descriptionFacets"]


def test_what_the_configuration_does_not_name_stays(step):
    before = stored(
        description="Of @bob.example.com", descriptionFacets=[{"x": 1}], avatar={"ref": {"$link": "b"}},
        labels={"values": [{"val": "spoiler"}]}, acceptsInteractions=True,
        contentMode="app.bsky.feed.defs#contentModeVideo",
    )  # fmt: skip
    assert step("", before).action == "nothing"


def test_what_it_names_as_empty_goes(step):
    before = stored(
        description="x", descriptionFacets=[{"x": 1}], avatar={"ref": {"$link": "b"}},
        labels={"values": [{"val": "spoiler"}]}, acceptsInteractions=True,
        contentMode="app.bsky.feed.defs#contentModeVideo",
    )  # fmt: skip
    made = step(
        "    description: ''\n    avatar: ''\n    labels: []\n    accepts_interactions: no\n"
        "    content_mode: unspecified\n",
        before,
    )
    assert made.record == stored()
    assert len(made.changes) == 6


def test_a_key_under_defaults_counts_as_named(step):
    assert step("", stored(), head="defaults: {labels: spoiler}").record["labels"]["values"] == [
        {"val": "spoiler"}
    ]


def test_a_moved_service_changes_the_did_alone(step):
    made = step("", stored(did="did:web:old.example.com"))
    assert made.changes == (Change("did", "did:web:old.example.com", DID),)
    assert made.moves
    assert f"did: did:web:old.example.com → {DID}" in said(made)
    assert "its subscribers stay" in said(made)


def test_a_record_without_createdAt_gets_one(step):
    before = stored()
    del before["createdAt"]
    assert plan("birds", {"did": DID}, Stored("x", before), NOW).record["createdAt"] == NOW


def test_left_over_are_our_records_without_a_feed():
    records = {
        "a": Stored("1", stored()),
        "b": Stored("2", stored()),
        "c": Stored("3", stored(did="did:web:x")),
    }
    assert left_over(records, {"a"}, DID) == {"b": records["b"]}


# Its words


def test_the_plan_is_told_field_by_field_in_the_configurations_words(step):
    assert said(step("", stored(displayName="Birds"))) == "  birds: nothing to do"
    made = step(
        "    display_name: Owls\n    accepts_interactions: yes\n    content_mode: video\n"
        "    labels: spoiler\n    description: 'See #owls 👨‍👩‍👧'\n",
        stored(
            description="Of birds, of all the birds that are and of those that were\nor so\x1b[2J \u202e"
        ),
    )
    assert said(made).splitlines() == [
        "  birds: change",
        "      display_name: «Birds» → «Owls»",
        "      description:",
        "        - «Of birds, of all the birds that are and of those that were\\nor so\\x1b[2J \\u202e»",
        "        + «See #owls 👨‍👩‍👧»",
        "      links in the description: none → owls (bytes 4–9)",
        "      accepts_interactions: none → yes",
        "      content_mode: none → video",
        "      labels: none → spoiler",
    ]


def test_odd_records_are_shown_too(step, tmp_path):
    (tmp_path / "birds.png").write_bytes(PNG)
    made = step(
        "    avatar: birds.png\n    labels: spoiler\n    description: x\n    content_mode: video\n",
        stored(
            did=3, avatar=[1], labels="?", description=["y"], descriptionFacets=[1], contentMode={}
        ),
    )
    assert made.action == "change"
    assert "did: 3 →" in said(made)


# Facets


def cut(text, facet):
    index = facet["index"]
    return text.encode()[index["byteStart"] : index["byteEnd"]].decode()


def test_offsets_are_bytes():
    text = "鳥 🐦👨‍👩‍👧 by @Bob.test: https://example.com/鳥?a=1. é#no (#鳥, #birds!) example.org 🇩🇪#x $ABC"
    found = facets(text, {"bob.test": "did:plc:bob"})
    assert [
        (
            cut(text, one),
            one["features"][0].get("uri")
            or one["features"][0].get("did")
            or one["features"][0].get("tag"),
        )
        for one in found
    ] == [
        ("@Bob.test", "did:plc:bob"),
        ("https://example.com/鳥?a=1", "https://example.com/鳥?a=1"),
        ("#birds", "birds"),
        ("example.org", "https://example.org"),
        ("$ABC", "$ABC"),
    ]
    assert found[0]["index"] == {"byteStart": 30, "byteEnd": 39}


def test_a_mention_of_nobody_stays_plain_text():
    assert handles_in("by @Bob.test and @bob.test, not bob@example.com") == {"bob.test"}
    assert facets("by @bob.test", {"bob.test": ""}) == []


@pytest.mark.parametrize(
    "text",
    [
        "https:///x",
        "https://.",
        "#" + "é" * 65,
        "#" + ("e" + "\u0301" * 11) * 40,
        "nothing at all, e.g. this.Or that",
        "",
    ],
)
def test_what_the_lexicon_would_refuse_is_no_facet(text):
    assert facets(text, {}) == []


def test_facets_do_not_overlap():
    found = facets("#a(https://example.com)b", {})
    ends = [one["index"]["byteEnd"] for one in found]
    assert all(end <= nxt["index"]["byteStart"] for end, nxt in zip(ends, found[1:], strict=False))
    assert found


# Pictures


def test_the_cid_of_a_blob():
    # the CID of nothing at all, known everywhere
    assert blob_cid(b"") == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"


@pytest.mark.parametrize(("data", "kind"), [(PNG, "image/png"), (JPEG, "image/jpeg")])
def test_a_picture_is_what_its_bytes_say(tmp_path, data, kind):
    (tmp_path / "birds.txt").write_bytes(data)
    picture, read = read_picture(tmp_path / "birds.txt")
    assert (picture.kind, picture.size, read) == (kind, len(data), data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "cannot be read: No such file"),
        (b"GIF89a", "neither a PNG nor"),
        (PNG + bytes(1_000_000), "bytes, Bluesky takes 1,000,000; make it smaller"),
    ],
)
def test_a_picture_that_changed_for_the_worse(tmp_path, data, says):
    if data is not None:
        (tmp_path / "birds.png").write_bytes(data)
    with pytest.raises(PublishError, match=says):
        read_picture(tmp_path / "birds.png")


def test_a_picture_that_changes_between_plan_and_sending(service, tmp_path):
    (tmp_path / "birds.png").write_bytes(PNG)
    made = service("    avatar: birds.png\n")
    pictures = Pictures(made)
    cid = pictures.of(made.feeds["birds"]).cid
    (tmp_path / "birds.png").write_bytes(JPEG)

    class Nowhere:
        publisher = Publisher("did:plc:a", "http://127.0.0.1:9", ("alice.example.com",))

    with pytest.raises(PublishError, match="has changed since the plan; run this again"):
        pictures.send(cid, Nowhere())


# Passwords

ALICE = Publisher("did:plc:alice", "https://pds", ("alice.example.com",))
BOB = Publisher("did:plc:bob", "https://pds", ("bob.example.com", "did:plc:bob"))


def test_passwords_are_found_by_publisher(service):
    environ = {
        "FEEDKIT_APP_PASSWORD": " one\n", "FEEDKIT_APP_PASSWORD_DID_PLC_BOB": "two",
        "FEEDKIT_APP_PASSWORD_BOB_EXAMPLE_COM": " ",
    }  # fmt: skip
    assert passwords([ALICE, BOB], service(), environ) == {
        "did:plc:alice": "one",
        "did:plc:bob": "two",
    }
    environ["FEEDKIT_APP_PASSWORD_ALICE_EXAMPLE_COM"] = "three"
    assert passwords([ALICE], service(), environ) == {"did:plc:alice": "three"}
    assert variable("did:plc:ewvi7") == "FEEDKIT_APP_PASSWORD_DID_PLC_EWVI7"


def test_one_accounts_password_is_not_for_another(service):
    with pytest.raises(PublishError) as error:
        passwords([ALICE, BOB], service(), {"FEEDKIT_APP_PASSWORD": "secret"})
    assert (
        "  bob.example.com: FEEDKIT_APP_PASSWORD_DID_PLC_BOB or FEEDKIT_APP_PASSWORD_BOB_EXAMPLE_COM\n"
        in str(error.value)
    )
    assert "alice" not in str(error.value)
    assert "secret" not in str(error.value)


def test_two_publishers_whose_variable_would_be_one(service):
    twin = Publisher("did:plc:twin", "https://pds", ("alice-example.com",))
    with pytest.raises(PublishError, match="would be the password of two publishers"):
        passwords([ALICE, twin], service(), {"FEEDKIT_APP_PASSWORD_ALICE_EXAMPLE_COM": "x"})


def test_a_feed_made_without_names_keeps_the_records_text(service):
    """`named` says what was written; without it only the did is ours."""
    from dataclasses import replace

    feed = replace(service("    description: x\n").feeds["birds"], named=frozenset())
    assert wanted(feed, DID, {}, None, new=False) == {"did": DID}
