"""Filling feeds from what the AppView shows: authors' posts, and a search."""

# ruff: noqa: F811 (fixtures are imported)

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta

import pytest
from _appview import FakeAppView, refused, said
from _history import HOUR, author, text_of, uri
from _streams import cid_of, post_record
from test_backfill import clean, fold, history, names, service, until  # noqa: F401
from test_backfill_cli import configured
from test_publish_errors import ALICE, server  # noqa: F401

from feedkit import Author, FollowedBy, Keywords
from feedkit.backfill import Filling, NotPossible, Stopped
from feedkit.backfill.views import by_words, named_authors
from feedkit.cli import run
from feedkit.settings import Network
from feedkit.store import open_store

ANN, BOB = author("ann"), author("bob")


class Shows:
    """Authors' posts on an AppView, in pages of `page`."""

    def __init__(self, view, page=3):
        self.view, self.page = view, page
        self.posts = {}
        self.now = time.time_ns() // 1000
        view.always = self.answer

    def post(self, name, ago, text, by="ann", **item):
        at = text_of(round(self.now - ago * HOUR))
        view = {
            "uri": uri(name, by), "cid": cid_of(name.encode()), "indexedAt": at,
            "record": post_record(text=text, createdAt=at), "likeCount": 7,
        }  # fmt: skip
        self.posts.setdefault(author(by), []).append({"post": view, **item})

    def answer(self, method, query):
        if method != "app.bsky.feed.getAuthorFeed":
            return None
        items = self.posts.get(query["actor"][0])
        if items is None:
            return refused("Profile not found")
        start = int(query.get("cursor", ["0"])[0])
        more = {"cursor": str(start + self.page)} if start + self.page < len(items) else {}
        return said({"feed": items[start : start + self.page], **more})

    def asked(self):
        return [
            query["actor"][0]
            for method, query in self.view.asked
            if method == "app.bsky.feed.getAuthorFeed"
        ]


@pytest.fixture
def appview():
    with FakeAppView().serving() as view:
        yield view


@pytest.fixture
def shows(appview):
    return Shows(appview)


def filling(made, store, feeds=("herons",), stop=None, **options):
    stop = stop or threading.Event()
    return Filling(made, store, feeds, made.stream, stop, quiet=0.3, patience=0.6, **options)


def birds(history, appview, **more):
    filter = Author([ANN, BOB]) & Keywords("heron")
    return service(history, network=Network(appview=appview.address), herons=filter, **more)


def test_posts_of_the_authors_that_the_filter_names(history, store, appview, shows):
    for number in range(7):
        shows.post(f"p{number}", number, "a heron" if number % 2 else "a wren")
    shows.post("b", 3, "a heron", by="bob")
    shows.post("c", 3, "a heron", by="cat")
    made = birds(history, appview)
    history.post("now", 0.001, "a wren")
    outcome = filling(made, store).from_authors()
    assert outcome.hits == 4
    assert names(store, "herons") == ["b", "p1", "p3", "p5"]
    assert shows.asked() == [ANN] * 3 + [BOB]
    assert store.find_post(uri("p1")).post.likes == 0
    clean(store)


def test_reposts_and_what_is_no_post_are_left_out(history, store, appview, shows):
    at = text_of(shows.now)
    shows.post("other", 1, "a heron", by="ann", reason={"$type": "x#reasonRepost", "indexedAt": at})
    shows.posts[ANN].append({"post": {"uri": "nonsense"}})
    shows.posts[ANN].append("nonsense")
    shows.post("own", 1, "a heron")
    shows.posts[BOB] = []
    outcome = filling(birds(history, appview), store).from_authors()
    assert outcome.hits == 1
    assert names(store, "herons") == ["own"]


def test_it_pages_back_no_further_than_the_feed_keeps(history, store, appview, shows):
    for number in range(30):
        shows.post(f"p{number:02}", number * 2, "a heron")
    shows.posts[BOB] = []
    made = birds(history, appview, keep=timedelta(hours=9))
    filling(made, store).from_authors()
    assert names(store, "herons") == ["p00", "p01", "p02", "p03", "p04"]
    assert shows.asked() == [ANN] * 3 + [BOB]


def test_an_account_that_is_gone_is_left_out(history, store, appview, shows):
    shows.post("b", 3, "a heron", by="bob")
    outcome = filling(birds(history, appview), store).from_authors()
    assert outcome.problems[0].startswith(ANN)
    assert "Profile not found" in outcome.problems[0]
    assert names(store, "herons") == ["b"]


def test_it_waits_as_long_as_the_server_says(history, store, appview, shows):
    shows.post("a", 3, "a heron")
    shows.posts[BOB] = []
    appview.before = [said({"error": "RateLimitExceeded"}, 429, Retry_After="1")]
    began = time.monotonic()
    assert filling(birds(history, appview), store).from_authors().hits == 1
    assert time.monotonic() - began >= 1
    assert shows.asked() == [ANN, ANN, BOB]


