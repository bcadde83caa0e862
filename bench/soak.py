"""A service for half an hour: does memory stay flat, the database bounded, the lag small?

    python bench/soak.py [--minutes 30] [--feeds 200] [--pace 500] [--requests 50] [--store URL]

`feedkit worker` reads a made-up live stream, `feedkit serve` answers random pages of random feeds,
a quarter of them further down. Every minute a line: MB of each process, MB of the database, posts,
the lag of what is stored behind the stream, and what went wrong. Feeds keep posts for five minutes
and rankings for ten, so that all retention is at work from the twelfth on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

HERE = Path(__file__).resolve().parent
WORDS = ["the", "and", "der", "die", "que", "est", "la", "は", "で", "o", "e", "is", "in", "un",
         "cat", "bird", "sky", "good", "tea", "sun", "day", "new", "you", "for", "to"]  # fmt: skip


STEADY = 12  # minutes after which as much goes as comes


def configure(folder: Path, feeds: int, stream: int, store: str) -> Path:
    """Feeds of all kinds: by time and ranked, by words and by language, some that count likes."""
    rnd, written = random.Random(1), {}
    for number in range(feeds):
        words = {"keywords": rnd.sample(WORDS, 3)}
        written[f"feed{number}"] = {
            "filter": {"all": [words, {"not": "reply"}]} if number % 3 else words,
            "rank": ["newest", "gravity", "newest", {"half_life": {}}][number % 4],
            "select": ["per_author"] if number % 5 == 0 else [],
            "keep": "5m",
        }
    config = {
        "service": {"hostname": "feeds.example.com", "publisher": "did:plc:" + "a" * 24},
        "store": {"url": store or f"sqlite:///{folder}/feedkit.db", "rankings": "10m"},
        "stream": {"jetstream": {"url": f"ws://127.0.0.1:{stream}", "compress": "false"}},
        "feeds": written,
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(config), "utf-8")  # JSON is YAML
    return path


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def family(pid: int) -> list[int]:
    """A process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def megabytes(processes: list[subprocess.Popen[bytes]]) -> dict[str, float]:
    """What each process of the service holds, by what it does."""
    found: dict[str, float] = {}
    for process in processes:
        for pid in family(process.pid):
            try:
                line = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            name = next((w for w in ("ingest", "jobs", "gunicorn") if w in line), "")
            if name and (rss := re.search(r"VmRSS:\s+(\d+)", status)):
                found[name] = max(found.get(name, 0), int(rss[1]) / 1024)
    return found


async def ask(port: int, feeds: int, pace: float, until: float, seen: dict[str, list]) -> None:
    """Random pages at a steady pace; times in `seen`, by what became of the request."""
    rnd = random.Random(2)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        cursors: dict[int, str] = {}
        running: set[asyncio.Task] = set()

        async def one(number: int) -> None:
            params = {"feed": f"at://did:plc:{'a' * 24}/app.bsky.feed.generator/feed{number}"}
            if number in cursors and rnd.random() < 0.5:
                params["cursor"] = cursors[number]
            began = time.perf_counter()
            try:
                answer = await client.get("/xrpc/app.bsky.feed.getFeedSkeleton", params=params)
            except httpx.HTTPError as error:
                seen.setdefault(type(error).__name__, []).append(0.0)
                return
            taken = time.perf_counter() - began
            seen.setdefault(str(answer.status_code), []).append(taken)
            if answer.status_code == 200 and (cursor := answer.json().get("cursor")):
                cursors[number] = cursor
            else:
                cursors.pop(number, None)

        began, sent = time.monotonic(), 0
        while time.monotonic() < until:
            task = asyncio.create_task(one(rnd.randrange(feeds)))
            running.add(task)
            task.add_done_callback(running.discard)
            sent += 1
            await asyncio.sleep(max(0.0, began + sent / pace - time.monotonic()))
        await asyncio.gather(*running)


