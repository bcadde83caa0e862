"""Where a post stands in a feed, and how it came there: the terms of its score, what each selector
did with it, its place in what is served. By the stages of `feedkit.ranking` themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from feedkit.candidates import DEPTH
from feedkit.explain import explain_for
from feedkit.needs import hydrated
from feedkit.ordering import number_text
from feedkit.personal import asker_of
from feedkit.plugin import Ranker, Selector, Term
from feedkit.post import Post, Request
from feedkit.ranking import NO_FEEDS, Candidates, Stage, by_keyset, candidates_of, mixed, stages
from feedkit.settings import FeedConfig
from feedkit.store import Store, StoredPost
from feedkit.times import micros, moment


class Step(Struct, frozen=True):
    """What one selector did with a post. `before`, `after`: its places, from 1; None where it is
    not in the list. `because`: the selector's reason, else what happened around the post."""

    selector: str
    before: int | None
    after: int | None
    because: str = ""

    def line(self) -> str:
        """`per_author: place 2 → 4: the 2nd of this author …`."""
        because = f": {self.because}" if self.because else ""
        if self.after is None:
            return f"{self.selector}: left out, from place {self.before}{because}"
        if self.before is None:
            return f"{self.selector}: put at place {self.after}{because}"
        moved = f"place {self.before} → {self.after}"
        return f"{self.selector}: {moved if self.before != self.after else 'nothing'}{because}"


class Served(Struct, frozen=True):
    """The order that readers get. `place`: the post's, from 1, of `of` posts. `at`: when it was
    ranked, None for newest first."""

    place: int | None
    of: int
    at: datetime | None = None

    def line(self) -> str:
        """`place 3 of 120, ranked 2026-07-04 12:00:00 UTC`."""
        place = "no place among" if self.place is None else f"place {self.place:,} of"
        when = "newest first" if self.at is None else f"ranked {self.at:%Y-%m-%d %H:%M:%S} UTC"
        return f"{place} {self.of:,}, {when}"


class Standing(Struct, frozen=True):
    """Where a post stands in a feed. Places count from 1.

    `served`: what readers get now. `place`, `of`: in a ranking made now, `place` None where it is
    left out. `ranker`, `score`, `terms`, `ranked`: what gave it which number, of what this is
    made, and which place among the `candidates` that follows. `steps`: what selectors that
    changed its place did, in order. `awaited`: the words that the ranker waits for. `pinned`: the
    place that it has on the first page whatever was ranked. `remarks`: what else keeps it from
    its place, or from being told.
    """

    served: Served | None = None
    place: int | None = None
    of: int = 0
    ranker: str = ""
    score: float | None = None
    terms: tuple[Term, ...] = ()
    ranked: int | None = None
    candidates: int = 0
    steps: tuple[Step, ...] = ()
    awaited: tuple[str, ...] = ()
    pinned: int | None = None
    remarks: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """All of it as text."""
        if self.served is not None:
            yield f"served: {self.served.line()}"
        if self.pinned is not None:
            yield f"pinned: place {self.pinned} of the feed, whatever was ranked"
        yield from self.remarks
        if not self.of:
            return
        if self.served is None or (self.place, self.of) != (self.served.place, self.served.of):
            place = "left out" if self.place is None else f"place {self.place:,} of {self.of:,}"
            yield f"if it were ranked now: {place}"
        if self.ranked is not None:
            score = "no score" if self.score is None else number_text(self.score)
            yield f"{self.ranker}: {score}, place {self.ranked:,} of {self.candidates:,}"
            yield from _lines(self.terms, 1)
        if self.awaited:
            words = ", ".join(self.awaited)
            yield f"waits for {words}: until then it comes after all that have a score"
        for step in self.steps:
            yield step.line()


def _lines(terms: Sequence[Term], depth: int) -> Iterator[str]:
    for number, term in enumerate(terms):
        by = f"{term.by} " if number else ""
        because = f"  {term.because}" if term.because else ""
        yield f"{'  ' * depth}{by}{term.name} {number_text(term.value)}{because}"
        yield from _lines(term.parts, depth + 1)


