"""resolve: what asks the network by hand."""

from __future__ import annotations

from pathlib import Path

import click

from feedkit.cli.group import cli, load, with_config


@cli.command()
@with_config
@click.argument("url")
def resolve(config: Path, url: str) -> None:
    """Print the DID or at:// URI behind URL: a handle, or a bsky.app link to a profile, post,
    feed or list."""
    from feedkit.identity import resolve
    from feedkit.settings import Network

    network = load(config).network if config.exists() else Network()
    click.echo(resolve(url, network))
