"""new, check, test, plugins: what a person does while writing feeds."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path

import click

from feedkit.cli.group import cli, load, with_config


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path))
def new(directory: Path) -> None:
    """Make DIRECTORY with a configuration, an example plugin and what a PaaS needs."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise click.ClickException(f"{directory} exists already and is not an empty folder")
    with as_file(files("feedkit.cli") / "scaffold") as scaffold:
        for source in sorted(scaffold.rglob("*")):
            if not source.is_file() or "__pycache__" in source.parts:
                continue
            # dot files cannot travel in every archive by their own name
            target = directory / str(source.relative_to(scaffold)).replace("dot-", ".")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            click.echo(f"wrote {target}")
    click.echo(
        f"\nNow:\n  cd {directory}\n  feedkit check    # is config.yaml right?\n"
        "  feedkit test     # do the examples come out as they should?\n"
        "  feedkit run      # follow the network, feeds on http://127.0.0.1:8000"
    )


@cli.command()
@with_config
def check(config: Path) -> None:
    """Report every problem of the configuration, with its place."""
    service = load(config)
    plural = "" if len(service.feeds) == 1 else "s"
    click.echo(f"{config}: {len(service.feeds)} feed{plural}, no problems")


@cli.command()
@with_config
@click.argument("feeds", nargs=-1)
def test(config: Path, feeds: tuple[str, ...]) -> None:
    """Try the examples of all feeds (or of FEEDS) and the contract of your own plugins."""
    from feedkit.cli.examples import failures

    service = load(config)
    unknown = sorted(set(feeds) - service.feeds.keys())
    if unknown:
        raise click.ClickException(f"no feed is called {unknown[0]!r}")
    chosen = [feed for name, feed in service.feeds.items() if not feeds or name in feeds]
    tried = failed = 0
    for name, problem in failures(service, chosen, plugins=not feeds):
        tried += 1
        click.echo(f"{name} {'ok' if problem is None else 'FAILED'}")
        if problem is not None:
            failed += 1
            click.echo("    " + problem.replace("\n", "\n    "))
    if not tried:
        click.echo("nothing to test: no feed has examples, and feeds/ has no plugins")
        return
    click.echo(f"\n{tried - failed} passed, {failed} failed")
    if failed:
        raise SystemExit(1)


@cli.command()
@with_config
@click.argument("name", required=False)
def plugins(config: Path, name: str | None) -> None:
    """List all filters, rankers and selectors, or describe the one called NAME."""
    from feedkit.config.discover import discover
    from feedkit.reference import describe, listing

    registry = discover(config.parent / "feeds")
    if name is None:
        click.echo(listing(registry))
        return
    click.echo(describe(registry, name))
