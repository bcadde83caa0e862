"""`make demo`: replay the sample into a store of its own and serve the example feeds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HOME = Path(".demo")


def main() -> int:
    """Run the demo from a clone of the project. Returns only where something failed, with its exit
    code."""
    port = os.environ.get("PORT", "8000")
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    sample = HOME / "sample.jsonl"
    config = Path("config.example.yaml")
    os.environ["DATABASE_URL"] = f"sqlite:///{(HOME / 'feedkit.db').resolve()}"
    os.environ.setdefault("FEEDKIT_LOG", "WARNING")
    feedkit = [sys.executable, "-m", "feedkit"]
    with sample.open("w", encoding="utf-8") as out:
        subprocess.run([sys.executable, "-m", "feedkit.demo"], stdout=out, check=True)
    for verb in (["migrate"], ["replay", "--now", str(sample)], ["jobs", "--once"]):
        done = subprocess.run([*feedkit, *verb, "--config", str(config)])
        if done.returncode:
            return done.returncode
    print(
        f"""
The example feeds, filled from a bundled sample of a small network:

    http://127.0.0.1:{port}

Look at feeds/ and config.example.yaml, change a filter, and run `make demo` again.
To follow the live network instead:

    .venv/bin/feedkit run --config config.example.yaml

^C ends it.
""",
        flush=True,
    )
    serve = ["serve", "--port", port, "--workers", "1", "--config", str(config)]
    os.execv(sys.executable, [*feedkit, *serve])  # so that whoever ends us ends it


if __name__ == "__main__":
    sys.exit(main())
