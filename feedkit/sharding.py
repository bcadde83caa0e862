"""One of several ingests: which accounts are its own, and which events concern it.

Every shard reads the whole stream. Posts and account states belong to the shard of their account,
likes, reposts, replies and quotes to that of the account whose post they are about. What is taken
back names no post: each shard looks the record up, and leaves it if it is another one's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

from feedkit.event import AccountChanged, Engaged, Event, PostWritten

MOST = 1000  # shards of one service
SHARDS = "FEEDKIT_SHARDS"
# What runners of a Procfile call a process, such as worker.2; the one that is nearest first.
_NAMES = ("HONCHO_PROCESS_NAME", "DYNO")


class Shard(NamedTuple):
    """The `number`-th, from 1, of `of` shards: the accounts whose DID has
    `crc32(DID as UTF-8) % of == number - 1`."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, did: str) -> bool:
        """Whether the account is this shard's."""
        return crc32(did.encode()) % self.of == self.number - 1

    def has_record(self, uri: str) -> bool:
        """Whether the account of the record at `uri`, at://DID/…, is this shard's."""
        return crc32(account_of(uri).encode()) % self.of == self.number - 1

    def concerns(self, event: Event) -> bool:
        """Whether `event` may change something that is this shard's."""
        kind = type(event)
        if kind is Engaged:
            return self.has_record(event.subject)  # type: ignore[union-attr]
        if isinstance(event, PostWritten):
            post = event.post
            return self.has(post.author) or (
                event.created
                and (
                    (bool(post.reply_parent) and self.has_record(post.reply_parent))
                    or (bool(post.quote) and self.has_record(post.quote))
                )
            )
        if isinstance(event, AccountChanged):
            return self.has(event.did)
        return True

    def named(self, source: str) -> str:
        """The name under which this shard's cursor of `source` is stored."""
        return f"{source} {self}"

    def all_named(self, source: str) -> list[str]:
        """The names of all the shards' cursors."""
        return [Shard(number, self.of).named(source) for number in range(1, self.of + 1)]


def parse_shard(text: str) -> Shard:
    """The shard that `i/n` names, i from 1 to n. Raises ValueError."""
    number, slash, of = text.strip().partition("/")
    if not (slash and number.isdecimal() and of.isdecimal()):
        raise ValueError(f"{text!r} is no shard; write the first of three as 1/3")
    shard = Shard(int(number), int(of))
    if not 1 <= shard.number <= shard.of <= MOST:
        raise ValueError(
            f"{text!r} is no shard: its number goes from 1 to the number of shards, at most {MOST}"
        )
    return shard


def numbered_shard(environ: Mapping[str, str]) -> Shard | None:
    """The shard of a process that is one of `FEEDKIT_SHARDS` alike: its number is that in the name
    which its runner gave it, `DYNO` (Heroku) or `HONCHO_PROCESS_NAME`. None where there is but
    one. Raises ValueError."""
    text = environ.get(SHARDS, "").strip()
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise ValueError(
            f"{SHARDS}: {text!r} is no number of shards; write one from 1 to {MOST}, or unset it"
        )
    of = int(text)
    variable = next((one for one in _NAMES if environ.get(one)), "")
    name = environ.get(variable, "")
    digits = name.rpartition(".")[2]
    number = int(digits) if "." in name and digits.isdecimal() else 0
    if number > of:
        raise ValueError(
            f"{SHARDS}={of}, but this process is {name} ({variable}): set {SHARDS} to the number "
            "of workers that there are, or start fewer"
        )
    if of == 1:
        return None
    if name.startswith("run."):  # `heroku run`: it would be the same as the worker of its number
        raise ValueError(
            f"{SHARDS}={of}, but this process is {name} ({variable}), none of the workers: say "
            "--shard, or unset it for this process"
        )
    if not number:
        called = f"{variable} is {name!r}" if name else f"neither {' nor '.join(_NAMES)} is set"
        raise ValueError(
            f"{SHARDS}={of}, but nothing tells which of them this process is: {called}, where it "
            f"should be such as worker.2; if no runner sets it, unset {SHARDS}, and give each "
            f"process its own FEEDKIT_SHARD, 1/{of} and so on"
        )
    return Shard(number, of)


def account_of(uri: str) -> str:
    """The DID in at://DID/COLLECTION/RKEY; nothing where there is none."""
    parts = uri.split("/", 3)
    return parts[2] if len(parts) > 2 else ""
