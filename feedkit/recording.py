"""A stretch of the live stream in a file: what `replay` and `backtest` are fed with.

Written down are Jetstream's own messages, v1 or v2, a JSON line each, of the collections that are
needed, and changes of accounts. While it lasts they go to FILE.part, plain, behind a line that says
where they are from; only when it is complete FILE appears, compressed as its name says. A recording
that was interrupted goes on where it ended, from the last message in FILE.part.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import IO, Any, cast

import zstandard
from msgspec import Struct

from feedkit.event import Frame
from feedkit.settings import Stream
from feedkit.sources.decode import BadFrame, StreamNotice, wanted_collections
from feedkit.sources.jetstream import Jetstream
from feedkit.sources.jetstream_wire import jetstream_frame

Progress = Callable[[int, timedelta], None]


class CannotRecord(Exception):
    """The recording cannot be made; the message says why, and the remedy."""


class Recorded(Struct):
    """What is in the file so far. `span`: stream time from its first message to its last;
    `gaps`: stretches of the stream that are missing."""

    messages: int = 0
    first: int = 0  # microseconds since 1970
    last: int = 0
    cursor: int = 0
    gaps: int = 0
    finished: bool = False

    @property
    def span(self) -> timedelta:
        return timedelta(microseconds=max(self.last - self.first, 0))

    def add(self, frame: Frame) -> None:
        self.messages += 1
        self.cursor = frame.cursor or self.cursor
        self.first = self.first or frame.time
        self.last = max(self.last, frame.time)


def record(
    file: Path,
    stream: Stream,
    engagement: frozenset[str],
    length: timedelta,
    stop: threading.Event,
    progress: Progress = lambda messages, span: None,
) -> Recorded:
    """Record `length` of `stream`, a Jetstream, to `file`; ends early when `stop` is set, and can
    then be called again to go on. Complete is what spans `length` of the stream's own time, or
    took that long.

    `engagement`: which of likes, reposts, replies, quotes are recorded beside posts. `progress` is
    called a few times a second. Raises `CannotRecord`, and OSError.
    """
    if stream.kind != "jetstream":
        raise CannotRecord(
            "a recording holds Jetstream's messages, and the stream is the firehose, whose are "
            "binary and signed; name a Jetstream, such as --url " + Stream().url
        )
    part = file.with_name(file.name + ".part")
    header = {"recording": stream.url, "collections": sorted(wanted_collections(engagement))}
    done = _begun(part, header) if part.exists() else Recorded()
    tap = _Tap()

    def missed(from_us: int, to_us: int, reason: str) -> None:
        done.gaps += 1

    source = Jetstream(stream, engagement, missed, tap)
    until = monotonic() + length.total_seconds()
    with (
        part.open("ab") as out,
        closing(_frames(source, done, stop)) as frames,
    ):
        if not out.tell():
            out.write(json.dumps(header).encode() + b"\n")
        shown = 0.0
        for frame in frames if done.span < length else ():
            if frame is not None and (frame.events or frame.skipped) and tap.line:
                out.write(tap.line + b"\n")
                done.add(frame)
            tap.line = b""
            now = monotonic()
            if done.span >= length or now >= until:
                break
            if now - shown > 0.25:
                shown = now
                out.flush()  # what is lost if we are killed is read again
                progress(done.messages, done.span)
    if not stop.is_set():
        if not done.messages:
            part.unlink()
            raise CannotRecord(
                f"nothing arrived from {stream.url} in {length}: is it the right one?"
            )
        _finish(part, file)
        done.finished = True
    return done


class _Tap:
    """The message that was read last, in one line."""

    def __init__(self) -> None:
        self.line = b""

    def __call__(self, message: bytes) -> None:
        self.line = b" ".join(message.splitlines())


def _frames(
    source: Jetstream, done: Recorded, stop: threading.Event
) -> Generator[Frame | None, None, None]:
    yield from source.frames(done.cursor or None, done.last, stop)


def _begun(part: Path, header: dict[str, Any]) -> Recorded:
    """What an interrupted recording holds; a last line that was cut off is removed."""
    done = Recorded()
    wanted = frozenset(header["collections"])
    with part.open("r+b") as lines:
        end = 0
        for number, line in enumerate(lines):
            if not line.endswith(b"\n"):
                break
            if number == 0:
                _check_header(part, line, header)
            else:
                try:
                    done.add(jetstream_frame(line, wanted))
                except (BadFrame, StreamNotice):
                    break
            end += len(line)
        lines.truncate(end)
    return done


def _check_header(part: Path, line: bytes, header: dict[str, Any]) -> None:
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if said != header:
        raise CannotRecord(
            f"{part} is a recording that was begun with another stream or other collections; go on "
            "with the same, or remove it"
        )


def _finish(part: Path, file: Path) -> None:
    new = file.with_name(file.name + ".new")
    with part.open("rb") as lines, _written(new, file.suffix) as out:
        lines.readline()  # the header: files are events and nothing else
        shutil.copyfileobj(lines, out, 2**20)
    os.replace(new, file)
    part.unlink()


@contextmanager
def _written(path: Path, suffix: str) -> Iterator[IO[bytes]]:
    """A file that is compressed as `suffix` says, and safely on the disk at the end."""
    with path.open("wb") as raw:
        if suffix == ".gz":
            with gzip.GzipFile(filename="", fileobj=raw, mode="wb") as packed:
                yield cast(IO[bytes], packed)
        elif suffix == ".zst":
            with zstandard.ZstdCompressor(level=10).stream_writer(raw, closefd=False) as writer:
                yield cast(IO[bytes], writer)
        else:
            yield raw
        raw.flush()
        os.fsync(raw.fileno())
