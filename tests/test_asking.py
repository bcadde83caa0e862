"""With how much patience one asks again. What the AppView and the archive make of it:
tests/test_people_resolving.py, tests/test_backfill_archive.py."""

from __future__ import annotations

import threading

import httpx
import pytest

from feedkit.asking import Answer, Patience, Trouble

SHORT = 0.001  # seconds of a pause


@pytest.fixture
def ask():
    """Ask a server that answers with `answers`, one after another: an error is raised, anything
    else is an answer. `ask.told`: the waits that the server asked for; `ask.left`: what it did not
    come to say."""

    def ask(patience, *answers, stop=None):
        ask.told, ask.left = [], list(answers)

        def once():
            answer = ask.left.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        on_wait = lambda problem, seconds: ask.told.append((problem, seconds))  # noqa: E731
        return patience.ask(once, stop or threading.Event(), on_wait)

    return ask


def test_the_last_try_counts_too(ask):
    assert ask(Patience(3, SHORT), Trouble("a"), httpx.ConnectError("b"), "answer") == "answer"
    assert ask.told == []


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (Trouble("is busy", SHORT), "is busy"),
        (httpx.ConnectError("[Errno 111] Connection refused"), "cannot be asked (Connection "),
        (httpx.ReadTimeout(""), "cannot be asked (ReadTimeout)"),
        (httpx.InvalidURL("no port"), "cannot be asked (no port)"),
    ],
    ids=["busy", "refused", "silent", "wrong"],
)
def test_tries_come_to_an_end_with_what_was_said_last(ask, last, said):
    with pytest.raises(Trouble) as caught:
        ask(Patience(3, SHORT), Trouble("first"), Trouble("second"), last, "too late")
    assert str(caught.value).startswith(said)
    assert "left alone" not in str(caught.value)
    assert ask.left == ["too late"]


def test_other_errors_are_the_askers_own(ask):
    with pytest.raises(KeyError):
        ask(Patience(3, SHORT), KeyError("mine"), "not asked for")


def test_a_quota_takes_no_try(ask):
    busy = [Trouble("is busy", SHORT)] * 5
    assert ask(Patience(2, SHORT, quota=True), *busy, Trouble("fell over"), "answer") == "answer"
    assert ask.told == [("is busy", SHORT)] * 5
    with pytest.raises(Trouble, match="is busy"):
        ask(Patience(2, SHORT), *busy, "answer")


@pytest.mark.parametrize(
    ("limit", "before"),
    [({"wait": 50.0}, 0), ({"waits": 60.0}, 1), ({"longest": 50.0}, 0)],
    ids=str,
)
def test_nobody_waits_longer_than_they_have_patience(ask, limit, before):
    """`waits`: with the pause before it, these 60 seconds are too many."""
    first = [Trouble("fell over")] * before
    with pytest.raises(Trouble, match="is busy and wants to be left alone for 60 s"):
        ask(Patience(9, SHORT, **limit), *first, Trouble("is busy", 60.0), "answer")
    assert ask.left == ["answer"]
    assert ask.told == [], "it does not wait"


def test_a_pause_that_is_too_long_is_nobodys_wish(ask):
    with pytest.raises(Trouble) as caught:
        ask(Patience(9, 60.0, longest=50.0), Trouble("is busy", 1.0), "answer")
    assert str(caught.value) == "is busy"


def test_pauses_double(ask):
    """0.001 + 0.002 + … + 0.016 s are less than these `waits`; one more is not."""
    with pytest.raises(Trouble):
        ask(Patience(99, SHORT, waits=0.04), *[Trouble("fell over")] * 9)
    assert len(ask.left) == 3


def test_it_is_not_asked_again_once_it_is_told_to_stop(ask):
    stop = threading.Event()
    stop.set()
    with pytest.raises(Trouble, match=r"^is busy$"):
        ask(Patience(9, 2.0), Trouble("is busy", 2.5), "answer", stop=stop)
    assert ask.left == ["answer"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"error": "Busy", "message": "come\\n later"}', "come later"),
        (b'{"error": "Busy"}', "Busy"),
        (b'{"message": 5}', ""),
        (b"[1]", ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
    ],
    ids=["message", "error", "number", "list", "bytes", "deep"],
)
def test_what_an_answer_tells(body, told):
    answer = Answer(500, httpx.Headers(), body)
    assert answer.told == told
    assert answer.aside == (f" ({told})" if told else "")


def test_only_a_server_that_is_busy_is_left_alone():
    peace = {s: Answer(s, httpx.Headers({"Retry-After": "7"}), b"").peace for s in (429, 503, 500)}
    assert peace == {429: 7.0, 503: 7.0, 500: 0.0}
