"""Whose records they are: from handles to accounts, their PDSs and their passwords."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from atproto_core.did_doc import DidDocument
from pydantic import ValidationError

from feedkit.appview import AppView, Gone, Unresolved
from feedkit.config.names import is_did
from feedkit.publish.errors import PublishError
from feedkit.settings import FeedConfig, Network, Service

PASSWORD = "FEEDKIT_APP_PASSWORD"
TIMEOUT = 10.0  # seconds
_NO_LETTER = re.compile(r"[^A-Z0-9]")


@dataclass(frozen=True)
class Publisher:
    """An account that owns feeds. `names`: how the configuration calls it, handle or DID; `pds`:
    the address of its server, without a slash at the end."""

    did: str
    pds: str
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.names[0]


def publisher_of(feed: FeedConfig, service: Service) -> str:
    """The handle or DID of the account that owns the feed."""
    return feed.publisher or service.publisher


def find_publishers(
    names: Iterable[str], network: Network, pause: float = 1.0
) -> dict[str, Publisher]:
    """The accounts by each of `names`, handles or DIDs; two names of one account share one.
    `pause`: seconds before a second try. Raises `PublishError`."""
    wanted = list(dict.fromkeys(names))
    dids: dict[str, str] = {}
    handles = [name for name in wanted if not is_did(name)]
    for name, did in resolve_handles(handles, network, pause).items():
        if not did:
            raise PublishError(
                f"publisher {name}: {network.appview} does not know this handle; check its "
                "spelling under publisher:, or write the account's DID"
            )
        dids[name] = did
    by_did: dict[str, Publisher] = {}
    for name in wanted:
        did = dids.get(name, name)
        if did not in by_did:
            named = tuple(one for one in wanted if dids.get(one, one) == did)
            by_did[did] = Publisher(did, _pds(did, name, network), named)
    return {name: by_did[dids.get(name, name)] for name in wanted}


def resolve_handles(handles: Iterable[str], network: Network, pause: float = 1.0) -> dict[str, str]:
    """The DIDs of `handles`; "" for one that nobody has. Raises `PublishError`."""
    found: dict[str, str] = {}
    with AppView(network.appview, threading.Event(), pause) as appview:
        for handle in sorted(set(handles)):
            try:
                answer = appview.get("com.atproto.identity.resolveHandle", {"handle": handle})
            except Gone:
                found[handle] = ""
                continue
            except Unresolved as error:
                raise PublishError(
                    f"cannot find out who {handle} is: {error}; check the connection, or name "
                    "another AppView under network: appview"
                ) from error
            did = answer.get("did")
            found[handle] = did if isinstance(did, str) and is_did(did) else ""
    return found


def check_service(service: Service) -> None:
    """Refuses a service that nobody could find: records that name it would be dead feeds. Raises
    `PublishError`."""
    if service.did.startswith("did:web:localhost") and service.network.plc == Network.plc:
        raise PublishError(
            f"{service.path}: service.hostname: {service.hostname} is your own machine, which the "
            "app cannot reach; write the host name under which the internet does"
        )
    if not service.did.startswith("did:plc:"):
        return
    document = _document(service.did, f"service.did {service.did}", service.network)
    if document.get_feed_gen_endpoint() is None:
        raise PublishError(
            f"{service.path}: service.did: the document of {service.did} at {service.network.plc} "
            "names no service #bsky_fg of the type BskyFeedGenerator, so the app would not find "
            f"the feeds; add it with the endpoint https://{service.hostname}"
        )


def variable(name: str) -> str:
    """The environment variable for the app password of a publisher: that of alice.example.com is
    FEEDKIT_APP_PASSWORD_ALICE_EXAMPLE_COM."""
    return f"{PASSWORD}_{_NO_LETTER.sub('_', name.upper())}"


def passwords(
    publishers: Iterable[Publisher], service: Service, environ: Mapping[str, str]
) -> dict[str, str]:
    """The app passwords by DID. FEEDKIT_APP_PASSWORD is that of the service's publisher alone:
    one account's password is not for another's server. Raises `PublishError`, naming every
    variable that is missing."""
    found, missing = {}, []
    owners: dict[str, str] = {}  # by variable
    for publisher in publishers:
        names = [variable(name) for name in publisher.names]
        for name in names:
            if owners.setdefault(name, publisher.did) != publisher.did:
                raise PublishError(
                    f"{name} would be the password of two publishers; write one of them as a DID"
                )
        if service.publisher in publisher.names:
            names.append(PASSWORD)
        given = [environ[name].strip() for name in names if environ.get(name, "").strip()]
        if given:
            found[publisher.did] = given[0]
        else:
            missing.append(f"  {publisher.name}: {' or '.join(reversed(names))}")
    if missing:
        raise PublishError(
            "to write to a repository its account's app password is needed, in the environment:\n"
            + "\n".join(missing)
            + "\nThe app makes one under Settings → Privacy and security → App passwords. "
            "--dry-run needs none."
        )
    return found


def _pds(did: str, name: str, network: Network) -> str:
    endpoint = _document(did, f"publisher {name}", network).get_pds_endpoint()
    if not endpoint:
        raise PublishError(
            f"publisher {name}: the document of {did} names no PDS, so its repository cannot be "
            "found; is the account closed?"
        )
    if endpoint.startswith("http://") and network.plc.startswith("https://"):
        raise PublishError(
            f"publisher {name}: its PDS is {endpoint}, without https; feedkit sends no password "
            "there"
        )
    return str(endpoint).rstrip("/")


def _document(did: str, what: str, network: Network) -> Any:
    """The DID document, as the SDK reads it. `what`: what the DID is of, for the message."""
    if did.startswith("did:plc:"):
        url, where = f"{network.plc}/{did}", "network: plc"
    elif re.fullmatch(r"did:web:[^:]+", did):
        host = did.removeprefix("did:web:").replace("%3A", ":")
        scheme = "http" if host.partition(":")[0] == "localhost" else "https"
        url, where = f"{scheme}://{host}/.well-known/did.json", "that host"
    else:
        raise PublishError(f"{what}: accounts are did:plc:… or did:web:HOSTNAME, not {did[:100]}")
    try:
        answer = httpx.get(url, timeout=TIMEOUT)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PublishError(
            f"{what}: {url} cannot be reached ({error or type(error).__name__}); check the "
            f"connection and {where}"
        ) from error
    if answer.status_code in (404, 410):
        raise PublishError(f"{what}: {url} knows no such account (any more)")
    try:
        document = DidDocument.from_dict(answer.json()) if answer.status_code == 200 else None
    except (ValueError, TypeError, ValidationError):
        document = None
    if document is None or document.id != did:
        raise PublishError(
            f"{what}: {url} answered with status {answer.status_code} and no document of {did}; "
            f"try again later, or check {where}"
        )
    return document
