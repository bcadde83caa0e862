"""scores: what the operator knows of posts, for filters and rankers to go by."""

from __future__ import annotations

from pathlib import Path

import click

from feedkit.cli.group import Mistake, cli, count, feed_called, load, open_checked, with_config


@cli.command(short_help="Load scores of posts from a CSV file.")
@with_config
@click.argument("feed")
@click.argument("file", type=click.Path(path_type=Path))
def scores(config: Path, feed: str, file: Path) -> None:
    """Load FILE, lines of `uri,name,value`, into the table `scores`, where a hydrator of your own
    finds them.

    A name is a word that a filter or ranker of FEED needs. Posts of FEED that are stored, or wait
    for their score, are decided by it at once. A score that was there before is replaced.
    """
    from feedkit.hydrate.scores import load as loaded
    from feedkit.hydrate.scores import read

    service = load(config)
    chosen = feed_called(service, feed)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(read(lines, service, chosen))  # all of it is right, or nothing is loaded
    except OSError as error:
        raise Mistake(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Mistake(f"{file}: is not UTF-8; save it as UTF-8") from None
    except ValueError as error:
        raise Mistake(f"{file}:{error}") from None
    with open_checked(service) as store:
        done = loaded(rows, service, chosen, store)
    click.echo(f"{count(done.scores, 'score')} kept; {count(done.posts, 'post')} stored already")
