"""When the number of ingests that share a stream changes: the new ones wait for the old."""

from __future__ import annotations

import logging
import threading
from time import monotonic

from feedkit.sharding import Shard
from feedkit.store import Store

log = logging.getLogger(__name__)

SILENCE = 10.0  # seconds in which others must not have written: then they have ended
LOOK = 0.5  # seconds between two looks


def take_over(
    store: Store, source: str, shard: Shard | None, stop: threading.Event, silence: float = SILENCE
) -> None:
    """Read `source` from now on by as many shards as `shard` says (None: by one ingest). Whoever
    reads it by another number goes first: this waits until they have written nothing for `silence`
    seconds, or `stop` is set. One that only hung cannot write any more once it goes on."""
    before, since, said = None, monotonic(), False
    while others := store.other_readers(source, shard):
        if others != before:
            before, since = others, monotonic()
        elif monotonic() - since > silence:
            break
        if not said:
            said = True
            log.info(
                "%s was read by %s so far; waiting until nothing came from there for %.0f s",
                source, _readers(source, others), silence,
            )  # fmt: skip
        if stop.wait(min(LOOK, silence)):
            return
    store.take_over(source, shard)
    if others:
        place = min(cursor for cursor, _ in others.values())
        log.info("%s is read by %s from now on, from %d", source, shard or "one ingest", place)


def _readers(source: str, others: dict[str, tuple[int, int]]) -> str:
    if source in others:
        return "one ingest"
    name = min(others).removeprefix(f"{source} ")
    return f"{name.partition('/')[2]} shards"
