"""The posts that a post is about: the one it quotes, the one it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from feedkit.context import Context
from feedkit.plugin import Hydrator
from feedkit.post import Post, as_mapping


class Quoted(Hydrator):
    """The post that a post quotes: `quoted`, for the filter `quoted_post`.

    ```yaml
    hydrators: [quoted]
    ```
    """

    provides: ClassVar[Mapping[str, Any]] = {"quoted": dict}
    batch = 25  # the most that getPosts gives at once
    deadline = 120.0  # the AppView may ask for a minute of patience

    def hydrate(self, posts: Sequence[Post], context: Context) -> list[dict[str, Any]]:
        return _found("quoted", [post.quote for post in posts], context)


class Parent(Hydrator):
    """The post that a post answers: `parent`, for the filter `parent_post`.

    ```yaml
    hydrators: [parent]
    ```
    """

    provides: ClassVar[Mapping[str, Any]] = {"parent": dict}
    batch = 25  # the most that getPosts gives at once
    deadline = 120.0  # the AppView may ask for a minute of patience

    def hydrate(self, posts: Sequence[Post], context: Context) -> list[dict[str, Any]]:
        return _found("parent", [post.reply_parent for post in posts], context)


def _found(word: str, uris: Sequence[str], context: Context) -> list[dict[str, Any]]:
    """What is at `uris`: None where there is no URI, nothing where there is no post yet."""
    found = context.posts({uri for uri in uris if uri})
    return [
        {word: as_mapping(found[uri])} if uri in found else {} if uri else {word: None}
        for uri in uris
    ]
