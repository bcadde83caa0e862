"""docs/deploy.md, as far as one machine can run it: the Procfile with PostgreSQL, units, Caddy."""

from __future__ import annotations

import configparser
import json
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import click
import httpx
import pytest
import yaml
from _documents import DOCS, blocks
from _network import free_port
from _project import installed

from feedkit.cli import cli, run
from feedkit.config import load_config
from feedkit.doctor.checks import checks
from feedkit.doctor.visit import Visit

PAGE = (DOCS / "deploy.md").read_text("utf-8")
*UNITS, TUNNEL = [block.text for block in blocks("deploy.md") if block.kind == "ini"]
NOWHERE = "{plc: 'http://127.0.0.1:9', appview: 'http://127.0.0.1:9'}"


def configure(folder):
    """The project's names, and no network beyond this machine."""
    file = folder / "config.yaml"
    text = file.read_text().replace("example.com", "birds.club")
    text = text.replace("stream: jetstream", "stream: {jetstream: {url: 'ws://127.0.0.1:9'}}")
    file.write_text(f"{text}network: {NOWHERE}\n")


def test_the_procfile_as_it_stands(tmp_path, new_schema, capfd, monkeypatch):
    pytest.importorskip("honcho")
    env = {k: v for k, v in installed(tmp_path).items() if not k.startswith("FEEDKIT_")}
    runner = tmp_path / "bin" / "honcho"
    runner.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m honcho "$@"\n')
    runner.chmod(0o755)
    project, port, url = tmp_path / "birds", free_port(), new_schema()
    assert run(["new", str(project)]) == 0
    configure(project)
    block = next(b.text for b in blocks("deploy.md") if "honcho start" in b.text)
    lines = [line for line in block.splitlines() if line.startswith("honcho")]
    assert lines == ["honcho run feedkit migrate", "honcho start web worker"]
    (project / ".env").write_text(f"DATABASE_URL={url}\nPORT={port}\nWEB_CONCURRENCY=1\n")
    done = subprocess.run(
        shlex.split(lines[0]), cwd=project, env=env, timeout=120, text=True, capture_output=True
    )
    assert (done.returncode, "migrated: 0001" in done.stdout) == (0, True), done.stderr
    log = (tmp_path / "log").open("w+")
    process = subprocess.Popen(
        shlex.split(lines[1]), cwd=project, env=env, stdout=log, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        base = f"http://127.0.0.1:{port}"
        _until_it_answers(f"{base}/ready", process, log)
        monkeypatch.chdir(project)
        monkeypatch.setenv("DATABASE_URL", url)
        capfd.readouterr()
        run(["doctor", "--at", base, "--json"])
        found = json.loads(capfd.readouterr().out)["checks"]
        said = {one["check"]: one["ok"] for one in found}
        assert {said[name] for name in ("hostname", "database", "writing", "gaps")} == {True}
        assert said["stream"] is False  # there is none here
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        log.seek(0)
        told = log.read()
        log.close()
    assert "Traceback" not in told
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health")


def _until_it_answers(url, process, log):
    ends = time.monotonic() + 90
    while True:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        log.flush()
        assert process.poll() is None and time.monotonic() < ends, open(log.name).read()  # noqa: PT018, SIM115
        time.sleep(0.2)


@pytest.mark.parametrize("unit", UNITS, ids=["web", "worker"])
def test_the_units_call_commands_that_there_are(unit):
    read = configparser.ConfigParser()
    read.optionxform = str
    read.read_string(unit)
    for key in ("ExecStartPre", "ExecStart"):
        program, verb, *words = shlex.split(read["Service"][key])
        assert program == "/srv/feeds/.venv/bin/feedkit"
        assert program.startswith(read["Service"]["WorkingDirectory"])
        options = {opt for one in cli.commands[verb].params if isinstance(one, click.Option)
                   for opt in one.opts}  # fmt: skip
        assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_takes_the_units(tmp_path):
    program = tmp_path / "feedkit"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    files = []
    for name, unit in zip(("web", "worker", "tunnel"), [*UNITS, TUNNEL], strict=True):
        files.append(tmp_path / f"feedkit-{name}.service")
        unit = unit.replace("/srv/feeds/.venv/bin/feedkit", str(program))
        files[-1].write_text(unit.replace("/usr/bin/ssh", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, files)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    mine = [line for line in done.stderr.splitlines() if "feedkit-" in line]
    assert mine == []


def test_caddy_and_the_units_agree_about_the_port(tmp_path):
    caddyfile = PAGE.partition("```\nfeeds.example.com {")[2].partition("```")[0]
    (port,) = {line.rpartition(":")[2] for line in caddyfile.splitlines() if "proxy" in line}
    assert f"serve --port {port}\n" in UNITS[0]
    (cloudflare,) = (
        yaml.safe_load(b.text)
        for b in blocks("deploy.md")
        if "ingress" in b.text and b.kind == "yml"
    )
    assert cloudflare["ingress"] == [
        {"hostname": "feeds.example.com", "service": f"http://127.0.0.1:{port}"},
        {"service": "http_status:404"},
    ]
    assert cloudflare["credentials-file"].endswith(f"/{cloudflare['tunnel']}.json")
    assert f" -R 127.0.0.1:{port}:127.0.0.1:{port} tunnel@" in TUNNEL
    assert f'permitlisten="127.0.0.1:{port}"' in PAGE
    if caddy := shutil.which("caddy"):
        file = tmp_path / "Caddyfile"
        file.write_text("feeds.example.com {" + caddyfile)
        assert subprocess.run([caddy, "adapt", "--config", file], timeout=60).returncode == 0


def test_a_backup_is_whole_while_somebody_writes(tmp_path):
    (block,) = (b.text for b in blocks("deploy.md") if ".backup(" in b.text)
    as_feedkit, (python, *words) = shlex.split(block)[:4], shlex.split(block)[4:]
    assert (as_feedkit, python) == (["runuser", "-u", "feedkit", "--"], ".venv/bin/python")
    with closing(sqlite3.connect(tmp_path / "feedkit.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = wal")
        db.execute("CREATE TABLE posts (text)")
        db.execute("INSERT INTO posts VALUES ('kept')")
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO posts VALUES ('not yet')")
        subprocess.run([sys.executable, *words], cwd=tmp_path, check=True, timeout=30)
        db.execute("COMMIT")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT text FROM posts").fetchall() == [("kept",)]


def test_a_new_project_keeps_its_environment_out_of_git(tmp_path):
    assert run(["new", str(tmp_path / "birds")]) == 0
    assert ".env" in (tmp_path / "birds" / ".gitignore").read_text().splitlines()


def test_the_page_names_every_check():
    service = load_config(DOCS.parent / "config.example.yaml", {})
    table = PAGE.partition("## What doctor looks at")[2]
    for check in checks(Visit(service, service.feeds.values())):
        assert f"`{check.name}`" in table
