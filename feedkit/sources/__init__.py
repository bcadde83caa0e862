"""Where events come from: `open_source` for a live stream, `replay.Replay` for recorded ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from feedkit.event import Frame
from feedkit.settings import Stream
from feedkit.sources.firehose import Firehose
from feedkit.sources.jetstream import Jetstream
from feedkit.sources.live import LiveSource
from feedkit.sources.position import OnGap


class Source(Protocol):
    """Something that yields frames. `name` is the key under which its cursor is stored."""

    name: str

    def frames(
        self, cursor: int | None, time: int, stop: threading.Event
    ) -> Iterator[Frame | None]:
        """A Frame per message, and None at least every 100 ms in which none comes, so that what
        was collected can be stored. Ends soon after `stop` is set.

        `cursor`, `time` (microseconds since 1970): of the last stored frame of this source; None
        and 0 for a first start, None and a time if another source was followed until then.
        Frame.cursor is never one that must not be stored; Frame.time may be 0: not known.
        """


def _no_gap(from_us: int, to_us: int, reason: str) -> None:
    """Gaps are logged in any case."""


def open_source(stream: Stream, engagement: frozenset[str], on_gap: OnGap = _no_gap) -> LiveSource:
    """The source of `stream`; nothing is opened before its frames are asked for.

    `engagement`: which of likes, reposts, replies, quotes are needed. `on_gap(from_us, to_us,
    reason)`: called when events of that time (microseconds since 1970, from_us 0: not known) may
    be lost.
    """
    kinds: dict[str, Callable[[Stream, frozenset[str], OnGap], LiveSource]] = {
        "jetstream": Jetstream,
        "firehose": Firehose,
    }
    return kinds[stream.kind](stream, engagement, on_gap)
