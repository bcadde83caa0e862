"""Each feed: as the app asks for it, its record, and what the app makes of both."""

from __future__ import annotations

from typing import Any

from feedkit.doctor.asking import Answer
from feedkit.doctor.verdict import NoAnswer, Unasked, Verdict, bad, good, split, unknown
from feedkit.doctor.visit import Visit, xrpc
from feedkit.identity import Unresolved
from feedkit.publish.errors import PublishError
from feedkit.publish.plan import Stored, left_over
from feedkit.publish.publishers import resolve_handles
from feedkit.publish.steps import Pictures, address, mentioned, step_for
from feedkit.publish.wording import lines
from feedkit.settings import REFUSE, FeedConfig
from feedkit.sources.syntax import is_post_uri
from feedkit.wording import listed

SLOW = 5.0  # seconds, after which the AppView may have given up
FEW = "10"  # posts: the AppView leaves out those that it does not know or that are hidden


def publisher(visit: Visit, name: str) -> Verdict:
    """The account that owns feeds is found, with its PDS."""
    try:
        found = visit.publisher(name)
    except PublishError as error:  # with a cause, it is somebody's server that is away
        ok, said, remedy = split(error, None if error.__cause__ else False)
        return Verdict(ok, said.removeprefix(f"publisher {name}: "), remedy)
    return good(f"{found.did} on {found.pds}")


def probe(visit: Visit, feed: FeedConfig) -> Verdict:
    """The feed answers as the app asks for it first: limit=1."""
    base = visit.reached()
    try:
        uri = visit.uri(feed)
        answer = visit.ask(xrpc(base, "app.bsky.feed.getFeedSkeleton"), feed=uri, limit="1")
    except NoAnswer as error:
        return bad(error.said, error.remedy)
    if answer.status == 401 and feed.personal and feed.signed_out == REFUSE:
        return good("refuses who is not signed in, as it should")
    if answer.object.get("error") == "UnknownFeed":
        return bad(
            f"the running service does not know {uri}",
            "restart the web process with this configuration",
        )
    if answer.status != 200:
        return bad(f"answers with {answer.told}", "see the log of the web process")
    if fault := _fault(answer):
        return bad(
            f"its answer is not what the app takes: {fault}",
            "see what answers there; if it is feedkit, please report this",
        )
    if answer.seconds > SLOW:
        return bad(
            f"takes {answer.seconds:.1f} s to answer, and the app does not wait for it",
            "see whether the database is slow; on a small machine lower depth: or add web "
            "processes",
        )
    took = f"answers in {answer.seconds * 1000:.0f} ms"
    if answer.object["feed"]:
        return good(took)
    try:
        some = visit.filled().get(feed.name, False)
    except Unasked:
        some = True
    if not some:
        return good(f"{took}; there is no post yet, see posts")
    return bad(
        f"{took}, but without a post",
        f"see `feedkit show {feed.name}`: its selectors or viewer filters may leave nothing over",
    )


def _fault(answer: Answer) -> str:
    """What is wrong with a page of one post; "" where nothing is."""
    body = answer.object
    items: Any = body.get("feed")
    if "json" not in answer.headers.get("content-type", ""):
        return f"it is {answer.headers.get('content-type', 'of no type')!r}, not JSON"
    if not isinstance(items, list):
        return "it has no list `feed`"
    if len(items) > 1:
        return f"it has {len(items)} posts, though one was asked for"
    if not all(isinstance(body.get(key, ""), str) for key in ("cursor", "reqId")):
        return "its cursor or reqId is no text"
    for one in items:
        post = one.get("post") if isinstance(one, dict) else None
        if not isinstance(post, str) or not is_post_uri(post):
            return f"{str(post)[:100]!r} is no address of a post"
    return ""


def record(visit: Visit, feed: FeedConfig) -> Verdict:
    """The feed's record leads to this service and says what the configuration says."""
    service, owner = visit.service, visit.owner(feed)
    command = f"run `feedkit publish {feed.name}`"
    records = _records(visit, feed)
    stored = records.get(feed.name)
    if stored is None:
        if any(one.value.get("did") == service.did for one in records.values()):
            return bad(f"{owner.name} has no record of it, so nobody finds it", command)
        return unknown("not published yet", command)
    try:
        dids = resolve_handles(mentioned([feed]), service.network, 0.3)
        step = step_for(feed, service, records, dids, Pictures(service))
    except PublishError as error:
        return split(error, None if isinstance(error.__cause__, Unresolved) else False)
    if step.moves:
        return bad(
            f"it leads to the service {str(stored.value.get('did'))[:100]!r}, this is "
            f"{service.did}",
            f"{command}, which brings it here and keeps its subscribers",
        )
    if step.action != "nothing":
        fields = [one.strip() for one in list(lines(step))[1:]]
        return bad(f"it is not as the configuration says: {' '.join(fields)}", command)
    return good(f"at://{owner.did}/…/{feed.name} is as the configuration says")


