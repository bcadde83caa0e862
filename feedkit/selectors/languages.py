"""Selectors by the languages that the reader's app asks for."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from feedkit.plugin import Field, Selector
from feedkit.post import Post, Request


class Spoken(Selector):
    """Only posts in a language that the reader's app asks for, as set there under content
    languages; the others are left out. `en` and `en-GB` count as the same. All posts stay where
    an app asks for none.

    ```yaml
    spoken: {undeclared: false}
    ```
    """

    undeclared: bool = Field(
        default=True, description="whether posts stay that declare no language"
    )

    @property
    def needs(self) -> AbstractSet[str]:
        return {"request.languages"}

    def select(self, posts: list[Post], request: Request) -> list[Post]:
        spoken = {_language(tag) for tag in request.languages}
        if not spoken or "*" in spoken:
            return list(posts)
        return [
            post
            for post in posts
            if any(_language(tag) in spoken for tag in post.langs)
            or (self.undeclared and not post.langs)
        ]

    def explain(
        self, post: Post, before: Sequence[Post], after: Sequence[Post], request: Request
    ) -> str:
        if any(post.uri == other.uri for other in after):
            return ""
        declared = f"in {', '.join(post.langs)}" if post.langs else "of no declared language"
        return f"{declared}; the app asks for {', '.join(request.languages)}"


def _language(tag: str) -> str:
    """The language in a tag such as `zh-Hant-TW`."""
    return tag.partition("-")[0].lower()
