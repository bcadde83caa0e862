"""How a broken contract is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter
from typing import Any

from feedkit.plugin import Plugin
from feedkit.post import Post


class ContractBroken(AssertionError):
    """A plugin does not do what feedkit relies on. The message says what, and the remedy."""


def broken(plugin: Plugin, what: str) -> ContractBroken:
    return ContractBroken(f"{type(plugin).__name__}: {what}")


def timed(plugin: Plugin, work: Callable[[], Any], post: Post) -> tuple[Any, float]:
    began = perf_counter()
    try:
        result = work()
    except Exception as error:
        raise broken(plugin, f"raises {type(error).__name__} for {show(post)}: {error}") from error
    return result, perf_counter() - began


def no_score(score: object) -> str:
    """What is wrong with a score, or nothing."""
    if isinstance(score, bool) or not isinstance(score, (int, float)):
        return f"{score!r:.60}, which is no number"
    return "" if math.isfinite(score) else f"{score}; scores must be finite"


def show(post: Post) -> str:
    """A post, short enough for a message: only what it has."""
    bare = Post(uri="")
    told = {
        name: value
        for name in post.__struct_fields__
        if name not in ("uri", "cid", "created_at", "seen_at", "sort_at", "counts")
        and (value := getattr(post, name)) != getattr(bare, name)
    }
    shown = ", ".join(f"{name}={value!r}" for name, value in told.items())
    return f"post({shown if len(shown) < 200 else shown[:199] + '…'})"
