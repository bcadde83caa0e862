"""Why a post is in a feed or not, and where: the one explanation, for the command line, for pages
and for tests. Plain data, of which `msgspec.to_builtins` makes what JSON can hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from feedkit.awaiting import decided
from feedkit.candidates import candidates_for
from feedkit.duration import duration_text
from feedkit.explain import MARKS, Verdict, explain, explain_for
from feedkit.explain_ranking import Standing, explain_ranking
from feedkit.matcher import Matcher
from feedkit.post import Post, Request
from feedkit.serving import WISHES
from feedkit.settings import FeedConfig, Service
from feedkit.store import Store, StoredPost
from feedkit.store.interactions import LESS
from feedkit.times import micros


class Explanation(Struct, frozen=True):
    """All that can be said of a post and a feed. `verdict`: the feed's filter, as a tree. `notes`:
    why the post is in the feed, or not, other than the filter says. `standing`: where it stands;
    None where it has no place in the feed, or none that is known. `viewer`: what the viewer filters
    say of it, for the viewer who was asked about."""

    feed: str
    verdict: Verdict
    notes: tuple[str, ...] = ()
    standing: Standing | None = None
    viewer: tuple[Verdict, ...] = ()

    def lines(self) -> Iterator[str]:
        """All of it as text."""
        yield f"{self.feed} {MARKS[self.verdict.verdict]}"
        yield from self.verdict.lines(1)
        if self.viewer:
            yield "  for this viewer"
        for verdict in self.viewer:
            yield from verdict.lines(2)
        for line in (*self.notes, *(self.standing.lines() if self.standing else ())):
            yield f"  {line}"


def explain_post(service: Service, feed: FeedConfig, post: Post) -> Explanation:
    """What the filter of `feed` says of any post, stored or made up."""
    return Explanation(feed.name, explain(feed.filter, post, service.filters))


def not_stored(store: Store, uri: str) -> str:
    """Why the store does not have the post at `uri`."""
    if store.is_deleted(uri):
        return "not stored: it was deleted, or its account was not active"
    return (
        "not stored: no feed kept it, or it came before the stream was read, or it is older than "
        "what the feeds keep"
    )


def explain_stored(
    service: Service,
    store: Store,
    feed: FeedConfig,
    uri: str,
    post: Post,
    request: Request | None = None,
) -> Explanation:
    """All that can be said of the post at `uri` and `feed`. `post`: what it says, for one that is
    not stored. `request`: the moment, and the viewer; else now, and nobody."""
    request = request or Request(now=datetime.now(UTC))
    stored = store.find_post(uri)
    notes = [*_otherwise(service, store, feed, stored)] if stored else []
    viewer, candidates = request.viewer if feed.personal else None, None
    verdicts: tuple[Verdict, ...] = ()
    if viewer is not None:
        shown = stored.post if stored else post
        verdicts = tuple(explain_for(filter, shown, viewer) for filter in feed.viewer)
        candidates = candidates_for(store, feed, viewer)
        wishes = store.interactions.wishes(viewer.did, most=WISHES)
        if any(wish.event == LESS and wish.item == uri for wish in wishes):
            notes.append("this viewer asked for less of it: it is left out of their pages")
    return Explanation(
        feed.name,
        explain(feed.filter, stored.post if stored else post, service.filters),
        tuple(notes),
        explain_ranking(store, feed, uri, stored, request, service.feeds, candidates),
        verdicts,
    )


def _otherwise(
    service: Service, store: Store, feed: FeedConfig, stored: StoredPost
) -> Iterator[str]:
    """Why the post is in the feed, or not, other than its filter says."""
    if stored.hidden:
        yield "hidden: its author's account is not active, so no feed shows it"
    matcher = Matcher({feed.name: feed.filter}, service.keeps_missing, indexed=False)
    wanted = feed.name in decided(matcher.match(stored.post))
    if wanted == (feed.name in stored.feeds):
        if wanted and explain(feed.filter, stored.post).verdict is None:
            yield "in the feed all the same: it says `missing: yes`"
        return
    age = timedelta(microseconds=store.stream_clock() - micros(stored.post.sort_at))
    if wanted and age > feed.keep:
        yield f"not in the feed any longer: it keeps posts for {duration_text(feed.keep)}"
    else:
        yield "stored otherwise: the filter has changed; `feedkit jobs` decides it again"
