"""What several checks need, found out once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from feedkit.config.names import did_web
from feedkit.doctor.asking import Answer, Asker
from feedkit.doctor.verdict import NoAnswer, Unasked
from feedkit.publish.errors import PublishError
from feedkit.publish.plan import Stored
from feedkit.publish.publishers import Publisher, find_publishers, publisher_of
from feedkit.publish.records import COLLECTION
from feedkit.publish.repo import Repo
from feedkit.settings import FeedConfig, Network, Service
from feedkit.store import Store, StoreError, open_store

PATIENCE = 8.0  # seconds that checks wait for what another one is finding out
_PAUSE = 0.3  # seconds before the AppView is asked again
T = TypeVar("T")


class Visit:
    """A visit to `service`. `feeds`: those that are looked at. `at`: where the service is asked
    for, without it where the app does. `backfill`: whether there is such a command to name."""

    def __init__(
        self, service: Service, feeds: Iterable[FeedConfig], at: str = "", backfill: bool = False
    ) -> None:
        self.service, self.feeds, self.at = service, tuple(feeds), at.rstrip("/")
        self.backfill = backfill
        self._asker = Asker()
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()
        self._store: Store | None = None

    @property
    def public(self) -> bool:
        """Whether the service is for everybody's network."""
        return self.service.network == Network()

    def ask(self, url: str, **params: str) -> Answer:
        """What a server answers. Raises `NoAnswer`."""
        return self._asker.ask(url, **params)

    def close(self) -> None:
        """Let go of what this thread holds."""
        if self._store is not None:
            self._store.close()

    def end(self) -> None:
        """Let go of all connections; a check that still hangs loses its own."""
        self._asker.close()

    # The service, from the outside

    @property
    def own_document(self) -> bool:
        """Whether the service's DID is the did:web of its host name."""
        return self.service.did == did_web(self.service.hostname)

    def base(self) -> str:
        """The address at which the service is asked, without a slash at the end."""
        host, did = self.service.hostname, self.service.did
        own = f"{'http' if host.partition(':')[0] == 'localhost' else 'https'}://{host}"
        if self.at or not did.startswith("did:plc:"):
            return self.at or own
        try:
            return endpoint_of(self.document()) or own
        except (NoAnswer, Unasked):
            return own

    def document(self) -> dict[str, Any]:
        """The document of the service's DID. Raises `NoAnswer`."""
        return self._once("document", self._document)

    def _document(self) -> dict[str, Any]:
        did, network = self.service.did, self.service.network
        if did.startswith("did:plc:"):
            url = f"{network.plc}/{did}"
        elif self.own_document:
            url = f"{self.base()}/.well-known/did.json"
        elif did.startswith("did:web:"):
            url = f"https://{did.removeprefix('did:web:').replace('%3A', ':')}/.well-known/did.json"
        else:
            raise NoAnswer(
                f"{did} is of a kind that the app does not look up",
                "write a did:plc or a did:web under service: did, or leave it out",
            )
        answer = self.ask(url)
        if answer.status != 200 or not answer.object:
            raise NoAnswer(
                f"{url} answers with {answer.told} and no document",
                "check service: did in the configuration"
                if not self.own_document
                else "see what answers there; does the running service have another service: did?",
            )
        return answer.object

    def health(self) -> Answer:
        """What the service says of itself. Raises `NoAnswer`."""
        return self._once("health", lambda: self.ask(f"{self.base()}/xrpc/_health"))

    def reached(self) -> str:
        """`base`, if something answers there. Raises `Unasked`."""
        try:
            self.health()
        except NoAnswer:
            raise Unasked("the service is not reached, see hostname") from None
        return self.base()

    # Its store

    def opened(self) -> Store:
        """The store, with the tables of this version. Raises `StoreError`."""
        return self._once("store", self._open)

    def _open(self) -> Store:
        store = open_store(self.service.store, timeout=4.0)
        if store.db.sqlite and not Path(store.db.driver.database).is_file():
            raise StoreError(f"store {store.place}: there is no such file; run `feedkit migrate`")
        self._store = store
        store.check_schema()
        return store

    def store(self) -> Store:
        """The store. Raises `Unasked` where it is of no use."""
        try:
            return self.opened()
        except StoreError:
            raise Unasked("the store is not to be read, see database") from None

    def filled(self) -> dict[str, bool]:
        """Whether there are posts, by the name of every feed that the store knows."""
        sql = "SELECT f.name, EXISTS (SELECT 1 FROM hits AS h WHERE h.feed_id = f.id) FROM feeds f"
        store = self.store()
        return self._once("filled", lambda: {name: bool(some) for name, some in store.db.rows(sql)})

    # Its publishers

    @property
    def publishers(self) -> list[str]:
        """Handles or DIDs of the accounts that own the feeds."""
        return list(dict.fromkeys(publisher_of(feed, self.service) for feed in self.feeds))

    def publisher(self, name: str) -> Publisher:
        """The account called so. Raises `PublishError`."""
        return self._once(
            f"publisher {name}",
            lambda: find_publishers([name], self.service.network, _PAUSE)[name],
        )

    def owner(self, feed: FeedConfig) -> Publisher:
        """The account that owns the feed. Raises `Unasked`."""
        return self.account(publisher_of(feed, self.service))

    def account(self, name: str) -> Publisher:
        """The account called so. Raises `Unasked`."""
        try:
            return self.publisher(name)
        except PublishError:
            raise Unasked(f"it is not known who {name} is, see publisher") from None

    def uri(self, feed: FeedConfig) -> str:
        """The at:// URI of the feed. Raises `Unasked`."""
        return f"at://{self.owner(feed).did}/{COLLECTION}/{feed.name}"

    def records(self, publisher: Publisher) -> dict[str, Stored]:
        """The feed records of an account. Raises `PublishError`."""

        def ask() -> dict[str, Stored]:
            with Repo(publisher) as repo:
                return repo.records()

        return self._once(f"records {publisher.did}", ask)

    def _once(self, key: str, call: Callable[[], T]) -> T:
        """What `call` returns or raises; of all threads one calls it, and the others wait, but
        not for ever."""
        with self._lock:
            first = key not in self._known
            known = self._known.setdefault(key, _Known())
        if first:
            try:
                known.value = call()
            except Exception as error:
                known.error = error
            known.done.set()
        elif not known.done.wait(max(0.0, known.began + PATIENCE - time.monotonic())):
            raise Unasked("what this needs to know has not come in time")
        if known.error is not None:
            raise known.error
        result: T = known.value
        return result


class _Known:
    def __init__(self) -> None:
        self.began, self.done = time.monotonic(), threading.Event()
        self.value: Any = None
        self.error: Exception | None = None


def endpoint_of(document: dict[str, Any]) -> str:
    """Where a DID document says that its feed generator is; "" where it says nothing."""
    services = document.get("service")
    for one in services if isinstance(services, list) else []:
        match one:
            case {
                "id": str(name),
                "type": "BskyFeedGenerator",
                "serviceEndpoint": str(endpoint),
            } if name.rpartition("#")[2] == "bsky_fg":
                return endpoint.rstrip("/")
    return ""


def xrpc(base: str, method: str) -> str:
    return f"{base}/xrpc/{quote(method)}"
