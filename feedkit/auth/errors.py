"""Why a viewer is not known: two kinds, which the web answers differently."""

from __future__ import annotations


class BadToken(Exception):
    """The token proves nothing: 401. `error` is the name that the AT Protocol's own servers give,
    `message` says what is wrong."""

    status = 401

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error, self.message = error, message


class KeyUnavailable(Exception):
    """Whether the token is good cannot be said now, since its issuer's key could not be fetched:
    503, which the AppView hands on as it is. Another time it may be."""

    status, error = 503, "KeyUnavailable"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
