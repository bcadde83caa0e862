"""The one loop over real servers that misbehave."""

from __future__ import annotations

import socket as tcp_socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _streams import Script, http, sends, sends_binary, server, settings, tcp, xrpc_error
from websockets.sync.server import ServerConnection

from feedkit.sources import socket as module
from feedkit.sources.socket import Closed, Opened, Socket, in_background


def made(url: str, stop: threading.Event | None = None, **fields: Any) -> Socket:
    size = fields.pop("max_size", 2**20)
    stream = settings("firehose", url, **fields)
    return Socket(stream, lambda: url, stop or threading.Event(), max_size=size)


def happenings(
    socket: Socket, stop: threading.Event, enough: Callable[[list[Any]], bool], seconds: float = 6
) -> list[Any]:
    """What a socket brings, without the ticks, until there is `enough`; then it must stop."""
    seen: list[Any] = []
    until = time.monotonic() + seconds
    for one in socket.messages():
        if one is not None:
            seen.append(one)
        if enough(seen) or time.monotonic() > until:
            stop.set()
    assert enough(seen), seen
    return seen


def good(seen: list[Any]) -> bool:
    return b"good" in seen


def raw(*data: bytes) -> Script:
    """After the upgrade, these bytes as they are."""

    def script(connection: ServerConnection) -> None:
        for one in data:
            connection.socket.sendall(one)
        time.sleep(0.3)

    return script


def reset(connection: ServerConnection) -> None:
    """The connection ends without a word, by a TCP reset."""
    linger = struct.pack("ii", 1, 0)
    connection.socket.setsockopt(tcp_socket.SOL_SOCKET, tcp_socket.SO_LINGER, linger)
    connection.socket.close()


def trickle(connection: ServerConnection) -> None:
    """A message that never ends."""
    connection.socket.sendall(b"\x01\x02ab")
    for _ in range(50):
        connection.socket.sendall(b"\x00\x01c")
        time.sleep(0.05)


GOOD = sends("good")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (sends(then="close", code=1000), "1000"),
        (sends(then="close", code=1001), "1001"),
        (sends(then="close", code=1008), "1008"),
        (sends(then="close", code=1011), "1011"),
        (sends(then="close", code=1012), "1012"),
        (sends(then="close", code=4321), "4321"),
        (sends(then="cut"), "no close frame"),
        (reset, "no close frame"),
        (sends("x" * 2**21), "1009"),
        (raw(b"\x83\x00"), "1002"),  # a reserved opcode
        (raw(b"\xff" * 100), "1002"),
        (raw(b"\x88\x02\x00\x00"), "1002"),  # close code 0
        (raw(b"\x88\x04\x03\xe8\xff\xff"), "1007"),  # a goodbye that is no UTF-8
        (raw(b"\x81\x05abc"), "nothing arrived for 0.2 seconds"),  # half a message
        (sends(), "nothing arrived for 0.2 seconds"),
        (trickle, "nothing arrived for 0.2 seconds"),
    ],
)  # fmt: skip
def test_after_whatever_happened_it_connects_again(script: Script, reason: str) -> None:
    stop = threading.Event()
    with server(script, GOOD) as running:
        socket = made(running.url, stop, idle=0.2 if "0.2" in reason else 5.0)
        seen = happenings(socket, stop, good)
    (closed,) = [one for one in seen if isinstance(one, Closed)][:1]
    assert reason in closed.reason
    assert closed.wait > 0
    assert [type(one) for one in seen if one != b"good"][:3] == [Opened, Closed, Opened]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (xrpc_error("CursorTooOld", "the oldest is 5"), 400),
        (http(401), 401),
        (http(404, b"<h1>not here"), 404),
        (http(429, **{"Retry-After": "3600"}), 429),
        (http(500), 500),
        (http(503, b"\xff" * 5000), 503),
        (http(200, b"hello"), 200),
    ],
)
def test_refusals(answer: Any, status: int) -> None:
    stop = threading.Event()
    refused: list[bool] = []

    def first_time(connection: ServerConnection, request: Any) -> Any:
        refused.append(True)
        return answer if len(refused) == 1 else None

    with server(GOOD, answer=first_time) as running:
        seen = happenings(made(running.url, stop), stop, good)
    assert isinstance(seen[0], Closed)
    assert (seen[0].status, seen[0].body) == (status, answer.body)
    assert str(status) in seen[0].reason


@pytest.mark.parametrize("location", ["ws://127.0.0.1:1/", "http://[::", "/elsewhere", ""])
def test_redirects_lead_nowhere_for_ever(location: str) -> None:
    stop = threading.Event()
    answer = lambda connection, request: http(301, Location=location)  # noqa: E731
    with server(GOOD, answer=answer) as running:
        seen = happenings(made(running.url, stop), stop, lambda seen: len(seen) >= 3)
    assert {type(one) for one in seen} == {Closed}


def say(data: bytes) -> Callable[[tcp_socket.socket], None]:
    def handle(connection: tcp_socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(data)

    return handle


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\xff garbage",
        b"SSH-2.0-OpenSSH_9.0\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 500 \r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/9.9 abc\r\n\r\n",
        b"HTTP/1.1 101 " + b"x" * 100_000,
    ],
)
def test_servers_that_are_none(data: bytes) -> None:
    stop = threading.Event()
    with tcp(say(data)) as port:
        socket = made(f"ws://127.0.0.1:{port}", stop)
        seen = happenings(socket, stop, lambda seen: len(seen) >= 3)
    assert all(isinstance(one, Closed) and one.reason and one.wait for one in seen)