async def watch(given, port, processes, folder, log, until, seen):  # type: ignore[no-untyped-def]
    from feedkit.config import load_config
    from feedkit.store import open_store

    service = load_config(folder / "config.yaml")
    print("minute  ingest    jobs     web  store MB    posts   lag s  p50 ms  p99 ms  errors")
    lags, minutes = [], []
    minute = 0
    while time.monotonic() < until:
        await asyncio.sleep(min(10, max(0.0, until - time.monotonic())))
        with open_store(service.store) as store:
            lags.append(time.time() - store.live_clock() / 1e6)
            if len(lags) % 6:
                continue
            minute += 1
            posts = store.db.rows("SELECT count(*) FROM posts")[0][0]
        size = sum(file.stat().st_size for file in folder.glob("feedkit.db*")) / 1e6
        memory = megabytes(processes)
        good = sorted(1000 * t for t in seen.pop("200", [0.0]))
        errors = {kind: len(times) for kind, times in seen.items()}
        seen.clear()
        minutes.append((memory, size, max(lags[-6:]), sum(errors.values())))
        print(
            f"{minute:6}{memory.get('ingest', 0):8.0f}{memory.get('jobs', 0):8.0f}"
            f"{memory.get('gunicorn', 0):8.0f}{size:10.1f}{posts:9,}{max(lags[-6:]):8.2f}"
            f"{statistics.median(good):8.1f}{good[int(len(good) * 0.99)]:8.1f}  {errors or 0}",
            flush=True,
        )
    return minutes


def report(minutes, log: Path) -> None:  # type: ignore[no-untyped-def]
    if len(minutes) <= STEADY:
        return
    early, late = minutes[STEADY - 1], minutes[-1]
    print(f"\nfrom minute {STEADY} to the last:")
    for name in early[0]:
        print(f"  {name:10}{late[0][name] / early[0][name]:6.2f} times the memory")
    print(f"  {'store':10}{late[1] / early[1]:6.2f} times the size")
    print(f"lag at most {max(lag for _, _, lag, _ in minutes[1:]):.2f} s (limit 2)")
    print(f"failed requests {sum(errors for *_, errors in minutes)} (limit 0)")
    told = [line for line in log.read_text().splitlines() if re.search(r"ERROR|WARNING", line)]
    print(f"warnings and errors in the log {len(told)}", *told[:5], sep="\n  ")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--feeds", type=int, default=200)
    parser.add_argument("--pace", type=float, default=500, help="events a second")
    parser.add_argument("--requests", type=float, default=50, help="requests a second")
    parser.add_argument("--store", default="", help="another store, such as postgresql://…")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, stream, port = Path(name), free_port(), free_port()
        config = configure(folder, given.feeds, stream, given.store)
        log = folder / "log"
        feedkit = [sys.executable, "-m", "feedkit"]
        env = {**os.environ, "FEEDKIT_CONFIG": str(config), "WEB_CONCURRENCY": "1"}
        subprocess.run([*feedkit, "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
        with log.open("w") as out:
            server = subprocess.Popen(
                [sys.executable, str(HERE / "wire.py"), "live", str(stream), str(given.pace)],
                stdout=subprocess.PIPE,
            )
            assert server.stdout is not None
            server.stdout.readline()
            processes = [
                subprocess.Popen([*feedkit, *line], env=env, stdout=out, stderr=out)
                for line in (["worker"], ["serve", "--port", str(port)])
            ]
            time.sleep(5)
            until = time.monotonic() + given.minutes * 60
            seen: dict[str, list] = {}
            try:
                _, minutes = await asyncio.gather(
                    ask(port, given.feeds, given.requests, until, seen),
                    watch(given, port, processes, folder, log, until, seen),
                )
                report(minutes, log)
            finally:
                for process in (*processes, server):
                    process.send_signal(signal.SIGTERM)
                for process in (*processes, server):
                    process.wait(20)


if __name__ == "__main__":
    asyncio.run(main())
