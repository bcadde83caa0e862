"""Who is asking: the viewer's DID, from the service token that came with a request."""

from __future__ import annotations

import time
from collections.abc import Callable

from feedkit.auth.documents import Documents
from feedkit.auth.errors import BadToken, KeyUnavailable
from feedkit.auth.known import SHORT, Known
from feedkit.auth.token import bearer, read_token
from feedkit.settings import Service

__all__ = ["SHORT", "Authenticator", "BadToken", "KeyUnavailable"]


class Authenticator:
    """Verifies service tokens for `service`. One for each process: safe for threads, bounded, and
    started by nothing but the first token. `now` is the wall clock (seconds since 1970), `clock`
    one that only grows."""

    def __init__(
        self,
        service: Service,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        documents: Documents | None = None,
    ) -> None:
        # The network is on its way from the first form to the second.
        self._audiences = frozenset({service.did, f"{service.did}#bsky_fg"})
        self._now, self._clock = now, clock
        self._known = Known(documents or Documents(service.network.plc), clock)

    def viewer(
        self, authorization: str | None, method: str, patience: float | None = None
    ) -> str | None:
        """The DID of who asks for `method` (an NSID), by the request's Authorization header; None
        where there is none, or an empty one: signed out.

        Raises `BadToken` where the header proves nothing, `KeyUnavailable` where that cannot be
        said, after at most `patience` seconds (`SHORT`, or None: `known.LONGEST`). What is not
        found out until then is found out for the next request.
        """
        if authorization is None or not authorization.strip():
            return None
        since = self._clock()
        token = read_token(bearer(authorization), self._audiences, method, self._now())
        key = self._known.key(token.issuer, patience)
        if not key.signed(token.signed, token.signature, token.algorithm):
            newer = self._known.other_key(token.issuer, key, since, patience)
            if newer is None or not newer.signed(token.signed, token.signature, token.algorithm):
                raise BadToken(
                    "BadJwtSignature", "the token is not signed with its issuer's key (alg, kid)"
                )
        self._known.prove(token.issuer)
        return token.issuer
