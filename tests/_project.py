"""A shell as a user has it after installing feedkit: the commands, and pytest with the plugin."""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def installed(folder: Path) -> dict[str, str]:
    """An environment in which `feedkit`, `python` and `pytest` are found, and pytest finds the entry
    point of setup.cfg as pip would have written it."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    info = folder / "site" / "feedkit_pytest11-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: feedkit-pytest11\nVersion: 0\n")
    points = setup["options.entry_points"]["pytest11"]
    (info / "entry_points.txt").write_text(f"[pytest11]{points}\n")
    programs = folder / "bin"
    programs.mkdir()
    for name, arguments in [
        ("python", ""), ("feedkit", "-m feedkit"), ("pytest", "-m pytest -p no:cacheprovider"),
    ]:  # fmt: skip
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        program.chmod(0o755)
    own = {
        "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder / "site")]),
        "FEEDKIT_LOG": "WARNING",
    }
    dropped = ("FEEDKIT_CONFIG", "DATABASE_URL", "PYTEST_ADDOPTS", "PORT")
    return {k: v for k, v in os.environ.items() if k not in dropped} | own
