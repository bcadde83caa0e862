"""Filters by the people of a post: its author, whom it answers, whom it quotes."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from feedkit.addresses import Account, AccountOrPost
from feedkit.plugin import Field, Filter, Key
from feedkit.post import Post


class Author(Filter):
    """Posts by these accounts.

    ```yaml
    author: did:plc:ewvi7nxzyoun6zhxrhs64oiz
    ```
    """

    accounts: frozenset[Account] = Field(
        min_length=1, description="DIDs, or bsky.app profile addresses with a DID"
    )

    def match(self, post: Post) -> bool:
        return post.author in self.accounts

    def keys(self) -> AbstractSet[Key]:
        return {("author", did) for did in self.accounts}


class Mentions(Filter):
    """Posts that mention somebody; with `of`, one of these accounts.

    ```yaml
    mentions: did:plc:ewvi7nxzyoun6zhxrhs64oiz
    ```
    """

    of: frozenset[Account] = Field(default=frozenset(), description="DIDs; without: anybody")

    def match(self, post: Post) -> bool:
        return not self.of.isdisjoint(post.mentions) if self.of else bool(post.mentions)

    def keys(self) -> AbstractSet[Key] | None:
        return {("mention", did) for did in self.of} or None

    def explain(self, post: Post) -> str:
        return ", ".join(sorted(post.mentions & self.of if self.of else post.mentions))


class Reply(Filter):
    """Posts that answer another post; with `to`, only answers to these.

    ```yaml
    not: reply
    ```
    """

    to: frozenset[AccountOrPost] = Field(
        default=frozenset(),
        description="whose posts, or which post, is answered directly: DIDs, at:// addresses",
    )
    thread: frozenset[AccountOrPost] = Field(
        default=frozenset(), description="whose thread, or which thread, by its first post"
    )
    to_self: bool | None = Field(
        default=None,
        description="true: only authors who go on from a post of their own; false: never those",
    )

    def match(self, post: Post) -> bool:
        if not post.reply_parent:
            return False
        if self.to_self is not None and self.to_self != (_owner(post.reply_parent) == post.author):
            return False
        if self.thread and not _concerns(post.reply_root, self.thread):
            return False
        return not self.to or _concerns(post.reply_parent, self.to)

    def explain(self, post: Post) -> str:
        return f"to {post.reply_parent}"


class Quote(Filter):
    """Posts that quote another post; with `of`, only quotes of these.

    ```yaml
    quote: {of: did:plc:ewvi7nxzyoun6zhxrhs64oiz}
    ```
    """

    of: frozenset[AccountOrPost] = Field(
        default=frozenset(),
        description="whose posts, or which post, is quoted: DIDs, at:// addresses",
    )

    def match(self, post: Post) -> bool:
        return bool(post.quote) and (not self.of or _concerns(post.quote, self.of))

    def explain(self, post: Post) -> str:
        return f"of {post.quote}"


def _owner(uri: str) -> str:
    """The DID in an at:// address."""
    return uri.removeprefix("at://").partition("/")[0]


def _concerns(uri: str, wanted: frozenset[str]) -> bool:
    return uri in wanted or _owner(uri) in wanted
