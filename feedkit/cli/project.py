"""new, check, test, plugins: what a person does while writing feeds."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

import click

from feedkit.cli.group import Mistake, cli, config_was_named, count, feed_called, load, with_config
from feedkit.cli.new_plugin import Kind, new_plugin
from feedkit.cli.schema import write_schema


@cli.command(short_help="Make a project, or a plugin in it.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("name", required=False)
@click.option(
    "--kind", type=click.Choice(["filter", "viewer_filter", "ranker", "selector", "hydrator"]),
    default="filter", show_default=True, help="What kind of plugin.",
)  # fmt: skip
def new(directory: Path, name: str | None, kind: Kind) -> None:
    """Make DIRECTORY with a configuration, an example plugin and what a PaaS needs.

    In a project, `feedkit new plugin NAME` writes a plugin into feeds/ and a test of it into
    tests/.
    """
    if name is not None:
        if str(directory) != "plugin":
            raise click.UsageError("write `new DIRECTORY`, or `new plugin NAME`")
        new_plugin(name, kind, Path())
        return
    try:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise Mistake(
                f"{directory}: exists already and is not an empty folder; name another one"
            )
        for written in _copied(directory):
            click.echo(f"wrote {written}")
        click.echo(f"wrote {write_schema(directory)}")
    except OSError as error:
        raise Mistake(f"{error.filename or directory}: cannot be made: {error.strerror}") from error
    change = "" if directory.resolve() == Path.cwd() else f"  cd {shlex.quote(str(directory))}\n"
    click.echo(
        f"\nNow:\n{change}  feedkit check    # is config.yaml right?\n"
        "  feedkit test     # do the examples come out as they should?\n"
        "  feedkit run      # follow the network, feeds on http://127.0.0.1:8000"
    )


def _copied(directory: Path) -> Iterator[Path]:
    """The files of a new project, written one by one."""
    with as_file(files("feedkit.cli") / "scaffold") as scaffold:
        for source in sorted(scaffold.rglob("*")):
            if not source.is_file() or "__pycache__" in source.parts:
                continue
            # dot files cannot travel in every archive by their own name
            target = directory / str(source.relative_to(scaffold)).replace("dot-", ".")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            yield target


@cli.command(short_help="Report every mistake of the configuration.")
@with_config
@click.option("--deploy", is_flag=True, help="Also what will bite on a host.")
def check(config: Path, deploy: bool) -> int:
    """Report every problem of the configuration, each with its place.

    --deploy also looks at the files beside it and at the environment, for what will bite on a PaaS
    or a server: ✗ will not work so, and the exit code is 1; ! is a warning, which may be meant so.
    Nothing is asked over the network; `feedkit doctor` does that.
    """
    from feedkit.config.deploy import advise
    from feedkit.extras import collected

    with collected() as extras:
        service = load(config)
    click.echo(f"{config}: {count(len(service.feeds), 'feed')}, no problems")
    found = advise(service, extras, os.environ, "backfill" in cli.commands) if deploy else []
    for one in found:
        click.echo(f"{'✗' if one.serious else '!'} {one.said}\n    → {one.remedy}")
    return 1 if any(one.serious for one in found) else 0


@cli.command(short_help="Try the feeds' examples and your own plugins.")
@with_config
@click.argument("feeds", nargs=-1)
def test(config: Path, feeds: tuple[str, ...]) -> int:
    """Try the examples of all feeds (or of FEEDS) and the contract of your own plugins."""
    from feedkit.cli.examples import failures

    service = load(config)
    chosen = [feed_called(service, name) for name in dict.fromkeys(feeds)]
    tried = failed = 0
    for name, problem in failures(service, chosen or [*service.feeds.values()], not feeds):
        tried += 1
        click.echo(f"{name} {'ok' if problem is None else 'FAILED'}")
        if problem is not None:
            failed += 1
            click.echo("    " + problem.replace("\n", "\n    "))
    if not tried and feeds:
        click.echo(f"nothing to test: {', '.join(feeds)}: no examples; write some under examples:")
        return 0
    if not tried:
        click.echo("nothing to test: no feed has examples, and none uses a plugin from feeds/")
        return 0
    click.echo(f"\n{tried - failed} passed, {failed} failed")
    return 1 if failed else 0


@cli.command(short_help="List the plugins, or describe one.")
@with_config
@click.argument("name", required=False)
def plugins(config: Path, name: str | None) -> None:
    """List all plugins, your own in feeds/ included, or describe the one called NAME: filters,
    viewer filters (what is for whoever opens a feed), rankers, selectors and hydrators (what finds
    out what a post does not carry)."""
    from feedkit.config.discover import discover
    from feedkit.config.problems import did_you_mean, shorten
    from feedkit.reference import describe, listing

    if config_was_named() and not config.is_file():
        load(config)  # says why it cannot be read
    found = discover(config.parent / "feeds")
    if name is None:
        click.echo(listing(found))
        return
    known = [one for table in found.plugins.values() for one in table]
    if name not in known:
        hint = did_you_mean(name, known) or "; `feedkit plugins` lists what there is"
        raise Mistake(f"no plugin is called {shorten(name)}{hint}")
    click.echo(describe(found, name))
