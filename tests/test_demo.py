from __future__ import annotations

from collections import Counter
from itertools import pairwise

from feedkit.demo import END, events


def test_the_sample_is_a_small_network_in_many_languages():
    sample = list(events())
    kinds = Counter(event["commit"]["collection"].rsplit(".", 1)[1] for event in sample)
    posts = [e["commit"]["record"] for e in sample if e["commit"]["collection"].endswith(".post")]
    assert kinds["post"] >= 300
    assert kinds["like"] >= 500
    assert sum("reply" in post for post in posts) >= 50
    assert len({post["langs"][0] for post in posts}) >= 20


def test_the_sample_is_in_order_and_ends_now():
    times = [event["time_us"] for event in events()]
    assert all(a <= b for a, b in pairwise(times))
    assert times[-1] <= END
    assert END - times[0] < 5 * 24 * 3_600_000_000


def test_the_sample_is_the_same_every_time():
    assert list(events()) == list(events())


def test_every_record_has_an_address_of_its_own():
    addresses = [(e["did"], e["commit"]["collection"], e["commit"]["rkey"]) for e in events()]
    assert len(set(addresses)) == len(addresses)
