"""Recorded events of Jetstream, v1 or v2, one a line: plain, gzip or zstd."""

from __future__ import annotations

import gzip
import io
import logging
import sys
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import IO, BinaryIO, cast

import zstandard

from feedkit.event import Frame
from feedkit.logs import worth_saying
from feedkit.sources.decode import BadFrame, StreamNotice, wanted_collections
from feedkit.sources.jetstream_wire import jetstream_frame

log = logging.getLogger(__name__)

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_NAMED = 20  # so many bad lines are named each, later ones ever more rarely
_LONGEST_LINE = 64 * 2**20  # bytes


class Replay:
    """The events of `files` (`-`: standard input), one file after the other; ends at the last.

    Whether a file is compressed is seen from its first bytes. A line that is no event is counted
    in `bad` and logged; a file that breaks off is read as far as it goes.
    """

    name = "replay"

    def __init__(self, files: Iterable[str], engagement: frozenset[str]) -> None:
        self.files = tuple(files)
        self.bad = 0
        self._wanted = wanted_collections(engagement)

    def frames(
        self, cursor: int | None, time: int, stop: threading.Event
    ) -> Iterator[Frame | None]:
        """A Frame per line. `cursor` and `time` are not looked at. Raises OSError for a file that
        cannot be opened."""
        for name in self.files:
            for number, line in _lines(name):
                if stop.is_set():
                    return
                try:
                    frame = jetstream_frame(line, self._wanted)
                except (BadFrame, StreamNotice) as problem:
                    self.bad += 1
                    if self.bad <= _NAMED or worth_saying(self.bad):
                        log.warning("%s:%d: skipped, %s", name, number, problem)
                    continue
                for uri, reason in frame.skipped:
                    log.warning("%s:%d: %s skipped, %s", name, number, uri or "a record", reason)
                yield frame


def _lines(name: str) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers."""
    with ExitStack() as opened:
        if name == "-":
            raw: BinaryIO = sys.stdin.buffer
        else:
            raw = opened.enter_context(open(name, "rb"))
        stream = opened.enter_context(_plain(io.BufferedReader(cast(io.RawIOBase, raw))))
        number = 0
        while True:
            try:
                line = stream.readline(_LONGEST_LINE)
            except (EOFError, zlib.error, zstandard.ZstdError, gzip.BadGzipFile) as problem:
                log.warning("%s: broken off after line %d (%s)", name, number, problem)
                return
            if not line:
                return
            number += 1
            if line := line.strip():
                yield number, line


def _plain(raw: io.BufferedReader) -> IO[bytes]:
    """`raw`, decompressed if its first bytes say so."""
    start = raw.peek(4)
    if start.startswith(_GZIP):
        return cast(IO[bytes], gzip.GzipFile(fileobj=raw))
    if start.startswith(_ZSTD):
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return io.BufferedReader(cast(io.RawIOBase, reader), 2**20)
    return raw
