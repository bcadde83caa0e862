"""The contract test that every plugin must pass, built in or yours."""

from __future__ import annotations

import math
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import perf_counter
from typing import Any

from msgspec.structs import replace
from pydantic import ValidationError

from feedkit.config.methods import lacking
from feedkit.context import Context
from feedkit.keys import wrong_keys
from feedkit.matcher import SLOW, Matcher
from feedkit.needs import STORED, VOTERS
from feedkit.plugin import (
    COUNTS,
    Filter,
    Hydrator,
    Pinned,
    Plugin,
    Ranker,
    Selector,
    needs_of,
    too_early,
)
from feedkit.post import Counts, Post, Request
from feedkit.testing.corpus import corpus
from feedkit.testing.explaining import check_reasons, check_terms
from feedkit.testing.failure import ContractBroken, broken, no_score, show, timed
from feedkit.testing.hydrating import check_hydrator
from feedkit.testing.posts import request
from feedkit.testing.viewers import (
    check_sought,
    check_viewer_filter,
    check_viewer_needs,
    requests,
)  # fmt: skip
from feedkit.testing.voting import voted
from feedkit.viewing import ViewerFilter

SLOW_LIST = 2.0  # seconds for a ranker or selector to go through 2,000 posts


def check_plugin(
    plugin: Plugin | type[Plugin], *examples: Post, context: Context | None = None
) -> None:
    """Raise `ContractBroken` if `plugin` breaks the contract of its kind.

    A class is tried with its defaults. It is given about a hundred odd posts, and `examples`:
    posts that it was made for, with the features it needs. A hydrator is asked about them where
    everything is away and where nothing is known; with a `context` it must answer.
    """
    cls = plugin if isinstance(plugin, type) else type(plugin)
    if issubclass(cls, Plugin) and (said := lacking(cls)):
        raise ContractBroken(f"{cls.__name__}: {said}")
    if isinstance(plugin, type):
        plugin = _with_defaults(plugin)
    if not isinstance(plugin, Plugin):
        raise ContractBroken(
            f"{type(plugin).__name__} is no plugin: derive it from Filter, ViewerFilter, "
            "Ranker, Selector or Hydrator"
        )
    _check_values(plugin)
    posts = (*corpus(), *examples)
    if isinstance(plugin, Filter):
        _check_filter(plugin, posts)
    elif isinstance(plugin, ViewerFilter):
        check_viewer_filter(plugin, posts)
    elif isinstance(plugin, Ranker):
        _check_ranker(plugin, posts)
    elif isinstance(plugin, Selector):
        _check_selector(plugin, posts)
    elif isinstance(plugin, Hydrator):
        check_hydrator(plugin, posts, context)


def _with_defaults(cls: type[Plugin]) -> Plugin:
    try:
        return cls()
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{first['loc'][0]}: " if first["loc"] else ""
        raise ContractBroken(
            f"{cls.__name__} cannot be made without parameters ({what}{first['msg']}): give "
            f"check_plugin an instance, {cls.__name__}(…)"
        ) from None


def _check_values(plugin: Plugin) -> None:
    """A plugin is a value: frozen, comparable, storable, described."""
    cls = type(plugin)
    if not (cls.__doc__ or "").strip() or cls.__doc__ == cls.__mro__[1].__doc__:
        raise broken(plugin, "has no docstring; its first sentence is what people will read")
    for name in cls.model_fields:
        try:
            setattr(plugin, name, getattr(plugin, name))
        except (ValidationError, AttributeError):
            continue
        raise broken(plugin, f"its parameter {name} can be set; leave model_config frozen")
    given = {name: getattr(plugin, name) for name in cls.model_fields}
    copies: dict[str, Callable[[], Plugin]] = {
        "made again from its own parameters": partial(cls, **given),
        "pickled": lambda: pickle.loads(pickle.dumps(plugin)),
    }
    for how, other in copies.items():
        try:
            again = other()
        except Exception as error:
            raise broken(plugin, f"cannot be {how}: {type(error).__name__}: {error}") from error
        if again != plugin or hash(again) != hash(plugin):
            raise broken(plugin, f"is not equal to itself once it is {how}")
        if how == "pickled" and again.fingerprint() != plugin.fingerprint():
            raise broken(plugin, "has another fingerprint once it is pickled")
    repr(plugin)
    try:
        cls.model_json_schema()
    except Exception as error:
        raise broken(plugin, f"has a parameter without a JSON Schema: {error}") from error
    for need in needs_of([plugin]):
        if not isinstance(need, str) or not need:
            raise broken(plugin, f"needs must be words, not {need!r}")


