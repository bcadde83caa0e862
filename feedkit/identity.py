"""Handles to DIDs, what people paste to at:// URIs, and these to posts, by asking the network."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import httpx

from feedkit.post import Post
from feedkit.settings import Network, Service
from feedkit.sources.records import BadRecord, post_from_record
from feedkit.sources.syntax import is_did, is_post_uri, parse_time
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
_HANDLE = re.compile(r"([a-z0-9-]+\.)+[a-z0-9-]+")


class Unresolved(Exception):
    """The network does not know a name or a post, or could not be asked. The message says which."""


def resolve_handle(handle: str, network: Network) -> str:
    """The DID of `handle`. Raises `Unresolved`."""
    status, body = _ask(
        network, "com.atproto.identity.resolveHandle", {"handle": handle}, f"who {handle} is"
    )
    did = body.get("did")
    if status == 400:
        raise Unresolved(f"{network.appview} does not know the handle {handle}{_told(body)}")
    if status != 200 or not isinstance(did, str) or not is_did(did):
        raise Unresolved(_failed(network, f"who {handle} is", status, body))
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
    what = f"for {uri}"
    status, body = _ask(network, "app.bsky.feed.getPosts", {"uris": uri}, what)
    posts = body.get("posts")
    if status != 200 or not isinstance(posts, list):
        raise Unresolved(_failed(network, what, status, body))
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


def learn_publishers(service: Service, store: Store) -> list[str]:
    """Look up the DIDs of the publishers that are named by handle and keep them in the store.
    Returns a sentence for each that could not be found; these are tried again later."""
    handles = {feed.publisher or service.publisher for feed in service.feeds.values()}
    problems = []
    for handle in sorted(h for h in handles if not h.startswith("did:")):
        now = time.time_ns() // 1000
        known = store.identity(handle)
        if known is not None and 0 <= now - known[1] < FRESH:
            continue
        try:
            store.save_identity(handle, resolve_handle(handle, service.network), now)
        except Unresolved as error:
            problems.append(
                f"publisher {handle}: {error}; until it is known, the app cannot find this "
                "publisher's feeds"
            )
    return problems


def _ask(
    network: Network, method: str, params: dict[str, str], what: str
) -> tuple[int, dict[str, Any]]:
    """Status and body of what the AppView says; the body is {} where it is no JSON object."""
    try:
        answer = httpx.get(f"{network.appview}/xrpc/{method}", params=params, timeout=TIMEOUT)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unresolved(
            f"{network.appview} cannot be asked {what} ({_reason(error)}); check the connection, "
            "or name another AppView under network: appview"
        ) from error
    try:
        body = answer.json()
    except ValueError:
        body = None
    return answer.status_code, body if isinstance(body, dict) else {}


def _reason(error: Exception) -> str:
    """`[Errno -2] Name or service not known` without its number; timeouts often say nothing."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def _failed(network: Network, what: str, status: int, body: dict[str, Any]) -> str:
    return (
        f"{network.appview} was asked {what}, and answered with status {status}{_told(body)}; "
        "try again later, or check network: appview"
    )


def _told(body: dict[str, Any]) -> str:
    message = body.get("message")
    return f" ({' '.join(message.split())[:200]})" if isinstance(message, str) else ""


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:199]}…")
