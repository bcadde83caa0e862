"""docs/commands.md, from the commands themselves: `python -m feedkit.cli.docs` writes it anew."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from feedkit.cli.group import cli

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
_START = """\
# Commands

<!-- Written by `python -m feedkit.cli.docs`, from the commands. Change these. -->

`--config FILE` names the configuration, else `$FEEDKIT_CONFIG` does, else it is `config.yaml` here;
plugins and further feeds are found in `feeds/` beside it. `$FEEDKIT_LOG` says how much is logged:
`DEBUG`, `INFO` (unless it is set), `WARNING` or `ERROR`; `$FEEDKIT_LOG_FORMAT` is `text` (unless it
is set) or `json`.

| exit code | meaning |
|---|---|
| 0 | good |
| 1 | something that you can put right; the message says where, what, and how |
| 2 | the command was not written as it should be |
| 3 | a bug in feedkit; the message has what to report |
| 130 | interrupted with ^C |
"""


def commands_page() -> str:
    """docs/commands.md."""
    names = [f"- [{name}](#feedkit-{name}): {one.short_help}" for name, one in _commands()]
    return "\n".join([_START, *names, "", *(_section(name, one) for name, one in _commands())])


def _commands() -> list[tuple[str, click.Command]]:
    return sorted(cli.commands.items())


def _section(name: str, command: click.Command) -> str:
    lines = [
        f"## feedkit {name}\n\n```sh\n{' '.join(_call(name, command))}\n```\n",
        f"{inspect.cleandoc(command.help or '')}\n",
    ]
    options = [p for p in command.params if isinstance(p, click.Option) and p.name != "config"]
    if options:
        lines.append("| option | meaning |\n|---|---|")
        lines += [f"| `{_option(one)}` | {one.help}{_default(one)} |" for one in options]
        lines.append("")
    return "\n".join(lines)


def _call(name: str, command: click.Command) -> Iterator[str]:
    yield f"feedkit {name}"
    if any(isinstance(param, click.Option) for param in command.params):
        yield "[OPTIONS]"
    for param in command.params:
        if isinstance(param, click.Argument):
            shown = str(param.name).upper() + ("…" if param.nargs != 1 else "")
            yield shown if param.required else f"[{shown}]"


def _option(option: click.Option) -> str:
    if option.is_flag:
        return ", ".join(option.opts)
    if isinstance(option.type, click.Choice):
        return f"{', '.join(option.opts)} {' or '.join(option.type.choices)}"
    return f"{', '.join(option.opts)} {option.metavar or option.opts[0].lstrip('-').upper()}"


def _default(option: click.Option) -> str:
    if option.required:
        return " Required."
    return f" Default: {option.default}." if option.show_default else ""


if __name__ == "__main__":
    PAGE.write_text(commands_page(), "utf-8")
