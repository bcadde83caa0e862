"""A class of pictures by their blobs: photo or flat (screenshots, diagrams, drawings in few tones).

A JPEG of a photo takes many more bits for a pixel than one of a page of text, so the first bytes
and the length tell. In place of that, decode the picture and ask a model of your own.
"""

from __future__ import annotations

from feedkit import Field, Filter, Hydrator

FLAT = 0.9  # bits for a pixel, below which a picture is called flat


class PictureKind(Hydrator):
    """Whether a post's first picture is a `photo` or `flat`: `picture`.

    ```yaml
    hydrators:
      - picture_kind: {cdn: "https://cdn.bsky.app"}
    ```
    """

    provides = {"picture": str}
    batch = 8  # each is a download
    deadline = 60.0

    cdn: str = Field(default="https://cdn.bsky.app", description="where pictures are fetched")

    def hydrate(self, posts, context):
        return [{"picture": self._kind(post, context)} for post in posts]

    def _kind(self, post, context):
        if not post.images or not post.images[0].cid:
            return None
        size = f"img/feed_thumbnail/plain/{post.author}/{post.images[0].cid}@jpeg"
        blob = context.fetch(f"{self.cdn}/{size}", most=1_000_000)
        pixels = jpeg_pixels(blob)
        return None if not pixels else "flat" if 8 * len(blob) / pixels < FLAT else "photo"


def jpeg_pixels(blob):
    """Width times height of a JPEG file, 0 if it is none (ITU T.81, B.2.2: the frame header)."""
    at = 2
    while blob[:2] == b"\xff\xd8" and at + 9 <= len(blob) and blob[at] == 0xFF:
        kind, length = blob[at + 1], int.from_bytes(blob[at + 2 : at + 4])
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(blob[at + 5 : at + 7]) * int.from_bytes(blob[at + 7 : at + 9])
        at += 2 + length
    return 0


class Pictured(Filter):
    """Posts whose first picture is a photo, or flat.

    ```yaml
    all: [{has_media: image}, {pictured: photo}]
    ```
    """

    needs = {"picture"}

    what: str = Field(default="photo", pattern="^(photo|flat)$", description="photo or flat")

    def match(self, post):
        return post.features["picture"] == self.what
