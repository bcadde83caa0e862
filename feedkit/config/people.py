"""The files of accounts that a configuration names: read at the start, to tell mistakes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from feedkit.accounts import accounts_in, read_file
from feedkit.config.problems import Place, Problems
from feedkit.parameters import Parameters


def check_files(
    made: Iterable[tuple[Parameters, Place, str]], folder: Path, problems: Problems
) -> None:
    """Adds what is wrong with the files that the accounts of these plugins are in, each line at
    its place. `folder`: where they are looked for."""
    done: set[tuple[str, str]] = set()
    for plugin, place, path in made:
        for accounts in accounts_in(plugin):
            for kind, about in accounts.sources:
                if kind != "file" or (about, path) in done:
                    continue
                done.add((about, path))
                for number, problem in read_file(folder / about)[1]:
                    if number:
                        problems.add(Place(str(folder / about), number), "", problem)
                    else:
                        problems.add(place, path, problem)