def explain_ranking(
    store: Store,
    feed: FeedConfig,
    uri: str,
    stored: StoredPost | None,
    request: Request,
    feeds: Mapping[str, FeedConfig] = NO_FEEDS,
    candidates: Candidates | None = None,
) -> Standing | None:
    """Where the post at `uri` stands in `feed`; None where it has no place there to be explained.
    `stored`: what the store has of it. `feeds`: all of the service, which `feed` may mix in.
    `candidates`: what is ranked for a viewer; else what is for everybody."""
    pins = [pin.at for one in feed.select for pin in one.pins(request) if pin.uri == uri]
    pinned = pins[0] if pins else None
    if stored is None or stored.hidden:
        return Standing(pinned=pinned) if pinned and stored is None else None
    inside = {feed.name, *feed.mixes} & stored.feeds
    served = _served(store, feed, stored, request)
    if not inside and pinned is None and (served is None or served.place is None):
        return None
    if not inside or (by_keyset(feed) and not feed.personal):
        return Standing(served=served, pinned=pinned)
    if feed.personal and request.viewer is None:
        return Standing(pinned=pinned, remarks=("each viewer gets an order of their own",))
    depth = feed.depth if candidates is None else min(feed.depth, DEPTH)
    candidates = candidates_of(store, feed) if candidates is None else candidates
    post = next((post for post in candidates.posts if post.uri == uri), None)
    remarks = []
    if post is None and feed.name in stored.feeds and _for_viewer(feed, stored.post, request):
        remarks.append(f"too old to be ranked: only the newest {depth:,} posts are (depth)")
    done = list(stages(feed, candidates, request, mixed(store, feed, feeds)))
    ranked, *selected = done
    remarks += [_failure(stage) for stage in done if stage.failure]
    terms: tuple[Term, ...] = ()
    score = next((score for one, score in _scored(ranked) if one.uri == uri), None)
    if post is not None and score is not None:
        terms, wrong = _terms(feed.rank, post, ranked)
        remarks += wrong
    words = hydrated([feed.rank]) if post is not None else ()
    features = post.features if post is not None else {}
    absent = [word for word in words if word in features and features[word] is None]
    if absent:
        said = "it comes after all that have a score"
        remarks.append(f"nobody could find out {', '.join(sorted(absent))}: {said}")
    return Standing(
        served=served,
        place=_place(uri, done[-1].posts),
        of=len(done[-1].posts),
        ranker=feed.rank.yaml_name(),
        score=score,
        terms=terms,
        ranked=_place(uri, ranked.posts),
        candidates=len(ranked.posts),
        steps=tuple(_steps(uri, stored.post, ranked, selected)),
        awaited=tuple(sorted(word for word in words if word not in features)),
        pinned=pinned,
        remarks=tuple(remarks),
    )


def _for_viewer(feed: FeedConfig, post: Post, request: Request) -> bool:
    viewer = request.viewer
    return viewer is None or all(explain_for(one, post, viewer).verdict for one in feed.viewer)


def _served(store: Store, feed: FeedConfig, stored: StoredPost, request: Request) -> Served | None:
    """What everybody was served, or the viewer of `request` last. None where others get another
    order, or where nothing of it is known."""
    if feed.by_language or (feed.personal and request.viewer is None):
        return None
    if feed.personal:
        version = store.latest_version(feed.name, asker_of(feed, request))
        if version is None:
            return None
    else:
        version = None if by_keyset(feed) else store.latest_version(feed.name)
    if version is not None:
        number = store.version_position(version.id, stored.id)
        place = None if number is None else number + 1
        return Served(place, version.size, moment(version.created_at))
    if feed.name not in stored.feeds:
        return None
    place, of = store.place_by_time(feed.name, micros(stored.post.sort_at), stored.id)
    return Served(place, of)


def _failure(stage: Stage) -> str:
    name = f"the {stage.plugin.kind} {stage.plugin.yaml_name()} failed ({stage.failure})"
    if isinstance(stage.plugin, Selector):
        return f"{name}; it is passed over"
    return f"{name}; the feed is newest first"


def _scored(ranked: Stage) -> Iterator[tuple[Post, float]]:
    """Those of which the ranker could tell, each with its score."""
    return zip(ranked.posts, ranked.scores, strict=False)


def _terms(ranker: Ranker, post: Post, ranked: Stage) -> tuple[tuple[Term, ...], list[str]]:
    """The terms of a score, or why they cannot be told."""
    scored = [other for other, _ in _scored(ranked)]
    try:
        terms = tuple(ranker.explain_among(post, scored, ranked.request))
        if not all(isinstance(term, Term) for term in terms):
            raise TypeError("it must give terms")
    except Exception as error:  # the score holds
        said = f"{type(error).__name__}: {error}"
        return (), [f"explain() of the ranker {ranker.yaml_name()} failed: {said}"]
    return terms, []


def _steps(uri: str, post: Post, ranked: Stage, selected: Sequence[Stage]) -> Iterator[Step]:
    """What each selector did with the post; nothing of those that left it where it was."""
    before = ranked.posts
    for stage in selected:
        was, now = _place(uri, before), _place(uri, stage.posts)
        if was != now and isinstance(stage.plugin, Selector):
            own = next((o for o in (*before, *stage.posts) if o.uri == uri), post)
            try:
                because = stage.plugin.explain(own, before, stage.posts, stage.request)
            except Exception as error:  # what it did holds
                because = f"explain() failed: {type(error).__name__}: {error}"
            because = because or _around(was, now, before, stage.posts)
            yield Step(stage.plugin.yaml_name(), was, now, because)
        before = stage.posts


def _around(was: int | None, now: int | None, before: Sequence[Post], after: Sequence[Post]) -> str:
    """What happened above a post that moved."""
    if was is None or now is None:
        return ""
    listed, there = {post.uri for post in before}, {post.uri for post in after}
    over = {post.uri for post in before[: was - 1]}
    above = {post.uri for post in after[: now - 1]}
    told = (
        (len(over - there), "above it left out"),
        (len(over & there - above), "that stood above it moved down"),
        (len(above & listed - over), "that stood below it moved up"),
        (len(above - listed), "of another feed put above it"),
    )
    return ", ".join(f"{number:,} {what}" for number, what in told if number)


def _place(uri: str, posts: Sequence[Post]) -> int | None:
    return next((place for place, post in enumerate(posts, 1) if post.uri == uri), None)
