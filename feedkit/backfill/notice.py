"""Telling that a feed begins with nothing, and what can be done about it."""

from __future__ import annotations

import logging
from collections.abc import Collection

from feedkit.store import Store

log = logging.getLogger(__name__)

MOST = 5  # feeds that are named


def tell_of_new_feeds(store: Store, feeds: Collection[str]) -> None:
    """Say which of `feeds` this store, which has posts already, does not know yet."""
    new = store.backfills.unknown_feeds(feeds)
    for name in new[:MOST]:
        log.info(
            "feeds.%s is new: it begins with what arrives from now on; fill it with "
            "`feedkit backfill %s --stream 24h`", name, name,
        )  # fmt: skip
    if len(new) > MOST:
        log.info(
            "%d more feeds are new; fill all of them with `feedkit backfill --all --stream 24h`",
            len(new) - MOST,
        )


def tell_of_wider_feeds(feeds: Collection[str]) -> None:
    """Say what deciding stored posts again could not bring."""
    for name in sorted(feeds)[:MOST]:
        log.info(
            "feeds.%s: posts that its new filter wants and no feed kept before are not stored; "
            "`feedkit backfill %s --stream 24h` fetches them", name, name,
        )  # fmt: skip
