"""The front before Flask: what it remembers, what it shares, and what it never touches."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager

import httpx
import pytest
from flask import Flask, Response, request

from feedkit.settings import Service
from feedkit.web import asked, backstage, bodies, front, kept
from feedkit.web.asgi import create_front
from feedkit.web.asked import Queries
from feedkit.web.backstage import Backstage
from feedkit.web.bodies import INTERACTIONS
from feedkit.web.front import SKELETON, Front, Stages

FEED = "at://did:plc:x/app.bsky.feed.generator/"


class Behind:
    """A Flask application that tells what reached it, and can be slow, broken, or both."""

    def __init__(self):
        self.asked, self.status, self.go = [], 200, threading.Event()
        self.go.set()
        self.app = Flask(__name__)
        self.app.add_url_rule("/<path:path>", view_func=self.answer, methods=["GET", "POST"])

    def answer(self, path):
        self.asked.append((request.full_path, dict(request.headers), request.get_data()))
        number = len(self.asked)
        self.go.wait(10)
        said = request.headers.get("Accept-Language", "")
        return Response(
            f'{{"n":{number},"said":"{said}"}}', self.status, content_type="application/json"
        )


@pytest.fixture
def behind():
    made = Behind()
    yield made
    made.go.set()


@asynccontextmanager
async def client(behind, threads=4):
    stages = Stages(*(Backstage(behind.app.wsgi_app, threads) for _ in Stages._fields))
    made = Front(stages, Queries({"new": False, "spoken": True}))
    transport = httpx.ASGITransport(made)
    async with httpx.AsyncClient(transport=transport, base_url="http://feeds") as asks:
        asks.front = made
        yield asks
    behind.go.set()
    for stage in stages:
        stage.close()


def run(test):
    return asyncio.run(asyncio.wait_for(test(), 30))


def page(asks, name="new", **more):
    headers = more.pop("headers", None)
    return asks.get(SKELETON, params={"feed": FEED + name, **more}, headers=headers)


def test_a_shared_page_is_remembered_for_a_moment(behind, monkeypatch):
    async def test():
        async with client(behind) as asks:
            first = await page(asks, limit=30)
            again = await page(asks, limit=30)
            assert first.content == again.content == b'{"n":1,"said":""}'
            assert again.headers["content-type"] == "application/json"
            monkeypatch.setattr(front, "FRESH", 0.0)
            assert (await page(asks, limit=30)).json()["n"] == 2

    run(test)


@pytest.mark.parametrize(
    "other",
    [{"limit": 31}, {"limit": 30, "cursor": "0.1.2"}, {"limit": 30, "cursor": ""}, {}],
    ids=["limit", "cursor", "empty_cursor", "no_limit"],
)
def test_other_pages_are_others(behind, other):
    async def test():
        async with client(behind) as asks:
            await page(asks, limit=30)
            assert (await page(asks, **other)).json()["n"] == 2

    run(test)


def test_a_page_by_language_is_kept_for_each_language(behind):
    async def test():
        async with client(behind) as asks:
            for said, number in (("de", 1), ("ja", 2), ("de", 1)):
                answer = await page(asks, "spoken", headers={"accept-language": said})
                assert answer.json() == {"n": number, "said": said}
            for said in ("de", "ja"):  # which this feed does not look at
                answer = await page(asks, headers={"accept-language": said})
                assert answer.json()["n"] == 3

    run(test)


def test_who_asks_for_the_same_languages_gets_the_same_page(behind):
    async def test():
        async with client(behind) as asks:
            for said in ("de-AT,en;q=0.5", "de, en", "en;q=0.1,DE", "de,en," + "x" * 5000):
                answer = await page(asks, "spoken", headers={"accept-language": said})
                assert answer.json()["n"] == 1
            (key,) = asks.front._pages._pages
            assert key[-2:] == ("de", "en"), "a long header is not kept"

    run(test)


@pytest.mark.parametrize("name", ["new", "spoken"])
def test_nothing_of_who_asks_reaches_a_shared_feed(behind, name):
    async def test():
        async with client(behind) as asks:
            headers = {"authorization": "Bearer secret", "cookie": "a=b", "accept-language": "de"}
            await page(asks, name, headers={**headers, "x-a": "1", "content-type": "text/x"})
            (_, headers, body) = behind.asked[0]
            said = {"Accept-Language": "de"} if name == "spoken" else {}
            assert headers == {"Host": "localhost", "Content-Length": "0", **said}
            assert body == b""

    run(test)


SPOILED = {
    "upgrade": [("connection", "upgrade"), ("connection", "keep-alive"), ("upgrade", "websocket")],
    "host": [("host", "[::1")],
    "type": [("content-type", "multipart/form-data; boundary=\xff".encode("latin-1"))],
}


@pytest.mark.parametrize("headers", SPOILED.values(), ids=SPOILED)
def test_headers_of_the_first_spoil_nothing_for_those_who_wait_with_them(behind, headers):
    async def test():
        async with client(behind) as asks:
            several = [page(asks, headers=headers), *(page(asks) for _ in range(3))]
            assert [one.status_code for one in await asyncio.gather(*several)] == [200] * 4
            assert asks.front.counts == {"miss": 1, "merged": 3}

    run(test)


@pytest.mark.parametrize(
    "path",
    [
        f"{SKELETON}?feed={FEED}mine",
        f"{SKELETON}?feed={FEED}new&feed={FEED}mine",
        f"{SKELETON}?feed={FEED}new&limit=1&limit=2",
        f"{SKELETON}?feed={FEED}new&feed=",
        SKELETON,
        "/health",
    ],
)
def test_all_else_goes_to_flask_as_it_came(behind, path):
    async def test():
        async with client(behind) as asks:
            for number in (1, 2):
                answer = await asks.get(path, headers={"authorization": "Bearer mine"})
                assert answer.json()["n"] == number
            assert behind.asked[0][1]["Authorization"] == "Bearer mine"

    run(test)


def test_those_who_ask_at_once_share_one_look_up(behind):
    async def test():
        behind.go.clear()
        async with client(behind) as asks:
            several = [asyncio.create_task(page(asks)) for _ in range(50)]
            await asyncio.sleep(0.2)
            behind.go.set()
            assert {(await one).json()["n"] for one in several} == {1}
            assert asks.front.counts == {"miss": 1, "merged": 49}

    run(test)


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_an_error_is_not_remembered(behind, status):
    async def test():
        behind.status = status
        async with client(behind) as asks:
            assert (await page(asks)).status_code == status
            behind.status = 200
            assert (await page(asks)).status_code == 200

    run(test)


def test_a_broken_service_is_covered_by_the_last_good_page(behind, monkeypatch):
    async def test():
        async with client(behind) as asks:
            good = await page(asks)
            monkeypatch.setattr(front, "FRESH", 0.0)
            behind.status = 503
            stale = await page(asks)
            assert (stale.status_code, stale.content) == (200, good.content)
            assert stale.headers["x-feedkit-stale"] == "0"
            assert "x-feedkit-stale" not in good.headers
            assert (await page(asks, limit=7)).status_code == 503  # of which there is none
            for behind.status in (400, 401, 404, 500):  # the query was good before
                assert "x-feedkit-stale" in (await page(asks)).headers
            behind.status = 503
            monkeypatch.setattr(front, "STALE", -1.0)
            assert (await page(asks)).status_code == 503

    run(test)


def test_a_slow_service_is_covered_too_and_its_answer_is_used_later(behind, monkeypatch):
    async def test():
        async with client(behind) as asks:
            monkeypatch.setattr(front, "PATIENCE", 0.05)
            await page(asks)
            await asyncio.sleep(front.FRESH + 0.05)
            behind.go.clear()
            stale = await page(asks)
            assert stale.json()["n"] == 1
            assert "x-feedkit-stale" in stale.headers
            behind.go.set()
            await asyncio.sleep(0.05)
            assert (await page(asks)).json()["n"] == 2
            assert len(behind.asked) == 2

    run(test)


def test_a_look_up_that_takes_long_is_waited_for_once(behind, monkeypatch):
    """While the store hangs, who comes later gets the stale page without a wait."""

    async def test():
        async with client(behind) as asks:
            clock = asyncio.get_running_loop().time
            monkeypatch.setattr(front, "PATIENCE", 0.6)
            monkeypatch.setattr(front, "FRESH", 0.0)
            await page(asks)
            behind.go.clear()
            began = clock()
            first = asyncio.create_task(page(asks))
            await asyncio.sleep(0.4)
            assert "x-feedkit-stale" in (await page(asks)).headers
            assert 0.55 < clock() - began < 0.95, "as long as the first, not 0.6 s more"
            assert "x-feedkit-stale" in (await first).headers
            began = clock()
            for _ in range(5):
                assert "x-feedkit-stale" in (await page(asks)).headers
            assert clock() - began < 1.0
            assert len(behind.asked) == 2

    run(test)


def test_what_is_kept_is_bounded(behind, monkeypatch):
    async def test():
        monkeypatch.setattr(kept, "MOST", 25_000)
        monkeypatch.setattr(asked, "MOST_QUERIES", 10)
        async with client(behind) as asks:
            for number in range(100):
                await page(asks, cursor=f"0.{number}.1")
            pages = asks.front._pages
            assert 10 < len(pages._pages) < 20
            assert sum(kept._size(*one) for one in pages._pages.items()) == pages.size <= 25_000
            assert len(asks.front._queries._known) <= 10
            assert (await page(asks, cursor="0.99.1")).json()["n"] == 100  # the latest are there
            assert (await page(asks, cursor="0.0.1")).json()["n"] == 101

    run(test)


WHO = {"authorization": "Bearer x", "content-type": "a/b"}


def test_a_body_arrives_whole_and_too_much_is_refused(behind):
    async def test():
        async with client(behind) as asks:
            await asks.post(INTERACTIONS, content=b"[1]" * 1000, headers=WHO)
            _, headers, body = behind.asked[0]
            assert (body, headers["Content-Type"]) == (b"[1]" * 1000, "a/b")
            assert headers["Content-Length"] == "3000"
            for path, who in ((INTERACTIONS, WHO), ("/x", {})):
                answer = await asks.post(path, content=b"x" * (bodies.MOST_BODY + 1), headers=who)
                assert (answer.status_code, answer.json()["error"]) == (413, "PayloadTooLarge")
            assert len(behind.asked) == 1

    run(test)


@pytest.mark.parametrize(
    ("path", "who"),
    [("/x", WHO), (INTERACTIONS, {}), ("/why", WHO)],
    ids=["other", "nobody", "page"],
)
def test_what_nobody_reads_is_not_held(behind, path, who):
    async def test():
        async with client(behind) as asks:
            answer = await asks.post(path, content=b"x" * 1000, headers=who)
            assert answer.status_code in (200, 405)
            assert all(body == b"" for _, _, body in behind.asked)
            assert asks.front._bodies._held == 0

    run(test)


def test_all_bodies_together_are_bounded(behind, monkeypatch):
    monkeypatch.setattr(bodies, "MOST_BODIES", 2500)
    go = asyncio.Event()

    async def slowly():
        yield b"x" * 1000
        await go.wait()

    async def test():
        async with client(behind) as asks:
            send = lambda: asyncio.create_task(  # noqa: E731
                asks.post(INTERACTIONS, content=slowly(), headers=WHO)
            )
            waiting = [send(), send()]
            await asyncio.sleep(0.1)
            third = await send()
            assert (third.status_code, third.json()["error"]) == (503, "Busy")
            go.set()
            assert {(await one).status_code for one in waiting} == {200}
            assert (await send()).status_code == 200

    run(test)


async def sent(asks, size=1000):
    """A body that has arrived and whose answer is waited for."""
    task = asyncio.create_task(asks.post(INTERACTIONS, content=b"x" * size, headers=WHO))
    await asyncio.sleep(0.05)
    return task


def test_a_body_counts_until_its_call_has_ended(behind, monkeypatch):
    monkeypatch.setattr(bodies, "MOST_BODIES", 2500)
    monkeypatch.setattr(backstage, "LONGEST", 0.3)

    async def test():
        behind.go.clear()
        async with client(behind, threads=1) as asks:
            waiting = [await sent(asks), await sent(asks)]  # one runs, the other waits for it
            third = await (await sent(asks))
            assert (third.status_code, third.json()["error"]) == (503, "Busy")
            assert {(await one).status_code for one in waiting} == {503}, "too late"
            assert asks.front._bodies._held == 2000, "they are still there"
            behind.go.set()
            await asyncio.sleep(0.1)
            assert asks.front._bodies._held == 0
            assert (await (await sent(asks))).status_code == 200

    run(test)


def test_a_body_that_finds_no_room_does_not_count(behind, monkeypatch):
    monkeypatch.setattr(backstage, "MOST_WAITING", 1)

    async def test():
        behind.go.clear()
        async with client(behind) as asks:
            first = await sent(asks)
            assert (await (await sent(asks))).status_code == 503
            assert asks.front._bodies._held == 1000
            behind.go.set()
            assert (await first).status_code == 200
            assert asks.front._bodies._held == 0

    run(test)


def test_those_who_send_do_not_hold_up_those_who_ask(behind, monkeypatch):
    monkeypatch.setattr(backstage, "MOST_WAITING", 4)

    async def test():
        behind.go.clear()
        async with client(behind, threads=1) as asks:
            waiting = [await sent(asks) for _ in range(4)]
            assert (await (await sent(asks))).status_code == 503
            assert len(behind.asked) == 1
            mine = asyncio.create_task(page(asks, "mine"))
            await asyncio.sleep(0.1)
            assert len(behind.asked) == 2, "a page finds a thread of its own"
            behind.go.set()
            assert {(await one).status_code for one in [*waiting, mine]} == {200}

    run(test)


def test_little_may_wait_to_be_written(store):
    made = Service("a.example", "did:plc:x", "did:web:a.example", {})
    stages = create_front(made, store)._stages
    assert stages.sending._most * bodies.MOST_BODY <= bodies.MOST_BODIES
    for stage in stages:
        stage.close()


def test_a_request_that_does_not_arrive_is_given_up(behind, monkeypatch):
    async def test():
        monkeypatch.setattr(bodies, "BODY_TIME", 0.05)

        async def slowly():
            yield b"x"
            await asyncio.sleep(0.5)
            yield b"y"

        async with client(behind) as asks:
            answer = await asks.post("/x", content=slowly())
            assert (answer.status_code, answer.json()["error"]) == (408, "RequestTimeout")

    run(test)


def test_too_many_at_once_are_told_to_come_back(behind, monkeypatch):
    async def test():
        monkeypatch.setattr(backstage, "MOST_WAITING", 8)
        behind.go.clear()
        async with client(behind, threads=2) as asks:
            waiting = [asyncio.create_task(page(asks, cursor=f"0.{n}.1")) for n in range(8)]
            mine = f"{SKELETON}?feed={FEED}mine&cursor="
            waiting += [asyncio.create_task(asks.get(f"{mine}{n}")) for n in range(8)]
            await asyncio.sleep(0.1)
            for refused in (await page(asks), await asks.get(mine), await asks.get("/x")):
                assert (refused.status_code, refused.json()["error"]) == (503, "Busy")
                assert refused.headers["retry-after"] == "1"
            behind.go.set()
            assert {(await one).status_code for one in waiting} == {200}
            assert (await page(asks)).status_code == 200

    run(test)


@pytest.mark.parametrize("path", ["/why?n=", f"{SKELETON}?feed={FEED}mine&cursor="])
def test_those_who_wait_for_something_else_hold_up_no_shared_feed(behind, path):
    async def test():
        behind.go.clear()
        async with client(behind, threads=2) as asks:
            waiting = [asyncio.create_task(asks.get(f"{path}{n}")) for n in range(8)]
            await asyncio.sleep(0.1)
            shared = asyncio.create_task(page(asks))
            await asyncio.sleep(0.1)
            assert len(behind.asked) == 3, "two of the others, and the page"
            behind.go.set()
            assert (await shared).json()["n"] == 3
            await asyncio.gather(*waiting)

    run(test)


def test_paths_and_headers_survive_the_way(behind):
    async def test():
        async with client(behind) as asks:
            await asks.get("/wäre/%E2%9C%93?q=%C3%A4&r=a+b", headers=[("x-a", "1"), ("x-a", "2")])
            path, headers, _ = behind.asked[0]
            assert path == "/wäre/✓?q=ä&r=a b" or path == "/wäre/✓?q=%C3%A4&r=a+b"
            assert headers["X-A"] == "1,2"

    run(test)
