"""Whose posts are wanted: accounts, and those on lists, as they are named on a command line."""

from __future__ import annotations

import threading
from collections.abc import Collection

from feedkit.accounts import Accounts
from feedkit.accounts.written import parse_text
from feedkit.appview import AppView, Unresolved
from feedkit.backfill.runs import NotPossible
from feedkit.people.resolving import Resolving
from feedkit.settings import Service

EXPECTED = "a handle, a DID, or the address of a list"


def accounts_named(
    service: Service, written: Collection[str], stop: threading.Event
) -> frozenset[str]:
    """The DIDs of those whom `written` means: what the parameters of plugins take, each in one
    text. Raises `NotPossible`, also for a list with nobody on it."""
    found: set[str] = set()
    with AppView(service.network.appview, stop) as appview:
        people = Resolving(appview, service.path.parent)
        for one in written:
            try:
                source = parse_text(one, EXPECTED)
                if source.kind not in Accounts.takes:
                    raise ValueError(f"this is no account; write {EXPECTED}")
                members = people.find(source)
            except (ValueError, Unresolved) as error:
                raise NotPossible(f"--author {one}: {error}") from error
            if not members:
                raise NotPossible(f"--author {one}: nobody is on it")
            found |= members
    return frozenset(found)