def left(visit: Visit) -> Verdict:
    """No record of this service is left of a feed that is gone. One that is not served but still
    in the configuration rests, and keeps its record and its subscribers."""
    service = visit.service
    written: dict[str, str] = {}  # how `unpublish` is told, by name
    resting: list[str] = []
    accounts = {one.did: one for one in map(visit.account, visit.publishers)}
    for account in accounts.values():
        try:
            records = visit.records(account)
        except PublishError:
            raise Unasked("the records cannot be listed, see publisher and record") from None
        for name in left_over(records, (), service.did):
            feed = service.feeds.get(name)
            if feed is None:
                written[name] = name
            elif visit.owner(feed).did != account.did:
                # By its name `unpublish` would find the record that the other account has.
                written[name] = address(account, name)
            elif not feed.served:
                resting.append(name)
    if written:
        return bad(
            f"records without a feed: {listed(list(written))}; people who follow them see an error",
            f"run `feedkit unpublish {next(iter(written.values()))}`, or serve the feed again",
        )
    rest = f"; {listed(resting)} {'rests' if len(resting) == 1 else 'rest'} (served: no)"
    return good(f"none of a feed that is gone{rest if resting else ''}")


def app(visit: Visit, feed: FeedConfig) -> Verdict:
    """The AppView knows the feed, and gets posts from it."""
    appview, uri = visit.service.network.appview, visit.uri(feed)
    if feed.name not in _records(visit, feed):
        raise Unasked("not published yet")
    try:
        answer = visit.ask(xrpc(appview, "app.bsky.feed.getFeedGenerator"), feed=uri)
        if answer.status == 429 or answer.status >= 500:
            return unknown(f"{appview} answers with {answer.told}")
        if answer.status != 200:
            return bad(
                f"{appview} does not show it: {answer.told}",
                "right after publishing wait a minute; else the service's DID must be put right, "
                "see did",
            )
        view = answer.object.get("view")
        did = view.get("did") if isinstance(view, dict) else None
        if did != visit.service.did:
            return bad(
                f"{appview} still asks the service {str(did)[:100]!r} for it",
                "right after publishing wait a minute; else see record",
            )
        page = visit.ask(xrpc(appview, "app.bsky.feed.getFeed"), feed=uri, limit=FEW)
    except NoAnswer as error:
        return unknown(error.said, error.remedy)
    if page.status == 401 and feed.personal and feed.signed_out == REFUSE:
        return good("known to the AppView, and refuses who is not signed in")
    if page.status == 429 or page.status in (500, 503):
        return unknown(f"{appview} answers with {page.told}")
    if page.status != 200:
        return bad(
            f"{appview} gets nothing from it: {page.told}",
            "if hostname, did and feed are well: does a firewall or a «bot protection» before the "
            "service keep out the AppView? And does it still have the document of an old host?",
        )
    if page.object.get("feed"):
        return good("the app shows it")
    return _empty(visit, uri)


def _empty(visit: Visit, uri: str) -> Verdict:
    """Why the app shows a page without a post."""
    try:
        skeleton = visit.ask(
            xrpc(visit.reached(), "app.bsky.feed.getFeedSkeleton"), feed=uri, limit=FEW
        )
    except (NoAnswer, Unasked):
        return unknown("the app shows it without a post; what the service answers see feed")
    posts = skeleton.object.get("feed")
    if not isinstance(posts, list) or not posts:
        return unknown("the app shows it without a post, as the service has none; see feed")
    return unknown(
        f"the app shows none of the feed's first {len(posts)} posts: it does not know them (yet), "
        "or they are deleted or hidden, or it has an older answer",
        "ask again in a minute; if it stays so, open some of the posts that `feedkit show "
        f"{uri.rpartition('/')[2]}` lists in the app",
    )


def _records(visit: Visit, feed: FeedConfig) -> dict[str, Stored]:
    try:
        return visit.records(visit.owner(feed))
    except PublishError as error:
        raise Unasked(str(error)) from error
