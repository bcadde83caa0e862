"""`make demo`: replay the sample into a store of its own and serve the example feeds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HOME = Path(".demo")
CONFIG = "config.example.yaml"
FEEDKIT = [sys.executable, "-m", "feedkit"]


def fill() -> None:
    """Make the store anew from the sample. Ends the program where a command fails."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    sample = HOME / "sample.jsonl"
    with sample.open("w", encoding="utf-8") as out:
        subprocess.run([sys.executable, "-m", "feedkit.demo"], stdout=out, check=True)
    for verb in (["migrate"], ["replay", "--now", str(sample)], ["jobs", "--once"]):
        done = subprocess.run([*FEEDKIT, *verb, "--config", CONFIG])
        if done.returncode:
            sys.exit(done.returncode)


def main() -> None:
    """Run the demo from a clone of the project, on $PORT or 8000."""
    port = os.environ.get("PORT", "8000")
    os.environ["DATABASE_URL"] = f"sqlite:///{(HOME / 'feedkit.db').resolve()}"
    os.environ.setdefault("FEEDKIT_LOG", "ERROR")
    fill()
    print(
        f"""
The example feeds, filled from a bundled sample of a small network:

    http://127.0.0.1:{port}

Look at feeds/ and {CONFIG}, change a filter, and run `make demo` again.
docs/tutorial.md makes a feed of your own in fifteen minutes.
To follow the live network instead:

    .venv/bin/feedkit run --config {CONFIG}

^C ends it.
""",
        flush=True,
    )
    serve = ["serve", "--port", port, "--workers", "1", "--config", CONFIG]
    os.execv(sys.executable, [*FEEDKIT, *serve])  # so that whoever ends us ends it


if __name__ == "__main__":
    main()
