"""One hydrator's work: which posts are due, what it says of them, when to ask again."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from typing import Any

import msgspec
from pydantic import TypeAdapter, ValidationError

from feedkit.failures import failed
from feedkit.hydrate.caller import Caller, Stopped
from feedkit.logs import worth_saying
from feedkit.plugin import Hydrator
from feedkit.store import Answer, Due, Settled, Store, StoreError

log = logging.getLogger(__name__)

IDLE = 0.5  # seconds between two looks at the store while nothing is due
LONGEST_PAUSE = 60.0  # seconds that a hydrator is left alone after it failed, at most
LONGEST_BACKOFF = 3600.0  # seconds between two tries for one post, at most
LARGEST = 100_000  # characters of one value as JSON


class WrongShape(Exception):
    """A hydrator returned something that its contract does not allow."""


class Lane:
    """Asks one hydrator for `words` of the posts that are due. `counts`: calls, posts, failures
    (calls), wrong (answers of a wrong type), given_up (words), late (answers), hits."""

    def __init__(
        self,
        hydrator: Hydrator,
        words: Set[str],
        caller: Caller,
        store: Store,
        settle: Callable[[list[Answer]], Settled],
    ) -> None:
        self.name, self.caller = hydrator.yaml_name(), caller
        self.counts: Counter[str] = Counter()
        self._hydrator, self._store, self._settle = hydrator, store, settle
        self._types = {word: TypeAdapter(hydrator.provides[word]) for word in sorted(words)}
        self._failed = 0  # calls in a row

    def run(self, stop: threading.Event) -> None:
        """Look at what is due until `stop` is set."""
        broken = mistakes = 0  # looks in a row
        try:
            while not stop.is_set():
                try:
                    found = self.once(stop)
                    broken = mistakes = 0
                except StoreError as error:
                    found, broken = 0, broken + 1
                    if worth_saying(broken):
                        log.error("the hydrator %s waits for the store: %s", self.name, error)
                except Exception:  # nothing ends the lane for good, not even our own mistake
                    found, mistakes = 0, mistakes + 1
                    self.counts["failures"] += 1
                    if worth_saying(mistakes):
                        log.exception(
                            "the hydrator %s: a mistake of feedkit's, %d times in a row; it goes "
                            "on; please report this",
                            self.name, mistakes,
                        )  # fmt: skip
                if failed := max(self._failed, mistakes):
                    stop.wait(min(IDLE * 2 ** min(failed, 20), LONGEST_PAUSE))
                elif not found:
                    stop.wait(IDLE)
        finally:
            self._store.close()

    @property
    def failing(self) -> bool:
        """Whether the last call failed."""
        return self._failed > 0

    def once(self, stop: threading.Event) -> int:
        """Ask for the posts that have waited longest, a batch at most. Returns how many."""
        due = self._store.hydration.due(self._types, _now(), self._hydrator.batch)
        for some in portions(due, self._hydrator.batch):
            if stop.is_set():
                break
            try:
                answers = self._ask(some, stop)
            except Stopped:
                break
            settled = self._settle(answers)
            self.counts["late"] += settled.late
            self.counts["hits"] += settled.hits
        return len(due)

    def _ask(self, due: list[Due], stop: threading.Event) -> list[Answer]:
        self.counts["calls"] += 1
        self.counts["posts"] += len(due)
        try:
            said = one_each(self.caller.call([one.post for one in due], stop), len(due))
        except Stopped:
            raise
        except BaseException as error:
            self._failed += 1
            self._complain("failures", due, error)
            said = [{}] * len(due)
        else:
            self._failed = 0
        return [self._answer(one, what) for one, what in zip(due, said, strict=True)]

    def _answer(self, due: Due, said: Any) -> Answer:
        known: dict[str, str] = {}
        try:
            for word, value in told(said, self._types, self._hydrator.provides):
                known[word] = value
        except (Exception, SystemExit) as error:  # what a value is made of may raise anything
            self._complain("wrong", [due], error)
        return Answer(due.id, due.rev, known, self._again(due, known))

    def _again(self, due: Due, known: Mapping[str, str]) -> dict[str, int | None]:
        left = due.words - known.keys()
        if due.tries + 1 >= self._hydrator.tries:
            self.counts["given_up"] += len(left)
            return dict.fromkeys(left)
        wait = min(self._hydrator.backoff * 4**due.tries, LONGEST_BACKOFF)
        return dict.fromkeys(left, _now() + round(wait * 1_000_000))

    def _complain(self, what: str, due: list[Due], error: BaseException) -> None:
        self.counts[what] += 1
        failed("", self.name)
        if worth_saying(self.counts[what]):
            more = f" and {len(due) - 1} more" if len(due) > 1 else ""
            log.error(
                "the hydrator %s failed on %s%s (%s: %s), %d times so far; what it does not find "
                "out in %d tries is given up",
                self.name, due[0].post.uri, more, type(error).__name__, shown(error, str, 500),
                self.counts[what], self._hydrator.tries,
            )  # fmt: skip


def portions(due: list[Due], batch: int) -> Iterator[list[Due]]:
    """What to ask in one call: posts that failed before come in ever smaller numbers, in the end
    alone, so that one poisonous post does not cost the others their turn."""
    by_tries: dict[int, list[Due]] = {}
    for one in due:
        by_tries.setdefault(one.tries, []).append(one)
    for tries, some in sorted(by_tries.items()):
        size = max(1, batch >> 3 * tries)
        for start in range(0, len(some), size):
            yield some[start : start + size]


def one_each(said: Any, posts: int) -> Sequence[Any]:
    """What a hydrator `said` of so many posts, one after the other. Raises `WrongShape`."""
    if not isinstance(said, (list, tuple)) or len(said) != posts:
        came = f"{len(said)}" if isinstance(said, (list, tuple)) else type(said).__name__
        raise WrongShape(f"hydrate must return a list of {posts}, one for each post, not {came}")
    return said


def told(
    said: Any, kinds: Mapping[str, TypeAdapter[Any]], provides: Collection[str]
) -> Iterator[tuple[str, str]]:
    """The words of these `kinds` that a hydrator `said` of a post, with their values as JSON.
    Raises `WrongShape` at what its contract does not allow."""
    if not isinstance(said, Mapping):
        raise WrongShape(f"hydrate gave {type(said).__name__} for a post, not a mapping")
    if strange := [word for word in said if word not in provides]:
        raise WrongShape(f"hydrate gave {strange[0]!r}, which is not in provides")
    for word, kind in kinds.items():
        if word in said:
            yield word, as_json(word, kind, said[word])


def as_json(word: str, kind: TypeAdapter[Any], value: Any) -> str:
    """`value` as JSON. Raises `WrongShape` unless it is of this `kind`, or None."""
    if value is None:
        return "null"
    try:
        plain = kind.dump_python(kind.validate_python(value, strict=True), mode="json")
        text = msgspec.json.encode(plain).decode()
    except ValidationError as error:
        raise WrongShape(f"{word}: {error.errors()[0]['msg']}, not {shown(value)}") from None
    except (TypeError, ValueError, RecursionError) as error:  # such as a lone surrogate
        raise WrongShape(f"{word}: {shown(value)} cannot be kept: {error}") from None
    if text == "null":
        raise WrongShape(f"{word}: {shown(value)} is no number")  # nan, inf
    if len(text) > LARGEST:
        raise WrongShape(f"{word}: {len(text):,} characters are more than the {LARGEST:,} allowed")
    return text


def shown(value: object, by: Callable[[object], str] = repr, most: int = 60) -> str:
    """A value, or an error, of a plugin's for a message; it may be such as cannot be shown."""
    try:
        return by(value)[:most]
    except (Exception, SystemExit):
        return f"something of type {type(value).__name__} that cannot be shown"


def _now() -> int:
    return time.time_ns() // 1000
