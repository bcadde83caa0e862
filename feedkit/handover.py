"""When the number of ingests that share a stream changes: the new ones wait for the old."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from time import monotonic

from feedkit.event import Frame
from feedkit.sharding import Shard
from feedkit.store import Store

log = logging.getLogger(__name__)

SILENCE = 10.0  # seconds in which others must not have written: then they have ended
LOOK = 0.5  # seconds between two looks
Waiting = Callable[[str], None]


def take_over(
    store: Store,
    source: str,
    shard: Shard | None,
    stop: threading.Event,
    silence: float = SILENCE,
    waiting: Waiting = lambda whom: None,
) -> None:
    """Read `source` from now on by as many shards as `shard` says (None: by one ingest). Whoever
    reads it by another number goes first: this waits until they have written nothing for `silence`
    seconds, or `stop` is set. One that only hung cannot write any more once it goes on. `waiting`
    is told at each look for whom this waits."""
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
        waiting(f"the end of {_readers(source, others)}")
        if stop.wait(min(LOOK, silence)):
            return
    store.take_over(source, shard)
    if others:
        place = min(cursor for cursor, _ in others.values())
        log.info("%s is read by %s from now on, from %d", source, shard or "one ingest", place)


def wait_for_first(
    store: Store,
    source: str,
    shard: Shard,
    stop: threading.Event,
    waiting: Waiting = lambda whom: None,
) -> None:
    """Wait until the first shard says where all of them begin; see `noting_first`. `waiting` is
    told at each look for whom this waits."""
    if shard.number == 1:
        return
    first, said = f"the shard 1/{shard.of}", False
    while store.cursor(shard.named(source)) is None and not stop.is_set():
        if not said:
            said = True
            log.info("%s: waiting for %s, which says where to begin", source, first)
        waiting(first)
        stop.wait(LOOK)


def noting_first(
    store: Store, source: str, shard: Shard, frames: Iterator[Frame | None]
) -> Iterator[Frame | None]:
    """`frames` of a shard that begins with whatever is new; where that is, the others begin too."""
    for frame in frames:
        if frame is not None and frame.cursor > 0:
            # Streams differ in whether they send the event of the cursor again.
            store.begin_shards(source, shard, frame.cursor - 1, frame.time)
            yield frame
            break
        yield frame
    yield from frames


def _readers(source: str, others: dict[str, tuple[int, int]]) -> str:
    if source in others:
        return "one ingest"
    name = min(others).removeprefix(f"{source} ")
    return f"{name.partition('/')[2]} shards"
