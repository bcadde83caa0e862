"""What the commands share: the group, --config, the store, the log."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import feedkit

if TYPE_CHECKING:
    from feedkit.settings import Service
    from feedkit.store import Store

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=CONTEXT)
@click.version_option(feedkit.__version__, "--version", message="feedkit %(version)s")
def cli() -> None:
    """Custom feeds for Bluesky, composed of filters, rankers and selectors."""


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --config to a command."""
    return click.option(
        "--config",
        "config",
        type=click.Path(path_type=Path),
        default=lambda: Path(os.environ.get("FEEDKIT_CONFIG") or "config.yaml"),
        show_default="$FEEDKIT_CONFIG, else config.yaml",
        help="The configuration file; plugins are found in feeds/ beside it.",
    )(command)


def load(config: Path) -> Service:
    """The service that the file describes. Raises `ConfigError`."""
    from feedkit.config import load_config

    return load_config(config)


def open_checked(service: Service) -> Store:
    """The service's store, ready for use. Raises `StoreError`, also where its tables are not
    those of this version."""
    from feedkit.store import open_store

    store = open_store(service.store)
    store.check_schema()
    return store


def log_to_stderr() -> None:
    """Messages of the running service, a line each."""
    logging.basicConfig(
        level=os.environ.get("FEEDKIT_LOG", "INFO").upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for chatty in ("apscheduler", "httpx", "websockets"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
