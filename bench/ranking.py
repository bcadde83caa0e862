"""Whether ranking keeps up on one core, and what ingest notices of it.

    python bench/ranking.py [--feeds 1000] [--asked 300] [--depth 500] [--seconds 20] [--store URL]

Of `feeds` ranked feeds with `depth` posts each `asked` are asked for. The limit: all of these are
ranked within their `refresh`, 60 s. Meanwhile another process writes 500 events a second, as
ingest does; printed is how long a batch of 50 takes it, with and without ranking beside it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from feedkit import Gravity, Keywords
from feedkit.event import Engaged, PostWritten
from feedkit.jobs import Jobs
from feedkit.post import Post
from feedkit.ranking import take_snapshot
from feedkit.settings import FeedConfig, Service
from feedkit.store import open_store
from feedkit.times import micros

LIMIT = 60.0  # seconds
NEEDS = frozenset({"likes", "reposts"})


def service(number: int, depth: int) -> Service:
    feeds = {
        f"f{n}": FeedConfig(f"f{n}", Keywords(f"word{n}"), Gravity(), depth=depth)
        for n in range(number)
    }
    return Service("feeds.example.com", "did:plc:x", "did:web:feeds.example.com", feeds)


def post(n: int, now: datetime) -> Post:
    author = f"did:plc:{n % 5000:024}"
    at = now - timedelta(seconds=n)
    uri = f"at://{author}/app.bsky.feed.post/{n}"
    return Post(uri=uri, author=author, cid="c", text="a heron at the weir, and a kingfisher " * 3,
                created_at=at, seen_at=at, sort_at=at)  # fmt: skip


def fill(store, made: Service, depth: int, posts: int) -> None:
    chance, names = random.Random(1), list(made.feeds)
    now = datetime.now(UTC)
    each = max(1, len(names) * depth // posts)  # feeds that a post is in
    for start in range(0, posts, 500):
        batch = []
        for n in range(start, min(start + 500, posts)):
            written = post(n, now)
            feeds = frozenset(chance.sample(names, each))
            batch.append((PostWritten(written, f"{n:08}", True, micros(written.seen_at)), feeds))
        store.apply(batch, "bench", start + 1, micros(now), NEEDS)


def write(url: str, posts: int, seconds: float, out) -> None:
    """Likes as they come from the network: 50 every tenth of a second."""
    took, chance = [], random.Random(2)
    now, uris = datetime.now(UTC), []
    uris = [post(n, now).uri for n in range(posts)]
    with open_store(url) as store:
        until, number = time.monotonic() + seconds, 0
        while (began := time.monotonic()) < until:
            batch = []
            for _ in range(50):
                number += 1
                actor = f"did:plc:{chance.randrange(10**6):024}"
                uri = f"at://{actor}/app.bsky.feed.like/{number}{seconds}"
                like = Engaged(uri, "like", actor, chance.choice(uris), time.time_ns() // 1000)
                batch.append((like, frozenset()))
            store.apply(batch, "likes", number, time.time_ns() // 1000, NEEDS)
            took.append(time.monotonic() - began)
            time.sleep(max(0.0, 0.1 - took[-1]))
    took.sort()
    out.put((statistics.median(took), took[int(len(took) * 0.99)], took[-1]))


def beside(url: str, posts: int, seconds: float):
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    return context.Process(target=write, args=(url, posts, seconds, out)), out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feeds", type=int, default=1000)
    parser.add_argument("--asked", type=int, default=300)
    parser.add_argument("--depth", type=int, default=500)
    parser.add_argument("--posts", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--store")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="feedkit-bench-") as folder:
        url = given.store or f"sqlite:///{Path(folder) / 'bench.db'}"
        made = service(given.feeds, given.depth)
        with open_store(url) as store:
            store.migrate()
            store.sync_feeds({n: f.filter.fingerprint() for n, f in made.feeds.items()})
            fill(store, made, given.depth, given.posts)
            for name in list(made.feeds)[: given.asked]:
                store.mark_asked(name, time.time_ns() // 1000)
            writer, alone = beside(url, given.posts, given.seconds)
            writer.start()
            writer.join()
            jobs = Jobs(made, store)
            jobs.rank()  # all of them are new
            store.db.run("UPDATE versions SET created_at = created_at - ?", (600 * 1_000_000,))
            writer, together = beside(url, given.posts, given.seconds)
            writer.start()
            began, cpu = time.monotonic(), time.process_time()
            taken = jobs.rank()
            first, core = time.monotonic() - began, time.process_time() - cpu
            names = list(made.feeds)[: given.asked]
            while time.monotonic() - began < given.seconds:  # go on, as fast as it can
                take_snapshot(store, made.feeds[random.choice(names)], feeds=made.feeds)
            writer.join()
        print(
            f"{taken} of {given.feeds} feeds ranked, {given.depth} posts each: {first:.1f} s, "
            f"{core:.1f} s of a core; limit {LIMIT:.0f} s: {'kept' if first < LIMIT else 'MISSED'}"
        )
        for label, out in (("alone", alone), ("beside ranking", together)):
            median, late, worst = (1000 * t for t in out.get(timeout=60))
            print(
                f"a batch {label}: median {median:.1f} ms, 99th {late:.1f} ms, worst {worst:.1f} ms"
            )


if __name__ == "__main__":
    main()
