"""What a web process answers, beside a bare ASGI worker and a Flask feed written by hand.

    python bench/serve.py [--seconds 3] [--rounds 3] [--quick] [--anywhere]

One worker each, 50,000 posts in SQLite, asked by `wrk` (Debian's package) over 16 and 64
connections. All take turns in every round; the figures are medians. Each is measured twice in a
row: while the stream stands still, and while `feedkit ingest` reads 500 events a second from it.

Where there are several cores the workers are kept to the first, and everything else (wrk, ingest,
its stream) to the others: how much ingest takes from a web process is not to hang on where the
system happens to put them. `--anywhere` leaves that to the system.

6,000 viewers ask in turn for the personal page, too many to come again within five seconds: then
they would get the ranking that was made before. How many were made for each answer is said; a few
more than one, since what was still under way when wrk ended counts for the next turn.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from serve_world import PUBLISHER, VIEWERS, Plc, configure, did, fill, time_cursors  # noqa: E402

SKELETON = "/xrpc/app.bsky.feed.getFeedSkeleton"


class Case(NamedTuple):
    """Requests of one kind: `ask` is a line of Lua for each, in turn. `connections` beside 16/64."""

    name: str
    server: str
    paths: list[str]
    tokens: Sequence[str] = ()
    connections: tuple[int, ...] = (16, 64)


Command = Callable[[int], list[str]]  # by the port


class Figures(NamedTuple):
    rate: float
    p50: float  # milliseconds
    p99: float
    bad: int
    ranked: float = 0.0  # rankings that were made, for each answer


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def gunicorn(app: str, kind: str) -> Command:
    return lambda port: [
        "gunicorn", app, "--worker-class", kind, "--no-control-socket", "--log-level", "error",
        "--bind", f"127.0.0.1:{port}",
    ]  # fmt: skip


def feedkit(port: int) -> list[str]:
    """As the Procfile does."""
    return ["feedkit", "serve", "--port", str(port)]


def start(
    command: Command, env: dict[str, str], cores: set[int]
) -> tuple[subprocess.Popen[bytes], int]:
    """One worker, on these cores."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", *command(port), "--workers", "1"],
        cwd=HERE, env={**os.environ, "FEEDKIT_LOG": "error", **env},
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return process, port
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{command(port)} did not start")


def script(folder: Path, case: Case) -> Path:
    """The Lua script by which wrk asks for the paths of `case`, one after the other."""
    file = folder / f"{re.sub(r'[^a-z]', '_', case.name)}.lua"
    paths = "\n".join(f'"{path}",' for path in case.paths)
    tokens = "\n".join(f'"Bearer {token}",' for token in case.tokens)
    file.write_text(
        f"local paths = {{{paths}}}\nlocal tokens = {{{tokens}}}\nlocal n = math.random(1, 1000)\n"
        "function request()\n  n = n + 1\n  local headers = {}\n"
        '  if #tokens > 0 then headers["Authorization"] = tokens[n % #tokens + 1] end\n'
        "  return wrk.format('GET', paths[n % #paths + 1], headers)\nend\n"
    )
    return file


def measure(folder: Path, case: Case, port: int, connections: int, seconds: int) -> Figures:
    said = subprocess.run(
        [
            "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
            "-s", str(script(folder, case)), f"http://127.0.0.1:{port}",
        ],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
    times = {
        share: float(value) * unit[u]
        for share, value, u in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s|m)\b", said)
    }
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])  # type: ignore[index]
    return Figures(rate, times["50"], times["99"], int(bad[1]) if bad else 0)


def rankings(folder: Path) -> int:
    """How many were made in this store so far."""
    with closing(sqlite3.connect(folder / "feedkit.db")) as db:
        last = "SELECT seq FROM sqlite_sequence WHERE name = 'versions'"
        return int(db.execute(last).fetchone()[0])


