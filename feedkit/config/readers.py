"""Who reads the stream, by the Procfile and the environment: one process, or every shard once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from feedkit.config.advice import Advice
from feedkit.sharding import SHARDS, Shard, numbered_shard, parse_shard
from feedkit.wording import listed

READERS = ("run", "worker", "ingest")  # the commands that read the stream
_ONE = "FEEDKIT_SHARD"


def readers(
    file: Path, commands: Mapping[str, list[str]], environ: Mapping[str, str], sqlite: bool
) -> Iterator[Advice]:
    """What will bite of the processes that read the stream. `commands`: the words after `feedkit`,
    by the name of the line in `file`; `sqlite`: the store is a file, wherever it runs."""
    lines = {name: words for name, words in commands.items() if words[:1] and words[0] in READERS}
    named = {name: _option(words) for name, words in lines.items()}
    whole = [name for name, text in named.items() if text is None]
    if not lines:
        yield Advice(
            True, f"{file}: nothing reads the stream", "add the line `worker: feedkit worker`"
        )
    if len(whole) > 1:
        yield Advice(
            True,
            f"{file}: {listed(whole)} all read the whole stream",
            "leave one of them; `feedkit worker` is `feedkit ingest` and `feedkit jobs` together. "
            "Where one is not enough: --shard 1/2 behind the one and --shard 2/2 behind the other",
        )
    shards, wrong = {}, ""
    for name, text in named.items():
        try:
            if text is not None:
                shards[name] = parse_shard(text)
        except ValueError as error:
            wrong = str(error)
            yield Advice(
                True, f"{file}: {name}: {wrong}", "write --shard 1/2, for the first of two"
            )
    if shards and not wrong:
        yield from _complete(file, shards, whole)
    yield from _environment(file, whole, shards, environ)
    if sqlite and (shards or _several(environ)):
        yield Advice(
            True,
            "several processes shall read the stream into SQLite, which one process writes",
            f"leave --shard, {_ONE} and {SHARDS} out, or name a PostgreSQL under store:",
        )


def _several(environ: Mapping[str, str]) -> bool:
    """Whether the environment makes the process one of several, where it can be read at all."""
    one, of = environ.get(_ONE, "").strip(), environ.get(SHARDS, "").strip()
    try:
        return parse_shard(one).of > 1 if one else int(of or 1) > 1
    except ValueError:
        return False


def _complete(file: Path, shards: Mapping[str, Shard], whole: list[str]) -> Iterator[Advice]:
    numbers = {shard.of for shard in shards.values()}
    if whole:
        yield Advice(
            True,
            f"{file}: {listed(whole)} reads the whole stream, {listed([*shards])} a shard of it",
            "give each of them a shard, or none",
        )
    elif len(numbers) > 1:
        said = ", ".join(f"{name} {shard}" for name, shard in shards.items())
        yield Advice(
            True,
            f"{file}: the shards are of different numbers: {said}",
            "write the number of processes that read the stream behind each /",
        )
    else:
        (of,) = numbers
        times = Counter(shard.number for shard in shards.values())
        if twice := [str(Shard(n, of)) for n, often in sorted(times.items()) if often > 1]:
            yield Advice(
                True, f"{file}: several read the shard {listed(twice)}", "let one read each shard"
            )
        if missing := [str(Shard(n, of)) for n in range(1, of + 1) if n not in times]:
            yield Advice(
                True,
                f"{file}: nobody reads the shard {listed(missing)}",
                "add a line for each, `feedkit ingest --shard` and the shard; one line is enough "
                f"with {SHARDS}={of} instead of --shard",
            )


def _environment(
    file: Path, whole: list[str], shards: Mapping[str, Shard], environ: Mapping[str, str]
) -> Iterator[Advice]:
    one, of = environ.get(_ONE, "").strip(), environ.get(SHARDS, "").strip()
    if one and of:
        yield Advice(True, f"{_ONE}={one} and {SHARDS}={of} are both set", "unset one of them")
        return
    try:
        if one:
            parse_shard(one)
        if of:  # as a process of this name sees it
            numbered_shard({SHARDS: of, "DYNO": "worker.1"})
    except ValueError as error:
        yield Advice(True, f"{_ONE}: {error}" if one else str(error), "write it so, or unset it")
        return
    if of and shards:
        yield Advice(
            any(str(shard.of) != of for shard in shards.values()),
            f"{SHARDS}={of} is not heeded by {listed([*shards])} of {file}, which have --shard",
            f"leave --shard out, or unset {SHARDS}",
        )
    elif of and int(of) > 1 and len(whole) == 1:
        yield Advice(
            False,
            f"{SHARDS}={of}: {of} processes {whole[0]} must run, no fewer: what is another's none "
            "of them reads",
            f"`heroku ps:scale {whole[0]}={of}`, `honcho start -c {whole[0]}={of}`, or as your "
            "host has it",
        )


def _option(words: list[str]) -> str | None:
    """What stands behind --shard; None without it."""
    for number, word in enumerate(words):
        if word == "--shard":
            return words[number + 1] if number + 1 < len(words) else ""
        if word.startswith("--shard="):
            return word.partition("=")[2]
    return None
