"""`show --viewer` and `why --viewer`: a feed as one reader gets it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from feedkit.cli import run
from feedkit.store import open_store
from feedkit.store.interactions import LESS, Interaction
from feedkit.times import micros

ANN, BEN, EVE = (f"did:plc:{name:a<24}" for name in ("ann", "ben", "eve"))
A, B = (f"at://{did}/app.bsky.feed.post/3mptbyo22222{key}" for did, key in ((ANN, "a"), (BEN, "b")))
CONFIG = f"""\
service: {{hostname: feeds.example.com, publisher: {EVE}}}
store: sqlite:///feedkit.db
feeds:
  friends:
    filter: {{keywords: heron}}
    rank: {{top: {{likes: 2}}}}
    viewer: [{{any_of: [follows, mentioned]}}, hide_seen]
    accepts_interactions: yes
  latest:
    filter: {{keywords: heron}}
    viewer: follows
  everyone: {{filter: {{keywords: heron}}}}
"""


@pytest.fixture
def feedkit(tmp_path, monkeypatch, capfd):
    """Runs a command in a project with a post by Ann and one by Ben: its exit code and outputs."""
    monkeypatch.delenv("FEEDKIT_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)

    def command(*words):
        code = run([*words])
        out, err = capfd.readouterr()
        return code, out, err

    assert command("migrate")[0::2] == (0, "")
    lines = [_event(ANN, "3mptbyo22222a", "A heron"), _event(BEN, "3mptbyo22222b", "Another heron")]
    (tmp_path / "x.jsonl").write_text("\n".join(lines) + "\n")
    assert command("replay", "x.jsonl", "--now")[0] == 0
    return command


def _event(did, rkey, text):
    record = {"text": text, "createdAt": "2026-07-04T12:00:00Z"}
    commit = {
        "operation": "create", "collection": "app.bsky.feed.post", "rkey": rkey, "cid": "bafy",
        "rev": rkey, "record": {"$type": "app.bsky.feed.post", **record},
    }  # fmt: skip
    event = {"did": did, "time_us": 1_783_175_888_000_000, "kind": "commit", "commit": commit}
    return json.dumps(event)


def know(**sets):
    """What the jobs found out of Eve."""
    now = micros(datetime.now(UTC))
    with open_store("sqlite:///feedkit.db") as store:
        store.viewers.save(EVE, sets, now, now + 10**12, "")


def asked():
    with open_store("sqlite:///feedkit.db") as store:
        return [did for (did,) in store.db.rows("SELECT did FROM viewers")]


def shown(feedkit, *words):
    code, out, _ = feedkit("show", *words, "--json")
    assert code == 0
    return [item["post"] for item in json.loads(out)["feed"]]


@pytest.mark.parametrize("name", ["friends", "latest"])
def test_show_gives_the_page_of_that_viewer(feedkit, name):
    know(follows=[ANN])
    assert shown(feedkit, name, "--viewer", EVE) == [A]
    assert len(shown(feedkit, name)) == 2
    assert len(shown(feedkit, "everyone", "--viewer", EVE)) == 2
    know(follows=[])
    other = "latest" if name == "friends" else "friends"  # of which no page was made just before
    assert feedkit("show", other, "--viewer", EVE)[1] == f"{other} has nothing to show to {EVE}\n"


def test_whom_they_follow_is_asked_of_the_jobs(feedkit):
    code, out, err = feedkit("show", "friends", "--viewer", EVE)
    assert code == 0
    assert f"friends: whom {EVE} follows, or who follows them, is not known yet; the jobs" in err
    assert B in out  # as for those who are not signed in
    assert asked() == [EVE]
    code, out, err = feedkit("why", B, "friends", "--viewer", EVE)
    assert "is not known yet; the jobs" in err
    assert "for this viewer" not in out


@pytest.mark.parametrize("name", ["friends", "latest"])
def test_why_says_what_the_viewer_filters_do_and_where_the_post_stands(feedkit, name):
    know(follows=[ANN])
    code, out, err = feedkit("why", A, name, "--viewer", EVE)
    assert (code, err) == (0, "")
    told = out.partition("for this viewer\n")[2]
    assert "✓ follows" in told
    assert "✗" not in told.replace("✗ mentioned", "")
    assert "if it were ranked now: place 1 of 1\n" in told
    out = feedkit("why", B, name, "--viewer", EVE)[1]
    told = out.partition("for this viewer\n")[2]
    assert "✗ follows" in told
    assert "if it were ranked now: left out\n" in told
    assert "too old" not in told
    assert "each viewer gets an order of their own" in feedkit("why", B, name)[1]


def test_why_knows_the_place_that_the_viewer_was_given(feedkit):
    know(follows=[ANN, BEN])
    assert len(shown(feedkit, "friends", "--viewer", EVE)) == 2
    out = feedkit("why", B, "friends", "--viewer", EVE)[1]
    assert "served: place 1 of 2, ranked " in out or "served: place 2 of 2, ranked " in out
    now = micros(datetime.now(UTC))
    with open_store("sqlite:///feedkit.db") as store:
        less = Interaction(LESS, B)
        store.interactions.add(EVE, [less], now, 99)
    out = feedkit("why", B, "friends", "--viewer", EVE)[1]
    assert "this viewer asked for less of it: it is left out of their pages" in out
    assert shown(feedkit, "friends", "--viewer", EVE) == [A]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["show", "friends", "--viewer", A], 1, "is no account; give a DID or a handle"),
        (["show", "friends", "--viewer", "?"], 1, "is not a handle, a DID"),
        (["why", "--text", "a", "--viewer", ANN], 2, "--viewer belongs to a post; name one"),
    ],
)
def test_who_is_meant_must_be_an_account(feedkit, words, code, said):
    done, out, err = feedkit(*words)
    assert (done, said in out + err) == (code, True), out + err
