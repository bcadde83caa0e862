"""Names and numbers as people read them."""

from __future__ import annotations

from collections.abc import Sequence


def listed(names: Sequence[str]) -> str:
    """The first ten of `names`, and how many more there are."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more


def size_text(number: float, places: int = 0) -> str:
    """A number of bytes: `700 bytes`, `3 MB`, `1.2 GB`. `places`: decimals of kB and MB."""
    if number < 1000:
        return f"{number:.0f} bytes"
    for unit in ("kB", "MB"):
        number /= 1000
        if number < 1000:
            return f"{number:.{places}f} {unit}"
    return f"{number / 1000:.1f} GB"
