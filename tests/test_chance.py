from __future__ import annotations

from feedkit.chance import fraction


def test_it_is_the_same_on_every_machine_and_in_every_version():
    assert fraction("random", "", 20468, "at://x") == 0.834728881227068


def test_it_is_even_and_its_parts_are_apart():
    drawn = [fraction("x", number) for number in range(4000)]
    assert all(0 <= value < 1 for value in drawn)
    for tenth in range(10):
        assert 320 < sum(tenth / 10 <= value < (tenth + 1) / 10 for value in drawn) < 480
    assert fraction("a", "bc") != fraction("ab", "c")
    assert fraction("\ud800") != fraction("a")  # no text makes it fail
