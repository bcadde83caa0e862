"""All checks of a visit, each within its time, several at once, told in their order."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from feedkit.doctor import database, feeds, service, stream
from feedkit.doctor.verdict import NoAnswer, Unasked, Verdict, bad, split, unknown
from feedkit.doctor.visit import Visit
from feedkit.publish.errors import PublishError
from feedkit.store import StoreError

LONGEST = 10.0  # seconds for one check
AT_ONCE = 8


class Check(NamedTuple):
    """`about`: the feed or publisher that it is about, if it is about one."""

    name: str
    about: str
    run: Callable[[], Verdict]


class Result(NamedTuple):
    name: str
    about: str
    verdict: Verdict


def checks(visit: Visit) -> Iterator[Check]:
    """What there is to look at, in the order in which a person wants to read it."""
    served = [feed for feed in visit.feeds if feed.served]
    yield Check("hostname", "", partial(service.hostname, visit))
    yield Check("did", "", partial(service.identity, visit))
    yield Check("describe", "", partial(service.describe, visit))
    yield Check("clock", "", partial(service.clock, visit))
    yield Check("database", "", partial(database.database, visit))
    yield Check("writing", "", partial(database.writing, visit))
    if visit.service.store.startswith("sqlite"):
        yield Check("disk", "", partial(database.disk, visit))
    yield Check("stream", "", partial(stream.stream, visit))
    yield Check("gaps", "", partial(stream.gaps, visit))
    yield Check("jobs", "", partial(stream.jobs, visit))
    yield Check("posts", "", partial(database.posts, visit))
    for feed in served:
        yield Check("feed", feed.name, partial(feeds.probe, visit, feed))
    for name in visit.publishers:
        yield Check("publisher", name, partial(feeds.publisher, visit, name))
    for feed in served:
        yield Check("record", feed.name, partial(feeds.record, visit, feed))
    yield Check("records", "", partial(feeds.left, visit))
    for feed in served:
        yield Check("app", feed.name, partial(feeds.app, visit, feed))


def examine(visit: Visit, longest: float = LONGEST) -> Iterator[Result]:
    """The results of all checks, in their order, as they come. One that takes longer than
    `longest` seconds is left behind. The visit is over then."""
    try:
        yield from _in_order(visit, longest)
    finally:
        visit.end()


def _in_order(visit: Visit, longest: float) -> Iterator[Result]:
    waiting = deque(enumerate(checks(visit)))
    all_of_them = [check for _, check in waiting]
    running: dict[int, float] = {}  # until when
    done: dict[int, Verdict] = {}
    finished: queue.SimpleQueue[tuple[int, Verdict]] = queue.SimpleQueue()
    for number, check in enumerate(all_of_them):
        while number not in done:
            while waiting and len(running) < AT_ONCE:
                started, one = waiting.popleft()
                running[started] = time.monotonic() + longest
                threading.Thread(
                    target=lambda n=started, c=one: finished.put((n, _verdict(visit, c))),
                    name=f"doctor-{one.name}",
                    daemon=True,  # one that hangs must not keep the command from ending
                ).start()
            try:
                ready, verdict = finished.get(timeout=0.1)
                done.setdefault(ready, verdict)
                running.pop(ready, None)
            except queue.Empty:
                pass
            for late in [n for n, until in running.items() if time.monotonic() > until]:
                del running[late]
                done[late] = bad(
                    f"there was no answer within {longest:g} s",
                    "see whether the server that is asked hangs, and this machine's connection",
                )
        yield Result(check.name, check.about, done[number])


def _verdict(visit: Visit, check: Check) -> Verdict:
    try:
        return check.run()
    except Unasked as reason:
        return unknown(str(reason))
    except NoAnswer as error:
        return unknown(error.said, error.remedy)
    except (StoreError, PublishError) as error:
        return split(error, None)
    except Exception as error:  # the other checks go on
        return bad(
            f"the check itself failed: {type(error).__name__}: {error}", "please report this"
        )
    finally:
        visit.close()
