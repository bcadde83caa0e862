"""The firehose, com.atproto.sync.subscribeRepos, of any relay or PDS."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from feedkit.event import Frame
from feedkit.settings import Stream
from feedkit.sources.firehose_wire import firehose_frame
from feedkit.sources.live import LiveSource
from feedkit.sources.position import OnGap, Position

_PATH = "/xrpc/com.atproto.sync.subscribeRepos"


class Firehose(LiveSource):
    """All repositories of a host. Its cursor is exclusive, and a number only: going back by time
    means reading all that the host still has (a relay: 72 hours) and skipping what is older."""

    max_size = 8 * 2**20  # the protocol allows 5 MB

    def __init__(self, stream: Stream, engagement: frozenset[str], on_gap: OnGap) -> None:
        super().__init__("firehose", stream, engagement, on_gap)
        self._since = 0  # microseconds since 1970: what is older is skipped

    def _position(self, cursor: int | None, time: int) -> Position:
        return Position(self.name, cursor, time, self._on_gap)

    def _address(self, position: Position) -> str:
        url = urlsplit(self._stream.url)
        query = [(key, value) for key, value in parse_qsl(url.query) if key != "cursor"]
        if position.resume == "cursor":
            query.append(("cursor", str(position.cursor)))
        elif position.resume == "time":
            query.append(("cursor", "0"))
            self._since = position.rewound
        else:
            self._since = 0
        path = url.path if url.path.strip("/") else _PATH
        return urlunsplit(url._replace(path=path, query=urlencode(query), fragment=""))

    def _decode(self, message: bytes, position: Position) -> Frame:
        frame = firehose_frame(message, self._wanted, self._since)
        if self._since and frame.time >= self._since:
            self._since = 0
        return frame
