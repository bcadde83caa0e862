"""Names and numbers as people read them."""

from __future__ import annotations

import pytest

from feedkit.wording import listed, size_text


@pytest.mark.parametrize(
    ("number", "whole", "finer"),
    [
        (0, "0 bytes", "0 bytes"),
        (999, "999 bytes", "999 bytes"),
        (1500, "2 kB", "1.5 kB"),
        (3_140_000, "3 MB", "3.1 MB"),
        (999_000_000, "999 MB", "999.0 MB"),
        (1_250_000_000_000, "1250.0 GB", "1250.0 GB"),
    ],
)
def test_sizes(number, whole, finer):
    assert (size_text(number), size_text(number, 1)) == (whole, finer)


def test_many_names():
    assert listed([]) == ""
    assert listed("abcdefghij") == "a, b, c, d, e, f, g, h, i, j"
    assert listed(["a"] * 9 + ["j", "k", "l"]) == "a, " * 9 + "j and 2 more"
