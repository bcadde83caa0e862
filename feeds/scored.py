"""Scores from a table of one's own: what another program thinks of posts.

`feedkit scores FEED FILE` loads `uri,quality,0.7` lines into the table `scores`, whose values are
JSON. Any other table of the same database does as well.
"""

from __future__ import annotations

import json

from feedkit import Field, Filter, Hydrator


class OwnScores(Hydrator):
    """The `quality` of a post, from the table `scores`. One that has none yet is looked for again,
    for some hours.

    ```yaml
    hydrators: [own_scores]
    ```
    """

    provides = {"quality": float}
    batch = 500
    tries = 12
    backoff = 60.0

    def hydrate(self, posts, context):
        rows = context.database.each(
            "s.uri, s.value", "scores AS s", "s.uri", [post.uri for post in posts],
            "AND s.name = ?", ["quality"],
        )  # fmt: skip
        found = {uri: {"quality": json.loads(value)} for uri, value in rows}
        return [found.get(post.uri, {}) for post in posts]


class Scored(Filter):
    """Posts of a high quality, by scores of your own.

    ```yaml
    all: [{keywords: heron}, {scored: 0.7}]
    ```
    """

    needs = {"quality"}

    least: float = Field(default=0.5, description="what the score is at least")

    def match(self, post):
        return post.features["quality"] >= self.least