def _check_filter(plugin: Filter, posts: Sequence[Post]) -> None:
    if said := too_early(plugin):
        raise broken(plugin, said)
    index = Matcher({"feed": plugin})
    if index.errors:
        raise broken(plugin, wrong_keys(plugin.keys()))
    verdicts: list[bool | None] = []
    for post in posts:
        decide = partial(plugin.decide, post)
        verdict, first = timed(plugin, decide, post)
        again, second = timed(plugin, decide, post)
        if again is not verdict:
            raise broken(plugin, f"says first {verdict}, then {again} of {show(post)}; {_PURE}")
        if min(first, second) > SLOW:
            raise broken(
                plugin,
                f"takes {min(first, second) * 1000:.0f} ms for {show(post)}; everything waits "
                f"for it: stay far below {SLOW * 1000:.0f} ms",
            )
        verdicts.append(verdict)
        if verdict:
            check_found(plugin, index, post)
    copy = pickle.loads(pickle.dumps(plugin))
    for post, verdict in zip(reversed(posts), reversed(verdicts), strict=True):
        if copy.decide(post) is not verdict:
            raise broken(plugin, f"decides {show(post)} differently after other posts; {_PURE}")
    decided = [post for post, verdict in zip(posts, verdicts, strict=True) if verdict is not None]
    many = plugin.match_many(decided)
    if list(many) != [verdict for verdict in verdicts if verdict is not None]:
        raise broken(plugin, "match_many says something else than match")


_PURE = "match must depend on the post and the parameters alone"


def check_found(plugin: Filter, index: Matcher, post: Post) -> None:
    """Raise `ContractBroken` where `index`, of one feed «feed» with the filter `plugin`, drops
    `post`, which it keeps."""
    if "feed" not in index.match(post):
        raise broken(
            plugin,
            f"keys() are {sorted(plugin.keys() or ())}, but {show(post)} has none of them and "
            "matches; a post without a key must never match (or return None from keys)",
        )
    because = plugin.explain(post)
    if not isinstance(because, str):
        raise broken(plugin, f"explain returns {type(because).__name__}, not a text")


def _check_ranker(plugin: Ranker, posts: Sequence[Post]) -> None:
    posts = _counted(plugin, posts)
    for asked in requests(posts):
        scores = _scores(plugin, asked, posts)
        for post, score in zip(posts, scores, strict=True):
            if wrong := no_score(score):
                raise broken(plugin, f"gives {show(post)} {wrong}")
        if _scores(plugin, asked, posts) != scores:
            raise broken(plugin, "scores the same posts differently the second time")
        turned = _scores(plugin, asked, posts[::-1])[::-1]
        for post, one, other in zip(posts, scores, turned, strict=True):
            if not math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9):
                raise broken(plugin, f"scores {show(post)} differently in another order")
        _check_needs(plugin, posts, partial(_scores, plugin, asked))
        check_viewer_needs(plugin, asked, lambda asked: _scores(plugin, asked, posts))
        if _scores(plugin, asked, []) != []:
            raise broken(plugin, "gives scores where there are no posts")
        check_terms(plugin, asked, posts, scores)
        if asked.viewer is not None:
            check_sought(plugin, asked, asked.viewer)
    _check_speed(plugin, posts, lambda many: plugin.score_many(many, request()))


def _scores(plugin: Ranker, asked: Request, posts: Sequence[Post]) -> list[float]:
    try:
        scores = list(plugin.score_many(posts, asked))
    except Exception as error:
        raise broken(plugin, f"raises {type(error).__name__}: {error}") from error
    if len(scores) != len(posts):
        raise broken(plugin, f"gives {len(scores)} scores to {len(posts)} posts")
    return scores


