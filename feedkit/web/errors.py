"""Errors as XRPC answers them."""

from __future__ import annotations


class XrpcError(Exception):
    """An answer that refuses a request: HTTP `status`, the lexicon's `error`, a `message`."""

    def __init__(self, error: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.error, self.message, self.status = error, message, status