def unused_port() -> int:
    with tcp_socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    "url",
    [
        "ws://127.0.0.1:{unused}",
        "ws://nowhere.invalid",
        "wss://127.0.0.1:{plain}",  # TLS to a server that has none
        "http://127.0.0.1",
        "ws://",
        "nonsense",
        "ws://127.0.0.1:99999",
    ],
)
def test_addresses_that_do_not_work(url: str) -> None:
    stop = threading.Event()
    with server(GOOD) as running:
        url = url.format(unused=unused_port(), plain=running.port)
        seen = happenings(made(url, stop), stop, lambda seen: len(seen) >= 3)
    assert all(isinstance(one, Closed) and one.reason for one in seen)


def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPEN_TIMEOUT", 0.2)
    stop = threading.Event()
    with tcp(lambda connection: time.sleep(0.6)) as port:
        socket = made(f"ws://127.0.0.1:{port}", stop)
        seen = happenings(socket, stop, lambda seen: len(seen) >= 2)
    assert "timed out" in seen[0].reason


def test_every_message_arrives_as_bytes_and_in_order() -> None:
    stop = threading.Event()
    numbers = [str(n) for n in range(3000)]

    def fragments(connection: ServerConnection) -> None:
        connection.send(iter(["frag", "mented"]))
        connection.send(b"\xff\xfe", text=True)  # text that is no UTF-8
        connection.send("")
        for number in numbers:
            connection.send(number)
        connection.send("good")
        connection.recv()

    with server(fragments) as running:
        seen = happenings(made(running.url, stop), stop, good)
    assert seen == [Opened(), b"fragmented", b"\xff\xfe", b"", *map(str.encode, numbers), b"good"]


def test_binary_messages_and_pings() -> None:
    stop = threading.Event()

    def script(connection: ServerConnection) -> None:
        assert connection.ping().wait(2)
        sends_binary(b"good")(connection)

    with server(script) as running:
        assert happenings(made(running.url, stop), stop, good)[1] == b"good"


def test_a_slow_stream_is_not_a_dead_one() -> None:
    stop = threading.Event()

    def slow(connection: ServerConnection) -> None:
        for _ in range(8):
            connection.send("x")
            time.sleep(0.15)
        connection.send("good")
        connection.recv()

    with server(slow) as running:
        seen = happenings(made(running.url, stop, idle=0.6), stop, good)
    assert seen == [Opened(), *[b"x"] * 8, b"good"]


def test_there_is_a_tick_when_nothing_arrives() -> None:
    stop = threading.Event()
    with server(sends(then="close"), sends()) as running:
        socket = made(running.url, stop, backoff=0.5, backoff_cap=0.5)
        ticks, last, longest = 0, time.monotonic(), 0.0
        for one in socket.messages():
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            ticks += one is None
            if ticks > 12:
                stop.set()
    assert longest < 0.4


def waits(socket: Socket, stop: threading.Event, n: int, works: Iterator[bool]) -> list[float]:
    got = []
    for one in socket.messages():
        if isinstance(one, Closed):
            got.append(one.wait)
            if next(works):
                socket.works()
        if len(got) == n:
            stop.set()
    return got


def test_the_wait_doubles_up_to_its_cap_and_starts_anew_when_it_works() -> None:
    stop = threading.Event()
    url = f"ws://127.0.0.1:{unused_port()}"
    socket = made(url, stop, backoff=0.02, backoff_cap=0.1)
    works = iter([False] * 5 + [True] + [False] * 9)
    got = waits(socket, stop, 8, works)
    for wait, full in zip(got, [0.02, 0.04, 0.08, 0.1, 0.1, 0.1, 0.02, 0.04], strict=True):
        assert 0.7 * full <= wait <= full


def test_a_long_outage_does_not_overflow_the_wait() -> None:
    socket = made("ws://127.0.0.1:1", backoff=1.0, backoff_cap=60.0)
    for _ in range(3000):
        assert socket._failed() <= 60


def test_on_request_it_connects_again_at_once_and_to_a_new_address() -> None:
    stop = threading.Event()
    with server(GOOD) as running:
        paths = iter(["/one", "/two", "/three"])
        stream = settings("firehose", running.url, backoff=30.0, backoff_cap=30.0)
        socket = Socket(stream, lambda: running.url + next(paths), stop, max_size=2**20)
        started = time.monotonic()
        for one in socket.messages():
            if one == b"good":
                socket.reconnect() if len(running.paths) < 3 else stop.set()
        assert time.monotonic() - started < 5
        assert running.paths == ["/one", "/two", "/three"]


def flood(connection: ServerConnection) -> None:
    while True:
        connection.send("x" * 1000)


@pytest.mark.parametrize("where", ["backoff", "silence", "flood", "upgrade", "half a message"])
def test_it_stops_within_a_second(where: str) -> None:
    stop = threading.Event()
    script = {"flood": flood, "half a message": raw(b"\x01\x02ab")}.get(where, sends())
    with server(script) as running, tcp(lambda connection: time.sleep(1)) as silent:
        port = {"backoff": unused_port(), "upgrade": silent}.get(where, running.port)
        socket = made(f"ws://127.0.0.1:{port}", stop, backoff=60.0, backoff_cap=60.0)
        threading.Timer(0.4, stop.set).start()
        started = time.monotonic()
        for _ in socket.messages():
            pass
        took = time.monotonic() - started
    assert 0.3 < took < 1.5


def test_what_comes_too_late_is_given_back() -> None:
    stop, begun, late = threading.Event(), threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        time.sleep(0.4)
        return "late"

    stop.set()
    assert in_background(slow, stop, lambda result: late.set()) is None
    assert begun.is_set()
    assert late.wait(2)


def test_what_fails_in_the_background_fails_here() -> None:
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 // 0, threading.Event())
