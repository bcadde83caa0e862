"""run, worker, ingest, jobs, serve, migrate: what keeps a service going."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import click

from feedkit.cli.group import Mistake, cli, count, load, log_to_stderr, open_checked, with_config

log = logging.getLogger("feedkit")

GRACE = 8  # seconds that a process has to end when it is told to, before it is killed

with_port = click.option(
    "--port", type=click.IntRange(0, 65535), envvar="PORT", default=8000, show_default=True,
    help="Port to listen on, also $PORT.",
)  # fmt: skip


def stop_on_signal() -> threading.Event:
    """An event that is set by SIGTERM or ^C."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@cli.command(short_help="Read the stream into the store.")
@with_config
def ingest(config: Path) -> None:
    """Read the stream into the store, and nothing else."""
    from feedkit.ingest import Ingest, tune_garbage_collection
    from feedkit.sources import open_source

    log_to_stderr()
    stop = stop_on_signal()
    service = load(config)
    with open_checked(service) as store:

        def on_gap(from_us: int, to_us: int, reason: str) -> None:
            store.add_gap(source.name, from_us, to_us, reason, time.time_ns() // 1000)

        source = open_source(service.stream, service.engagement, on_gap)
        work = Ingest(service, store)
        log.info("reading %s for %s", source.name, count(len(service.feeds), "feed"))
        work.wait_for_people(stop)
        tune_garbage_collection()
        work.run(source, stop)
    log.info("stopped after %d events, %d hits", work.counts["events"], work.counts["hits"])


@cli.command(short_help="Rank, prune and decide again, on a clock.")
@with_config
@click.option("--once", is_flag=True, help="Decide again, prune and rank every feed, now, and end.")
def jobs(config: Path, once: bool) -> int:
    """Rank the feeds, prune old posts, and decide stored posts again where a filter has changed,
    on a clock."""
    from feedkit.jobs import Jobs

    log_to_stderr()
    stop = stop_on_signal()
    service = load(config)
    with open_checked(service) as store:
        work = Jobs(service, store)
        if once:
            return 0 if work.once() else 1
        work.run(stop)
    return 0


@cli.command(short_help="Answer the app over HTTP.")
@with_config
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@with_port
@click.option(
    "--workers", type=click.IntRange(1, 256), envvar="WEB_CONCURRENCY", default=2,
    show_default=True, help="Web processes, also $WEB_CONCURRENCY.",
)  # fmt: skip
def serve(config: Path, host: str, port: int, workers: int) -> None:
    """Answer the app over HTTP: did.json, describeFeedGenerator, getFeedSkeleton."""
    service = load(config)
    open_checked(service).close()  # say it here rather than in every worker
    check_free(host, port)
    os.environ["FEEDKIT_CONFIG"] = str(config)
    os.execv(
        sys.executable,
        [
            sys.executable, "-m", "gunicorn", "feedkit.web.asgi:create_front()",
            "--worker-class", "asgi",
            "--bind", f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "--workers", str(workers), "--name", "feedkit",
            "--graceful-timeout", str(GRACE - 2), "--no-control-socket",
        ],
    )  # fmt: skip


@cli.command(short_help="ingest and jobs together.")
@with_config
def worker(config: Path) -> int:
    """ingest and jobs, each in a process of its own; when one ends, so does the other."""
    service = load(config)
    open_checked(service).close()
    return _together(["ingest"], ["jobs"], config=config)


@cli.command(short_help="Everything on one machine.")
@with_config
@with_port
def run(config: Path, port: int) -> int:
    """Everything on one machine: makes the tables, reads the stream, ranks the feeds and serves
    them to this machine. When one of these processes ends, so do the others."""
    service = load(config)
    check_free("127.0.0.1", port)
    _migrate(config)
    feeds = count(len(service.feeds), "feed")
    click.echo(f"{feeds} on http://127.0.0.1:{port} (^C ends it)")
    return _together(["ingest"], ["jobs"], ["serve", "--port", str(port)], config=config)


@cli.command(short_help="Bring the store's tables up to date.")
@with_config
def migrate(config: Path) -> None:
    """Make the store's tables those of this version. Safe to run twice, and by two at once."""
    if not _migrate(config):
        click.echo("nothing to do: the tables are those of this version")


def _migrate(config: Path) -> int:
    from feedkit.store import open_store

    with open_store(load(config).store) as store:
        done = store.migrate()
    for name in done:
        click.echo(f"migrated: {name}")
    return len(done)


def check_free(host: str, port: int) -> None:
    """Complain if nobody can listen there. gunicorn says it ten times, in five seconds."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, number) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        cause = getattr(error, "errno", None)
        if cause == errno.EADDRINUSE:
            remedy = "another process listens there; stop it, or choose another --port ($PORT)"
        elif cause == errno.EACCES:
            remedy = "the system keeps that port to itself; choose a --port ($PORT) above 1023"
        else:
            said = getattr(error, "strerror", None) or str(error)
            remedy = f"{said}; --host must be an address of this machine"
        raise Mistake(f"cannot listen on {host}:{port}: {remedy}") from error


def _together(*verbs: list[str], config: Path) -> int:
    """Run `verbs` as processes until one ends or we are told to stop, then end the others.
    Returns 0 where we were told and all of them ended in time, else 1."""
    stop = stop_on_signal()
    running = {
        verb[0]: subprocess.Popen([sys.executable, "-m", "feedkit", *verb, "--config", str(config)])
        for verb in verbs
    }
    while not stop.wait(0.1) and all(process.poll() is None for process in running.values()):
        pass
    told = stop.is_set()
    for name, process in running.items():
        if not told and process.poll() is not None:
            click.echo(f"feedkit {name} {_how(process)}; the others are stopped, too", err=True)
    for process in running.values():
        if process.poll() is None:
            process.terminate()
    until = time.monotonic() + GRACE
    for name, process in running.items():
        try:
            process.wait(max(until - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            click.echo(f"feedkit {name} did not end within {GRACE} s and is killed", err=True)
            process.kill()
            process.wait()
            told = False
    return 0 if told else 1


def _how(process: subprocess.Popen[bytes]) -> str:
    """How a process ended, in words."""
    if process.returncode >= 0:
        return f"ended with exit code {process.returncode}"
    try:
        return f"was killed by {signal.Signals(-process.returncode).name}"
    except ValueError:
        return f"was killed by signal {-process.returncode}"
