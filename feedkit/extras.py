"""What feedkit can do only with packages that are not always installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec

_asked: ContextVar[set[str] | None] = ContextVar("asked", default=None)


@contextmanager
def collected() -> Iterator[set[str]]:
    """The names of the extras that are asked for inside."""
    names: set[str] = set()
    before = _asked.set(names)
    try:
        yield names
    finally:
        _asked.reset(before)


def require(extra: str, *modules: str) -> None:
    """Raises ValueError, with the remedy, where one of `modules`, which the extra `extra` brings,
    is not installed. Imports none of them."""
    if (asked := _asked.get()) is not None:
        asked.add(extra)
    if missing := [module for module in modules if find_spec(module) is None]:
        raise ValueError(
            f"needs {' and '.join(missing)}, not installed here; "
            f"run: pip install 'atproto-feedkit[{extra}]'"
        )