def test_interrupted_it_does_not_ask_for_the_same_authors_again(history, store, appview, shows):
    shows.post("a", 3, "a heron")
    shows.post("b", 3, "a heron", by="bob")
    made, stop = birds(history, appview), threading.Event()

    def on_progress(done, place):
        if place == BOB:
            stop.set()

    with pytest.raises(Stopped):
        filling(made, store, stop=stop, on_progress=on_progress).from_authors()
    assert names(store, "herons") == []
    appview.asked.clear()
    outcome = filling(made, store).from_authors()
    assert shows.asked() == [BOB]
    assert outcome.hits == 2
    assert names(store, "herons") == ["a", "b"]
    clean(store)


def test_a_server_that_is_away_ends_it_and_nothing_is_lost(history, store, appview, shows):
    shows.post("a", 3, "a heron")
    made = birds(history, appview)
    appview.before = [None, *[said(b"", 403)] * 1]
    shows.post("b", 3, "a heron", by="bob")
    with pytest.raises(NotPossible, match="run this again to go on"):
        filling(made, store).from_authors()
    assert filling(made, store).from_authors().hits == 2


def test_what_the_stream_says_is_deleted_does_not_come_back(history, store, appview, shows):
    """The AppView still shows it, though the live stream has told its deletion before."""
    shows.post("gone", 3, "a heron")
    shows.post("stays", 3, "a heron")
    shows.posts[BOB] = []
    history.post("gone", 3, "a heron")
    history.delete("gone", 0.01)
    history.post("end", 0.005, "a wren")
    made = birds(history, appview, wrens=Keywords("wren"))
    others = service(history, wrens=Keywords("wren"))
    fold(others, store, history, range(1, 4))
    assert filling(made, store).from_authors().hits == 1
    assert names(store, "herons") == ["stays"]


def test_a_later_commit_takes_precedence(history, store, appview, shows):
    """Posts from the AppView have no rev: every real commit is newer."""
    shows.post("edited", 3, "a heron")
    shows.post("deleted", 3, "a heron")
    shows.posts[BOB] = []
    made = birds(history, appview)
    filling(made, store).from_authors()
    assert names(store, "herons") == ["deleted", "edited"]
    history.post("edited", 3, "a wren")
    history.delete("deleted", 2)
    fold(made, store, history, range(1, 3))
    assert names(store, "herons") == []


def test_named_on_the_command_line(history, store, appview, shows):
    shows.post("c", 3, "a heron", by="cat")
    made = service(history, network=Network(appview=appview.address), herons="heron")
    with pytest.raises(NotPossible, match="names no authors; name some with --author"):
        filling(made, store).from_authors()
    filling(made, store).from_authors([author("cat")], named=False)
    assert names(store, "herons") == ["c"]


def test_lists_are_found_out_first(history, store, appview, shows):
    appview.follows[ANN] = [BOB]
    shows.post("b", 3, "a heron", by="bob")
    made = service(history, network=Network(appview=appview.address), herons=FollowedBy(ANN))
    assert filling(made, store).from_authors().hits == 1


def test_those_on_a_list_are_named_on_the_command_line(
    history, tmp_path, appview, shows, capsys, brisk
):
    url = f"sqlite:///{tmp_path}/store.db"
    path = configured(tmp_path, history, url, herons="heron")
    config = json.loads(path.read_text())
    config["network"] = {"appview": appview.address}
    path.write_text(json.dumps(config))
    birders = f"at://{ANN}/app.bsky.graph.list/birders"
    appview.lists[birders] = [BOB, author("cat")]
    appview.packs[f"at://{ANN}/app.bsky.graph.starterpack/pack"] = birders
    appview.lists[f"at://{ANN}/app.bsky.graph.list/none"] = []
    appview.handles["ann.test"] = ANN
    for name in ("ann", "bob", "cat"):
        shows.post(name, 3, "a heron", by=name)
    history.post("end", 0.001, "a wren")

    def fill(*accounts):
        appview.asked.clear()
        words = [word for account in accounts for word in ("--author", account)]
        return run(["backfill", "herons", *words, "--config", str(path)])

    with open_store(url) as store:
        store.migrate()
        assert fill(birders, "@ann.test") == 0
        assert names(store, "herons") == ["ann", "bob", "cat"]
    for link in ("profile/ann.test/lists/birders", "starter-pack/ann.test/pack"):
        assert fill(f"https://bsky.app/{link}") == 0
        assert shows.asked() == [BOB, author("cat")]
    assert fill(f"at://{ANN}/app.bsky.graph.list/gone") == 1
    assert "List not found" in capsys.readouterr().err
    assert fill(f"at://{ANN}/app.bsky.graph.list/none") == 1
    assert "nobody is on it" in capsys.readouterr().err
    assert fill(uri("post")) == 1
    assert (
        "this is no account; write a handle, a DID, or the address of a list"
        in capsys.readouterr().err
    )
    assert fill("what is this") == 1
    assert "write a handle, a DID, or the address of a list" in capsys.readouterr().err


def test_whom_a_filter_names():
    both = Author([ANN]) & ~Author([BOB]) & Keywords("x")
    assert named_authors(both) == {ANN}


