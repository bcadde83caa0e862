"""From the inside: whether events come in, whether some were missed, whether the jobs work."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

from feedkit.doctor.asking import Answer
from feedkit.doctor.service import now_us
from feedkit.doctor.verdict import NoAnswer, Verdict, age, bad, good, unknown
from feedkit.doctor.visit import Visit
from feedkit.heartbeat.figures import Working
from feedkit.overview import look
from feedkit.ranking import by_keyset
from feedkit.settings import STREAMS
from feedkit.sources import open_source
from feedkit.store import Recipe, Store
from feedkit.wording import listed

SECOND, DAY = 1_000_000, 86_400_000_000  # microseconds
LAG = 60 * SECOND
WATCHED = 4.0  # seconds for which the stream is read
TURN = 6.0  # seconds that the jobs are given for a sign of life
REFRESHES = 3  # a ranking may be this many times as old as it should be …
SLACK = 30 * SECOND  # … and this much


def stream(visit: Visit) -> Verdict:
    """Ingest is where the stream is. What is asked for is what comes after the last event that
    was stored: a quiet network does not look like an ingest that hangs."""
    service, store = visit.service, visit.store()
    source = open_source(service.stream, service.engagement)
    place, newest = store.cursor(source.name), store.live_clock()
    if place is None:
        also = f" (the newest event of another one is {_ago(newest)} old)" if newest else ""
        return bad(
            f"nothing was read from {source.name} yet{also}",
            "start `feedkit worker`, which runs `feedkit ingest`",
        )
    cursor, at = place
    if at - now_us() > LAG:
        return bad(
            f"{source.name}: its clock is {age((at - now_us()) / SECOND)} ahead of this machine's",
            "set this machine's, and let it be kept right: `timedatectl set-ntp true`",
        )
    read = f"{source.name}: the newest event is {_ago(at)} old"
    if now_us() - at < LAG:
        return good(read)
    unread = _after(visit, cursor, at)
    if unread is not None and now_us() - unread > LAG:
        return bad(
            f"ingest is {_ago(unread)} behind the stream",
            "see whether `feedkit ingest` (or `feedkit worker`) runs, and what its log says; if it "
            "runs, machine or database are too slow",
        )
    if unread is not None:
        return good(read)
    try:
        _knock(visit)
    except NoAnswer as error:
        return bad(f"the stream is away: {error.said}", f"{error.remedy}; check stream: url")
    if service.stream.url in STREAMS.values():
        return bad(
            f"it sends nothing; {read}",
            "wait, or name another server under stream: url",
        )
    return unknown(f"the network is quiet; {read}")


def gaps(visit: Visit) -> Verdict:
    """No stretch of the stream was missed in the last day, or it was filled since. What the
    stream has forgotten stays open for ever, and is not to be told of for ever."""
    found = visit.store().gaps(now_us() - DAY)
    if not found:
        return good("none in the last day that was not filled")
    source, begin, end, reason, _ = found[-1]
    length = f"{age((end - begin) / SECOND)} " if begin else ""
    number = f"{len(found)} in the last day, the last one " if len(found) > 1 else ""
    return bad(
        f"{number}{length}up to {_moment(end)} UTC, of {source}: {reason}",
        "`feedkit backfill --gaps` fetches what was missed, as far as it is still to be had"
        if visit.backfill
        else "posts of that time are missing; keep `feedkit worker` running, and this will pass",
    )


def jobs(visit: Visit) -> Verdict:
    """Somebody does the jobs, none of them fails, and rankings are made anew when they are due.
    Where some are overdue, one must be made while we look: the doctor's own questions make feeds
    due."""
    store = visit.store()
    process = look(visit.service, store, now_us()).jobs
    if process is None or not process.alive:
        heard = f"were last heard of {age(process.silent)} ago" if process else "are done by nobody"
        return bad(
            f"the jobs {heard}",
            "start `feedkit worker` (or `feedkit jobs`); if it runs, see what its log says",
        )
    if failing := _failing(process.figures):
        return bad(
            failing,
            "see the log of `feedkit jobs` (or `feedkit worker`); it is tried again by itself",
        )
    at_work = f"at work, heard of {age(process.silent)} ago"
    ranked = {
        feed.name: Recipe(
            REFRESHES * (feed.refresh // timedelta(microseconds=1)) + SLACK, feed.recipe
        )
        for feed in visit.feeds
        if not by_keyset(feed)
    }
    first = store.feeds_due(ranked, now_us())
    until = time.monotonic() + TURN
    while first and time.monotonic() < until:
        if len(set(first) - set(store.feeds_due(ranked, now_us()))):
            return good(f"{at_work}; a ranking that was due was made just now")
        time.sleep(0.2)
    if first:
        return bad(
            f"rankings are overdue: {listed(first)}; {_last(store, first)}",
            "see what the log of `feedkit jobs` (or `feedkit worker`) says; if nothing fails there "
            "write a smaller depth: or a longer refresh:",
        )
    return good(f"{at_work}; no ranking is overdue" if ranked else at_work)


def _failing(figures: Working) -> str:
    """The job that has failed most often in a row, and which others do; "" where none does."""
    names = [name for name, job in figures.jobs.items() if job.failing]
    names.sort(key=lambda name: -figures.jobs[name].failing)
    if not names:
        return ""
    job = figures.jobs[names[0]]
    also = f"; also {listed(names[1:])}" if names[1:] else ""
    return f"the job {names[0]} failed {job.in_a_row}: {job.problem}{also}"


def _last(store: Store, names: list[str]) -> str:
    made = [version.created_at for name in names if (version := store.latest_version(name))]
    return f"the newest of them is {_ago(max(made))} old" if made else "they were never made"


def _after(visit: Visit, cursor: int, at: int) -> int | None:
    """The time of the first event after the cursor; None where none comes."""
    stop = threading.Event()
    watch = threading.Timer(WATCHED, stop.set)
    watch.start()
    # uncompressed: a dictionary would cost more than the few events that are read
    asked = replace(visit.service.stream, compress=False)
    frames = open_source(asked, visit.service.engagement).frames(cursor, at, stop)
    try:
        for frame in frames:
            if frame is not None and frame.time:
                return frame.time
        return None
    finally:
        stop.set()
        watch.cancel()
        for _ in frames:  # to its end, where it closes the connection
            pass


def _knock(visit: Visit) -> Answer:
    """Whatever the stream's server answers over HTTP. Raises `NoAnswer`."""
    url = urlsplit(visit.service.stream.url)
    return visit.ask(f"{'https' if url.scheme == 'wss' else 'http'}://{url.netloc}/")


def _ago(moment: int) -> str:
    return age((now_us() - moment) / SECOND)


def _moment(us: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(us // SECOND))
