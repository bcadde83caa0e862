"""`Accounts`: people, as a parameter of a plugin.

What is written (DIDs, handles, lists, …) is the parameter: equality, hash and fingerprint go by
it. Who is meant by it at the moment is found out by `feedkit.people` and bound to it from outside,
so that `match` stays pure and fast: a look-up in a frozen set of DIDs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any, ClassVar, NoReturn, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from feedkit.accounts.written import Source, parse_mapping, parse_text
from feedkit.parameters import Parameters

Found = Mapping[Source, frozenset[str]]
_SEVERAL = (list, tuple, set, frozenset)
LARGE = 1_000  # members of a set that is not copied: it may be the list of a thousand feeds


class NotKnownYet(LookupError):
    """A plugin asked for accounts that the network has not told yet. A filter is then undecided:
    neither it nor its negation matches."""

    def __init__(self, missing: Iterable[Source]) -> None:
        super().__init__()
        self.missing = tuple(missing)

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.missing[:3]))
        more = f" and {len(self.missing) - 3} more" if len(self.missing) > 3 else ""
        return f"it is not known yet whom {shown}{more} means; the network was not asked, or away"


class Accounts(AbstractSet[str]):
    """A set of DIDs, written as DIDs, handles, lists, starter packs, links to these on bsky.app,
    `{followed_by: …}`, `{followers_of: …}`, `{file: …}`, or several of them.

    `dids` and `sources` are what was written; it is true where anything was, however few people
    that means. While somebody is missing, `in` is still certain of those who are known; whatever
    cannot be answered yet raises `NotKnownYet`.
    """

    takes: ClassVar[frozenset[str]] = frozenset(
        {"did", "handle", "list", "starter_pack", "followed_by", "followers_of", "file"}
    )
    sets: tuple[frozenset[str], ...]
    _together: tuple[tuple[frozenset[str], ...], frozenset[str]] | None = None
    called: ClassVar[str] = "accounts"  # what the documentation calls the type
    about: ClassVar[str] = "a DID, a handle, a list, a starter pack, or a link to one on bsky.app"

    def __init__(self, *written: Any) -> None:
        self._set(source for one in written for source in self._read(one))

    def _set(self, sources: Iterable[Source]) -> None:
        every = set(sources)
        self.dids = frozenset(source.about for source in every if source.kind == "did")
        self.posts = frozenset(source.about for source in every if source.kind == "post")
        self.sources = tuple(sorted(s for s in every if s.kind not in ("did", "post")))
        self._spec = (self.dids, self.posts, self.sources)
        self._named = any(self._spec)  # asked for each post that is ranked
        self.bind({})

    def bind(self, found: Found) -> None:
        """Say whom the sources mean; what is not in `found` is not known."""
        self._found = {source: found[source] for source in self.sources if source in found}
        sets = [*self._found.values(), *([self.dids] if self.dids else [])]
        if len(sets) > 1:
            large = [members for members in sets if len(members) >= LARGE]
            sets = [*large, frozenset().union(*(m for m in sets if len(m) < LARGE))]
        self.sets = tuple(members for members in sets if members)
        self.missing = tuple(source for source in self.sources if source not in self._found)

    @property
    def known(self) -> frozenset[str]:
        """The DIDs that are known to be meant: what `Filter.keys` should go by. As `sets`, which
        may overlap, it costs nothing where there are many."""
        sets = self.sets
        if len(sets) == 1:
            return sets[0]
        if self._together is None or self._together[0] is not sets:
            self._together = sets, frozenset().union(*sets)
        return self._together[1]

    def via(self, did: str) -> list[str]:
        """By way of which sources `did` is meant, as they are written."""
        return [str(source) for source, members in self._found.items() if did in members]

    def __contains__(self, did: object) -> bool:
        for members in self.sets:
            if did in members:
                return True
        if self.missing:
            self._unknown()
        return False

    def isdisjoint(self, other: Iterable[object]) -> bool:
        others = frozenset(other)
        if not all(members.isdisjoint(others) for members in self.sets):
            return False
        if self.missing and others:
            self._unknown()
        return True

    def __iter__(self) -> Iterator[str]:
        if self.missing:
            self._unknown()
        return iter(self.known)

    def __len__(self) -> int:
        if self.missing:
            self._unknown()
        return len(self.known)

    def __bool__(self) -> bool:
        return self._named

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Accounts) and self._spec == other._spec

    def __hash__(self) -> int:
        return hash(self._spec)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.written()))})"

    def __str__(self) -> str:
        texts = sorted((*self.dids, *self.posts, *map(str, self.sources)))
        return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]" if texts else ""

    def written(self) -> list[str | dict[str, str]]:
        """What was written, as it could stand in YAML, in order."""
        return [*sorted(self.dids), *sorted(self.posts), *(s.written for s in self.sources)]

    def _unknown(self) -> NoReturn:
        raise NotKnownYet(self.missing)

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> frozenset[Any]:
        return frozenset(it)  # what `&`, `|`, `-` give

    @classmethod
    def _read(cls, one: Any) -> list[Source]:
        """The sources that one value of a list means. Raises `ValueError`."""
        if isinstance(one, Mapping):
            return [cls._taken(s, one) for s in parse_mapping(one, cls.takes, cls.about)]
        return [cls._taken(parse_text(one, cls.about), one)]

    @classmethod
    def _taken(cls, source: Source, written: Any) -> Source:
        if source.kind not in cls.takes:
            name = source.kind.replace("_", " ").replace("did", "DID")
            article = "" if name.startswith("follow") else "a "
            raise ValueError(f"{written!r} is {article}{name}; write {cls.about}")
        return source

    @classmethod
    def _validated(cls, value: Any, each: Callable[[Any], list[list[Source]]]) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, Accounts):
            value = value.written()
        made = cls()
        several = isinstance(value, _SEVERAL)
        made._set(source for one in each(list(value) if several else [value]) for source in one)
        return made

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            cls._validated,
            core_schema.list_schema(
                core_schema.no_info_plain_validator_function(cls._read), min_length=1
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(cls.written),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        text = {"type": "string"}
        some = {"type": "array", "items": text, "minItems": 1}
        keys = {key: some for key in ("followed_by", "followers_of", "file") if key in cls.takes}
        mapping = {"type": "object", "properties": keys, "additionalProperties": False}
        items = {"anyOf": [text, mapping]} if keys else text
        return {"type": "array", "items": items, "minItems": 1}


class Authors(Accounts):
    """`Accounts` that a plugin compares with nothing but a post's author. When they change, only
    the posts by those who came or went are decided again, which an index finds; for `Accounts`
    all stored posts are looked through for their DIDs."""


class AccountsOrPosts(Accounts):
    """`Accounts`, or single posts: at:// addresses, or links to them that have a DID."""

    takes = Accounts.takes | {"post"}
    called = "accounts or posts"

    def concern(self, uri: str) -> bool:
        """Whether the record at `uri` is one of the posts, or belongs to one of the accounts."""
        return uri in self.posts or uri.removeprefix("at://").partition("/")[0] in self


