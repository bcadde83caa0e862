"""A process that others start ends with the one that started it, even when that is killed.

The starter holds the other end of the process's standard input, which the system closes when the
starter is gone, however it went. `python -m feedkit.orphans MODULE …` does that for a module which
knows nothing of it.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

_ASKED = "FEEDKIT_ENDS_WITH_STDIN"
PATIENCE = 10.0  # seconds that an orphan has for its last work


def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a process that ends with this one if it calls `end_with_starter`."""
    return subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, _ASKED: "1"})


def is_started() -> bool:
    """Whether this process was started by `start`, and has not called `end_with_starter` yet."""
    return bool(os.environ.get(_ASKED))


def end_with_starter() -> None:
    """Send SIGTERM to this process when the one that started it is gone. Does nothing in a process
    that was not started by `start`."""
    if os.environ.pop(_ASKED, ""):
        threading.Thread(target=_watch, name="starter", daemon=True).start()


def _watch() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)


if __name__ == "__main__":
    module, *sys.argv = sys.argv[1], *sys.argv[1:]
    end_with_starter()
    runpy.run_module(module, run_name="__main__", alter_sys=True)