def memory(process: subprocess.Popen[bytes]) -> float:
    """MB that the worker below a gunicorn holds."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    status = Path(f"/proc/{children[0]}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def ask(feed: str, cursor: str = "", limit: int = 30) -> str:
    uri = quote(f"at://{PUBLISHER}/app.bsky.feed.generator/{feed}", safe="")
    return f"{SKELETON}?feed={uri}&limit={limit}" + (f"&cursor={cursor}" if cursor else "")


def several(feed: str, cursors: list[str]) -> list[str]:
    """Requests of which none comes again so soon that its page would still be remembered."""
    return [ask(feed, cursor, limit) for limit in range(25, 36) for cursor in cursors]


def acquaint(port: int, tokens: Sequence[str]) -> None:
    """Every viewer has asked before: their keys are looked up once in an hour, not for each page."""
    connection = HTTPConnection("127.0.0.1", port)
    for token in tokens:
        connection.request("GET", ask("mine"), headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"the personal page answers {answer.status} {answer.reason}")
        answer.read()


Found = dict[tuple[str, int], list[Figures]]  # by case and connections: one of each round


def rounds(folder, cases, ports, seconds, times, stream=None):  # type: ignore[no-untyped-def]
    """What was found alone, and while `stream` was read: every case in turn, as often as there are
    rounds."""
    alone: Found = {}
    beside: Found = {}
    turns = [(alone, signal.SIGSTOP), (beside, signal.SIGCONT)] if stream else [(alone, 0)]
    for _ in range(times):
        for case in cases:
            for connections in case.connections:
                for found, order in turns:
                    if stream:
                        stream.send_signal(order)
                    # The stream catches up; and no viewer gets the ranking of the turn before.
                    time.sleep(6 if case.tokens else 1 if stream else 0)
                    before = rankings(folder)
                    figures = measure(folder, case, ports[case.server], connections, seconds)
                    made = (rankings(folder) - before) / (figures.rate * seconds)
                    several = found.setdefault((case.name, connections), [])
                    several.append(figures._replace(ranked=made))
        turns.reverse()
    if stream:
        stream.send_signal(signal.SIGCONT)
    return alone, beside


def medians(found: Found) -> dict[tuple[str, int], Figures]:
    return {
        key: Figures(*(statistics.median(values) for values in zip(*several, strict=True)))
        for key, several in found.items()
    }


def shares(alone: Found, beside: Found) -> None:
    """How much of the rate is left beside ingest: in each round, and of these the median."""
    print(f"\n{'of the rate alone is left':34}{'conn':>5}{'share':>9}   (aim: 0.9 or more)")
    for (name, connections), several in alone.items():
        pairs = zip(several, beside[name, connections], strict=True)
        share = statistics.median(two.rate / one.rate for one, two in pairs)
        print(f"{name:34}{connections:5}{share:9.2f}")


def show(found, title):  # type: ignore[no-untyped-def]
    print(
        f"\n{title}\n{'':34}{'conn':>5}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'errors':>8}{'ranked':>8}"
    )
    for (name, connections), one in found.items():
        print(
            f"{name:34}{connections:5}{one.rate:9,.0f}{one.p50:9.2f}{one.p99:9.2f}{one.bad:8.0f}"
            f"{one.ranked:8.0%}"
        )


def verdicts(found, megabytes):  # type: ignore[no-untyped-def]
    hot, bare = found["hot page", 16], found["bare ASGI worker, constant", 16]
    flask = found["Flask by hand, gunicorn sync", 16]
    near, far = found["page 1 to 10, by time", 16], found["page 1,000, by time", 16]
    deep = found["deep pages of a ranking", 16]
    print(f"\nhot / bare worker            {hot.rate / bare.rate:6.2f}   (aim: 0.7 or more)")
    slowest, limit = found["hot page", 64].p99, found["bare ASGI worker, constant", 64].p99
    print(f"hot p99 at 64                {slowest:6.1f}   ms (aim: below 20; bare: {limit:.1f})")
    print(f"deep by time / Flask by hand {far.rate / flask.rate:6.2f}   (aim: 0.5 or more)")
    print(f"deep ranking / Flask by hand {deep.rate / flask.rate:6.2f}   (aim: 0.5 or more)")
    print(f"page 1,000 / page 1          {far.rate / near.rate:6.2f}   (aim: about 1 or more)")
    for connections in (1, 16, 64):
        one = found["personal page", connections]
        print(f"personal p50 at {connections:2}           {one.p50:6.1f}   ms (aim: below 15)")
    print(f"memory of the worker         {megabytes:6.0f}   MB (aim: below 120)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--anywhere", action="store_true", help="on any core")
    parser.add_argument("--quick", action="store_true", help="one round, without ingest")
    given = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("this needs wrk (Debian: apt install wrk)")
    seconds, times = (2, 1) if given.quick else (given.seconds, given.rounds)
    cores = sorted(os.sched_getaffinity(0))
    web, rest = set(cores[:1]), set(cores[1:])
    if given.anywhere or not rest:
        web = rest = set(cores)
    os.sched_setaffinity(0, rest)  # and so for all that is started from here
    running: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as name:
        folder, plc, stream = Path(name), Plc(), free_port()
        try:
            config = configure(folder, plc.url, f"ws://127.0.0.1:{stream}")
            print("filling a store with 50,000 posts …", flush=True)
            ranked = fill(config)
            env = {"FEEDKIT_CONFIG": str(config), "BENCH_DB": str(folder / "feedkit.db")}
            servers = {
                "bare": start(gunicorn("serve_rivals:constant", "asgi"), env, web),
                "flask": start(gunicorn("serve_rivals:by_hand()", "sync"), env, web),
                "feedkit": start(feedkit, env, web),
            }
            running += [process for process, _ in servers.values()]
            ports = {key: port for key, (_, port) in servers.items()}
            tokens = [plc.token(did("viewer", n), 1800) for n in range(VIEWERS)]
            far = several("new", time_cursors(folder, 29_000, 31_000))
            near = several("new", time_cursors(folder, 0, 2_000))
            cases = [
                Case("bare ASGI worker, constant", "bare", ["/"]),
                Case("hot page", "feedkit", [ask("new")]),
                Case("Flask by hand, gunicorn sync", "flask", far),
                Case("page 1,000, by time", "feedkit", far),
                Case("page 1 to 10, by time", "feedkit", near),
                Case("deep pages of a ranking", "feedkit", several("best", ranked)),
                Case("personal page", "feedkit", [ask("mine")], tokens, (1, 16, 64)),
                Case("personal page, narrowed", "feedkit", [ask("friends")], tokens, (1,)),
            ]
            acquaint(ports["feedkit"], tokens)
            reading = [] if given.quick else ingest(config, stream, env)
            running += reading
            found = rounds(folder, cases, ports, seconds, times, *reading[1:])
            alone, beside = map(medians, found)
            show(alone, "alone")
            verdicts(alone, memory(servers["feedkit"][0]))
            if beside:
                show(beside, "while ingest reads 500 events/s")
                shares(*found)
        finally:
            for process in running:
                process.send_signal(signal.SIGTERM)
            for process in running:
                process.wait(15)


def ingest(config: Path, port: int, env: dict[str, str]) -> list[subprocess.Popen]:
    """A stream of 500 events a second, and what reads it."""
    server = subprocess.Popen(
        [sys.executable, str(HERE / "wire.py"), "live", str(port), "500"], stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    server.stdout.readline()
    reader = subprocess.Popen(
        [sys.executable, "-m", "feedkit", "ingest", "--config", str(config)],
        env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(3)
    return [reader, server]


if __name__ == "__main__":
    main()