def _check_selector(plugin: Selector, posts: Sequence[Post]) -> None:
    posts = _counted(plugin, posts)
    other = (*posts[::3], *(replace(post, uri=f"{post.uri}-other") for post in posts[::2]))
    mixed = dict.fromkeys(plugin.mixes, other)
    allowed = {post.uri for some in mixed.values() for post in some}
    for asked in (replace(asked, feeds=mixed) for asked in requests(posts)):
        for some in (posts, posts[::-1], posts[:1], ()):
            given = list(some)
            chosen = _selected(plugin, asked, given)
            if given != list(some):
                raise broken(plugin, "changes the list it is given; make a new one")
            if _selected(plugin, asked, given) != chosen:
                raise broken(plugin, "selects differently from the same posts the second time")
            uris = Counter(post.uri for post in chosen)
            if invented := uris.keys() - {post.uri for post in some} - allowed:
                raise broken(plugin, f"invents a post, {min(invented)}")
            if twice := [uri for uri, times in uris.items() if times > 1]:
                raise broken(plugin, f"shows a post twice, {twice[0]}")
            check_reasons(plugin, asked, given, chosen)
        for pin in plugin.pins(asked):
            if not isinstance(pin, Pinned) or pin.at < 1:
                raise broken(plugin, f"pins {pin!r}; it must be Pinned(uri=…, at=…), at from 1")
        _check_needs(plugin, posts, partial(_uris_selected, plugin, asked))
        check_viewer_needs(plugin, asked, lambda asked: _uris_selected(plugin, asked, posts))
    _check_speed(plugin, posts, lambda many: plugin.select(many, request()))


def _selected(plugin: Selector, asked: Request, posts: list[Post]) -> list[Post]:
    try:
        chosen = plugin.select(posts, asked)
    except Exception as error:
        raise broken(plugin, f"raises {type(error).__name__}: {error}") from error
    if not isinstance(chosen, list) or not all(isinstance(post, Post) for post in chosen):
        raise broken(plugin, f"select must return a list of posts, not {type(chosen).__name__}")
    return chosen


def _uris_selected(plugin: Selector, asked: Request, posts: Sequence[Post]) -> list[str]:
    return [post.uri for post in _selected(plugin, asked, list(posts))]


def _counted(plugin: Plugin, posts: Iterable[Post]) -> tuple[Post, ...]:
    """`posts` as they are when a feed is ranked, without those whose features are not known."""
    needs = needs_of([plugin])
    counted = [
        replace(post, counts=post.counts or Counts(number % 7, number % 3, number % 5, number % 2))
        for number, post in enumerate(posts)
        if needs - STORED <= post.features.keys()
    ]
    return tuple(voted(counted, needs & COUNTS) if VOTERS in needs else counted)


def _check_needs(
    plugin: Plugin, posts: Sequence[Post], outcome: Callable[[Sequence[Post]], Any]
) -> None:
    """What a plugin does not say it needs is not counted: it must not make a difference."""
    usual = outcome(posts)
    needs = needs_of([plugin])
    if VOTERS not in needs and outcome(voted(posts, COUNTS, counting=False)) != usual:
        raise broken(plugin, 'looks at votes but does not need them; add "voters" to its needs')
    for name in sorted(COUNTS - needs):
        less = [
            replace(p, counts=replace(p.counts, **{name: 0})) for p in posts if p.counts is not None
        ]
        if outcome(less) != usual:
            raise broken(
                plugin, f"looks at {name} but does not need them; add needs = {{{name!r}}}"
            )


def _check_speed(plugin: Plugin, posts: Sequence[Post], work: Callable[[list[Post]], Any]) -> None:
    if not posts:
        return
    many = [
        replace(posts[n % len(posts)], uri=f"{posts[n % len(posts)].uri}{n}") for n in range(2000)
    ]
    taken = []
    for _ in range(2):
        began = perf_counter()
        work(many)
        taken.append(perf_counter() - began)
    if min(taken) > SLOW_LIST:
        raise broken(plugin, f"takes {min(taken):.1f} s for 2,000 posts; stay below {SLOW_LIST} s")
