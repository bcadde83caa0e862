"""resolve: what asks the network by hand."""

from __future__ import annotations

from pathlib import Path

import click

from feedkit.cli.group import cli, config_was_named, load, with_config


@cli.command("resolve", short_help="Print the DID or at:// URI behind a name or a link.")
@with_config
@click.argument("url")
def resolve_command(config: Path, url: str) -> None:
    """Print the DID or at:// URI behind URL: a handle, or a bsky.app link to a profile, post,
    feed or list."""
    from feedkit.identity import resolve
    from feedkit.settings import Network

    wanted = config_was_named() or config.is_file()
    click.echo(resolve(url, load(config).network if wanted else Network()))
