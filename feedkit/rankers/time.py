"""Rankers by time alone."""

from __future__ import annotations

from collections.abc import Sequence

from feedkit.plugin import Ranker, Term
from feedkit.post import Post, Request


class Newest(Ranker):
    """The newest first.

    ```yaml
    newest
    ```
    """

    def score(self, post: Post, request: Request) -> float:
        return post.sort_at.timestamp()

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        when = f"{post.sort_at:%Y-%m-%d %H:%M:%S} UTC, in seconds since 1970"
        return (Term("time", post.sort_at.timestamp(), when),)
