"""Handles to DIDs, what people paste to at:// URIs, and these to posts, by asking the network."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

from feedkit.appview import AppView, Away, Gone, Unresolved
from feedkit.post import Post
from feedkit.settings import Network, Service
from feedkit.sources.records import BadRecord, post_from_record
from feedkit.sources.syntax import is_did, is_post_uri, parse_time
from feedkit.store import Store

__all__ = [
    "Unresolved", "fetch_post", "learn_publishers", "resolve", "resolve_handle", "resolve_post",
]  # fmt: skip

PATIENCE = 2.0  # seconds after which nothing is asked again: somebody waits at a terminal
FRESH = 86_400 * 1_000_000  # microseconds for which a handle's DID is believed
_COLLECTIONS = {
    "post": "app.bsky.feed.post",
    "feed": "app.bsky.feed.generator",
    "lists": "app.bsky.graph.list",
}
_APP_LINK = re.compile(
    r"https?://(?:[a-z]+\.)?bsky\.app/profile/([^/?#]+)(?:/(post|feed|lists)/([^/?#]+))?/?(?:[?#].*)?"
)
_HANDLE = re.compile(r"([a-z0-9-]+\.)+[a-z0-9-]+")


def resolve_handle(handle: str, network: Network, stop: threading.Event | None = None) -> str:
    """The DID of `handle`. Raises `Unresolved`."""
    what = f"who {handle} is"
    try:
        answer = _ask(network, "com.atproto.identity.resolveHandle", {"handle": handle}, what, stop)
    except Gone as error:
        raise Unresolved(f"{error}; is the handle {handle} written right?") from error
    did = answer.get("did")
    if not isinstance(did, str) or not is_did(did):
        raise _failed(f"{network.appview} answered without a DID", what)
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
        kind, rkey = path.rstrip("/"), ""
    else:
        authority, kind, rkey = text.removeprefix("@"), None, None
    if is_did(authority):
        did = authority
    elif _HANDLE.fullmatch(authority.lower()):
        did = resolve_handle(authority.lower(), network)
    else:
        raise Unresolved(
            f"{_quoted(text)} is not a handle, a DID, an at:// URI or a bsky.app link to a "
            "profile, post, feed or list"
        )
    if not kind:
        return did
    return f"at://{did}/{_COLLECTIONS[kind]}/{rkey}" if link else f"at://{did}/{kind}"


def resolve_post(text: str, network: Network) -> str:
    """The at:// URI of the post that `text` means, as `resolve`. Raises `Unresolved`."""
    uri = resolve(text, network)
    if not is_post_uri(uri):
        raise Unresolved(
            f"{_quoted(text)} is no post; write at://DID/app.bsky.feed.post/RECORD-KEY, or the "
            "post's bsky.app link"
        )
    return uri


def fetch_post(uri: str, network: Network) -> Post:
    """The post at `uri` (at:// with a DID), as the AppView has it today, read by what reads the
    stream; it has no counts. Raises `Unresolved`."""
    what = f"what {uri} says"
    posts = _ask(network, "app.bsky.feed.getPosts", {"uris": uri}, what).get("posts")
    if not isinstance(posts, list):
        raise _failed(f"{network.appview} answered without posts", what)
    view = next((one for one in posts if isinstance(one, dict) and one.get("uri") == uri), None)
    if view is None:
        raise Unresolved(
            f"{network.appview} has no post {uri}: it was deleted, or its account is not active, "
            "or the address is wrong"
        )
    seen = parse_time(str(view.get("indexedAt")))
    _, _, did, _, rkey = uri.split("/")
    try:
        return post_from_record(did, rkey, str(view.get("cid")), view.get("record"), seen)
    except BadRecord as error:
        raise Unresolved(f"{uri} is no post that feedkit reads: {error}") from error


def learn_publishers(
    service: Service, store: Store, stop: threading.Event | None = None
) -> list[str]:
    """Look up the DIDs of the publishers that are named by handle and keep them in the store.
    Returns a sentence for each that could not be found; these are tried again later."""
    handles = {feed.publisher or service.publisher for feed in service.feeds.values()}
    problems = []
    for handle in sorted(h for h in handles if not h.startswith("did:")):
        now = time.time_ns() // 1000
        known = store.identities.find(handle)
        if known is not None and 0 <= now - known[1] < FRESH:
            continue
        try:
            store.identities.save(handle, resolve_handle(handle, service.network, stop), now)
        except Unresolved as error:
            problems.append(
                f"publisher {handle}: {error}; until it is known, the app cannot find this "
                "publisher's feeds"
            )
    return problems


def _ask(
    network: Network,
    method: str,
    params: dict[str, str],
    what: str,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """What the AppView says. Raises `Gone`, or `Unresolved` with a remedy."""
    with AppView(network.appview, stop or threading.Event(), longest=PATIENCE) as appview:
        try:
            return appview.get(method, params)
        except Away as error:
            raise _failed(str(error), what) from error


def _failed(problem: str, what: str) -> Unresolved:
    return Unresolved(
        f"it could not be found out {what}: {problem}; check the connection and try again, or "
        "name another AppView under network: appview"
    )


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:199]}…")
