"""How people write other people: from a DID, a handle, a link, a line of a file to a `Source`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from feedkit.addresses import post_address

_DID = re.compile(r"did:[a-z]+:[A-Za-z0-9._:%-]*[A-Za-z0-9._-]")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HANDLE = re.compile(rf"(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")
_KEY = re.compile(r"[A-Za-z0-9._:~-]{1,512}")
_APP = re.compile(r"(?:https?://)?(?:www\.)?bsky\.app/([^?#]*)(?:[?#].*)?")
_COLLECTIONS = {
    "app.bsky.graph.list": "list",
    "app.bsky.graph.starterpack": "starter_pack",
    "app.bsky.feed.post": "post",
}
_COLLECTION_OF = {kind: name for name, kind in _COLLECTIONS.items()}
_PAGES = {"lists": "list", "post": "post"}  # bsky.app/profile/WHO/…/KEY
_FILES = (".txt", ".csv", ".tsv", ".list", ".yaml", ".json")
LARGEST_FILE = 10_000_000  # bytes
MAPPED = ("followed_by", "followers_of", "file")


class Source(NamedTuple):
    """Where accounts come from. `kind` and what it is about: a DID for `did`, a handle for
    `handle`, an at:// address (of a DID or a handle) for `list`, `starter_pack` and `post`, a DID
    or a handle for `followed_by` and `followers_of`, a path for `file`."""

    kind: str
    about: str

    @property
    def key(self) -> str:
        """A text that stands for it, in the store."""
        return f"{self.kind} {self.about}"

    @property
    def written(self) -> str | dict[str, str]:
        """As it could stand in YAML."""
        return {self.kind: self.about} if self.kind in MAPPED else self.about

    def __str__(self) -> str:
        return f"{{{self.kind}: {self.about}}}" if self.kind in MAPPED else self.about


def parse_text(written: Any, expected: str = "a DID or a handle") -> Source:
    """What a text means. Raises `ValueError`; `expected` says what to write instead."""
    text = str(written).strip()
    if page := _APP.fullmatch(text):
        return _page(text, page[1].strip("/").split("/"), expected)
    if text.startswith("at://"):
        who, _, path = text.removeprefix("at://").rstrip("/").partition("/")
        return _record(text, who, *path.split("/")) if path else account(who, text, expected)
    return account(text, text, expected)


def account(name: str, written: str, expected: str = "a DID or a handle") -> Source:
    """A DID or a handle; `written` is quoted where it is neither."""
    if _DID.fullmatch(name) and len(name) <= 2048:
        return Source("did", name)
    if name.startswith("did:"):
        raise ValueError(
            f"{written!r} is not a complete DID; one looks like did:plc: and 24 letters"
        )
    if written.endswith(_FILES) or written.startswith(("./", "../", "/", "~/")):
        raise ValueError(f"{written!r} looks like a file; write {{file: {written}}}")
    handle = name.removeprefix("@").lower()
    if _HANDLE.fullmatch(handle) and len(handle) <= 253:
        return Source("handle", handle)
    if "go.bsky.app/" in written:
        raise ValueError(
            f"{written!r} is a short link; open it, and write the address that it leads to"
        )
    raise ValueError(f"{written!r} is no account; write {expected}")


def _page(text: str, parts: list[str], expected: str) -> Source:
    match parts:
        case ["profile", who]:
            return account(who, text, expected)
        case ["profile", _, "post", _]:
            return Source("post", post_address(text if "://" in text else f"https://{text}"))
        case ["profile", who, page, key] if page in _PAGES:
            return _record(text, who, _COLLECTION_OF[_PAGES[page]], key)
        case ["starter-pack" | "start", who, key]:
            return _record(text, who, _COLLECTION_OF["starter_pack"], key)
    raise ValueError(f"{text!r} is no account's page, list or starter pack; write {expected}")


def _record(text: str, who: str, collection: str, key: str = "", *more: str) -> Source:
    kind = _COLLECTIONS.get(collection)
    if kind is None or more or not _KEY.fullmatch(key):
        raise ValueError(
            f"{text!r} is no list or starter pack; their addresses are at://WHO/"
            "app.bsky.graph.list/KEY and at://WHO/app.bsky.graph.starterpack/KEY"
        )
    if kind == "post":
        return Source("post", post_address(text))
    return Source(kind, f"at://{account(who, text).about}/{collection}/{key}")


def parse_mapping(
    written: Mapping[Any, Any], known: Collection[str], expected: str
) -> list[Source]:
    """What `{followed_by: …}` and its like mean. Raises `ValueError`."""
    keys = [key for key in MAPPED if key in known]
    if not keys:
        raise ValueError(f"this is a mapping; write {expected}")
    if not written:
        raise ValueError(f"this mapping is empty; write {_or(keys)} in it")
    found: list[Source] = []
    for key, value in written.items():
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {_or(keys)}"
            raise ValueError(f"accounts cannot be given by {str(key)[:60]!r}; {hint}")
        values = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
        if not values:
            raise ValueError(f"{key} names nobody")
        found += [_mapped(key, one) for one in values]
    return found


def _mapped(key: str, value: Any) -> Source:
    if key == "file":
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise ValueError("file needs the path of a file")
        return Source("file", value.strip())
    if isinstance(value, Mapping):
        raise ValueError(f"{key} takes accounts, not a mapping")
    who = parse_text(value)
    if who.kind not in ("did", "handle"):
        raise ValueError(f"{key} takes accounts, and {value!r} is none; write a DID or a handle")
    return Source(key, who.about)


def _parse_lines(lines: Iterable[str]) -> tuple[frozenset[Source], list[tuple[int, str]]]:
    """What a file of accounts means: one a line, `#` begins a comment. With the lines that mean
    nothing, by number, and why."""
    found = set()
    problems = []
    for number, line in enumerate(lines, 1):
        text = re.split(r"(?:^|\s)#", line.removeprefix("\ufeff"), maxsplit=1)[0].strip()
        if not text:
            continue
        try:
            source = parse_text(text, "a DID, a handle, a list or a starter pack")
            if source.kind == "post":
                raise ValueError(f"{text!r} is a post; write its author's DID or handle")
        except ValueError as error:
            problems.append((number, str(error)))
        else:
            found.add(source)
    return frozenset(found), problems


def read_file(path: Path) -> tuple[frozenset[Source], list[tuple[int, str]]]:
    """The sources in a file, and what is wrong with it, by line (0: the whole file)."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            return frozenset(), [(0, f"the file is larger than {LARGEST_FILE:,} bytes")]
        return _parse_lines(content.decode("utf-8").splitlines())
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        return frozenset(), [(0, f"the file {str(path)!r} cannot be read: {said}")]


def _or(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
