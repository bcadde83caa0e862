"""Imports go down or sideways, never up, never in a circle; rooms stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "feedkit"

LAYERS = {
    0: [
        "logs",
        "failures",
        "garbage",
        "cache",
        "text",
        "post",
        "event",
        "duration",
        "times",
        "addresses",
        "links",
        "chance",
        "demo",
        "extras",
        "sentences",
        "orphans",
        "sharding",
        "wording",
    ],
    1: [
        "accounts",
        "keys",
        "needs",
        "context",
        "awaiting",
        "posts",
        "parameters",
        "plugin",
        "viewing",
        "base",
        "ordering",
    ],
    2: ["filters", "rankers", "selectors", "hydrators"],
    3: ["settings", "config", "reference", "index", "matcher"],
    4: ["sources", "store"],
    5: [
        "auth",
        "asking",
        "appview",
        "identity",
        "people",
        "handover",
        "ingest",
        "ranking",
        "candidates",
        "seeking",
        "narrowing",
        "personal",
        "viewers",
        "feedback",
        "serving",
        "skeleton",
        "hydrate",
        "jobs",
        "explain",
        "explain_ranking",
        "why",
        "recording",
        "backtest",
        "backfill",
        "heartbeat",
        "overview",
        "status",
    ],
    6: ["testing", "web", "publish", "doctor"],
    7: ["cli", "__main__"],
}
LEVEL = {name: level for level, names in LAYERS.items() for name in names}


def modules():
    return sorted(ROOT.rglob("*.py"))


def dotted(path):
    parts = ["feedkit", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """The feedkit modules that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("feedkit"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("feedkit"):
            for alias in node.names:
                sub = ROOT.joinpath(*node.module.split(".")[1:], alias.name)
                inner = sub.is_dir() or sub.with_suffix(".py").exists()
                yield f"{node.module}.{alias.name}" if inner else node.module


def level(module):
    return LEVEL[module.split(".")[1]]


FILES = [path for path in modules() if dotted(path) != "feedkit"]


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_imports_go_down_or_sideways(path):
    up = [name for name in imports(path) if name != "feedkit" and level(name) > level(dotted(path))]
    assert not up, f"{dotted(path)} imports from above: {up}"


def test_no_circles():
    graph = {dotted(path): set(imports(path)) - {dotted(path)} for path in FILES}
    done = set()

    def visit(module, trail):
        assert module not in trail, " → ".join([*trail[trail.index(module) :], module])
        if module in done:
            return
        for target in sorted(graph.get(module, ())):
            visit(target, [*trail, module])
        done.add(module)

    for module in graph:
        visit(module, [])


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_rooms_are_small(path):
    assert len(path.read_text("utf-8").splitlines()) <= 300


def test_importing_the_web_app_starts_nothing():
    import subprocess
    import sys

    code = (
        "import threading, socket, gc\n"
        "import feedkit.web.app\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "assert not [o for o in gc.get_objects() if type(o) is socket.socket]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
