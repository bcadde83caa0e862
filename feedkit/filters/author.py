"""Filters by the people of a post: its author, whom it answers, whom it quotes."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from feedkit.accounts import (
    Accounts,
    AccountsOrPosts,
    Authors,
    Followed,
    Lists,
    NotKnownYet,
)
from feedkit.keys import KeySet
from feedkit.plugin import Field, Filter, Key
from feedkit.post import Post

ACCOUNTS = "DIDs, handles, lists, starter packs, {followed_by: …}, {file: …}"
ANYBODY = AccountsOrPosts()


class _ByAuthors(Filter):
    """Posts by some accounts, however these are written."""

    def _authors(self) -> Accounts:
        raise NotImplementedError

    def match(self, post: Post) -> bool:
        return post.author in self._authors()

    def keys(self) -> AbstractSet[Key]:
        return _keys("author", self._authors())

    def explain(self, post: Post) -> str:
        return ", ".join(self._authors().via(post.author))


class Author(_ByAuthors):
    """Posts by these accounts. They may be written as [any accounts](#accounts): one by one, as a
    list or starter pack, as those whom somebody follows, as a file.

    ```yaml
    author: [alice.example.com, "https://bsky.app/profile/did:plc:ewvi7nxzyoun6zhxrhs64oiz"]
    ```
    """

    accounts: Authors = Field(description=f"whose posts: {ACCOUNTS}")

    def _authors(self) -> Accounts:
        return self.accounts


class InList(_ByAuthors):
    """Posts by those who are on a list, or in a starter pack.

    ```yaml
    in_list: https://bsky.app/profile/alice.example.com/lists/3l2s5xxv2ze2c
    ```
    """

    lists: Lists = Field(description="addresses of lists and starter packs")

    def _authors(self) -> Accounts:
        return self.lists


class FollowedBy(_ByAuthors):
    """Posts by those whom an account follows; of several accounts, whom any of them follows.

    ```yaml
    followed_by: alice.example.com
    ```
    """

    accounts: Followed = Field(description="who follows: DIDs or handles")

    def _authors(self) -> Accounts:
        return self.accounts


class Mentions(Filter):
    """Posts that mention somebody; with `of`, one of these accounts.

    ```yaml
    mentions: alice.example.com
    ```
    """

    of: Accounts = Field(default=Accounts(), description=f"{ACCOUNTS}; without: anybody")

    def match(self, post: Post) -> bool:
        return not self.of.isdisjoint(post.mentions) if self.of else bool(post.mentions)

    def keys(self) -> AbstractSet[Key] | None:
        return _keys("mention", self.of) if self.of else None

    def explain(self, post: Post) -> str:
        return ", ".join(sorted(post.mentions & self.of.known if self.of else post.mentions))


class Reply(Filter):
    """Posts that answer another post; with `to`, only answers to these.

    ```yaml
    not: reply
    ```
    """

    to: AccountsOrPosts = Field(
        default=ANYBODY,
        description=f"whose posts, or which post, is answered directly: {ACCOUNTS}; or at:// "
        "addresses of posts",
    )
    thread: AccountsOrPosts = Field(
        default=ANYBODY, description="whose thread, or which thread, by its first post; likewise"
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
        unknown: NotKnownYet | None = None
        for uri, wanted in ((post.reply_root, self.thread), (post.reply_parent, self.to)):
            try:
                if wanted and not wanted.concern(uri):
                    return False
            except NotKnownYet as error:  # the other one may still say no
                unknown = error
        if unknown:
            raise unknown
        return True

    def explain(self, post: Post) -> str:
        return f"to {post.reply_parent}"


class Quote(Filter):
    """Posts that quote another post; with `of`, only quotes of these.

    ```yaml
    quote: {of: alice.example.com}
    ```
    """

    of: AccountsOrPosts = Field(
        default=ANYBODY,
        description=f"whose posts, or which post, is quoted: {ACCOUNTS}; or at:// addresses of "
        "posts",
    )

    def match(self, post: Post) -> bool:
        return bool(post.quote) and (not self.of or self.of.concern(post.quote))

    def explain(self, post: Post) -> str:
        return f"of {post.quote}"


def _keys(kind: str, accounts: Accounts) -> AbstractSet[Key]:
    """No others can match: a post of somebody who is not known yet is undecided."""
    return KeySet(many=[(kind, members) for members in accounts.sets])


def _owner(uri: str) -> str:
    """The DID in an at:// address."""
    return uri.removeprefix("at://").partition("/")[0]
