"""doctor: whether the service is well, and what to do where it is not."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from feedkit.cli.group import cli, count, feed_called, load, with_config

if TYPE_CHECKING:
    from feedkit.doctor.checks import Result

MARKS = {True: "✓", False: "✗", None: "–"}
_MANY = 20  # feeds, above which those that are well are only counted


@cli.command(short_help="Look at the running service, from outside and inside.")
@with_config
@click.argument("feeds", nargs=-1, metavar="[FEED]...")
@click.option("--at", metavar="URL", default="", help="Ask the service here, not at its host name.")
@click.option("--json", "as_json", is_flag=True, help="The results for a machine.")
def doctor(config: Path, feeds: tuple[str, ...], at: str, as_json: bool) -> int:
    """Look at the running service as the app does, at its store, its stream and its records, and
    say of each what is wrong and what to do; all feeds, or those that are named.

    ✓ is well, ✗ is not, – could not be found out. Nothing is changed, and no password is needed.
    Run it where the service runs: it reads the store of the configuration. Before the host name
    leads anywhere, --at http://127.0.0.1:8000 asks the service on this machine. Exit code 1 where
    something is not well.
    """
    from feedkit.doctor.checks import examine
    from feedkit.doctor.visit import Visit

    if at and not at.startswith(("http://", "https://")):
        raise click.UsageError("--at takes an address such as http://127.0.0.1:8000")
    logging.getLogger("feedkit").addHandler(logging.NullHandler())  # the results say it all
    service = load(config)
    chosen = [feed_called(service, name) for name in dict.fromkeys(feeds)]
    visit = Visit(service, chosen or service.feeds.values(), at, "backfill" in cli.commands)
    results: list[Result] = []
    shortly = len(visit.feeds) > _MANY
    for result in examine(visit):
        results.append(result)
        if not as_json and not (shortly and result.about and result.verdict.ok):
            _tell(result)
    failed = sum(result.verdict.ok is False for result in results)
    if as_json:
        found = [
            {"check": one.name, "about": one.about, **one.verdict._asdict()} for one in results
        ]
        click.echo(json.dumps({"ok": not failed, "checks": found}, indent=2, ensure_ascii=False))
        return 1 if failed else 0
    if shortly:
        well = Counter(one.name for one in results if one.about and one.verdict.ok)
        for name, number in well.items():
            click.echo(f"✓ {number:,} more checks of {name}")
    unasked = sum(result.verdict.ok is None for result in results)
    unknown = f", {unasked} could not be found out" if unasked else ""
    click.echo(f"\n{count(len(results), 'check')}, {failed} failed{unknown}")
    return 1 if failed else 0


def _tell(result: Result) -> None:
    verdict = result.verdict
    about = f"{result.name} {result.about}".rstrip()
    click.echo(f"{MARKS[verdict.ok]} {about}: {verdict.said}")
    if verdict.remedy:
        click.echo(f"    → {verdict.remedy}")
