"""What ingest costs, beside what it takes only to receive.

    python bench/ingest.py [--events 100000] [--rounds 5] [--data FILE.ws]

All read the same events from the same server, in turn, each in a process of its own; the
figures are medians. `receive` is the loop that ingest uses, without decoding; `sync` is the
library's own blocking client, websockets.sync, which was used before. The limit is a ratio of 2. `--data` takes websocket bytes of other Jetstream v2 events.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

FEEDS = 20
TOPICS = [
    "python", "astronomy", "heron", "gardening", "knitting", "aurora", "kingfisher", "bakery",
    "telescope", "library", "望遠鏡", "猫", "Teleskop", "bicycle", "chess", "tea", "trains", "lighthouse",
    "moss", "piano",
]  # fmt: skip


def service(folder: Path, url: str):
    """20 feeds as people write them: words, a tag, a language or a regex, likes needed."""
    from feedkit.config import load_config

    feeds = {}
    for number, topic in enumerate(TOPICS[:FEEDS]):
        words = {
            "keywords": [topic, f"#{topic}", *(f"{topic} {w}" for w in ("club", "news", "day"))]
        }
        parts = [words, {"not": "reply"}]
        if number % 4 == 1:
            parts.append({"language": ["en", "de", "ja"]})
        if number % 4 == 2:
            parts.append({"not": {"regex": "(?i)buy (now|cheap)"}})
        feeds[f"feed{number}"] = {
            "display_name": topic,
            "filter": {"all": parts},
            "rank": "gravity" if number % 2 else "newest",
        }
    config = {
        "service": {
            "hostname": "feeds.example.com",
            "publisher": "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
        },
        "store": f"sqlite:///{folder}/feedkit.db",
        "stream": {"jetstream": {"url": url, "compress": "false"}},
        "feeds": feeds,
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(config), "utf-8")  # JSON is YAML
    return load_config(path)


def receive(folder: Path, url: str, events: int) -> None:
    """Only receive `events` messages, by the loop that ingest uses."""
    from feedkit.sources.socket import Socket

    stop = threading.Event()
    stream = service(folder, url).stream
    got = 0
    began = None
    socket_ = Socket(stream, lambda: url, stop, subprotocol="xrpc.v1.json", max_size=2**25)
    for message in socket_.messages():
        if isinstance(message, bytes):
            if began is None:
                began = time.perf_counter(), time.process_time()
            got += 1
            if got == events:
                report(began, got, {})
                stop.set()


def sync(folder: Path, url: str, events: int) -> None:
    """Only receive `events` messages, by websockets.sync."""
    from websockets.sync.client import connect

    options = {"compression": None, "proxy": None, "max_size": 2**25, "max_queue": 512}
    with connect(url, subprotocols=["xrpc.v1.json"], ping_interval=None, **options) as connection:
        connection.recv(decode=False)
        began = time.perf_counter(), time.process_time()
        for _ in range(events - 1):
            connection.recv(decode=False)
        report(began, events, {})
        os._exit(0)  # saying goodbye to a server that has said all takes ten seconds


def ingest(folder: Path, url: str, events: int) -> None:
    """Take `events` messages through the whole pipeline into an SQLite store."""
    from feedkit.garbage import look_rarely
    from feedkit.ingest import Ingest
    from feedkit.sources import open_source
    from feedkit.store import open_store

    config = service(folder, url)
    store = open_store(config.store)
    store.migrate()
    source = open_source(config.stream, config.engagement, store.add_gap)
    work = Ingest(config, store)
    look_rarely()
    stop = threading.Event()
    began = None

    class Counted:
        name = source.name

        def frames(self, *arguments):
            nonlocal began
            got = 0
            for frame in source.frames(*arguments):
                if frame is not None:
                    if began is None:
                        began = time.perf_counter(), time.process_time()
                    got += 1
                yield frame
                if got == events:
                    stop.set()
                    return

    work.run(Counted(), stop)
    report(began, events, dict(work.counts))


def report(began, events, counts) -> None:
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    print(json.dumps({"wall": wall, "cpu": cpu, "events": events, **counts}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", choices=["receive", "sync", "ingest"], help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        with tempfile.TemporaryDirectory() as folder:
            {"receive": receive, "sync": sync, "ingest": ingest}[args.only](
                Path(folder), args.url, args.events
            )
        return
    import wire

    cache = Path(tempfile.gettempdir()) / f"feedkit-bench-{os.getuid()}"
    cache.mkdir(exist_ok=True)
    data = args.data or wire.write(cache, args.events)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, HERE / "wire.py", data, str(port)], stdout=subprocess.PIPE
    )
    server.stdout.readline()
    took = {"receive": [], "sync": [], "ingest": []}
    try:
        for _ in range(args.rounds):
            for what, results in took.items():
                done = subprocess.run(
                    [sys.executable, __file__, "--only", what, "--events", str(args.events),
                     "--url", f"ws://127.0.0.1:{port}/xrpc/network.bsky.jetstream.subscribeEvents"],
                    capture_output=True, text=True, timeout=120,
                )  # fmt: skip
                if done.returncode:
                    sys.exit(done.stderr)
                results.append(json.loads(done.stdout.splitlines()[-1]))
    finally:
        server.kill()
        server.wait()
    each = {k: statistics.median(r["wall"] for r in v) / args.events * 1e6 for k, v in took.items()}
    cpu = {k: statistics.median(r["cpu"] for r in v) / args.events * 1e6 for k, v in took.items()}
    ratios = {
        rival: statistics.median(
            i["wall"] / r["wall"] for i, r in zip(took["ingest"], took[rival], strict=True)
        )
        for rival in ("receive", "sync")
    }
    last = took["ingest"][-1]
    print(
        f"{args.events:,} Jetstream events, {FEEDS} feeds, SQLite; medians of {args.rounds} rounds in turn"
    )
    print(
        f"  {last['posts']:,} posts matched, {last['hits']:,} hits stored, {last['batches']:,} transactions"
    )
    for what in took:
        print(
            f"  {what:8} {each[what]:6.2f} µs/event wall, {cpu[what]:6.2f} µs cpu  {1e6 / each[what]:9,.0f} events/s"
        )
    for rival, ratio in ratios.items():
        print(f"  ingest / {rival}: {ratio:.2f} (limit 2)")


if __name__ == "__main__":
    main()
