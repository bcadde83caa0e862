"""The commands. One file for each group of verbs; what they share is here."""

from __future__ import annotations

import logging
import os
import platform
import sys
import traceback
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


def main() -> None:
    """Entry point. Exit codes: 0 good, 1 your mistake, 2 usage, 3 our bug, 130 interrupted."""
    sys.exit(run(sys.argv[1:]))


def run(args: list[str]) -> int:
    """Do what `args` say; returns the exit code."""
    from feedkit.cli import network, project, reading, running  # noqa: F401 (they add verbs)
    from feedkit.config import ConfigError
    from feedkit.identity import Unresolved
    from feedkit.store import StoreError

    try:
        result = cli.main(args, prog_name="feedkit", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as exit:
        return exit.exit_code
    except click.UsageError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return 1
    except (ConfigError, StoreError, Unresolved) as error:
        click.echo(str(error), err=True)
        return 1
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception:
        click.echo(
            "This is a bug in feedkit, not a mistake of yours. Please report it with these "
            f"lines:\n\nfeedkit {feedkit.__version__}, Python {platform.python_version()}, "
            f"{platform.system()}\n$ feedkit {' '.join(args)}\n{traceback.format_exc()}",
            err=True,
        )
        return 3
