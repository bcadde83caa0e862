"""What the commands share: the group, --config, the store, the log, how mistakes are told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

import click
from click.core import ParameterSource

import feedkit
from feedkit.logs import WrongSetting, write_log
from feedkit.wording import listed

if TYPE_CHECKING:
    from feedkit.settings import FeedConfig, Service
    from feedkit.store import Store

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Mistake(click.ClickException):
    """Something that the person at the keyboard can put right. The message says place, problem
    and remedy; it is shown as it is, like the problems of a configuration."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, err=file is None, file=file)


@click.group(context_settings=CONTEXT)
@click.version_option(feedkit.__version__, "--version", message="feedkit %(version)s")
def cli() -> None:
    """Custom feeds for Bluesky, composed of filters, rankers and selectors."""


def with_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --config to a command."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        envvar="FEEDKIT_CONFIG",
        default=Path("config.yaml"),
        show_default="$FEEDKIT_CONFIG, else config.yaml",
        help="The configuration file; plugins are found in feeds/ beside it.",
    )(command)


def config_was_named() -> bool:
    """Whether --config or FEEDKIT_CONFIG names a configuration, which then must be there, also
    for the commands that can do without one."""
    source = click.get_current_context().get_parameter_source("config")
    return source is not ParameterSource.DEFAULT


def load(config: Path) -> Service:
    """The service that the file describes. Raises `ConfigError`."""
    from feedkit.config import load_config

    return load_config(config)


def feed_called(service: Service, name: str) -> FeedConfig:
    """The feed of that name. Raises `Mistake`."""
    if name in service.feeds:
        return service.feeds[name]
    from feedkit.config.problems import did_you_mean, shorten

    hint = did_you_mean(name, service.feeds) or f"; it has {listed(sorted(service.feeds))}"
    raise Mistake(f"{service.path}: no feed is called {shorten(name)}{hint}")


def count(number: int, noun: str) -> str:
    """`1 feed`, `2 feeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def open_checked(service: Service) -> Store:
    """The service's store, ready for use; from it the service's filters learn whom their lists
    and handles mean. Raises `StoreError`, also where its tables are not those of this version."""
    from feedkit.people import Membership
    from feedkit.store import open_store

    store = open_store(service.store)
    try:
        store.check_schema()
        Membership(service, store)
    except BaseException:
        store.close()
        raise
    return store


def log_to_stdout() -> None:
    """Messages of a process of the service, a line each: a host keeps what it writes there."""
    _log_to(sys.stdout)


def log_to_stderr() -> None:
    """Messages of a command whose answer is on stdout, a line each."""
    _log_to(sys.stderr)


def _log_to(stream: TextIO) -> None:
    try:
        write_log(os.environ, stream)
    except WrongSetting as error:
        raise Mistake(str(error)) from error
