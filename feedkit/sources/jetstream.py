"""Jetstream, v2 (network.bsky.jetstream.subscribeEvents) or v1 (`/subscribe`): the path decides."""

from __future__ import annotations

import logging
import struct
import time as clock
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx
import zstandard

from feedkit.event import Frame
from feedkit.settings import Stream
from feedkit.sources.decode import BadFrame
from feedkit.sources.jetstream_wire import jetstream_frame
from feedkit.sources.live import LiveSource
from feedkit.sources.position import DAY, HOUR, OnGap, Position
from feedkit.sources.syntax import without_login

log = logging.getLogger(__name__)

_METHOD = "network.bsky.jetstream.subscribeEvents"
_DICTIONARY = "network.bsky.jetstream.getZstdDictionary"
_KINDS = ("commit", "identity", "account", "sync")
_ZSTD_FRAME = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1
_ZSTD_DICTIONARY = 0xEC30A437  # RFC 8878, 5
_LARGEST_DICTIONARY = 4 * 2**20
_NO_DICTIONARY = (
    httpx.HTTPError,
    httpx.InvalidURL,
    ValueError,
    struct.error,
    zstandard.ZstdError,
)
_LOOKBACK = 35 * 3600 * 10**6  # microseconds; v1 goes back 36 hours, silently


def _nobody_listens(message: bytes) -> None:
    """Messages are read and forgotten."""


class Jetstream(LiveSource):
    """v2: the cursor is a sequence number, inclusive; from 10^15 on it is a time in microseconds.
    v1: the cursor is a time in microseconds.

    `on_message` is called with each message that could be read, as the JSON that it is, before
    its frame is given out."""

    max_size = 32 * 2**20  # v2 puts whole records into its messages

    def __init__(
        self,
        stream: Stream,
        engagement: frozenset[str],
        on_gap: OnGap,
        on_message: Callable[[bytes], None] = _nobody_listens,
    ) -> None:
        super().__init__("jetstream", stream, engagement, on_gap)
        self._on_message = on_message
        url = urlsplit(stream.url)
        path = url.path if url.path.strip("/") else f"/xrpc/{_METHOD}"
        self._url = url._replace(path=path, fragment="")
        self._v2 = not path.rstrip("/").endswith("/subscribe")
        self.subprotocol = "xrpc.v1.json" if self._v2 else None
        self._dictionary = 0
        self._uncompressed = False  # whether it was said that the stream is
        self._refused_dictionaries: set[int] = set()
        self._zstd: zstandard.ZstdDecompressor | None = None

    def _position(self, cursor: int | None, time: int) -> Position:
        if self._v2:
            return Position(self.name, cursor, time, self._on_gap, inclusive=True)
        return Position(self.name, cursor, time, self._on_gap, far_back=HOUR, far_ahead=DAY)

    def _address(self, position: Position) -> str:
        collections = sorted(self._wanted)
        if self._v2:
            asked = [("kinds", kind) for kind in _KINDS]
            asked += [("collections", collection) for collection in collections]
            if self._stream.compress and not self._dictionary:
                self._fetch_dictionary()
            if self._dictionary:
                asked.append(("zstdDictionary", str(self._dictionary)))
        else:
            asked = [("wantedCollections", collection) for collection in collections]
        if position.resume == "cursor":
            asked.append(("cursor", str(position.cursor)))
            if not self._v2 and clock.time() * 1e6 - position.cursor > _LOOKBACK:
                position.expect_gap("Jetstream v1 goes back 36 hours and no further")
        elif position.resume == "time":
            asked.append(("cursor", str(position.rewound)))
        names = {name for name, _ in asked} | {"cursor", "zstdDictionary"}
        own = [(key, value) for key, value in parse_qsl(self._url.query) if key not in names]
        return urlunsplit(self._url._replace(query=urlencode(own + asked)))

    def _decode(self, message: bytes, position: Position) -> Frame:
        if self._zstd and message[:4] == _ZSTD_FRAME:
            message = self._decompressed(message)
        frame = jetstream_frame(message, self._wanted)
        self._on_message(message)
        return frame

    def _decompressed(self, message: bytes) -> bytes:
        assert self._zstd
        try:
            size = zstandard.frame_content_size(message)
            if size > self.max_size:  # it would be allocated before it is read
                raise BadFrame(f"it says that it holds {size:,} bytes")
            return self._zstd.decompress(message, max_output_size=self.max_size)
        except zstandard.ZstdError as problem:
            raise BadFrame(f"it cannot be decompressed ({problem})") from None

    def _fetch_dictionary(self) -> None:
        """The server's zstd dictionary, which halves the traffic. Without it the stream is
        simply not compressed."""
        folder = self._url.path.rpartition("/")[0]
        scheme = "https" if self._url.scheme == "wss" else "http"
        url = urlunsplit((scheme, self._url.netloc, f"{folder}/{_DICTIONARY}", "", ""))
        try:
            with httpx.stream("GET", url, timeout=5, trust_env=False) as answer:
                answer.raise_for_status()
                blob = b""
                for part in answer.iter_bytes():
                    blob += part
                    if len(blob) > _LARGEST_DICTIONARY:
                        raise ValueError("it is larger than 4 MiB")
            magic, number = struct.unpack_from("<II", blob)
            if magic != _ZSTD_DICTIONARY or not number:
                raise ValueError("it is no zstd dictionary")
            if number in self._refused_dictionaries:
                raise ValueError(f"the server refused dictionary {number} that it gives out")
            self._zstd = zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(blob))
            self._dictionary = number
        except _NO_DICTIONARY as problem:
            if self._uncompressed:
                return
            self._uncompressed = True
            log.info(
                "%s: no zstd dictionary from %s (%s): the stream comes uncompressed, which the "
                "feeds do not notice",
                self.name,
                without_login(url),
                without_login(str(problem)),
            )

    def _refused(self, error: str, position: Position) -> bool:
        if error != "UnknownZstdDictionary":
            return False
        log.info(
            "%s: the server no longer knows zstd dictionary %d; asking for its present one",
            self.name,
            self._dictionary,
        )
        self._refused_dictionaries.add(self._dictionary)
        self._dictionary = 0
        return True
