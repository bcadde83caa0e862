"""What a changed configuration changes, on recorded events: checked against a count by hand."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from _streams import LIKE, NOW, commit, like_record, post_record, v1

from feedkit.backtest import compare, replayed
from feedkit.cli import run
from feedkit.config import load_config
from feedkit.demo import events
from feedkit.sources.replay import Replay

ROOT = Path(__file__).resolve().parents[1]
HEAD = "service: {hostname: feeds.example.com, publisher: alice.example.com}\nfeeds:\n"
OLD = "  birds: {filter: {keywords: [heron, wren]}}\n  gone: {filter: {keywords: owl}}\n"
NEW = (
    "  birds: {filter: {keywords: [heron, owl]}, rank: top}\n  fresh: {filter: {keywords: wren}}\n"
)
MINUTE = 60_000_000
DID = "did:plc:44ybard66vv44zksje25o7d"
TEXTS = ["heron, the first", "a wren", "an owl", "heron, the second", "heron, the third"]


def address(number):
    return f"at://{DID}a/app.bsky.feed.post/3mptbyoeyc2{number}k"


def recorded(folder):
    """Five posts a minute apart, then two likes for the first and one for the fourth."""
    lines = [
        v1(
            did=f"{DID}a",
            time_us=NOW + number * MINUTE,
            commit=commit(
                post_record(text=text, createdAt="2027-01-01T00:00:00Z"),
                rkey=f"3mptbyoeyc2{number + 2}k",
                rev=f"3mptbypcq37{number + 2}f",
            ),
        )
        for number, text in enumerate(TEXTS)
    ]
    for number, liked in enumerate([2, 2, 5]):
        lines.append(
            v1(
                did=f"{DID}{'bcd'[number]}",
                time_us=NOW + (10 + number) * MINUTE,
                commit=commit(like_record(address(liked)), LIKE, rkey="3mptbyoeyc22k"),
            )
        )
    file = folder / "events.jsonl"
    file.write_bytes(b"\n".join(lines) + b"\n")
    return file


@pytest.fixture
def files(tmp_path):
    (tmp_path / "old.yaml").write_text(HEAD + OLD)
    (tmp_path / "new.yaml").write_text(HEAD + NEW)
    return recorded(tmp_path)


def test_posts_that_enter_and_leave_and_places_that_move(tmp_path, files):
    old, new = (
        replayed(load_config(tmp_path / f"{name}.yaml", {}), [str(files)])
        for name in ("old", "new")
    )
    assert new.now == datetime(2026, 7, 4, 14, 50, 8, 85434, UTC)
    birds, fresh, gone = compare(old, new)
    assert (birds.before, birds.after) == (4, 4)
    assert birds.entered == ((address(4), "an owl"),)
    assert birds.left == ((address(3), "a wren"),)
    # Newest first it was third, second, wren, first; by likes it is first, second, third, owl.
    places = [(move.text, move.before, move.after) for move in birds.moves]
    assert places == [
        ("heron, the first", 4, 1),
        ("heron, the second", 2, 2),
        ("heron, the third", 1, 3),
        ("an owl", None, 4),
        ("a wren", 3, None),
    ]
    assert not birds.same
    assert (fresh.feed, fresh.before, fresh.after) == ("fresh", None, 1)
    assert (gone.feed, gone.before, gone.after) == ("gone", 1, None)
    assert len(compare(old, new, page=1)[0].moves) == 2


def test_what_is_mixed_in_is_in_its_own_order(tmp_path, files):
    text = (
        HEAD + "  wrens: {filter: {keywords: wren}, select: [{mix: {feed: best, one_in: 2}}]}\n"
        "  best: {filter: {keywords: heron}, rank: top}\n"
    )
    (tmp_path / "mixed.yaml").write_text(text)
    side = replayed(load_config(tmp_path / "mixed.yaml", {}), [str(files)])
    assert [post.text for post in side.feeds["wrens"].shown] == ["a wren", "heron, the first"]
    assert side.feeds["wrens"].kept == (address(3),)


def test_what_a_feed_no_longer_keeps_is_no_longer_there(tmp_path, files):
    text = HEAD + "  birds: {filter: {keywords: heron}, keep: 9m}\n"
    (tmp_path / "short.yaml").write_text(text)
    side = replayed(load_config(tmp_path / "short.yaml", {}), [str(files)])
    assert side.feeds["birds"].kept == (address(6), address(5))  # made 8 and 9 minutes before
    assert side.now - timedelta(minutes=9) > datetime(2026, 7, 4, 14, 40, tzinfo=UTC)


def test_a_configuration_against_itself_changes_nothing(tmp_path):
    sample = tmp_path / "sample.jsonl"
    sample.write_text("".join(json.dumps(event) + "\n" for event in events()))
    service = load_config(ROOT / "config.example.yaml", {})
    side = replayed(service, [str(sample)])
    assert sum(len(outcome.kept) for outcome in side.feeds.values()) > 50
    found = compare(side, replayed(service, [str(sample)]))
    assert {difference.feed for difference in found} == service.feeds.keys()
    assert all(difference.same for difference in found)


def test_a_feed_keeps_what_its_filter_alone_would_keep(tmp_path):
    sample = tmp_path / "sample.jsonl"
    sample.write_text("".join(json.dumps(event) + "\n" for event in events()))
    service = load_config(ROOT / "config.example.yaml", {})
    frames = Replay([str(sample)], frozenset()).frames(None, 0, threading.Event())
    posts = [event.post for frame in frames for event in frame.events]
    side = replayed(service, [str(sample)])
    for name, feed in service.feeds.items():
        old = side.now - feed.keep
        alone = {p.uri for p in posts if p.sort_at >= old and feed.filter.decide(p) is True}
        assert set(side.feeds[name].kept) == alone, name


def asked(tmp_path, files, *more):
    new, old = tmp_path / "new.yaml", tmp_path / "old.yaml"
    return run(["backtest", str(new), "--against", str(old), "--on", str(files), *more])


def test_the_table(tmp_path, files, capsys):
    assert asked(tmp_path, files) == 0
    assert capsys.readouterr().out == (
        "8 events until 2026-07-04 14:50:08 UTC\n"
        "\n"
        "birds: 4 → 4 posts, 1 enter, 1 leave\n"
        "  + an owl\n"
        "  - a wren\n"
        "  4 posts of the first 30 places change; those shown by both move by 1.7 on average\n"
        "  before  after\n"
        "       4      1  heron, the first\n"
        "       1      3  heron, the third\n"
        "       ·      4  an owl\n"
        "       3      ·  a wren\n"
        "\n"
        "fresh: new: 1 post\n"
        "\n"
        "gone: gone: it kept 1 post\n"
    )


def test_the_same_as_json(tmp_path, files, capsys):
    assert asked(tmp_path, files, "--json", "--feed", "birds") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["events"] == 8
    assert told["clock"] == "2026-07-04T14:50:08.085434+00:00"
    assert told["feeds"].keys() == {"birds"}
    assert told["feeds"]["birds"]["entered"] == [{"uri": address(4), "text": "an owl"}]
    first = {"uri": address(2), "text": "heron, the first", "before": 4, "after": 1}
    assert told["feeds"]["birds"]["places"][0] == first


def test_several_files_and_mistakes(tmp_path, files, capsys):
    lines = files.read_bytes().splitlines(keepends=True)
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines[:3]))
    (tmp_path / "b.jsonl").write_bytes(b"".join(lines[3:]))
    assert asked(tmp_path, tmp_path / "a.jsonl", str(tmp_path / "b.jsonl")) == 0
    assert capsys.readouterr().out.startswith("8 events until")
    assert asked(tmp_path, tmp_path / "none.jsonl") == 1
    assert (
        capsys.readouterr().err
        == f"{tmp_path / 'none.jsonl'}: cannot be read: No such file or directory\n"
    )
    assert asked(tmp_path, files, "--feed", "brids") == 1
    assert "did you mean 'birds'?" in capsys.readouterr().err
    (tmp_path / "empty.jsonl").write_bytes(b"")
    assert asked(tmp_path, tmp_path / "empty.jsonl") == 1
    assert "no event in it can be used" in capsys.readouterr().err
