"""Handles to DIDs, and what people paste to at:// URIs, by asking the network."""

from __future__ import annotations

import logging
import re
import time

import httpx

from feedkit.settings import Network, Service
from feedkit.store import Store

log = logging.getLogger(__name__)

TIMEOUT = 10.0  # seconds
FRESH = 86_400 * 1_000_000  # microseconds for which a handle's DID is believed
_COLLECTIONS = {
    "post": "app.bsky.feed.post",
    "feed": "app.bsky.feed.generator",
    "lists": "app.bsky.graph.list",
}
_APP_LINK = re.compile(
    r"https?://(?:[a-z]+\.)?bsky\.app/profile/([^/?#]+)(?:/(post|feed|lists)/([^/?#]+))?/?(?:[?#].*)?"
)


class Unresolved(Exception):
    """The network does not know a name, or could not be asked. The message says which."""


def resolve_handle(handle: str, network: Network) -> str:
    """The DID of `handle`. Raises `Unresolved`."""
    try:
        answer = httpx.get(
            f"{network.appview}/xrpc/com.atproto.identity.resolveHandle",
            params={"handle": handle},
            timeout=TIMEOUT,
        )
        body = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise Unresolved(
            f"{network.appview} could not be asked who {handle} is: {error or type(error).__name__}"
        ) from error
    did = body.get("did") if isinstance(body, dict) else None
    if answer.status_code != 200 or not isinstance(did, str) or not did.startswith("did:"):
        message = body.get("message") if isinstance(body, dict) else None
        raise Unresolved(
            f"{network.appview} does not know the handle {handle}"
            + (f" ({message})" if message else "")
        )
    return did


def resolve(text: str, network: Network) -> str:
    """The DID or at:// URI that `text` means: a handle with or without @, a DID, an at:// URI, or
    a bsky.app link to a profile, post, feed or list. Raises `Unresolved`, also where `text` is
    none of these."""
    text = text.strip()
    link = _APP_LINK.fullmatch(text)
    if link:
        authority, kind, rkey = link.groups()
    elif text.startswith("at://"):
        authority, _, path = text.removeprefix("at://").partition("/")
        kind, rkey = path, ""
    else:
        authority, kind, rkey = text.removeprefix("@"), None, None
    if authority.startswith("did:"):
        did = authority
    elif re.fullmatch(r"([a-z0-9-]+\.)+[a-z0-9-]+", authority.lower()):
        did = resolve_handle(authority.lower(), network)
    else:
        raise Unresolved(
            f"{text!r} is not a handle, a DID, an at:// URI or a bsky.app link to a profile, "
            "post, feed or list"
        )
    if not kind:
        return did
    return f"at://{did}/{_COLLECTIONS[kind]}/{rkey}" if link else f"at://{did}/{kind}"


def learn_publishers(service: Service, store: Store) -> list[str]:
    """Look up the DIDs of the publishers that are named by handle and keep them in the store.
    Returns a sentence for each that could not be found; these are tried again later."""
    handles = {feed.publisher or service.publisher for feed in service.feeds.values()}
    problems = []
    for handle in sorted(h for h in handles if not h.startswith("did:")):
        now = time.time_ns() // 1000
        known = store.identity(handle)
        if known is not None and known[1] > now - FRESH:
            continue
        try:
            store.save_identity(handle, resolve_handle(handle, service.network), now)
        except Unresolved as error:
            problems.append(f"{error}; until it is known, the app cannot find this publisher's feeds")
    return problems
