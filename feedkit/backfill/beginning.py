"""From when on a stream really was read: later than it was asked to, if it has forgotten more."""

from __future__ import annotations

from feedkit.backfill.rewound import LOOKBACK, Refused, Rewound
from feedkit.backfill.staging import Staging, now_us
from feedkit.sources.position import MINUTE
from feedkit.sources.syntax import moment
from feedkit.store.staging import Run

SLACK = 15 * MINUTE  # a stream that has a moment brings something within so long; microseconds
ENOUGH = 20  # events that show how busy a stream is
BUSY = 10  # times: it is silent for so much longer than ENOUGH events take only where it begins


class Beginning:
    """Finds out from the first events of `source` from when on it has what `run` reads, and notes
    that in the store, since who is killed and goes on sees another first event.

    A server that goes back less far says so (Jetstream v2), or does not (v1). A silent one is
    known by its late first event; but a stream of posts alone may also have had none for hours. So
    the word of one that would say it is doubted only where the events that follow come thick and
    fast.
    """

    def __init__(self, staging: Staging, run: Run, source: Rewound) -> None:
        self._staging, self._run, self._source = staging, run, source
        self._first = self._last = self._events = 0
        self._goes_on = bool(run.cursor)
        self.time = 0  # microseconds since 1970; 0 while it is not known
        if self._goes_on:
            self.time = staging.store.backfills.began(run) or run.since

    def saw(self, time: int) -> None:
        """An event of this time came. Raises `Refused` where one that goes on has lost what was
        in between."""
        if not self._first:
            self._first = time
            self._check(time)
        self._events, self._last = self._events + 1, time
        if not self.time and (self._source.cut or self._source.silent or self._events >= ENOUGH):
            self.decide()

    def decide(self) -> None:
        """Note what is known by now."""
        if self.time:
            return
        since, first = self._run.since, self._first
        if not first:  # nothing came at all
            first = now_us() - (0 if self._source.cut else LOOKBACK)
        late = first - since
        thick = self._events >= ENOUGH and BUSY * (self._last - first) < late
        if not (self._source.cut or (late > SLACK and (self._source.silent or thick))):
            first = since
        self.time = max(first, since)
        self._staging.note_began(self._run, self.time)

    def _check(self, time: int) -> None:
        """A v1 that has forgotten where the run stood goes on with what is left."""
        before = self._run.time
        forgetful = self._source.silent and before < now_us() - LOOKBACK
        if self._goes_on and forgetful and time > before + SLACK:
            raise Refused(f"it goes on at {moment(time).isoformat(' ', 'seconds')} only")
