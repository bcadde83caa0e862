"""From the outside: the host name, the DID, what is offered there, the clock."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from feedkit.doctor.asking import Answer
from feedkit.doctor.verdict import NoAnswer, Verdict, age, bad, good, unknown
from feedkit.doctor.visit import Visit, endpoint_of, xrpc
from feedkit.publish.records import COLLECTION
from feedkit.wording import listed

SKEW = 30.0  # seconds: half of what a viewer's token lives


def hostname(visit: Visit) -> Verdict:
    """The app reaches the service: DNS, TLS, status."""
    base = visit.base()
    if visit.public and not visit.at and visit.service.hostname.partition(":")[0] == "localhost":
        return bad(
            "service.hostname is your own machine, which the app cannot reach",
            "write the host name under which the internet does",
        )
    try:
        answer = visit.health()
    except NoAnswer as error:
        return bad(error.said, error.remedy)
    status, body = answer.status, answer.object
    if 300 <= status < 400:
        to = answer.headers.get("location", "elsewhere")[:200]
        return bad(
            f"{base} leads on to {to}, where the app does not follow",
            "make the service answer at its own host name, or name the other one under service: "
            "hostname",
        )
    if status in (502, 504):
        return bad(
            f"{base} answers with status {status}: its proxy finds no feedkit behind it",
            "start the web process, and check the port that the proxy passes on to ($PORT)",
        )
    if isinstance(why := body.get("message"), str) and "status" in body:
        said = f"{base} answers, but says {body['status']!r}: {why}"
        return bad(said, "see database, and the log of the web process")
    if status != 200 or "status" not in body:
        return bad(
            f"what answers at {base} is no feedkit: status {status}",
            "check where the host name and its proxy lead; they must pass everything on to "
            "`feedkit serve`",
        )
    said = f"{base} answers in {answer.seconds * 1000:.0f} ms"
    if answer.days is not None:
        said += f", its certificate is good for {age(answer.days * 86_400)}"
        if answer.ending:
            return bad(f"{said} more", "renew it, and see why that was not done by itself")
    return good(said)


def identity(visit: Visit) -> Verdict:
    """The document of the service's DID leads to the service."""
    service = visit.service
    if visit.own_document:
        visit.reached()
    try:
        document = visit.document()
    except NoAnswer as error:
        return bad(error.said, error.remedy)
    if document.get("id") != service.did:
        return bad(
            f"the document is of {str(document.get('id'))[:100]!r}, this service is {service.did}",
            "restart the web process with this configuration, or correct service: hostname",
        )
    endpoint, own = endpoint_of(document), f"https://{service.hostname}"
    if not endpoint:
        return bad(
            f"the document of {service.did} names no service #bsky_fg of the type "
            "BskyFeedGenerator, so the app finds no feed",
            f"add it to the document, with the endpoint {own}",
        )
    if endpoint != own and (visit.public or visit.own_document):
        return bad(
            f"the document of {service.did} sends the app to {endpoint}, the configuration says "
            f"{own}",
            "correct the document, or service: hostname",
        )
    return good(f"{service.did} leads to {endpoint}")


def describe(visit: Visit) -> Verdict:
    """The running service offers the feeds of the configuration."""
    service = visit.service
    try:
        answer = visit.ask(xrpc(visit.reached(), "app.bsky.feed.describeFeedGenerator"))
    except NoAnswer as error:
        return bad(error.said, error.remedy)
    body, anew = answer.object, "restart the web process with this configuration"
    feeds = body.get("feeds")
    if answer.status != 200 or not isinstance(feeds, list):
        return bad(
            f"describeFeedGenerator answers with {answer.told} and no list of feeds",
            "see what answers there; it must be `feedkit serve`",
        )
    if body.get("did") != service.did:
        return bad(
            f"the running service is {str(body.get('did'))[:100]!r}, this configuration says "
            f"{service.did}",
            anew,
        )
    uris = [str(one.get("uri")) for one in feeds if isinstance(one, dict)]
    offered = {uri.rpartition(f"/{COLLECTION}/")[2]: uri for uri in uris}
    served = [feed for feed in visit.feeds if feed.served]
    lacks = [feed.name for feed in served if feed.name not in offered]
    if lacks:
        return bad(f"the running service does not offer {listed(lacks)}", anew)
    more = sorted(offered.keys() - {name for name, f in service.feeds.items() if f.served})
    if more:
        return bad(f"the running service still offers {listed(more)}", anew)
    other = [feed.name for feed in served if offered[feed.name] != visit.uri(feed)]
    if other:
        return bad(
            f"it offers {listed(other)} under another account or a handle: {offered[other[0]]}",
            f"start `feedkit worker`, which finds out the DIDs of publishers; else {anew}",
        )
    return good(f"{len(uris)} feeds" if len(uris) != 1 else "1 feed")


def clock(visit: Visit) -> Verdict:
    """This machine's clock agrees with those of the network's servers."""
    network = visit.service.network
    skews: dict[str, float] = {}
    problems = []
    for address in dict.fromkeys((network.plc, network.appview)):
        try:
            skews[address] = _ahead(visit.ask(f"{address}/xrpc/_health"))
        except NoAnswer as error:
            problems.append(error.said)
        except (KeyError, ValueError):
            problems.append(f"{address} does not say what time it is")
    if not skews:
        return unknown("; ".join(problems))
    least = min(skews.values(), key=abs)
    if abs(least) > SKEW:
        which = "ahead of" if least > 0 else "behind"
        return bad(
            f"this machine's clock is {age(abs(least))} {which} that of {' and '.join(skews)}",
            "set it, and let it be kept right: `timedatectl set-ntp true`",
        )
    return good(f"within {max(1, round(abs(least)))} s of the network's")


def _ahead(answer: Answer) -> float:
    """Seconds by which our clock is ahead of the server's; its Date counts whole ones."""
    theirs = parsedate_to_datetime(answer.headers["date"]).timestamp() + 0.5
    return answer.received - answer.seconds / 2 - theirs


def now_us() -> int:
    """Our clock, microseconds since 1970."""
    return time.time_ns() // 1000
