"""What will bite once the service runs on a host, as far as the files and the environment show it:
nothing is asked over the network."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from feedkit.config.advice import Advice
from feedkit.config.problems import Problems
from feedkit.config.readers import readers
from feedkit.config.written import read
from feedkit.config.yamltree import MappingNode, Scalar
from feedkit.duration import duration_text
from feedkit.settings import Network, Service
from feedkit.wording import listed

# Domains that stand for others in examples (RFC 2606, RFC 6761), and the machine's own.
_MADE_UP = re.compile(
    r"(^|\.)(example\.(com|net|org)|example|test|invalid|localhost|local|internal)$"
)
# What hosts set that give a new disk with each deployment.
_PAAS = ("DYNO", "RENDER", "FLY_APP_NAME", "RAILWAY_ENVIRONMENT", "K_SERVICE", "PORT")
# Those among them that have no disk to mount which would do for a database.
_NO_DISK = ("DYNO", "K_SERVICE")
_OLDEST = (3, 11)
_LONG = timedelta(days=30)
_NAME = "atproto-feedkit"  # on PyPI; «feedkit» is another project there
_REQUIRED = re.compile(rf"^\s*{_NAME}\s*(?:\[([^\]]*)\])?\s*(?:[=<>~!@;#]|$)", re.M | re.I)


def advise(
    service: Service, extras: Collection[str], environ: Mapping[str, str], backfill: bool
) -> list[Advice]:
    """What will bite, serious things first. `extras`: those that the configured plugins need;
    `backfill`: whether there is such a command to name."""
    found = [
        *_names(service),
        *_store(service, environ),
        *_feeds(service, backfill),
        *_processes(service, environ),
        *_files(service, extras),
    ]
    return sorted(found, key=lambda one: not one.serious)


def _names(service: Service) -> Iterator[Advice]:
    host = service.hostname.partition(":")[0]
    private = service.network != Network()
    if _MADE_UP.search(host) and not private:
        yield Advice(
            True,
            f"service.hostname is {service.hostname}, which the app cannot reach",
            "write the host name of your service",
        )
    elif ":" in service.hostname and not private:
        yield Advice(
            True, f"service.hostname {service.hostname} has a port", "the app asks port 443 alone"
        )
    for name in sorted({service.publisher, *(f.publisher for f in service.feeds.values())} - {""}):
        if _MADE_UP.search(name) and not private:
            yield Advice(
                True,
                f"the publisher {name} is the example's",
                "write the handle or DID of the account that shall own the feeds",
            )


def _store(service: Service, environ: Mapping[str, str]) -> Iterator[Advice]:
    if not service.store.startswith("sqlite"):
        return
    if not _takes_database_url(service):
        yield Advice(
            "DATABASE_URL" in environ,
            f"store: is {service.store}, whatever DATABASE_URL says",
            "write store: ${DATABASE_URL:-sqlite:///feedkit.db}, so that a host can name its "
            "database",
        )
        return
    host = next((name for name in _PAAS if environ.get(name)), "")
    if host and host not in _NO_DISK and _elsewhere(service):
        yield Advice(
            False,
            f"the store is a file ({service.store}), and ${host} says that this is a PaaS",
            "see that a disk which outlives deployments (a volume) is mounted there, and that web "
            "and worker run on the one machine that has it; if not, add the host's PostgreSQL, "
            "which sets DATABASE_URL",
        )
        return
    yield Advice(
        bool(host),
        f"the store is a file ({service.store}), as DATABASE_URL is not set here",
        (
            f"${host} says that this is a PaaS, whose disk is emptied with every deployment; add "
            "its PostgreSQL, which sets DATABASE_URL"
            if host
            else "a server of your own keeps it; on a PaaS the disk is emptied with every "
            "deployment: add its PostgreSQL, which sets DATABASE_URL"
        ),
    )


def _elsewhere(service: Service) -> bool:
    """Whether the store is a file outside of the project, where a disk may be mounted."""
    file = Path(service.store.removeprefix("sqlite:///").partition("?")[0])
    return file.is_absolute() and not file.resolve().is_relative_to(service.path.parent.resolve())


def _takes_database_url(service: Service) -> bool:
    """Whether DATABASE_URL would change the store."""
    told = "postgresql://told"
    root = read(service.path, Problems(), {"DATABASE_URL": told})
    store = root.entries.get("store") if isinstance(root, MappingNode) else None
    if isinstance(store, MappingNode):
        store = store.entries.get("url")
    return store is None or (isinstance(store, Scalar) and store.text == told)


def _feeds(service: Service, backfill: bool) -> Iterator[Advice]:
    feeds = [feed for feed in service.feeds.values() if feed.served]
    if names := [feed.name for feed in feeds if not feed.when_empty]:
        command = "`feedkit backfill --all --stream 24h`"
        fills = f" {command} fills them from the past;" if backfill else ""
        yield Advice(
            False,
            f"in a new database the feeds begin empty: {listed(names)}",
            f"let them fill before you publish them;{fills} when_empty: shows a post meanwhile",
        )
    if names := [feed.name for feed in feeds if not feed.avatar]:
        yield Advice(
            False,
            f"no picture for {listed(names)}",
            "write avatar: FILE, a PNG or JPEG beside the configuration",
        )
    if names := [f.name for f in service.feeds.values() if f.keep > _LONG]:
        yield Advice(
            False,
            f"posts are kept for up to {duration_text(service.keep)} by {listed(names)}",
            "see that the database has room for them, some 1 kB a post and 0.1 kB a like (measured "
            "with SQLite), or write a shorter keep:",
        )


def _processes(service: Service, environ: Mapping[str, str]) -> Iterator[Advice]:
    file = service.path.parent / "Procfile"
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeError):
        yield Advice(
            False,
            f"there is no {file}",
            "a PaaS wants one, `feedkit new DIR` shows how it looks; a server with systemd needs "
            "none",
        )
        return
    lines = dict(re.findall(r"^([A-Za-z0-9_-]+):\s*(.+)$", text, re.M))
    commands = {name: _command(line) for name, line in lines.items()}
    verbs = {name: words[0] for name, words in commands.items() if words}
    fixed = service.store.startswith("sqlite") and not _takes_database_url(service)
    yield from readers(file, commands, environ, fixed)
    if "migrate" not in verbs.values():
        yield Advice(
            False,
            f"{file}: nothing makes the tables",
            "add the line `release: feedkit migrate`",
        )
    for name, verb in verbs.items():
        words = commands[name]
        host = [words[n + 1] for n, word in enumerate(words[:-1]) if word == "--host"]
        host += [word.partition("=")[2] for word in words if word.startswith("--host=")]
        if verb == "run" or (verb == "serve" and (not host or host[-1] in ("127.0.0.1", "::1"))):
            yield Advice(
                True,
                f"{file}: {name} answers this machine alone",
                "write `feedkit serve --host 0.0.0.0`; the host's proxy is another machine",
            )


def _command(line: str) -> list[str]:
    """The words after `feedkit` (or `python -m feedkit`) of a line; empty without."""
    try:
        words = shlex.split(line)
    except ValueError:
        return []
    for number, word in enumerate(words):
        if word.rpartition("/")[2] == "feedkit":
            return words[number + 1 :]
    return []


def _files(service: Service, extras: Collection[str]) -> Iterator[Advice]:
    folder = service.path.parent
    wanted = {*extras, *(["postgres"] if _takes_database_url(service) else [])}
    if service.store.startswith("postgres"):
        wanted.add("postgres")
    named = f"{_NAME}[{','.join(sorted(wanted))}]" if wanted else _NAME
    required = _text(folder / "requirements.txt")
    if required is None:
        yield Advice(
            False,
            f"there is no {folder / 'requirements.txt'}",
            f"a PaaS installs what it names; write a line {named}",
        )
    else:
        lines = [match[1] or "" for match in _REQUIRED.finditer(required)]
        has = {one.strip().lower() for extra in lines for one in extra.split(",")}
        missing = sorted(wanted - has)
        if re.search(r"^\s*feedkit\b(?!\S*\s*(@|\S*/))", required, re.M | re.I):
            yield Advice(
                True,
                f"{folder / 'requirements.txt'} names feedkit, which is another project on PyPI",
                f"write {named}",
            )
        elif not lines:
            yield Advice(
                False,
                f"{folder / 'requirements.txt'} does not name {_NAME}",
                f"write a line {named}, unless something else there brings it",
            )
        elif missing:
            yield Advice(
                True,
                f"{folder / 'requirements.txt'} lacks the extra {' and '.join(missing)}, which "
                "this configuration needs",
                f"write {named}",
            )
    version = _text(folder / ".python-version")
    number = re.search(r"(\d+)\.(\d+)", version or "")
    if version is None:
        yield Advice(
            False,
            f"there is no {folder / '.python-version'}",
            "a PaaS chooses some Python without it; write 3.13",
        )
    elif number and (int(number[1]), int(number[2])) < _OLDEST:
        yield Advice(
            True,
            f"{folder / '.python-version'} asks for Python {number[0]}",
            "feedkit needs 3.11 or newer; write 3.13",
        )


def _text(file: Path) -> str | None:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeError):
        return None
