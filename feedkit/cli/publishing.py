"""publish, unpublish: the feeds' records in the network."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from feedkit.cli.group import Mistake, cli, count, feed_called, load, with_config

if TYPE_CHECKING:
    from feedkit.publish.plan import Step, Stored
    from feedkit.publish.publishers import Publisher
    from feedkit.publish.repo import Repo
    from feedkit.settings import FeedConfig, Service

with_dry_run = click.option("--dry-run", is_flag=True, help="Show the plan and end.")
with_yes = click.option("--yes", is_flag=True, help="Do not ask before the plan is carried out.")


@cli.command(short_help="Put the feeds into the app.")
@with_config
@click.argument("feeds", nargs=-1, metavar="[FEED]...")
@with_dry_run
@with_yes
def publish(config: Path, feeds: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    """Show what has to be done so that the records of the feeds are as the configuration says,
    and do it: all feeds, or those that are named.

    A record's createdAt and all that the configuration does not name stay. $FEEDKIT_APP_PASSWORD
    holds the app password of service.publisher, $FEEDKIT_APP_PASSWORD_ALICE_EXAMPLE_COM that of
    alice.example.com; --dry-run needs none. Moving to another host changes the records' did alone:
    the feeds keep their addresses and subscribers.
    """
    from feedkit.publish.errors import PublishError

    try:
        _publish(load(config), feeds, dry_run, yes)
    except PublishError as error:
        raise Mistake(str(error)) from error


@cli.command(short_help="Take feeds out of the app.")
@with_config
@click.argument("feeds", nargs=-1, metavar="[FEED]...")
@with_dry_run
@with_yes
def unpublish(config: Path, feeds: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    """Delete the records of feeds: those that are named, whether the configuration still has them
    or not, or all of this service.

    FEED may also be an at:// URI or a bsky.app link; then it may be a feed of another service.
    Subscribers keep an entry that shows nothing, until the feed is published again under the same
    name. Passwords as for publish.
    """
    from feedkit.publish.errors import PublishError

    if not (feeds or dry_run or yes or _terminal()):
        raise click.UsageError("name the feeds, or write --yes to delete the records of all")
    try:
        _unpublish(load(config), feeds, dry_run, yes)
    except PublishError as error:
        raise Mistake(str(error)) from error


def _publish(service: Service, names: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    from feedkit.publish.plan import left_over
    from feedkit.publish.publishers import (
        check_service,
        find_publishers,
        publisher_of,
        resolve_handles,
    )  # fmt: skip
    from feedkit.publish.repo import Repo
    from feedkit.publish.steps import Pictures, address, app_link, mentioned, step_for, take
    from feedkit.publish.wording import lines

    check_service(service)
    feeds = _chosen(service, names)
    owner = {feed.name: publisher_of(feed, service) for feed in feeds}
    if not names:  # there may be records left of feeds that are gone
        owner[""] = service.publisher
    # An account may be called by its handle here and by its DID there: FEEDKIT_APP_PASSWORD is the
    # service's publisher's by either name, and a feed that rests has an owner, too.
    called = [*owner.values(), service.publisher]
    if not names:
        called += [publisher_of(feed, service) for feed in service.feeds.values()]
    publishers = find_publishers(called, service.network)
    dids = resolve_handles(mentioned(feeds), service.network)
    for handle in sorted(handle for handle, did in dids.items() if not did):
        click.echo(f"Nobody is called @{handle}; in the description it will be no link.")
    pictures = Pictures(service)
    with ExitStack() as stack:
        to_do: list[tuple[Repo, Step]] = []
        for publisher in dict.fromkeys(publishers[name] for name in owner.values()):
            repo = stack.enter_context(Repo(publisher))
            records = repo.records()
            own = [feed for feed in feeds if owner[feed.name] in publisher.names]
            click.echo(f"{publisher.name} ({publisher.did} on {publisher.pds})")
            for feed in own:
                step = step_for(feed, service, records, dids, pictures)
                click.echo("\n".join(lines(step)))
                if step.action != "nothing":
                    to_do.append((repo, step))
            if not names:
                left = left_over(records, {feed.name for feed in own}, service.did)
                _tell_left_over(service, publisher, left)
        if not _go_on([repo for repo, _ in to_do], service, dry_run, yes):
            return
        for number, (repo, step) in enumerate(to_do):
            with _counted(number, len(to_do)):
                take(step, repo, pictures)
            done = "created" if step.action == "create" else "changed"
            click.echo(f"{done} {address(repo.publisher, step.name)}")
            click.echo(f"  {app_link(repo.publisher, step.name)}")


def _unpublish(service: Service, names: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    from feedkit.publish.deleting import Targets
    from feedkit.publish.repo import Repo
    from feedkit.publish.steps import address

    with ExitStack() as stack:
        targets = Targets(service, lambda publisher: stack.enter_context(Repo(publisher)))
        found = targets.chosen(names) if names else list(targets.all())
        for repo, name, stored in found:
            title = stored.value.get("displayName")
            click.echo(f"delete {address(repo.publisher, name)} ({str(title)!r})")
        if not _go_on([repo for repo, _, _ in found], service, dry_run, yes):
            return
        for number, (repo, name, stored) in enumerate(found):
            with _counted(number, len(found)):
                repo.delete(name, stored.cid)
            click.echo(f"deleted {address(repo.publisher, name)}")
            if name in service.feeds and service.feeds[name].served:
                click.echo(
                    f"  {service.path} still has {name}, and `feedkit publish` would make its "
                    "record again; take it out, or write served: no"
                )


def _chosen(service: Service, names: tuple[str, ...]) -> list[FeedConfig]:
    """The feeds of these names, or all that are served. Raises `Mistake`."""
    if not names:
        return [feed for feed in service.feeds.values() if feed.served]
    feeds = [feed_called(service, name) for name in dict.fromkeys(names)]
    for feed in feeds:
        if not feed.served:
            raise Mistake(
                f"{feed.place}: feeds.{feed.name}: served: no: the service would refuse the feed "
                "to everyone; take that line out, then publish it"
            )
    return feeds


def _tell_left_over(service: Service, publisher: Publisher, left: Mapping[str, Stored]) -> None:
    from feedkit.publish.publishers import publisher_of
    from feedkit.publish.steps import address

    for name in left:
        feed, written = service.feeds.get(name), name
        if feed is None:
            why = f"{service.path} has no such feed"
        elif publisher_of(feed, service) in publisher.names:
            click.echo(f"  {name}: rests (served: no); its record stays as it is")
            continue
        else:
            why, written = "another account publishes this feed now", address(publisher, name)
        click.echo(
            f"  {name if name.isprintable() else repr(name)}: a record of this service, but {why}; "
            f"`feedkit unpublish {written}` deletes it"
        )


def _go_on(repos: list[Repo], service: Service, dry_run: bool, yes: bool) -> bool:
    """Whether to carry out the plan that was shown, a step for each of `repos`; then they are
    signed in to."""
    from feedkit.publish.publishers import passwords

    if not repos:
        click.echo("Nothing to do.")
        return False
    if dry_run:
        click.echo(f"{count(len(repos), 'record')} to write; nothing is sent.")
        return False
    once = {repo.publisher.did: repo for repo in repos}
    secrets = passwords((repo.publisher for repo in once.values()), service, os.environ)
    asked = f"Write {count(len(repos), 'record')}?"
    if not yes and _terminal() and not click.confirm(asked, default=False):
        click.echo("Nothing is sent.")
        return False
    for did, repo in once.items():
        repo.sign_in(secrets[did])
    return True


def _terminal() -> bool:
    return sys.stdin.isatty()


@contextmanager
def _counted(number: int, all_of_them: int) -> Iterator[None]:
    """Says what was done before a step that fails."""
    from feedkit.publish.errors import PublishError

    try:
        yield
    except PublishError as error:
        if all_of_them == 1:
            raise
        raise PublishError(f"{error}\n{number} of {all_of_them} records are written.") from error
