"""Errors as XRPC answers them."""

from __future__ import annotations


class XrpcError(Exception):
    """An answer that refuses a request: HTTP `status`, the lexicon's `error`, a `message`; and
    after how many seconds to try again, where that may help (`again`, 0: it does not)."""

    def __init__(self, error: str, message: str, status: int = 400, again: int = 0) -> None:
        super().__init__(message)
        self.error, self.message, self.status, self.again = error, message, status, again
