"""run, worker, ingest, jobs, serve, migrate: what keeps a service going."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import click

from feedkit.cli.group import cli, load, log_to_stderr, open_checked, with_config

log = logging.getLogger("feedkit")

GRACE = 10.0  # seconds in which a process ends when it is told to


def stop_on_signal() -> threading.Event:
    """An event that is set by SIGTERM or ^C."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@cli.command()
@with_config
def ingest(config: Path) -> None:
    """Read the stream into the store, and nothing else."""
    from feedkit.ingest import Ingest, tune_garbage_collection
    from feedkit.sources import open_source

    log_to_stderr()
    stop = stop_on_signal()
    service = load(config)
    store = open_checked(service)

    def on_gap(from_us: int, to_us: int, reason: str) -> None:
        store.add_gap(source.name, from_us, to_us, reason, time.time_ns() // 1000)

    source = open_source(service.stream, service.engagement, on_gap)
    work = Ingest(service, store)
    tune_garbage_collection()
    log.info("reading %s for %d feeds", source.name, len(service.feeds))
    try:
        work.run(source, stop)
    finally:
        store.close()
    log.info("stopped after %d events, %d hits", work.counts["events"], work.counts["hits"])


@cli.command()
@with_config
@click.option("--once", is_flag=True, help="Do each job once, now, rank every feed, and end.")
def jobs(config: Path, once: bool) -> None:
    """Rank, prune and decide again, on a clock."""
    from feedkit.jobs import Jobs

    log_to_stderr()
    stop = stop_on_signal()
    service = load(config)
    store = open_checked(service)
    work = Jobs(service, store)
    try:
        if once:
            work.once()
        else:
            work.run(stop)
    finally:
        store.close()


@cli.command()
@with_config
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), envvar="PORT", default=8000, show_default=True,
    help="Port to listen on, also $PORT.",
)  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(1, 256), envvar="WEB_CONCURRENCY", default=2,
    show_default=True, help="Web processes, also $WEB_CONCURRENCY.",
)  # fmt: skip
def serve(config: Path, host: str, port: int, workers: int) -> None:
    """Answer the app: did.json, describeFeedGenerator, getFeedSkeleton."""
    service = load(config)
    open_checked(service).close()  # say it here rather than in every worker
    os.environ["FEEDKIT_CONFIG"] = str(config)
    os.execv(
        sys.executable,
        [
            sys.executable, "-m", "gunicorn", "feedkit.web.app:create_app()",
            "--bind", f"{host}:{port}", "--workers", str(workers), "--name", "feedkit",
            "--no-control-socket",
        ],
    )  # fmt: skip


@cli.command()
@with_config
def worker(config: Path) -> None:
    """ingest and jobs, each in a process of its own."""
    load(config)
    raise SystemExit(_together(["ingest"], ["jobs"], config=config))


@cli.command()
@with_config
@click.option("--port", type=click.IntRange(0, 65535), envvar="PORT", default=8000, show_default=True,
              help="Port to listen on, also $PORT.")  # fmt: skip
def run(config: Path, port: int) -> None:
    """Everything on one machine: tables, stream, jobs and web."""
    from feedkit.store import open_store

    service = load(config)
    store = open_store(service.store)
    for done in store.migrate():
        click.echo(f"migrated: {done}")
    store.close()
    click.echo(f"{len(service.feeds)} feeds on http://127.0.0.1:{port} (^C ends it)")
    raise SystemExit(_together(["ingest"], ["jobs"], ["serve", "--port", str(port)], config=config))


@cli.command()
@with_config
def migrate(config: Path) -> None:
    """Make the store's tables those of this version. Safe to run twice, and by two at once."""
    from feedkit.store import open_store

    store = open_store(load(config).store)
    done = store.migrate()
    store.close()
    for name in done:
        click.echo(f"migrated: {name}")
    if not done:
        click.echo("nothing to do: the tables are those of this version")


def _together(*verbs: list[str], config: Path) -> int:
    """Run `verbs` as processes until one ends or we are told to stop, then end the others.
    Returns the exit code of the first that ended by itself, 0 where we were told."""
    stop = stop_on_signal()
    running = [
        subprocess.Popen([sys.executable, "-m", "feedkit", *verb, "--config", str(config)])
        for verb in verbs
    ]
    while not stop.wait(0.2) and all(process.poll() is None for process in running):
        pass
    ended = [p for p in running if p.poll() is not None]
    for process, verb in zip(running, verbs, strict=True):
        if process in ended and not stop.is_set():
            click.echo(f"feedkit {verb[0]} ended; the other processes are stopped too", err=True)
    for process in running:
        if process.poll() is None:
            process.terminate()
    for process in running:
        try:
            process.wait(GRACE + 5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if stop.is_set():
        return 0
    return max(abs(process.returncode) for process in ended) or 1