class Lists(Authors):
    """Those on lists or in starter packs."""

    takes = frozenset({"list", "starter_pack"})
    called = "lists or starter packs"
    about = "the address of a list or starter pack: its bsky.app link, or at://…"


class Followed(Authors):
    """Those whom some accounts follow; written are these."""

    takes = frozenset({"followed_by"})
    about = "a DID, a handle, or the bsky.app link of a profile"

    @classmethod
    def _read(cls, one: Any) -> list[Source]:
        return super()._read(one if isinstance(one, Mapping) else {"followed_by": one})


def accounts_in(plugin: Parameters) -> list[Accounts]:
    """The `Accounts` among the parameters of `plugin`, not of the plugins in it."""
    return list(_accounts_in(plugin.__dict__[name] for name in type(plugin).model_fields))


def _accounts_in(values: Iterable[Any]) -> Iterator[Accounts]:
    for value in values:
        if type(value) is str:  # as most are, and there may be thousands
            continue
        if isinstance(value, Accounts):
            yield value
        elif isinstance(value, Mapping):
            yield from _accounts_in(value.values())
        elif isinstance(value, _SEVERAL):
            yield from _accounts_in(value)


def bind(root: Parameters, found: Found) -> None:
    """Bind all `Accounts` of `root` and of the plugins in it. What plugins have computed from
    them (`cached_property`) is forgotten."""
    _bind(root, found)


def _bind(plugin: Parameters, found: Found) -> bool:
    """Whether there were any in `plugin` or in the plugins in it."""
    own = accounts_in(plugin)
    for accounts in own:
        accounts.bind(found)
    inside = [_bind(part, found) for part in plugin.children()]
    if not own and not any(inside):
        return False
    for name in plugin.__dict__.keys() - type(plugin).model_fields.keys():
        del plugin.__dict__[name]
    return True


@contextmanager
def supposing_nobody(root: Parameters) -> Iterator[None]:
    """Within it, whoever is not known yet counts as nobody."""
    unknown = [a for plugin in root.walk() for a in accounts_in(plugin) if a.missing]
    before = [dict(accounts._found) for accounts in unknown]
    for accounts in unknown:
        accounts.bind({**accounts._found, **dict.fromkeys(accounts.missing, frozenset())})
    try:
        yield
    finally:
        for accounts, found in zip(unknown, before, strict=True):
            accounts.bind(found)
