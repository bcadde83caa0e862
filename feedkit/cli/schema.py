"""schema: what an editor needs to complete and check a configuration while it is written."""

from __future__ import annotations

from pathlib import Path

import click

from feedkit.cli.group import Mistake, cli, config_was_named, load, with_config

NAME = "config.schema.json"  # beside config.yaml, whose first line names it


@cli.command(short_help="Write a JSON Schema of the configuration, for editors.")
@with_config
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
def schema(config: Path, file: Path | None) -> None:
    """Print a JSON Schema of the configuration, or write it into FILE. It knows your own plugins in
    feeds/, too.

    Editors that know JSON Schema complete and check with it while you write. A new project has one
    beside its configuration, whose first line names it: `# yaml-language-server:
    $schema=config.schema.json`. After a change of your plugins write it anew: `feedkit schema
    config.schema.json`.
    """
    if config_was_named() and not config.is_file():
        load(config)  # says why it cannot be read
    text = _text(config.parent)
    if file is None:
        click.echo(text, nl=False)
        return
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise Mistake(f"{file}: cannot be written: {error.strerror}") from error
    click.echo(f"wrote {file}")


def write_schema(project: Path) -> Path:
    """Writes the schema of a project's configuration beside it. Raises `OSError`, and `ConfigError`
    for plugins that cannot be loaded."""
    file = project / NAME
    file.write_text(_text(project), "utf-8")
    return file


def _text(project: Path) -> str:
    from feedkit.config.discover import discover
    from feedkit.reference import schema_text

    return schema_text(discover(project / "feeds").plugins)
