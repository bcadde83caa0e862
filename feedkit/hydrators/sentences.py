"""What a text means, as a vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import PrivateAttr, model_validator

from feedkit import sentences
from feedkit.context import Context
from feedkit.plugin import Field, Hydrator
from feedkit.post import Post
from feedkit.text import without_addresses


class SentenceVector(Hydrator):
    """The vector of a post's text, for the filter `similar_to`: `sentence_vector`, the mark of
    the model and a byte for each number. Needs `pip install 'atproto-feedkit[semantic]'`.

    Links and mentions are left out; of a post without other text nothing is known. A text takes
    about ten milliseconds on one core.

    ```yaml
    hydrators: [sentence_vector]
    ```
    """

    provides: ClassVar[Mapping[str, Any]] = {"sentence_vector": str}
    batch = 64
    deadline = 60.0

    model: str = Field(
        default="",
        description="the folder of the model, as for similar_to; without: the packaged one",
    )
    _encoder: sentences.Encoder = PrivateAttr()

    @model_validator(mode="after")
    def _installed(self) -> Self:
        sentences.check(self.model)
        return self

    def load(self) -> None:
        self._encoder = sentences.encoder(sentences.folder(self.model))

    def hydrate(self, posts: Sequence[Post], context: Context) -> list[dict[str, Any]]:
        texts = [without_addresses(post.text) for post in posts]
        said = list(dict.fromkeys(text for text in texts if text))
        vectors = self._encoder.encode(said) if said else ()
        values = {
            text: f"{self._encoder.mark}:{sentences.packed(vector)}"
            for text, vector in zip(said, vectors, strict=True)
        }
        return [{"sentence_vector": values.get(text)} for text in texts]
