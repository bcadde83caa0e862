"""A classifier of texts, in batches: how much a post sounds like birdwatching.

In place of the few words below, load a model of your own: `load` is called once in a process, and
`hydrate` gets up to `batch` posts at once, beside the stream. Filters then wait for the score.
"""

from __future__ import annotations

import math

from feedkit import Field, Filter, Hydrator
from feedkit.text import normalise

# How much likelier a word is in a post about birdwatching than in any other (logarithms).
WORDS = {
    "bird": 1.6, "birding": 3.9, "birder": 4.0, "hide": 1.1, "binoculars": 3.1, "scope": 1.9,
    "warbler": 3.6, "heron": 3.2, "wader": 3.4, "plumage": 3.3, "lifer": 3.8, "estuary": 2.4,
    "spotted": 1.2, "juvenile": 1.8, "flock": 2.1, "twitter": -2.6, "app": -1.9, "hotel": -1.2,
}  # fmt: skip
PRIOR = -3.0


class Birdwatching(Hydrator):
    """How likely a text is about watching birds: `birdwatching`, from 0 to 1.

    ```yaml
    hydrators: [birdwatching]
    ```
    """

    provides = {"birdwatching": float}
    batch = 200
    deadline = 10.0

    def load(self):
        self._words = {normalise(word): weight for word, weight in WORDS.items()}

    def hydrate(self, posts, context):
        return [{"birdwatching": self._likelihood(post.text)} for post in posts]

    def _likelihood(self, text):
        words = {word.strip(".,;:!?#()\"'") for word in normalise(text).split()}
        odds = PRIOR + sum(self._words.get(word, 0.0) for word in words)
        return 1 / (1 + math.exp(-odds))


class SoundsLikeBirdwatching(Filter):
    """Posts that sound like birdwatching.

    ```yaml
    all: [{language: en}, {sounds_like_birdwatching: 0.8}]
    ```
    """

    needs = {"birdwatching"}

    least: float = Field(default=0.8, gt=0, lt=1, description="how likely it is at least")

    def match(self, post):
        return post.features["birdwatching"] >= self.least

    def explain(self, post):
        return f"{post.features['birdwatching']:.2f}"
