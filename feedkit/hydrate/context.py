"""What a hydrator is given: the web, the AppView, the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import httpx

import feedkit
from feedkit.appview import AppView
from feedkit.context import MOST_BYTES, Tables
from feedkit.post import Post
from feedkit.settings import Network
from feedkit.sources.records import BadRecord, post_from_record
from feedkit.sources.syntax import parse_time
from feedkit.store import Store

TIMEOUT = 10.0  # seconds for a connection, and between two pieces of an answer
LONGEST = 30.0  # seconds for what is fetched
POSTS = 25  # the most that app.bsky.feed.getPosts gives at once


class WebContext(AbstractContextManager["WebContext"]):
    """The context of one hydrator; see `feedkit.context.Context`."""

    def __init__(self, network: Network, store: Store) -> None:
        self.database: Tables = store.db
        self._network = network

    @cached_property
    def http(self) -> httpx.Client:
        return httpx.Client(
            timeout=TIMEOUT, headers={"user-agent": f"feedkit/{feedkit.__version__}"}
        )

    @cached_property
    def _appview(self) -> AppView:
        return AppView(self._network.appview, threading.Event())

    def api(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        return self._appview.get(method, params)

    def posts(self, uris: Collection[str]) -> dict[str, Post]:
        wanted = sorted(set(uris))
        found: dict[str, Post] = {}
        for start in range(0, len(wanted), POSTS):
            answer = self.api("app.bsky.feed.getPosts", {"uris": wanted[start : start + POSTS]})
            for view in answer.get("posts") or ():
                post = _post(view)
                if post is not None and post.uri in wanted:
                    found[post.uri] = post
        return found

    def fetch(self, url: str, most: int = MOST_BYTES) -> bytes:
        body = b""
        ends = time.monotonic() + LONGEST
        with self.http.stream("GET", url) as answer:
            answer.raise_for_status()
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > most:
                    raise ValueError(f"{url} is larger than {most:,} bytes")
                if time.monotonic() > ends:
                    raise TimeoutError(f"{url} took more than {LONGEST:.0f} s")
        return body

    def __exit__(self, *error: object) -> None:
        if "http" in self.__dict__:
            self.http.close()
        if "_appview" in self.__dict__:
            self._appview.close()


def _post(view: Any) -> Post | None:
    """The post that a view of it holds; None where it is none that feedkit reads."""
    if not isinstance(view, dict) or not isinstance(view.get("uri"), str):
        return None
    parts = view["uri"].split("/")
    if len(parts) != 5:
        return None
    seen = parse_time(str(view.get("indexedAt")))
    try:
        return post_from_record(parts[2], parts[4], str(view.get("cid")), view.get("record"), seen)
    except BadRecord:
        return None
