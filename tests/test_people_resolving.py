"""Asking the AppView who is meant: everything that can be written, and all that can go wrong."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from _appview import FakeAppView, refused, said

from feedkit import appview as asking
from feedkit.accounts import Accounts
from feedkit.appview import AppView, Away, Gone
from feedkit.people.resolving import Partly, Resolving

ALICE, BOB, CAROL = (f"did:plc:{name:a<24}" for name in ("alice", "bob", "carol"))
LIST = f"at://{ALICE}/app.bsky.graph.list/3k"
PACK = f"at://{ALICE}/app.bsky.graph.starterpack/3p"


@pytest.fixture
def appview():
    view = FakeAppView()
    view.handles = {"alice.test": ALICE, "bob.test": BOB}
    view.lists = {LIST: [BOB, CAROL]}
    view.packs = {PACK: LIST}
    view.follows = {"alice.test": [BOB], ALICE: [BOB]}
    view.followers = {ALICE: [CAROL, BOB]}
    with view.serving():
        yield view


@pytest.fixture
def find(appview, tmp_path):
    """Whom one thing that was written means, and in `find.requests` what it took."""

    def find(written, pause=0.001, stop=None):
        (source,) = Accounts(written).sources
        with AppView(appview.address, stop or threading.Event(), pause) as asked:
            try:
                return Resolving(asked, tmp_path).find(source)
            finally:
                find.requests = asked.requests

    return find


@pytest.mark.parametrize(
    ("written", "members"),
    [
        ("alice.test", {ALICE}),
        (LIST, {BOB, CAROL}),
        ("https://bsky.app/profile/alice.test/lists/3k", {BOB, CAROL}),
        (PACK, {BOB, CAROL}),
        ("https://bsky.app/starter-pack/alice.test/3p", {BOB, CAROL}),
        ({"followed_by": "alice.test"}, {BOB}),
        ({"followed_by": ALICE}, {BOB}),
        ({"followers_of": ALICE}, {BOB, CAROL}),
    ],
)
def test_all_that_can_be_written(find, written, members):
    assert find(written) == members


def test_a_file(find, tmp_path, appview):
    (tmp_path / "us.txt").write_text(f"{CAROL} # boss\nalice.test\n\nbob.test\n", "utf-8")
    assert find({"file": "us.txt"}) == {ALICE, BOB, CAROL}
    assert find.requests == 1, "handles are asked for together"
    (tmp_path / "us.txt").write_text(f"{LIST}\n{ALICE}\n", "utf-8")
    assert find({"file": "us.txt"}) == {ALICE, BOB, CAROL}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("bob\n", "line 1: 'bob' is no account"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_broken_is_not_taken(find, tmp_path, content, said):
    if content is not None:
        (tmp_path / "us.txt").write_text(content, "utf-8")
    with pytest.raises(Away, match=said):
        find({"file": "us.txt"})


def test_the_others_of_a_file_are_taken(find, tmp_path):
    (tmp_path / "us.txt").write_text(f"{CAROL}\nnobody.test\nalice.test\nnone.test\n", "utf-8")
    with pytest.raises(
        Partly, match=r"nobody.test: .*Unable to resolve handle \(and 1 more\)"
    ) as raised:
        find({"file": "us.txt"})
    assert raised.value.members == {ALICE, CAROL}


def test_many_handles_in_few_requests(appview, tmp_path):
    appview.handles = {f"user{n}.test": f"did:plc:user{n}" for n in range(60)}
    with AppView(appview.address, threading.Event()) as asked:
        resolving = Resolving(asked, tmp_path)
        resolving.learn([*appview.handles, "nobody.test"])
        for handle, did in appview.handles.items():
            (source,) = Accounts(handle).sources
            assert resolving.find(source) == {did}
        assert asked.requests == 3


@pytest.mark.parametrize(
    "written",
    [
        "nobody.test", LIST + "x", PACK + "x", {"followed_by": "nobody.test"},
        {"followers_of": BOB}, "https://bsky.app/profile/nobody.test/lists/3k",
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_there_is_gone_at_once(find, written):
    with pytest.raises(Gone, match="says: "):
        find(written)
    assert find.requests <= 2


def test_a_hundred_thousand_members(find, appview):
    appview.lists[LIST] = [f"did:plc:{n:024}" for n in range(100_000)]
    began = time.perf_counter()
    assert find(LIST) == set(appview.lists[LIST])
    assert find.requests == 1000
    assert time.perf_counter() - began < 30


def test_more_than_feedkit_takes(find, appview, monkeypatch):
    monkeypatch.setattr(asking, "MOST_PAGES", 3)
    appview.lists[LIST] = [f"did:plc:{n:024}" for n in range(301)]
    with pytest.raises(Away, match="more than 300 accounts"):
        find(LIST)
    assert find.requests == 3


@pytest.mark.parametrize(
    "cursors", [["same"], ["a", "b"]], ids=["the same again", "round in a circle"]
)
def test_a_cursor_that_leads_nowhere(find, appview, cursors):
    numbers = iter(range(10_000))

    def always(method, query):
        cursor = cursors[next(numbers) % len(cursors)]
        return said({"items": [{"subject": {"did": BOB}}], "cursor": cursor})

    appview.always = always
    with pytest.raises(Away, match="round in a circle"):
        find(LIST)
    assert find.requests == len(cursors) + 1


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>502</html>", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b'{"items": 1}',
        b'{"items": null}', b"{}", b'{"items": [{"subject": {"did": "alice"}}]}',
        b'{"items": [{"subject": {}}]}', b'{"items": ["x"]}', b'{"items": [null]}',
        b'{"items": [{"subject": {"did": "did:plc:x\\ndid:plc:y"}}]}', b'{"items": [], "cursor": 5}',
        b'{"items": [], "cursor": {"a": 1}}',
    ],
    ids=lambda body: repr(body[:30]),
)  # fmt: skip
def test_garbage_is_never_taken_for_people(find, appview, body):
    appview.always = lambda method, query: said(body)
    with pytest.raises(Away):
        find(LIST)


@pytest.mark.parametrize("written", ["alice.test", PACK], ids=str)
@pytest.mark.parametrize("body", [{}, {"did": 5}, {"starterPack": {"list": "x"}}, {"did": "x"}])
def test_answers_without_what_was_asked(find, appview, written, body):
    appview.always = lambda method, query: said(body)
    with pytest.raises(Away, match="gave no"):
        find(written)


TROUBLE = [
    said(b"<html>", 502), refused("Internal Server Error", 500, "InternalServerError"),
    said(b"oops", 200), said({"error": "RateLimitExceeded"}, 429, retry_after="0"),
    said({}, 503, retry_after="0"),
]  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda t: str(t[0]))
def test_trouble_that_passes(find, appview, trouble):
    appview.lists[LIST] = [f"did:plc:{n:024}" for n in range(250)]
    appview.before = [trouble, trouble, None, trouble, trouble, trouble]
    assert len(find(LIST)) == 250
    assert find.requests == 3 + 5


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda t: str(t[0]))
def test_trouble_that_stays(find, appview, trouble):
    appview.always = lambda method, query: trouble
    with pytest.raises(Away, match=f"{appview.address} answered with"):
        find(LIST)
    assert find.requests == asking.TRIES


def test_a_list_that_breaks_off_is_not_taken(find, appview):
    appview.lists[LIST] = [f"did:plc:{n:024}" for n in range(250)]
    appview.before = [None, None, *[TROUBLE[0]] * asking.TRIES]
    with pytest.raises(Away):
        find(LIST)


@pytest.mark.parametrize(
    "wait",
    [
        {"retry_after": "1"},
        {"ratelimit_reset": lambda: str(int(time.time()) + 2)},
        {"retry_after": lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=2))},
    ],
    ids=["seconds", "reset", "date"],
)
def test_it_waits_as_long_as_it_is_asked_to(find, appview, wait):
    headers = {name: value() if callable(value) else value for name, value in wait.items()}
    appview.before = [said({}, 429, **headers)]
    began = time.monotonic()
    assert find(LIST) == {BOB, CAROL}
    assert 0.9 < time.monotonic() - began < 4


def test_it_does_not_wait_for_ever(find, appview):
    appview.before = [said({}, 429, retry_after="3600")]
    with pytest.raises(Away, match="left alone for 3600 s"):
        find(LIST)
    assert find.requests == 1


@pytest.mark.parametrize("after", ["soon", "-5", "9" * 400, "٣", ""])
def test_an_odd_retry_after(find, appview, after):
    appview.before = [(429, {"Retry-After": after.encode("ascii", "replace").decode()}, b"{}")]
    if after.startswith("9"):
        with pytest.raises(Away, match="left alone"):
            find(LIST)
    else:
        assert find(LIST) == {BOB, CAROL}


def test_refusals_that_are_no_answer(find, appview):
    for status, error in ((401, "AuthMissing"), (400, "InvalidRequest"), (302, "x"), (403, "x")):
        appview.always = lambda method, query, a=(status, error): refused("Nope", *a)
        with pytest.raises(Away, match=f"status {status} \\(Nope\\)"):
            find(LIST)
        assert find.requests == 1, "it would say the same again"


def test_nobody_there(tmp_path):
    (source,) = Accounts(LIST).sources
    for address in ("http://127.0.0.1:1", "http://[", "ftp://example.com"):
        with (
            AppView(address, threading.Event(), 0.001) as asked,
            pytest.raises(Away, match="cannot be asked"),
        ):
            Resolving(asked, tmp_path).find(source)


def test_silence_and_dripping(find, appview, monkeypatch):
    monkeypatch.setattr(asking, "TIMEOUT", 0.1)
    monkeypatch.setattr(asking, "TRIES", 2)
    appview.slow = 0.3
    with pytest.raises(Away, match="timed out"):
        find(LIST)
    appview.slow = 0.0
    monkeypatch.setattr(asking, "LARGEST", 1000)
    appview.always = lambda method, query: said(b" " * 2000)
    with pytest.raises(Away, match="more than 1,000 bytes"):
        find(LIST)


def test_being_told_to_stop_ends_every_wait(find, appview):
    appview.always = lambda method, query: said({}, 429, retry_after="50")
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Away):
        find(LIST, stop=stop)
    assert time.monotonic() - began < 2
