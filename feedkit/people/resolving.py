"""From what people wrote to DIDs, by asking the AppView."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from feedkit.accounts import Source, read_file
from feedkit.appview import AppView, Away, Gone, Unresolved
from feedkit.sources.syntax import is_did

AT_ONCE = 25  # handles in a request


class Resolving:
    """Finds out whom sources mean; what it has learned of handles it remembers as long as it
    lives. `folder`: where files are looked for."""

    def __init__(self, appview: AppView, folder: Path) -> None:
        self._appview, self._folder = appview, folder
        self._dids: dict[str, str] = {}  # by handle

    def find(self, source: Source) -> frozenset[str]:
        """The DIDs that `source` means. Raises `Unresolved`."""
        kind, about = source
        match kind:
            case "did":
                return frozenset({about})
            case "handle":
                return frozenset({self._did(about)})
            case "list":
                return self._listed(self._address(about))
            case "starter_pack":
                return self._packed(self._address(about))
            case "followed_by":
                return self._all("app.bsky.graph.getFollows", {"actor": about}, "follows")
            case "followers_of":
                return self._all("app.bsky.graph.getFollowers", {"actor": about}, "followers")
            case "file":
                return self._in_file(about)
        raise ValueError(f"{kind} is no kind of source")

    def learn(self, handles: Iterable[str]) -> None:
        """Look up several handles in few requests. Those that are not found, `find` asks for one
        by one. Raises `Away`."""
        wanted = sorted(set(handles) - self._dids.keys())
        for start in range(0, len(wanted), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            answer = self._appview.get("app.bsky.actor.getProfiles", {"actors": some})
            profiles = answer.get("profiles")
            for profile in profiles if isinstance(profiles, list) else ():
                handle = profile.get("handle") if isinstance(profile, dict) else None
                if isinstance(handle, str) and handle.lower() in some and _did(profile):
                    self._dids[handle.lower()] = _did(profile)

    def _did(self, name: str) -> str:
        """The DID of a DID or a handle."""
        if name.startswith("did:"):
            return name
        if name not in self._dids:
            answer = self._appview.get("com.atproto.identity.resolveHandle", {"handle": name})
            did = _did(answer)
            if not did:
                raise Away(f"{self._appview.address} gave no DID for {name}")
            self._dids[name] = did
        return self._dids[name]

    def _address(self, uri: str) -> str:
        """An at:// address with a DID, which the API wants for lists."""
        who, _, path = uri.removeprefix("at://").partition("/")
        return f"at://{self._did(who)}/{path}"

    def _listed(self, uri: str) -> frozenset[str]:
        return self._all("app.bsky.graph.getList", {"list": uri}, "items")

    def _packed(self, uri: str) -> frozenset[str]:
        answer = self._appview.get("app.bsky.graph.getStarterPack", {"starterPack": uri})
        pack = answer.get("starterPack")
        inside = pack.get("list") if isinstance(pack, dict) else None
        uri = inside.get("uri", "") if isinstance(inside, dict) else ""
        if not isinstance(uri, str) or not uri.startswith("at://did:"):
            raise Away(f"{self._appview.address} gave no list for the starter pack")
        return self._listed(uri)

    def _all(self, method: str, params: dict[str, str], key: str) -> frozenset[str]:
        members = set()
        for page in self._appview.pages(method, dict(params), key):
            for item in page:
                did = _did(item.get("subject", item) if isinstance(item, dict) else None)
                if not did:
                    raise Away(f"{self._appview.address} answered {method} with no DID in an item")
                members.add(did)
        return frozenset(members)

    def _in_file(self, name: str) -> frozenset[str]:
        """Those in a file. A line that is none or whom nobody knows makes the whole file fail:
        the last state that was good is kept."""
        sources, problems = read_file(self._folder / name)
        if problems:
            number, problem = problems[0]
            raise Away(f"line {number}: {problem}" if number else problem)
        self.learn(source.about for source in sources if source.kind == "handle")
        members: set[str] = set()
        gone = []
        for source in sorted(sources):
            try:
                members |= self.find(source)
            except Gone as error:
                gone.append(f"{source}: {error}")
        if gone:
            raise Partly(frozenset(members), gone)
        return frozenset(members)


class Partly(Unresolved):
    """Some of a file's people there are not; `members` are the others."""

    def __init__(self, members: frozenset[str], gone: list[str]) -> None:
        more = f" (and {len(gone) - 1} more)" if len(gone) > 1 else ""
        super().__init__(gone[0] + more)
        self.members = members


def _did(item: Any) -> str:
    """The DID in an answer's object, if it is one; nothing else."""
    did = item.get("did") if isinstance(item, dict) else None
    return did if isinstance(did, str) and is_did(did) else ""
