"""What all kinds of plugins share."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from types import FunctionType
from typing import Any, ClassVar

from feedkit.parameters import Parameters, PluginDefinitionError, where


class Plugin(Parameters):
    """What all kinds share. `needs` names what must be loaded for this plugin: «likes»,
    «reposts», «replies», «quotes», «voters» beside these (who did so, and when: `Post.votes`), or
    a word that a hydrator provides. What nobody needs is neither subscribed to nor counted."""

    kind: ClassVar[str] = "plugin"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        needs = cls.__dict__.get("needs", frozenset())
        if isinstance(needs, FunctionType):
            remedy = "write @property above it"
        elif isinstance(needs, AbstractSet) or hasattr(type(needs), "__get__"):
            return
        else:
            words = [needs] if isinstance(needs, str) else needs
            remedy = "write needs = set()"
            if isinstance(words, Iterable) and (some := list(words)):
                written = ", ".join(f'"{word}"' for word in some)
                remedy = f"write needs = {{{written}}}"
        raise PluginDefinitionError(
            f"{where(cls)}: needs of {cls.__name__} must be a set of words, not a "
            f"{type(needs).__name__}; {remedy}"
        )

    @property
    def needs(self) -> AbstractSet[str]:
        return frozenset()
