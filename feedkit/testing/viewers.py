"""What plugins do with who asks: viewers to try them with, and the contract of viewer filters."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from functools import partial
from typing import Any

from msgspec.structs import replace

from feedkit.matcher import SLOW
from feedkit.plugin import Plugin, Ranker, Sought, needs_of
from feedkit.post import CoLike, Post, Request, Viewer
from feedkit.testing.failure import broken, show, timed
from feedkit.testing.posts import ALICE, BOB, NOW, request, viewer
from feedkit.viewing import ViewerFilter

_NOBODY = Viewer(did="")
_PARTS = ("follows", "followers", "likes", "seen", "more", "less", "co_likes")
_PURE = "keep must depend on the post, the viewer and the parameters alone"


def requests(posts: Sequence[Post]) -> tuple[Request, ...]:
    """Nobody, a viewer of whom nothing is known, and one who did something with all these
    `posts`."""
    several = [post for post in posts if post.uri.startswith("at://")]
    ages = {post: timedelta(hours=number) for number, post in enumerate(several)}
    full = viewer(
        follows={ALICE, *(post.author for post in posts[::2])},
        followers={BOB, *(post.author for post in posts[::3])},
        likes=dict([*ages.items()][::4]),
        seen=several[::3],
        more=dict([*ages.items()][1::9]),
        less=dict([*ages.items()][2::9]),
        co_likes={
            post: [
                CoLike(ALICE, NOW - timedelta(hours=number), 1 + number % 3, 4),
                CoLike("did:web:example.org", NOW - timedelta(days=number), 1, 10**6),
            ]
            for number, post in enumerate(several[::2])
        },
    )
    return (
        request(),
        request(viewer=viewer()),
        request(viewer=full, languages=("en-gb", "ja")),
    )


def check_viewer_filter(plugin: ViewerFilter, posts: Sequence[Post]) -> None:
    """Raise `ContractBroken` if `plugin` breaks the contract of viewer filters."""
    for asked in requests(posts):
        if asked.viewer is not None:
            _check_for(plugin, posts, asked.viewer)
            check_viewer_needs(
                plugin, asked, lambda asked: _kept(plugin, posts, asked.viewer or _NOBODY)
            )


def _check_for(plugin: ViewerFilter, posts: Sequence[Post], who: Viewer) -> None:
    kept = _kept(plugin, posts, who)
    if kept != _kept(plugin, posts, who):
        raise broken(plugin, f"says something else of the same post the second time; {_PURE}")
    copy = pickle.loads(pickle.dumps(plugin))
    if kept != _kept(copy, posts[::-1], who)[::-1]:
        raise broken(plugin, f"says something else of a post after other posts; {_PURE}")
    if plugin.keep_many(posts, who) != kept:
        raise broken(plugin, "keep_many says something else than keep")
    authors, mentioned = plugin.authors(who), plugin.mentioned(who)
    options = plugin.alternatives(who)
    for post, shown in zip(posts, kept, strict=True):
        if shown and authors is not None and post.author not in authors:
            raise broken(
                plugin,
                f"keeps {show(post)}, whose author is not among authors(); these must be all "
                "whose posts it keeps (or return None)",
            )
        if shown and mentioned is not None and mentioned not in post.mentions:
            raise broken(
                plugin,
                f"keeps {show(post)}, which does not mention mentioned(), {mentioned}; return "
                "None where it keeps others, too",
            )
        if shown and not any(_fits(post, *option) for option in options):
            raise broken(plugin, f"keeps {show(post)}, which fits none of its alternatives()")


def _fits(post: Post, authors: AbstractSet[str] | None, mentioned: str | None) -> bool:
    by = authors is None or post.author in authors
    return by and (mentioned is None or mentioned in post.mentions)


def _kept(plugin: ViewerFilter, posts: Sequence[Post], who: Viewer) -> list[bool]:
    verdicts = []
    for post in posts:
        keep = partial(plugin.keep, post, who)
        kept, taken = timed(plugin, keep, post)
        if kept is not True and kept is not False:
            said = f"keep returns {type(kept).__name__}, not True or False; wrap it in bool(…)"
            raise broken(plugin, said)
        if taken > SLOW:
            _, again = timed(plugin, keep, post)
            if again > SLOW:
                raise broken(plugin, f"takes {again * 1000:.0f} ms for {show(post)}")
        verdicts.append(kept)
    return verdicts


def check_sought(plugin: Ranker, asked: Request, who: Viewer) -> None:
    """Raise `ContractBroken` where `plugin` cannot say what it seeks for the viewer."""
    try:
        sought = plugin.seeks(who)
    except Exception as error:
        raise broken(plugin, f"seeks raises {type(error).__name__}: {error}") from error
    if not isinstance(sought, Sought):
        said = f"seeks returns {type(sought).__name__}; it must be Sought(uris=…, authors=…)"
        raise broken(plugin, said)
    if wrong := [one for one in sought.uris if not str(one).startswith("at://")]:
        raise broken(plugin, f"seeks {wrong[0]!r}, which is no at:// URI of a post")
    if wrong := [one for one in sought.authors if not str(one).startswith("did:")]:
        raise broken(plugin, f"seeks posts by {wrong[0]!r}, which is no DID")
    check_viewer_needs(plugin, asked, lambda asked: plugin.seeks(asked.viewer or _NOBODY))


def check_viewer_needs(plugin: Plugin, asked: Request, outcome: Callable[[Request], Any]) -> None:
    """What a plugin does not say it needs is not loaded: it must not make a difference."""
    usual = outcome(asked)
    needs = needs_of([plugin])
    less = []
    if asked.viewer is not None:
        less = [
            (f"viewer.{part}", replace(asked, viewer=replace(asked.viewer, **{part: empty})))
            for part in _PARTS
            if getattr(asked.viewer, part) != (empty := getattr(_NOBODY, part))
        ]
    if asked.languages:
        less.append(("request.languages", replace(asked, languages=())))
    for need, changed in less:
        if need not in needs and outcome(changed) != usual:
            raise broken(plugin, f"looks at {need} but does not need it; add needs = {{{need!r}}}")
