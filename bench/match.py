"""What matching a post costs with 1, 100 and 10,000 feeds.

    python bench/match.py [--posts 2000]

Each feed looks for 20 words drawn from a vocabulary in which, as in language, the nth word is
said 1/n as often as the first; of 10,000 feeds 500 also have a regex, an author list, a language
and nested all/any/not. Limits for 10,000 feeds: 150 µs a post at about 20 hits, 300 MB, 5 s to
compile.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import time

from feedkit import Author, Keywords, Language, Not, Post, Regex, Reply
from feedkit.matcher import Matcher

VOCABULARY = 60_000
SYLLABLES = [
    "ba",
    "ke",
    "li",
    "mo",
    "nu",
    "ra",
    "se",
    "ti",
    "vo",
    "za",
    "chi",
    "dre",
    "fla",
    "gro",
    "pla",
    "sto",
    "tri",
    "wen",
    "yor",
    "qua",
]


def vocabulary(rnd: random.Random) -> list[str]:
    """Words that sound like words, no two alike."""
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        words["".join(rnd.choices(SYLLABLES, k=rnd.choice((2, 3, 3, 4))))] = None
    return list(words)


def feeds(rnd: random.Random, words: list[str], count: int):
    """`count` filters; every twentieth is a tree with regex, authors, language and a negation."""
    authors = [f"did:plc:{number:024}" for number in range(5000)]
    # People do not look for the commonest words: those say nothing.
    sought = words[1_000:]
    found = {}
    for number in range(count):
        filter = Keywords(rnd.sample(sought, 20))
        if number % 20 == 19:
            filter = (
                (filter & Language(["en", "de"]))
                | (Author(rnd.sample(authors, 50)) & Not(Reply()))
                | (Regex(rf"\b{rnd.choice(sought)}\d+\b") & Keywords(rnd.sample(sought, 5)))
            )
        found[f"feed{number}"] = filter
    return found


def posts(rnd: random.Random, words: list[str], count: int) -> list[Post]:
    """Posts of 30 words on average, in natural proportions."""
    weights = [1 / n for n in range(1, len(words) + 1)]
    return [
        Post(
            uri=f"at://did:plc:x/app.bsky.feed.post/{number}",
            author=f"did:plc:{rnd.randrange(50_000):024}",
            text=" ".join(rnd.choices(words, weights, k=rnd.randint(5, 55))),
            langs=("en",),
        )
        for number in range(count)
    ]


def memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, default=2000)
    args = parser.parse_args()
    rnd = random.Random(1)
    words = vocabulary(rnd)
    sample = posts(rnd, words, args.posts)
    before = memory()
    for count in (1, 100, 10_000):
        filters = feeds(rnd, words, count)
        began = time.perf_counter()
        matcher = Matcher(filters)
        compiled = time.perf_counter() - began
        matcher.match(sample[0])
        took, hits = [], 0
        for post in sample:
            fresh = Post(uri=post.uri, author=post.author, text=post.text + " ", langs=post.langs)
            began = time.perf_counter()
            hits += len(matcher.match(fresh))
            took.append(time.perf_counter() - began)
        took = [seconds * 1e6 for seconds in took]
        print(
            f"{count:6,} feeds: {statistics.mean(took):7.1f} µs a post (median "
            f"{statistics.median(took):.1f}), {hits / len(sample):.1f} hits a post, "
            f"compiled in {compiled:.2f} s, {memory() - before:.0f} MB"
        )
    print(f"limits: 150 µs ({statistics.mean(took) / 150:.2f}), 5 s ({compiled / 5:.2f}), "
          f"300 MB ({(memory() - before) / 300:.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
