"""The tests that a configuration brings along: `examples:`, `order:`, its own plugins' contracts.

`feedkit test` runs them, and so does pytest (see `feedkit.testing.pytest_plugin`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from types import ModuleType
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from feedkit.duration import duration_text
from feedkit.explain import explain
from feedkit.matcher import Matcher
from feedkit.plugin import Filter, Plugin
from feedkit.post import Post
from feedkit.ranking import Candidates, rank
from feedkit.settings import Example, ExampleVote, FeedConfig, Service
from feedkit.testing.contract import check_found, check_plugin
from feedkit.testing.failure import ContractBroken, no_score
from feedkit.testing.posts import ALICE, NOW, post, request, vote

Written = str | Example


class Case(NamedTuple):
    """Something to try. `problem()` tries it: what is wrong, in lines, or None."""

    name: str
    problem: Callable[[], str | None]


def examples(feed: FeedConfig) -> Iterator[Case]:
    """What `examples:` and `order:` of `feed` say."""
    written = feed.examples
    for side, wanted, posts in (("in", True, written.inside), ("out", False, written.outside)):
        for one in posts:
            yield Case(f"{side}: {_short(one)}", partial(_verdict, feed, one, wanted))
    if written.order:
        yield Case(f"order: {len(written.order)} posts", partial(_order, feed))


def contracts(service: Service) -> Iterator[Case]:
    """The contract of every plugin that is not feedkit's own, as the feeds use it."""
    seen = set()
    roots = [
        (feed.filter, feed.rank, *feed.select, *feed.viewer) for feed in service.feeds.values()
    ]
    for several in (*roots, service.hydrators):
        for root in several:
            for plugin in root.walk():
                own = type(plugin).__module__.startswith("feedkit.")
                if isinstance(plugin, Plugin) and not own and plugin not in seen:
                    seen.add(plugin)
                    yield Case(f"plugin {plugin!r}", partial(_contract, plugin, _modules(plugin)))


def as_post(written: Written, author: str = ALICE) -> Post:
    """The post that an example stands for, as it arrives: without counts."""
    one = Example(text=written) if isinstance(written, str) else written
    return post(
        one.text,
        author=one.author or author,
        age=one.age,
        langs=one.langs,
        tags=one.tags,
        links=one.links,
        labels=one.labels,
        mentions=one.mentions,
        images=one.images,
        video=one.video or one.video is not None,
        gif=one.gif,
        link_card=one.link_card or None,
        quote=one.quote,
        reply_to=one.reply_to,
        original_url=one.original_url,
        features={word: _feature(value) for word, value in one.features.items()},
    )


def _feature(value: object) -> object:
    """A value of YAML is text: what is JSON is taken for that."""
    try:
        return msgspec.json.decode(value) if isinstance(value, str) else value
    except msgspec.DecodeError:
        return value


def _verdict(feed: FeedConfig, one: Written, wanted: bool) -> str | None:
    tried = as_post(one)
    verdict = explain(feed.filter, tried)
    if (verdict.verdict is True) == wanted:
        dropped = _dropped(feed.filter, tried) if wanted else ""
        return f"{feed.place}: should be in, but {dropped}" if dropped else None
    undecided = ", but what the filters marked ? ask for is not known here"
    return "\n".join(
        (
            f"{feed.place}: should be {'in' if wanted else 'out'}"
            f"{undecided if verdict.verdict is None else ''}",
            *verdict.lines(),
        )
    )


def _dropped(filter: Filter, post: Post) -> str:
    """Why the look-up by keys never asks `filter` about `post`, which it keeps, or nothing."""
    if "feed" in Matcher({"feed": filter}).match(post):
        return ""
    for part in reversed(list(filter.walk())):  # the innermost is to blame
        try:
            if isinstance(part, Filter) and part.decide(post):
                check_found(part, Matcher({"feed": part}), post)
        except ContractBroken as error:
            return str(error)
        except Exception:
            continue  # it was not made for this post, such as the filter of a quoted one
    return f"the keys() of {filter.yaml_name()} do not find it"


def _order(feed: FeedConfig) -> str | None:
    """Ranks the posts as the ranking job does. Equal ones come newest first there, and the last
    written first here: an order that nothing but chance keeps is no order."""
    wanted = feed.examples.order
    posts = {number: _counted(one, number) for number, one in enumerate(wanted)}
    newest_first = sorted(posts.items(), key=lambda item: (item[1].sort_at, item[0]), reverse=True)
    try:
        scores = list(feed.rank.score_many(list(posts.values()), request()))
    except Exception as error:  # `rank` would go on, newest first
        return f"{feed.place}: {feed.rank.yaml_name()} failed: {type(error).__name__}: {error}"
    name = feed.rank.yaml_name()
    if len(scores) != len(posts):
        return f"{feed.place}: {name} gave {len(scores)} scores to {len(posts)} posts"
    for number, score in enumerate(scores):
        if wrong := no_score(score):
            return f"{feed.place}: {name} gave {_short(wanted[number])} {wrong}"
    came = rank(feed, Candidates.of(newest_first[: feed.depth]), NOW)
    if came == list(posts):
        return None
    lines = [f"{feed.place}: the posts come out in another order:"]
    for place, number in enumerate(came, 1):
        meant = "" if place == number + 1 else f"  (should be {number + 1})"
        lines.append(f"{place:3}. {_short(wanted[number])}  score {scores[number]:.6g}{meant}")
    lines += [f"left out: {_short(wanted[n])}" for n in posts if n not in came]
    return "\n".join(lines)


def _counted(written: Written, number: int) -> Post:
    """The post as the ranker sees it; one that names no author has one to itself."""
    made = as_post(written, f"did:plc:author{number:018}")
    one = Example() if isinstance(written, str) else written
    votes = [vote(v) if isinstance(v, str) else vote(v.by, v.kind, v.age) for v in one.votes]
    counted = post(
        likes=one.likes, reposts=one.reposts, replies=one.replies, quotes=one.quotes, votes=votes
    )
    return replace(made, counts=counted.counts, votes=counted.votes)


def _modules(plugin: Plugin) -> dict[str, ModuleType]:
    """The modules of the classes that `plugin` is made of. Loading a configuration again puts
    others in their place, in which pickle would look for the classes in vain."""
    names = {type(part).__module__ for part in plugin.walk()}
    return {name: sys.modules[name] for name in names}


def _contract(plugin: Plugin, modules: dict[str, ModuleType]) -> str | None:
    present = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        check_plugin(plugin)
    except AssertionError as error:
        return str(error)
    finally:
        sys.modules.update({name: module for name, module in present.items() if module})
    return None


def _short(written: Written) -> str:
    if isinstance(written, str):
        return _cut(written)
    given = [f"{key}: {_value(value)}" for key, value in written.__repr_args__() if key != "text"]
    return _cut(", ".join([written.text, *given] if written.text else given))


def _value(value: object) -> str:
    """A parameter as it would be written in YAML, or nearly so."""
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, tuple):
        value = tuple(one.by if isinstance(one, ExampleVote) else one for one in value)
        return str(value[0] or '""') if len(value) == 1 else f"[{', '.join(map(str, value))}]"
    return "yes" if value is True else str(value) or '""'


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"
