"""What can go wrong while publishing."""

from __future__ import annotations


class PublishError(Exception):
    """A record cannot be read or written. The message says which, why, and what to do."""