def test_a_search(history, store, appview):
    asked = []

    def ask(method, params):
        asked.append(params)
        at = text_of(time.time_ns() // 1000 - HOUR)
        view = {"uri": uri(f"p{len(asked)}"), "cid": cid_of(b"x"), "indexedAt": at}
        view["record"] = post_record(text="a heron" if len(asked) < 3 else "wren", createdAt=at)
        return {"posts": [view], **({"cursor": str(len(asked))} if len(asked) < 3 else {})}

    made = service(history, herons="heron")
    assert filling(made, store).from_search("heron", ask).hits == 2
    assert names(store, "herons") == ["p1", "p2"]
    assert [one.get("cursor") for one in asked] == [None, "1", "2"]
    assert asked[0]["q"] == "heron"
    assert asked[0]["sort"] == "latest"
    clean(store)


@pytest.fixture
def brisk(monkeypatch):
    """The command does not wait as long as it would for a stream far away."""
    monkeypatch.setitem(Filling.__init__.__kwdefaults__, "quiet", 0.3)
    monkeypatch.setitem(Filling.__init__.__kwdefaults__, "patience", 0.6)


class Found:
    """What a search finds: page by page, as a PDS answers that passes it on to the AppView.
    `before`: answers that come first, each once (None: as usual)."""

    def __init__(self, server, pages=3):
        self.asked, self.before, self.pages = [], [], pages
        self.usual, server.answer = server.answer, self.answer

    def answer(self, path, query):
        if not path.endswith("app.bsky.feed.searchPosts"):
            return self.usual(path, query)
        number = int(query.get("cursor", ["0"])[0])
        self.asked.append(number)
        if self.before and (first := self.before.pop(0)) is not None:
            return first
        at = text_of(time.time_ns() // 1000 - HOUR)
        view = {"uri": uri(f"p{number}"), "cid": cid_of(b"x"), "indexedAt": at}
        view["record"] = post_record(text="a heron", createdAt=at)
        more = {"cursor": str(number + 1)} if number + 1 < self.pages else {}
        return 200, {"posts": [view], **more}, {}


def searching(history, tmp_path, server):
    """The configuration of a service whose publisher may search."""
    url = f"sqlite:///{tmp_path}/store.db"
    path = configured(tmp_path, history, url, herons="heron")
    config = json.loads(path.read_text())
    config["service"]["publisher"] = ALICE
    config["network"] = {"plc": server.url, "appview": server.url}
    path.write_text(json.dumps(config))
    with open_store(url) as store:
        store.migrate()
    return url, ["backfill", "herons", "--search", "heron", "--config", str(path)]


BUSY = 429, {"error": "RateLimitExceeded"}, {"retry-after": "1"}


def test_a_search_waits_as_long_as_the_server_says(
    history, tmp_path, server, monkeypatch, capsys, brisk
):
    monkeypatch.setenv("FEEDKIT_APP_PASSWORD", "pw")
    found = Found(server)
    found.before = [None, BUSY, (502, {}, {})]
    url, words = searching(history, tmp_path, server)
    history.post("end", 0.001, "a wren")
    assert run(words) == 0
    assert found.asked == [0, 1, 1, 1, 2]
    assert "3 posts more, from the search" in capsys.readouterr().out
    with open_store(url) as store:
        assert names(store, "herons") == ["p0", "p1", "p2"]
        clean(store)


def test_a_search_goes_on_at_the_page_where_it_was(
    history, tmp_path, server, monkeypatch, capsys, brisk
):
    monkeypatch.setenv("FEEDKIT_APP_PASSWORD", "pw")
    found = Found(server)
    found.before = [None, None, (429, {"error": "RateLimitExceeded"}, {"retry-after": "9000"})]
    url, words = searching(history, tmp_path, server)
    history.post("end", 0.001, "a wren")
    assert run(words) == 1
    said = capsys.readouterr().err
    assert "what was found is kept: run this again to go on" in said
    with open_store(url) as store:
        assert names(store, "herons") == []
    assert run(words) == 0
    assert found.asked == [0, 1, 2, 2]
    with open_store(url) as store:
        assert names(store, "herons") == ["p0", "p1", "p2"]


def test_a_search_whose_cursor_is_no_longer_good_begins_again(
    history, tmp_path, server, monkeypatch, brisk
):
    monkeypatch.setenv("FEEDKIT_APP_PASSWORD", "pw")
    found = Found(server)
    bad = 400, {"error": "InvalidRequest", "message": "bad cursor"}, {}
    found.before = [None, (403, {}, {}), bad]
    _, words = searching(history, tmp_path, server)
    history.post("end", 0.001, "a wren")
    assert run(words) == 1
    assert run(words) == 0
    assert found.asked == [0, 1, 1, 0, 1, 2]
    found.before = [bad]
    assert run([*words[:3], "other", *words[4:]]) == 1


def test_a_search_that_goes_round_ends():
    answers = iter([{"posts": [], "cursor": "a"}, {"posts": [], "cursor": "a"}])
    assert len(list(by_words(lambda method, params: next(answers), "x", 0))) <= 2
