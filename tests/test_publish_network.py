"""Publishing on a real network of PLC, PDS and AppView: what the app shows of it.

Runs where `../shared/network` lies beside the project; skipped elsewhere.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from _network import pytestmark  # noqa: F401

from feedkit.cli import run
from feedkit.config import load_config
from feedkit.publish.errors import PublishError
from feedkit.publish.publishers import find_publishers
from feedkit.publish.repo import Repo
from feedkit.publish.steps import Pictures, step_for, take

GENERATOR = "app.bsky.feed.generator"
PNG = bytes.fromhex(  # one red dot
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xd9"


@pytest.fixture
def project(network, tmp_path, monkeypatch, request):
    """A service with a host name of its own, whose publishers are alice and bob."""
    for name in [name for name in os.environ if name.startswith("FEEDKIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FEEDKIT_APP_PASSWORD", "pw-alice")
    monkeypatch.setenv("FEEDKIT_APP_PASSWORD_BOB_TEST", "pw-bob")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "birds.png").write_bytes(PNG)
    host = request.node.name.replace("_", "-")[:50].strip("-") + ".example.com"
    return Project(network, tmp_path, host)


class Project:
    def __init__(self, network, folder, host):
        self.network, self.folder, self.host = network, folder, host
        self.dids = {name: one["did"] for name, one in network.info["accounts"].items()}
        # The AppView shows no feed whose service it cannot find, and finds no made-up host.
        self.did = network.createFeedGen(endpoint=f"https://{host}")["did"]

    def write(self, feeds, did=None):
        info, did = self.network.info, self.did if did is None else did
        own = did and f", did: '{did}'"
        (self.folder / "config.yaml").write_text(
            f"service: {{hostname: {self.host}, publisher: alice.test{own}}}\n"
            f"network: {{plc: '{info['plc']}', appview: '{info['appview']}'}}\n"
            f"defaults: {{filter: reply}}\nfeeds:\n{feeds}"
        )
        return self

    def record(self, name, account="alice"):
        answer = self.network.xrpc(
            nsid="com.atproto.repo.getRecord",
            params={"repo": self.dids[account], "collection": GENERATOR, "rkey": name},
        )
        return answer["body"].get("value")

    def edit(self, name, account="alice", **fields):
        """Somebody changes the record by hand."""
        record = {**self.record(name, account), **fields}
        self.network.put(as_=account, collection=GENERATOR, rkey=name, record=record)

    def view(self, name, account="alice"):
        """What the app is told of the feed."""
        self.network.processAll()
        uri = f"at://{self.dids[account]}/{GENERATOR}/{name}"
        answer = self.network.xrpc(
            via="appview", nsid="app.bsky.feed.getFeedGenerator", params={"feed": uri}
        )
        return answer["body"].get("view") if answer["status"] == 200 else None


@pytest.fixture
def feedkit(capfd):
    """Runs a command: its exit code, and what it printed on both outputs."""

    def command(*words):
        code = run(list(words))
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert "pw-" not in out + err
        return code, out + err

    return command


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    yield
    sys.stdin.close()


def test_two_publishers_from_the_plan_to_the_app(project, feedkit, network):
    project.write(
        "  made1:\n    display_name: Birds 🐦\n    avatar: birds.png\n    labels: spoiler\n"
        "    description: '鳥 🐦 by @bob.test and @nobody.test: https://example.com #birds'\n"
        "    accepts_interactions: yes\n    content_mode: video\n"
        "  made2: {publisher: bob.test, description: Of Bob, avatar: birds.png}\n"
        "  hidden: {served: no}\n"
    )
    code, plan = feedkit("publish", "--dry-run")
    assert code == 0
    assert "made1: create" in plan
    assert "2 records to write; nothing is sent" in plan
    assert "Nobody is called @nobody.test" in plan
    assert project.record("made1") is None

    code, told = feedkit("publish")
    assert code == 0, told
    assert f"created at://{project.dids['alice']}/{GENERATOR}/made1\n" in told
    assert "https://bsky.app/profile/bob.test/feed/made2\n" in told
    view = project.view("made1")
    assert view["did"] == project.did
    assert view["displayName"] == "Birds 🐦"
    assert view["creator"]["handle"] == "alice.test"
    assert view["description"].startswith("鳥 🐦 by @bob.test")
    assert view["descriptionFacets"][0]["features"][0]["did"] == project.dids["bob"]
    assert [f["index"] for f in view["descriptionFacets"]] == [
        {"byteStart": 12, "byteEnd": 21}, {"byteStart": 40, "byteEnd": 59}, {"byteStart": 60, "byteEnd": 66},
    ]  # fmt: skip
    assert view["acceptsInteractions"] is True
    assert view["contentMode"] == "app.bsky.feed.defs#contentModeVideo"
    # the AppView tells nobody of a feed's own labels
    assert project.record("made1")["labels"]["values"] == [{"val": "spoiler"}]
    assert view["avatar"]
    blob = network.xrpc(
        nsid="com.atproto.sync.getBlob",
        params={
            "did": project.dids["alice"],
            "cid": project.record("made1")["avatar"]["ref"]["$link"],
        },
    )
    assert blob["status"] == 200
    assert blob["headers"]["content-type"] == "image/png"
    assert project.view("made2", "bob")["creator"]["handle"] == "bob.test"
    assert project.view("hidden") is None

    seq = network.processAll()["seq"]
    code, told = feedkit("publish")
    assert (code, "Nothing to do." in told) == (0, True), told
    assert network.processAll()["seq"] == seq

    code, told = feedkit("unpublish")
    assert code == 2, told  # all of them: not without a word
    code, told = feedkit("unpublish", "--yes")
    assert code == 0, told
    assert project.view("made1") is None
    assert project.view("made2", "bob") is None


def test_a_changed_description_changes_that_alone(project, feedkit):
    project.write("  edited: {description: Of birds}\n")
    assert feedkit("publish")[0] == 0
    project.edit(
        "edited",
        note={"hand": [1, "x", None]},
        displayName="By hand",
        createdAt="2020-02-02T00:00:00.000Z",
    )
    before = project.record("edited")
    project.write("  edited: {description: 'Of #birds'}\n")
    code, told = feedkit("publish", "edited")
    assert code == 0
    assert "description: «Of birds» → «Of #birds»" in told
    after = project.record("edited")
    assert after.pop("descriptionFacets")[0]["index"] == {"byteStart": 3, "byteEnd": 9}
    assert after == {**before, "description": "Of #birds"}
    assert after["note"] == {"hand": [1, "x", None]}
    assert project.view("edited")["description"] == "Of #birds"


def test_a_picture_is_sent_once(project, feedkit, monkeypatch):
    sent = []
    upload = Repo.upload
    monkeypatch.setattr(Repo, "upload", lambda *args: sent.append(args[1]) or upload(*args))
    project.write("  one: {avatar: birds.png}\n  two: {avatar: birds.png}\n")
    assert feedkit("publish")[0] == 0
    assert sent == [PNG]
    project.write("  one: {avatar: birds.png, description: new}\n  two: {avatar: birds.png}\n")
    assert feedkit("publish")[0] == 0
    assert sent == [PNG]
    (project.folder / "birds.png").write_bytes(JPEG)  # the bytes count, not the name
    code, told = feedkit("publish", "one")
    assert code == 0
    assert "avatar:\n        - image/png, 69 bytes" in told
    assert sent == [PNG, JPEG]
    assert project.record("one")["avatar"]["mimeType"] == "image/jpeg"
    assert feedkit("unpublish", "one", "two")[0] == 0


def test_a_service_moves_and_its_subscribers_stay(project, feedkit, network):
    project.write("  moving: {}\n")
    assert feedkit("publish")[0] == 0
    uri = f"at://{project.dids['alice']}/{GENERATOR}/moving"
    subject = {"uri": uri, "cid": project.view("moving")["cid"]}
    network.record(as_="carol", collection="app.bsky.feed.like", record={"subject": subject})
    old, web = project.did, f"did:web:{project.host}"
    project.write("  moving: {}\n", did="")  # to a did:web …
    code, told = feedkit("unpublish", "moving")
    assert code == 1
    assert f"belongs to the service '{old}', this is {web}; `feedkit unpublish {uri}`" in told
    code, told = feedkit("publish")
    assert code == 0
    assert f"did:\n        - {old}\n        + {web}\n      The feed moves" in told
    assert project.record("moving")["did"] == web
    project.did = network.createFeedGen(endpoint="https://new.example.org")["did"]
    project.write("  moving: {}\n")  # … and on to a did:plc
    assert feedkit("publish")[0] == 0
    view = project.view("moving")
    assert (view["did"], view["likeCount"], view["uri"]) == (project.did, 1, uri)

    project.write("  moving: {}\n", did=project.dids["carol"])
    code, told = feedkit("publish")
    assert (code, "names no service #bsky_fg" in told) == (1, True)
    assert project.record("moving")["did"] == project.did


def test_a_feed_that_is_gone_is_named_and_can_be_unpublished(project, feedkit):
    project.write("  kept: {}\n  gone: {}\n  given: {}\n  silent: {}\n")
    assert feedkit("publish")[0] == 0
    project.write("  kept: {}\n  given: {publisher: bob.test}\n  silent: {served: no}\n")
    code, told = feedkit("publish")
    assert code == 0
    assert (
        "gone: a record of this service, but config.yaml has no such feed; `feedkit unpublish gone`"
        in told
    )
    assert "silent: rests (served: no); its record stays as it is\n" in told
    given = f"at://{project.dids['alice']}/{GENERATOR}/given"
    assert (
        f"given: a record of this service, but another account publishes this feed now; `feedkit unpublish {given}`"
        in told
    )
    code, told = feedkit("unpublish", "gone", "silent", given, "--dry-run")
    assert (code, "3 records to write; nothing is sent" in told) == (0, True), told
    assert feedkit("unpublish", "gone", "silent", given)[0] == 0
    assert [project.record(name) for name in ("gone", "silent", "given")] == [None] * 3
    assert project.record("given", "bob")
    code, told = feedkit("unpublish", "gine")
    assert code == 1
    assert "no feed is called 'gine', and no publisher has a record of it" in told
    code, told = feedkit("unpublish", "kept", "https://bsky.app/profile/bob.test/feed/given")
    assert code == 0
    assert "config.yaml still has kept, and `feedkit publish` would make its record again" in told
    assert feedkit("unpublish", "kept") == (0, "Nothing to do.\n")
    code, told = feedkit("unpublish", given)
    assert (code, "alice.test has no feed given (any more)" in told) == (1, True)
    code, told = feedkit("unpublish", f"at://{project.dids['alice']}/app.bsky.feed.post/x")
    assert (code, "is no feed; write at://" in told) == (1, True)


@pytest.mark.parametrize("there", [True, False], ids=["changed", "created"])
def test_a_record_that_changed_meanwhile_is_not_overwritten(project, feedkit, network, there):
    name = f"race{there}".lower()
    project.write(f"  {name}: {{}}\n")
    if there:
        assert feedkit("publish")[0] == 0
    project.write(f"  {name}: {{description: mine}}\n")
    service = load_config(project.folder / "config.yaml", {})
    publisher = find_publishers(["alice.test"], service.network)["alice.test"]
    with Repo(publisher) as repo:
        step = step_for(service.feeds[name], service, repo.records(), {}, Pictures(service))
        assert step.action == ("change" if there else "create")
        if there:
            project.edit(name, description="theirs")
        else:
            network.publishFeed(as_="alice", rkey=name, did=service.did, description="theirs")
        repo.sign_in("pw-alice")
        with pytest.raises(PublishError, match=f"{name}: its record was changed meanwhile"):
            take(step, repo, Pictures(service))
        if there:
            with pytest.raises(PublishError, match="was changed meanwhile"):
                repo.delete(name, step.before)
    assert project.record(name)["description"] == "theirs"


def test_mistakes_say_what_to_do(project, feedkit, monkeypatch, network):
    project.write("  some: {}\n  bobs: {publisher: bob.test}\n  off: {served: no}\n")
    monkeypatch.setenv("FEEDKIT_APP_PASSWORD", "pw-not")
    code, told = feedkit("publish")
    assert code == 1
    assert "does not take this app password" in told
    assert "Settings → Privacy and security → App passwords" in told
    monkeypatch.delenv("FEEDKIT_APP_PASSWORD_BOB_TEST")
    code, told = feedkit("publish")
    assert (code, "  bob.test: FEEDKIT_APP_PASSWORD_BOB_TEST\n" in told) == (1, True), told
    assert project.record("some") is None
    code, told = feedkit("publish", "sime")
    assert (code, "did you mean 'some'?" in told) == (1, True)
    code, told = feedkit("publish", "off")
    assert (code, "served: no: the service would refuse" in told) == (1, True)
    project.write("  some: {publisher: nobody.test}\n")
    code, told = feedkit("publish", "--dry-run", "some")
    assert (code, "publisher nobody.test: " in told, "does not know this handle" in told) == (
        1,
        True,
        True,
    )
    project.write("  some: {publisher: 'did:plc:abcdefghijklmnopqrstuvwx'}\n")
    code, told = feedkit("publish", "--dry-run", "some")
    assert (code, "knows no such account" in told) == (1, True), told
    project.write(f"  some: {{publisher: '{project.dids['trent']}'}}\n")  # taken down
    code, told = feedkit("publish", "--dry-run", "some")
    assert (code, "because it is not active" in told) == (1, True), told


def test_an_app_password_and_a_publisher_named_by_did(project, feedkit, monkeypatch, network):
    bob = project.dids["bob"]
    made = network.xrpc(
        as_="bob",
        method="POST",
        nsid="com.atproto.server.createAppPassword",
        body={"name": "feeds"},
    )
    monkeypatch.delenv("FEEDKIT_APP_PASSWORD_BOB_TEST")
    variable = "FEEDKIT_APP_PASSWORD_" + bob.upper().replace(":", "_")
    monkeypatch.setenv(variable, made["body"]["password"])
    project.write(f"  byname: {{publisher: '{bob}', description: x}}\n")
    code, told = feedkit("publish", "byname")
    assert code == 0, told
    assert made["body"]["password"] not in told
    assert project.view("byname", "bob")["description"] == "x"
    assert feedkit("unpublish", "byname")[0] == 0


def test_on_a_terminal_it_asks(project):
    project.write("  asked: {}\n")
    for answer, words, there in [("n\n", [], False), ("", ["--yes"], True)]:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "feedkit", "publish", "asked", *words],
            stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        os.close(theirs)
        os.write(ours, answer.encode())
        told, _ = process.communicate(timeout=60)
        os.close(ours)
        assert process.returncode == 0, told
        assert ("Write 1 record? [y/N]: Nothing is sent." in told) is not there
        assert (project.record("asked") is not None) is there
