"""What matching a post costs with 1, 100 and 10,000 feeds, and with long lists of people.

    python bench/match.py [--posts 2000]

Each feed looks for 20 words drawn from a vocabulary in which, as in language, the nth word is
said 1/n as often as the first; of 10,000 feeds 500 also have a regex, an author list, a language
and nested all/any/not. Limits for 10,000 feeds: 150 µs a post at about 20 hits, 300 MB, 5 s to
compile. Then 500 feeds of people: with one list of 100,000 that all of them share, and with lists of
100,000 of which no two are equal. Each case runs in a process of its own; "again" is what ingest
waits for when a list has changed.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import random
import resource
import statistics
import time
from typing import NamedTuple

from feedkit import Author, Filter, InList, Keywords, Language, Not, Post, Regex, Reply
from feedkit.accounts import bind
from feedkit.matcher import Matcher

VOCABULARY = 60_000
COMMON = 8_000  # words for which nobody looks: they say nothing
SYLLABLES = ["ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "za", "chi", "dre", "fla", "gro", "pla", "sto", "tri", "wen", "yor", "qua"]  # fmt: skip
LISTED, ON_A_LIST = 500, 100_000
LISTS = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.graph.list/"
US, COMPILE, MB = 150, 5, 300  # limits for 10,000 feeds


class Cost(NamedTuple):
    """What one case costs: µs a post on average and at most in half of them, hits a post,
    seconds to compile and to compile again for other people, megabytes at the worst moment."""

    mean: float
    median: float
    hits: float
    compile: float
    again: float
    memory: float


def vocabulary(rnd: random.Random) -> list[str]:
    """Words that sound like words, no two alike."""
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        words["".join(rnd.choices(SYLLABLES, k=rnd.choice((2, 3, 3, 4))))] = None
    return list(words)


def did(number: int) -> str:
    return f"did:plc:{number:024}"


def feeds(rnd: random.Random, words: list[str], count: int) -> dict[str, Filter]:
    """`count` filters; every twentieth is a tree with regex, authors, language and a negation."""
    authors = [did(number) for number in range(5000)]
    sought = words[COMMON:]
    found = {}
    for number in range(count):
        filter: Filter = Keywords(rnd.sample(sought, 20))
        if number % 20 == 19:
            filter = (
                (filter & Language(["en", "de"]))
                | (Author(rnd.sample(authors, 50)) & Not(Reply()))
                | (Regex(rf"\b{rnd.choice(sought)}\d+\b") & Keywords(rnd.sample(sought, 5)))
            )
        found[f"feed{number}"] = filter
    return found


def listed(rnd: random.Random, words: list[str], shared: bool) -> dict[str, Filter]:
    """Feeds of people on lists, half of them with keywords; the lists are filled."""
    found: dict[str, Filter] = {}
    people = [did(number) for number in range(ON_A_LIST * 2)]
    same = frozenset(people[:ON_A_LIST])
    for number in range(LISTED):
        list_ = InList(f"{LISTS}{0 if shared else number}")
        members = same if shared else frozenset(people[number : number + ON_A_LIST])
        bind(list_, {list_.lists.sources[0]: members})
        keywords = Keywords(rnd.sample(words[:COMMON], 20))
        found[f"list{number}"] = list_ & keywords if number % 2 else list_
    return found


def posts(rnd: random.Random, words: list[str], count: int) -> list[Post]:
    """Posts of 30 words on average, in natural proportions."""
    weights = [1 / n for n in range(1, len(words) + 1)]
    return [
        Post(
            uri=f"at://did:plc:x/app.bsky.feed.post/{number}",
            author=did(rnd.randrange(ON_A_LIST * 20)),
            text=" ".join(rnd.choices(words, weights, k=rnd.randint(5, 55))),
            langs=("en",),
        )
        for number in range(count)
    ]


def memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(case: int | str, number: int) -> Cost:
    """`case`: how many feeds of keywords, or whether the lists are "shared" or "unequal"."""
    rnd = random.Random(1)
    words = vocabulary(rnd)
    sample = posts(rnd, words, number)
    if isinstance(case, int):
        before = memory()  # feeds and matcher
        filters = feeds(rnd, words, case)
    else:
        filters = listed(rnd, words, case == "shared")
        gc.collect()
        before = memory()  # the matcher alone: the lists are there with or without it
    began = time.perf_counter()
    matcher = Matcher(filters)
    compiled = time.perf_counter() - began
    began = time.perf_counter()
    matcher.people_changed()
    again = time.perf_counter() - began
    matcher.match(sample[0])
    took, hits = [], 0
    for post in sample:
        began = time.perf_counter()
        hits += len(matcher.match(post))
        took.append((time.perf_counter() - began) * 1e6)
    return Cost(
        statistics.mean(took), statistics.median(took), hits / len(sample), compiled, again,
        memory() - before,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, default=2000)
    args = parser.parse_args()
    cases: dict[int | str, str] = {
        1: "1 feed", 100: "100 feeds", 10_000: "10,000 feeds",
        "shared": f"{LISTED} feeds, one list of {ON_A_LIST:,}",
        "unequal": f"{LISTED} feeds, lists of {ON_A_LIST:,} each",
    }  # fmt: skip
    costs = {}
    for case, name in cases.items():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            costs[case] = cost = pool.apply(measure, (case, args.posts))
        print(
            f"{name:>36}: {cost.mean:6.1f} µs a post (median {cost.median:.1f}), {cost.hits:.1f} "
            f"hits a post, compiled in {cost.compile:.2f} s, again in {cost.again * 1000:.0f} ms, "
            f"{cost.memory:.0f} MB"
        )
    full = costs[10_000]
    print(
        f"limits at 10,000 feeds, used: {US} µs {full.mean / US:.0%}, {COMPILE} s "
        f"{full.compile / COMPILE:.0%}, {MB} MB {full.memory / MB:.0%}; "
        f"{(full.mean - costs[1].mean) / max(full.hits, 1):.1f} µs a hit"
    )


if __name__ == "__main__":
    main()
