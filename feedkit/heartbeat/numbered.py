"""One of several processes alike, which go by numbers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, count

from feedkit.heartbeat.figures import Figures
from feedkit.heartbeat.pulse import SILENT, Pulse
from feedkit.store import Store

_SILENT = round(SILENT * 1_000_000)  # µs


class NumberedPulse(Pulse):
    """The heartbeat of a process that goes by the lowest number, from 1, that no other of its kind
    has: who comes after one that ended takes over its name. So names stay few, and with them the
    figures by name, however often processes start anew. `name` is empty before the first beat."""

    def __init__(self, store: Store, kind: str, figures: Callable[[], Figures]) -> None:
        super().__init__(store, kind, "", figures)

    def _say(self) -> None:
        said = self.last()
        for name in chain([self.name] if self.name else [], map(str, count(1))):
            if self._store.heartbeats.take_name(said._replace(name=name), said.at - _SILENT):
                self.name = name
                return
