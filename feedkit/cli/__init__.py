"""The commands: one file for each group of verbs."""

from __future__ import annotations

import io
import platform
import shlex
import sys
import traceback

import click

import feedkit
from feedkit.cli import (  # noqa: F401 (they add their verbs)
    backfilling,
    doctor,
    experiments,
    network,
    project,
    publishing,
    reading,
    replaying,
    running,
    schema,
    scoring,
    watching,
)
from feedkit.cli.group import cli


def main() -> None:
    """Entry point. Exit codes: 0 good, 1 your mistake, 2 usage, 3 our bug, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may not know ✓, or every emoji
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(args: list[str]) -> int:
    """Do what `args` say; returns the exit code. A reader of the output that has seen enough
    (`| head`) is click's business, which then raises SystemExit."""
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
    except Exception:
        click.echo(
            "This is a bug in feedkit, not a mistake of yours. Please report it with these "
            f"lines:\n\nfeedkit {feedkit.__version__}, Python {platform.python_version()}, "
            f"{platform.system()}\n$ {shlex.join(['feedkit', *args])}\n{traceback.format_exc()}",
            err=True,
        )
        return 3
