"""The bodies of requests, read within bounds: of one, of all together, and in time."""

from __future__ import annotations

import asyncio

from feedkit.web.backstage import Receive, Scope

INTERACTIONS = "/xrpc/app.bsky.feed.sendInteractions"
MOST_BODY = 256_000  # bytes of a request
MOST_BODIES = 16_000_000  # bytes of all requests that arrive or wait for an answer at one time
BODY_TIME = 10.0  # seconds for a request to arrive


class Refused(Exception):
    """A body that is not taken: HTTP `status`, `error`, `message`."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error, self.message = status, error, message


class Bodies:
    """Reads the bodies of one process's requests. Only one method takes any, from those who say who
    they are: of all others the body is let go of, piece by piece, as it arrives."""

    def __init__(self) -> None:
        self._held = 0

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """The body of a request; it counts as held until it is given to `release`. Raises
        `Refused`."""
        wanted = (
            scope["method"] == "POST"
            and scope["path"] == INTERACTIONS
            and any(name == b"authorization" for name, _ in scope["headers"])
        )
        body, whole = bytearray(), False
        try:
            async with asyncio.timeout(BODY_TIME):
                await self._receive(receive, body, wanted)
            whole = True
        except TimeoutError as error:
            message = "the request took too long to arrive"
            raise Refused(408, "RequestTimeout", message) from error
        finally:
            if not whole:
                self.release(body)
        return bytes(body)

    def release(self, body: bytes | bytearray) -> None:
        """Note that nothing holds a body any more: whoever reads it may come to it late."""
        self._held -= len(body)

    async def _receive(self, receive: Receive, body: bytearray, wanted: bool) -> None:
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            piece = message.get("body", b"")
            size += len(piece)
            if size > MOST_BODY:
                said = f"a request may have {MOST_BODY:,} bytes at most"
                raise Refused(413, "PayloadTooLarge", said)
            if wanted and self._held + len(piece) > MOST_BODIES:
                raise Refused(503, "Busy", "too many are sending just now; try again")
            if wanted:
                body += piece
                self._held += len(piece)
            if not message.get("more_body"):
                return
