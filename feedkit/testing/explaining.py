"""What rankers and selectors say of themselves must be true."""

from __future__ import annotations

import math
from collections.abc import Sequence
from time import perf_counter

from feedkit.ordering import total
from feedkit.plugin import Ranker, Selector, Term
from feedkit.post import Post, Request
from feedkit.testing.failure import broken, show

LONG = 0.25  # seconds


def check_terms(
    plugin: Ranker, asked: Request, posts: Sequence[Post], scores: Sequence[float]
) -> None:
    """Raise `ContractBroken` where the terms of a ranker do not make its `scores` of `posts`. One
    that explains a post among others may take as long for each as for all of them: once that has
    taken `LONG`, it is asked no more than about every eighth."""
    every = [*zip(posts, scores, strict=True)]
    surely = every[::8]
    rest = [one for number, one in enumerate(every) if number % 8]
    until = perf_counter() + LONG
    for number, (post, score) in enumerate(surely + rest):
        if number >= len(surely) and perf_counter() > until:
            break
        try:
            terms = plugin.explain_among(post, posts, asked)
        except Exception as error:
            said = f"explain raises {type(error).__name__} for {show(post)}: {error}"
            raise broken(plugin, said) from error
        if not isinstance(terms, Sequence) or not all(isinstance(term, Term) for term in terms):
            raise broken(plugin, f"explain must return a list of Term, not {terms!r}")
        if terms:
            _check_total(plugin, tuple(terms), score, post)


def _check_total(plugin: Ranker, terms: tuple[Term, ...], value: float, post: Post) -> None:
    try:
        made = total(terms)
    except ArithmeticError as error:
        raise broken(plugin, f"explain: {error} in {terms}") from error
    if not math.isclose(made, value, rel_tol=1e-9, abs_tol=1e-9):
        raise broken(
            plugin,
            f"explain says what makes {made:g}, but it is {value:g}, for {show(post)}; "
            "the terms are joined from left to right, each by its `by`",
        )
    for term in terms:
        if term.parts:
            _check_total(plugin, term.parts, term.value, post)


def check_reasons(
    plugin: Selector, asked: Request, before: Sequence[Post], after: Sequence[Post]
) -> None:
    """Raise `ContractBroken` where a selector cannot say of a post why it made `after` of
    `before`."""
    for post in {post.uri: post for post in (*before, *after)}.values():
        try:
            because = plugin.explain(post, before, after, asked)
        except Exception as error:
            said = f"explain raises {type(error).__name__} for {show(post)}: {error}"
            raise broken(plugin, said) from error
        if not isinstance(because, str):
            raise broken(plugin, f"explain returns {type(because).__name__}, not a text")
