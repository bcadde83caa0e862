"""From the configuration and a repository to steps, and the steps taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from feedkit.publish.errors import PublishError
from feedkit.publish.plan import Step, Stored, blob_of, plan
from feedkit.publish.publishers import Publisher
from feedkit.publish.records import COLLECTION, Picture, Record, handles_in, read_picture, wanted
from feedkit.publish.repo import Repo
from feedkit.settings import FeedConfig, Service


@dataclass
class Pictures:
    """The pictures of the feeds: read for the plan, read again when they are sent, so that a
    thousand feeds do not fill the memory; each is sent once to a repository."""

    service: Service
    files: dict[str, Picture] = field(default_factory=dict)  # by CID
    sent: dict[tuple[str, str], Record] = field(default_factory=dict)  # by DID and CID

    def of(self, feed: FeedConfig) -> Picture | None:
        if not feed.avatar:
            return None
        picture, _ = read_picture(self.service.path.parent / feed.avatar)
        return self.files.setdefault(picture.cid, picture)

    def send(self, cid: str, repo: Repo) -> Record:
        """The picture as `repo` keeps it."""
        key = (repo.publisher.did, cid)
        if key not in self.sent:
            picture, data = read_picture(self.files[cid].file)
            if picture.cid != cid:
                raise PublishError(
                    f"the picture {picture.file} has changed since the plan; run this again"
                )
            self.sent[key] = repo.upload(data, picture.kind)
        return self.sent[key]


def mentioned(feeds: Iterable[FeedConfig]) -> set[str]:
    """The handles that the descriptions of the feeds mention."""
    return {handle for feed in feeds for handle in handles_in(feed.description)}


def step_for(
    feed: FeedConfig,
    service: Service,
    records: Mapping[str, Stored],
    dids: Mapping[str, str],
    pictures: Pictures,
) -> Step:
    """What has to be done for the feed. `records`: what its publisher has; `dids`: by handle.
    Raises `PublishError`."""
    stored = records.get(feed.name)
    picture = pictures.of(feed)
    fields = wanted(feed, service.did, dids, picture, new=stored is None)
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return plan(feed.name, fields, stored, now)


def take(step: Step, repo: Repo, pictures: Pictures) -> None:
    """Does what the step says. Raises `PublishError`."""
    record = step.record
    for change in step.changes:
        if change.field == "avatar" and change.after is not None:
            record = {**record, "avatar": pictures.send(blob_of(change.after), repo)}
    repo.put(step.name, record, step.before)


def address(publisher: Publisher, name: str) -> str:
    """The at:// URI of the feed's record."""
    return f"at://{publisher.did}/{COLLECTION}/{name}"


def app_link(publisher: Publisher, name: str) -> str:
    """Where people see the feed in the app."""
    return f"https://bsky.app/profile/{publisher.name}/feed/{name}"
