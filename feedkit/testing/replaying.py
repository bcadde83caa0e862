"""Whole feeds in a test: recorded events through ingest, store and ranking."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from feedkit.post import Post

if TYPE_CHECKING:
    from feedkit.settings import Service


def replay(config: Service | Path | str, *files: Path | str) -> dict[str, tuple[Post, ...]]:
    """What each feed of `config` (a file, or a loaded one) shows after the recorded events in
    `files`, best first, at the time of the last event. No store is touched but a temporary one.
    Raises `ConfigError`, and OSError for a file that cannot be read."""
    from feedkit.backtest import replayed
    from feedkit.config import load_config

    service = load_config(Path(config)) if isinstance(config, (str, Path)) else config
    side = replayed(service, [str(file) for file in files])
    return {name: outcome.shown for name, outcome in side.feeds.items()}
