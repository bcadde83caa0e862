"""One account's feed records at its PDS: read by anyone, written with an app password."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import httpx
from atproto_client import Client, models
from atproto_client.exceptions import RateLimitExceededError, RequestErrorBase
from atproto_client.models.common import XrpcError
from atproto_client.models.dot_dict import DotDict
from atproto_client.request import Request
from atproto_core.exceptions import AtProtocolError

from feedkit.asking import said_by
from feedkit.publish.errors import PublishError
from feedkit.publish.plan import Stored
from feedkit.publish.publishers import Publisher
from feedkit.publish.records import COLLECTION, Record

TIMEOUT = 30.0  # seconds; a picture goes up in one request
PAGE = 100  # records
MOST_PAGES = 1000
_MADE_ANEW = (
    "make a new one in the app under Settings → Privacy and security → App passwords, signed in as "
    "this account"
)
T = TypeVar("T")


class Repo(AbstractContextManager["Repo"]):
    """The feed records of `publisher`. Every method raises `PublishError`."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self._request = Request(timeout=TIMEOUT)
        # The SDK would send the password on to wherever a redirection leads.
        self._request._client.follow_redirects = False
        self._client = Client(publisher.pds, request=self._request)
        self._password = ""

    def __exit__(self, *error: object) -> None:
        self._request.close()

    def records(self) -> dict[str, Stored]:
        """The feed records by record key, each with all that is in it."""
        found: dict[str, Stored] = {}
        cursor = None
        for _ in range(MOST_PAGES):
            asked = models.ComAtprotoRepoListRecords.Params(
                repo=self.publisher.did, collection=COLLECTION, limit=PAGE, cursor=cursor
            )
            # Not the SDK's models: these bring up a field that they do not know as another type.
            page = self._try("list its feeds", partial(self._page, asked))
            records = page.get("records") if isinstance(page, dict) else None
            if not isinstance(records, list):
                raise PublishError(f"{self._who()} gave no list of its feeds; try again later")
            found |= dict(filter(None, map(_stored, records)))
            before, cursor = cursor, page.get("cursor")
            if not cursor or cursor == before or not records:
                break
        return found

    def _page(self, asked: Any) -> Any:
        return self._client.invoke_query("com.atproto.repo.listRecords", params=asked).content

    def sign_in(self, password: str) -> None:
        """With the account's app password, for what follows."""
        self._password = password
        self._try(
            "sign in",
            lambda: self._client.login(self.publisher.did, password, fetch_bsky_profile=False),
        )
        session = self._client._session
        if session is None or session.did != self.publisher.did:
            raise PublishError(f"{self._who()} signed us in as somebody else; nothing is written")

    def ask(self, method: str, params: Mapping[str, str | int]) -> Mapping[str, Any]:
        """What a query answers to the account that is signed in."""
        answer = self._try(
            f"answer {method}",
            lambda: self._client.invoke_query(method, params=DotDict(dict(params))).content,
        )
        if not isinstance(answer, dict):
            raise PublishError(f"{self._who()} gave no sensible answer to {method}")
        return answer

    def upload(self, data: bytes, kind: str) -> Record:
        """Sends a picture; returns it as a field of a record."""
        answer = self._try(
            "take the picture",
            lambda: (
                self._client.invoke_procedure(
                    "com.atproto.repo.uploadBlob", content=data, headers={"Content-Type": kind}
                ).content
            ),
        )
        blob = answer.get("blob") if isinstance(answer, dict) else None
        if not isinstance(blob, dict):
            raise PublishError(f"{self._who()} did not say where it keeps the picture")
        return blob

    def put(self, name: str, record: Record, before: str | None) -> None:
        """Writes the record, if there still is the one with the CID `before` (None: none)."""
        # The SDK's model leaves out what is null, but here null means: only if there is none.
        asked = {
            "repo": self.publisher.did,
            "collection": COLLECTION,
            "rkey": name,
            "record": record,
            "swapRecord": before,
        }
        self._try(
            f"write {name}",
            lambda: self._client.invoke_procedure(
                "com.atproto.repo.putRecord",
                content=json.dumps(asked).encode(),
                input_encoding="application/json",
            ),
        )

    def delete(self, name: str, before: str) -> None:
        """Deletes the record, if it still is the one with the CID `before`."""
        self._try(
            f"delete {name}",
            lambda: self._client.com.atproto.repo.delete_record(
                models.ComAtprotoRepoDeleteRecord.Data(
                    repo=self.publisher.did, collection=COLLECTION, rkey=name, swap_record=before
                )
            ),
        )

    def _try(self, doing: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except RequestErrorBase as error:
            raise PublishError(self._told(doing, error)) from error
        except (AtProtocolError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise PublishError(
                f"{self._who()} was asked to {doing}, and gave no sensible answer "
                f"({self._said(error)}); try again later"
            ) from error

    def _told(self, doing: str, error: RequestErrorBase) -> str:
        """What went wrong, and what to do."""
        name, response = self.publisher.name, error.response
        if response is None:
            return (
                f"{self._who()} cannot be reached ({self._said(error.__cause__ or error)}); check "
                "the connection and try again later"
            )
        content = response.content
        code = content.error if isinstance(content, XrpcError) else ""
        said = self._clean(content.message or "") if isinstance(content, XrpcError) else ""
        told = f" ({said})" if said else ""
        if isinstance(error, RateLimitExceededError):
            return (
                f"{self._who()} has had enough requests for now{_until(error)}; run this again "
                "then: what is done is not done twice"
            )
        match code:
            case "InvalidSwap":
                return (
                    f"{doing.partition(' ')[2]}: its record was changed meanwhile by somebody "
                    "else; nothing of it is overwritten. Run this again to see what is left to do"
                )
            case "AuthFactorTokenRequired":
                return (
                    f"{name}: this is the account's own password, for which its PDS wants a code "
                    f"by e-mail; use an app password: {_MADE_ANEW}"
                )
            case "AuthenticationRequired" if doing == "sign in":
                return f"{self._who()} does not take this app password{told}; {_MADE_ANEW}"
            case "AccountTakedown" | "RepoTakendown" | "AccountDeactivated" | "RepoDeactivated":
                return f"{self._who()} says that the account is not active{told}"
            case "RepoNotFound" | "InvalidRequest" if "could not find repo" in said.lower():
                return (
                    f"{self._who()} has no repository of the account, or shows none because it is "
                    f"not active{told}"
                )
            case "BlobTooLarge":
                return f"{self._who()} finds the picture too large{told}; make it smaller"
        if response.status_code >= 500:
            return (
                f"{self._who()} was asked to {doing}, and answered with status "
                f"{response.status_code}{told}; try again later"
            )
        return (
            f"{self._who()} refuses to {doing}: status {response.status_code}"
            f"{f', {self._clean(code)}' if code else ''}{told}"
        )

    def _who(self) -> str:
        return f"{self.publisher.name}: its PDS {self.publisher.pds}"

    def _said(self, error: BaseException) -> str:
        return self._clean(said_by(error))

    def _clean(self, said: str) -> str:
        """A server's words on one line; should they hold the password, without it."""
        said = " ".join(said.split())
        return (said.replace(self._password, "…") if self._password else said)[:300]


def _stored(one: Any) -> tuple[str, Stored] | None:
    """Record key and record of an item of the list; None where it is neither."""
    match one:
        case {"uri": str(uri), "cid": str(cid), "value": dict(value)}:
            return uri.rpartition("/")[2], Stored(cid, value)
    return None


def _until(error: RateLimitExceededError) -> str:
    try:
        reset = error.reset_at
    except (ValueError, OverflowError, OSError):  # a time that is none
        reset = None
    if reset is None:
        after = error.retry_after
        return "" if after is None else f"; it wants to be left alone for {after:.0f} s"
    minutes = (reset - datetime.now(UTC)).total_seconds() / 60
    return f"; it takes more at {reset:%H:%M} UTC, in {max(minutes, 0):.0f} minutes"
