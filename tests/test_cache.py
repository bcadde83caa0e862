from __future__ import annotations

from feedkit.cache import Cache


def test_a_cache_holds_so_much_and_lets_go_of_what_was_not_asked_for():
    cache = Cache(10)
    for number in range(3):
        cache.put(number, str(number), 0, 4)
        cache.get(0)
    assert [cache.get(number) for number in range(3)] == ["0", None, "2"]
    cache.put(2, "two", 0, 6)  # in place of the other, not beside it
    assert [cache.get(number) for number in (0, 2)] == ["0", "two"]
    cache.put(9, "too heavy", 0, 11)
    assert [cache.get(number) for number in (0, 2, 9)] == [None, None, None]
    cache.put(1, "again", 0, 10)
    assert cache.get(1) == "again"


def test_a_cache_forgets_and_does_not_mind_a_clock_that_goes_back():
    cache = Cache(10)
    cache.put("a", 1, 100)
    assert cache.get("a", 109, 10) == 1
    assert cache.get("a", 110, 10) is None
    assert cache.get("a", 99, 10) is None
    assert cache.get("a") == 1
