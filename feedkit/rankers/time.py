"""Rankers by time alone."""

from __future__ import annotations

from feedkit.plugin import Ranker
from feedkit.post import Post, Request


class Newest(Ranker):
    """The newest first.

    ```yaml
    newest
    ```
    """

    def score(self, post: Post, request: Request) -> float:
        return post.sort_at.timestamp()
