"""run, worker, ingest, jobs, serve, migrate: what keeps a service going."""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from feedkit.cli.group import Mistake, cli, count, load, log_to_stdout, open_checked, with_config
from feedkit.cli.processes import GRACE, passes, stop_on_signal, through_outages, together
from feedkit.orphans import is_started

if TYPE_CHECKING:
    from feedkit.settings import Service
    from feedkit.sharding import Shard

log = logging.getLogger("feedkit")

with_port = click.option(
    "--port", type=click.IntRange(0, 65535), envvar="PORT", default=8000, show_default=True,
    help="Port to listen on, also $PORT.",
)  # fmt: skip


class _ShardType(click.ParamType):  # type: ignore[type-arg]
    name = "i/n"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Shard:
        from feedkit.sharding import parse_shard

        try:
            return parse_shard(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _one_of_several(ctx: click.Context, param: click.Parameter, shard: Any) -> Shard | None:
    """The shard that is named, else the one that $FEEDKIT_SHARDS makes of this process."""
    from feedkit.sharding import numbered_shard

    if ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
        return shard  # type: ignore[no-any-return]
    of = os.environ.get("FEEDKIT_SHARDS")
    if shard and of:
        raise Mistake(
            f"FEEDKIT_SHARD={shard} and FEEDKIT_SHARDS={of} are both set; unset one of them: the "
            "first tells a process which one it is, by the second it sees that by its name"
        )
    try:
        return shard or numbered_shard(os.environ)
    except ValueError as error:
        raise Mistake(str(error)) from error


with_shard = click.option(
    "--shard", type=_ShardType(), envvar="FEEDKIT_SHARD", callback=_one_of_several,
    help="Read as the i-th of n ingests that share the accounts, such as 1/3; also $FEEDKIT_SHARD. "
    "Where a runner numbers its processes (worker.1, worker.2, …), $FEEDKIT_SHARDS, which is n, "
    "does for all of them. Needs PostgreSQL.",
)  # fmt: skip


def check_shard(service: Service, shard: Shard | None) -> None:
    """Complain about shards of a store that one process writes."""
    if shard and service.store.startswith("sqlite"):
        raise Mistake(
            f"--shard {shard}: the store {service.store} is SQLite, which one process writes; "
            "leave --shard ($FEEDKIT_SHARD, $FEEDKIT_SHARDS) out, or name a PostgreSQL under store:"
        )


def check_store(service: Service) -> None:
    """Say here what is wrong with the store, rather than in each of the processes that use it; but
    for one that is out of reach for now, which they wait for."""
    from feedkit.store import StoreError

    try:
        open_checked(service).close()
    except StoreError as error:
        if not passes(error, service.store):
            raise


@cli.command(short_help="Read the stream into the store.")
@with_config
@with_shard
def ingest(config: Path, shard: Shard | None) -> None:
    """Read the stream into the store, and nothing else."""
    from feedkit.garbage import look_rarely
    from feedkit.heartbeat import StreamPulse
    from feedkit.ingest import Ingest
    from feedkit.sources import open_source

    log_to_stdout()
    stop = stop_on_signal()
    service = load(config)
    check_shard(service, shard)
    check_store(service)
    look_rarely()
    counts: Counter[str] = Counter()

    def read() -> None:
        """All of it anew each time: a server that crashed may have lost what this knows of it."""
        with open_checked(service) as store:

            def on_gap(from_us: int, to_us: int, reason: str) -> None:
                store.add_gap(source.name, from_us, to_us, reason, time.time_ns() // 1000)

            source = open_source(service.stream, service.engagement, on_gap)
            if shard:
                source.name = shard.named(source.name)
            work = Ingest(service, store, shard=shard)
            log.info("reading %s for %s", source.name, count(len(service.feeds), "feed"))
            work.wait_for_people(stop)
            pulse = StreamPulse(store, source.name, work, lambda: source.problem)
            work.at_rest = pulse.sometimes
            try:
                work.run(source, stop)
            finally:
                counts.update(work.counts)

    through_outages(read, stop)
    log.info("stopped after %d events, %d hits", counts["events"], counts["hits"])


@cli.command(short_help="Rank, prune and decide again, on a clock.")
@with_config
@click.option("--once", is_flag=True, help="Decide again, prune and rank every feed, now, and end.")
def jobs(config: Path, once: bool) -> int:
    """Rank the feeds, prune old posts, and decide stored posts again where a filter has changed,
    on a clock. Of several such processes one does it, and another one when that ends."""
    from feedkit.jobs import Jobs, do_jobs

    log_to_stdout()
    stop = stop_on_signal()
    service = load(config)
    if once:
        with open_checked(service) as store:
            return 0 if Jobs(service, store).once() else 1
    check_store(service)

    def work() -> None:
        with open_checked(service) as store:
            do_jobs(service, store, stop)

    through_outages(work, stop)
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
    log_to_stdout()
    service = load(config)
    check_store(service)
    check_free(host, port)
    os.environ["FEEDKIT_CONFIG"] = str(config)
    # Else glibc keeps what SQLite lets go of for each thread apart: measured, 8 MB a worker.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    os.execv(
        sys.executable,
        [
            sys.executable, "-m", *(["feedkit.orphans"] if is_started() else []), "gunicorn",
            "feedkit.web.asgi:create_front()",
            "--worker-class", "asgi", "--logger-class", "feedkit.web.log.Logger",
            "--bind", f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "--workers", str(workers), "--name", "feedkit",
            # Longer than who asks keeps a connection: who sends on one that closes gets nothing.
            "--keep-alive", "75", "--graceful-timeout", str(GRACE - 2), "--no-control-socket",
        ],
    )  # fmt: skip


@cli.command(short_help="ingest and jobs together.")
@with_config
@with_shard
def worker(config: Path, shard: Shard | None) -> int:
    """ingest and jobs, each in a process of its own; when one ends, so does the other. Of several
    workers one does the jobs, and another one when that ends."""
    service = load(config)
    check_shard(service, shard)
    check_store(service)
    reading = ["ingest", *(["--shard", str(shard)] if shard else [])]
    return together(reading, ["jobs"], config=config)


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
    return together(["ingest"], ["jobs"], ["serve", "--port", str(port)], config=config)


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
