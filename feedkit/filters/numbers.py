"""Filters that count: how long a text is, how many links and tags, how well pictures are
described."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from feedkit.filters.regex import compiled
from feedkit.plugin import Field, Filter
from feedkit.post import Post

Unit = Literal["characters", "words", "lines"]
Counted = Literal["links", "tags", "mentions", "images"]


class _Between(Filter):
    """A filter by a number with bounds, one of which must be given."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        least, most = getattr(self, "least", None), getattr(self, "most", None)
        if least is None and most is None:
            raise ValueError("needs least, most, or both")
        if least is not None and most is not None and most < least:
            raise ValueError(f"asks for at least {least} and at most {most}; no post could match")
        return self


def _within(number: int, least: int | None, most: int | None) -> bool:
    return (least is None or number >= least) and (most is None or number <= most)


class Length(_Between):
    """Posts whose text is so long. Characters are counted as readers see them: a flag, a family
    of emoji or a letter with its accents is one. Words are what stands between white space, so
    for Japanese, Chinese and Thai count characters.

    ```yaml
    length: {least: 50}
    ```
    """

    least: int | None = Field(default=None, ge=0, description="how many at least")
    most: int | None = Field(default=None, ge=0, description="how many at most")
    unit: Unit = Field(default="characters", description="characters, words or lines")

    def match(self, post: Post) -> bool:
        return _within(self._length(post), self.least, self.most)

    def explain(self, post: Post) -> str:
        return f"{self._length(post)} {self.unit}"

    def _length(self, post: Post) -> int:
        text = post.text.strip()
        if self.unit == "words":
            return len(text.split())
        if self.unit == "lines":
            return len(text.splitlines())
        return len(text) if text.isascii() else characters(text)


def characters(text: str) -> int:
    """How many characters readers see in `text` (Unicode's extended grapheme clusters)."""
    return sum(1 for _ in compiled(r"\X", True, "backtracking").finditer(text))


class Count(_Between):
    """Posts with so many links, hashtags, mentions or pictures. Many of them are a sign of spam.

    ```yaml
    not: {count: {of: tags, least: 6}}
    ```
    """

    of: Counted = Field(description="what is counted: links, tags, mentions or images")
    least: int | None = Field(default=None, ge=0, description="how many at least")
    most: int | None = Field(default=None, ge=0, description="how many at most")

    def match(self, post: Post) -> bool:
        return _within(len(getattr(post, self.of)), self.least, self.most)

    def explain(self, post: Post) -> str:
        return f"{len(getattr(post, self.of))} {self.of}"


class AltText(Filter):
    """Posts whose pictures and video are described for those who do not see them. Posts without
    any never match.

    ```yaml
    alt_text: {of: all, least: 20}
    ```
    """

    of: Literal["all", "some", "none"] = Field(
        default="all", description="how many must be described: all, some (one at least) or none"
    )
    least: int = Field(default=1, ge=1, description="characters that make a description")

    def match(self, post: Post) -> bool:
        described = [len(alt.strip()) >= self.least for alt in self._alts(post)]
        if not described:
            return False
        if self.of == "none":
            return not any(described)
        return all(described) if self.of == "all" else any(described)

    def explain(self, post: Post) -> str:
        alts = self._alts(post)
        return f"{sum(len(alt.strip()) >= self.least for alt in alts)} of {len(alts)} described"

    @staticmethod
    def _alts(post: Post) -> list[str]:
        videos = [post.video.alt] if post.video is not None else []
        return [image.alt for image in post.images] + videos
