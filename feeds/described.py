"""A filter of our own: pictures that everyone can enjoy."""

from __future__ import annotations

from feedkit import Field, Filter


class Described(Filter):
    """Posts whose every picture has a description (alt text) of at least so many words.

    ```yaml
    described: {words: 5}
    ```
    """

    words: int = Field(default=3, ge=1, description="how many words each description has at least")

    def match(self, post):
        return bool(post.images) and all(
            len(image.alt.split()) >= self.words or len(image.alt) >= 4 * self.words
            for image in post.images
        )

    def explain(self, post):
        return "; ".join(image.alt for image in post.images)
