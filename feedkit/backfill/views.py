"""Posts as the AppView shows them: an author's, or those that a search finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from feedkit.accounts import Authors, accounts_in
from feedkit.appview import Away
from feedkit.event import PostWritten
from feedkit.parameters import Parameters
from feedkit.plugin import Not
from feedkit.sources.records import BadRecord, post_from_record
from feedkit.sources.syntax import is_post_uri, moment, parse_time

PAGE = 100
MOST_PAGES = 500  # of one author, or of one search

Ask = Callable[[str, Mapping[str, str | int]], Mapping[str, Any]]
Page = tuple[list[PostWritten], int]  # posts, and items that are none


def by_author(ask: Ask, did: str, since: int) -> Iterator[Page]:
    """The posts of an account since then (microseconds since 1970), newest first, page by page."""
    asked = {"actor": did, "filter": "posts_with_replies"}
    for items, _ in _pages(ask, "app.bsky.feed.getAuthorFeed", asked, "feed"):
        own = []
        newest = 0
        for item in items:
            view = item.get("post") if isinstance(item, dict) else None
            reason = item.get("reason") if isinstance(item, dict) else None
            if not isinstance(reason, dict):
                own.append(view)
            newest = max(newest, _shown_at(reason) or _shown_at(view))
        yield _read(own, did)
        if newest < since:
            return


def by_words(ask: Ask, words: str, since: int, cursor: str = "") -> Iterator[tuple[Page, str]]:
    """The posts since then that a search finds, newest first, page by page from `cursor` on, each
    with the cursor of the next, which is empty behind the last."""
    asked = {"q": words, "sort": "latest", "since": moment(since).isoformat()}
    for items, after in _pages(ask, "app.bsky.feed.searchPosts", asked, "posts", cursor):
        over = max(map(_shown_at, items), default=0) < since
        yield _read(items), "" if over else after
        if over:
            return


def named_authors(filter: Parameters) -> frozenset[str]:
    """The DIDs of those whose posts `filter` asks for; not those whose posts it refuses."""
    found: frozenset[str] = frozenset()
    for accounts in accounts_in(filter):
        if isinstance(accounts, Authors):
            found |= accounts.known
    for part in filter.children():
        if not isinstance(filter, Not):
            found |= named_authors(part)
    return found


def _pages(
    ask: Ask, method: str, asked: Mapping[str, str], key: str, cursor: str = ""
) -> Iterator[tuple[list[Any], str]]:
    for _ in range(MOST_PAGES):
        answer = ask(method, {**asked, "limit": PAGE, **({"cursor": cursor} if cursor else {})})
        items = answer.get(key)
        if not isinstance(items, list):
            raise Away(f"the network answered {method} without {key}")
        before, cursor = cursor, answer.get("cursor") or ""
        if not isinstance(cursor, str) or cursor == before:
            cursor = ""
        yield items, cursor
        if not cursor:
            return


def _read(views: list[Any], did: str = "") -> Page:
    """The posts among `views`; of `did` alone, if given. Their revs are not told."""
    posts, bad = [], 0
    for view in views:
        uri = view.get("uri") if isinstance(view, dict) else None
        if not isinstance(uri, str) or not is_post_uri(uri):
            bad += 1
            continue
        _, _, author, _, rkey = uri.split("/")
        seen = _shown_at(view)
        if (did and author != did) or not seen:
            bad += 1
            continue
        try:
            post = post_from_record(author, rkey, str(view.get("cid")), view.get("record"), seen)
        except BadRecord:
            bad += 1
            continue
        posts.append(PostWritten(post, "", True, seen))
    return posts, bad


def _shown_at(view: Any) -> int:
    """When the network saw it, in microseconds since 1970; 0 if it does not say."""
    return parse_time(str(view.get("indexedAt"))) if isinstance(view, dict) else 0
