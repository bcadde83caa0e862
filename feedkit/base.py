"""What all kinds of plugins share."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import ClassVar

from feedkit.parameters import Parameters


class Plugin(Parameters):
    """What all kinds share. `needs` names what must be loaded for this plugin: «likes»,
    «reposts», «replies», «quotes», «voters» beside these (who did so, and when: `Post.votes`), or
    a word that a hydrator provides. What nobody needs is neither subscribed to nor counted."""

    kind: ClassVar[str] = "plugin"

    @property
    def needs(self) -> AbstractSet[str]:
        return frozenset()
