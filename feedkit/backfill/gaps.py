"""Gaps, filled from where they can be: the stream, and the archive for what that has forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from feedkit.backfill.archiving import Archived, has_archive
from feedkit.backfill.asking import KEY
from feedkit.backfill.filling import Filling
from feedkit.backfill.runs import NotPossible
from feedkit.settings import STREAMS
from feedkit.sources.syntax import moment
from feedkit.store.gaps import MissedStretch
from feedkit.wording import size_text


class Report(Struct):
    """What is to be said of gaps, and what goes to the side; `lost`: whether any is left."""

    said: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    lost: bool = False


def look(filling: Filling, archive: bool) -> Report:
    """What `fill` would do. `archive`: whether there is a key for it."""
    gaps, hopeless = filling.gaps()
    report = Report()
    rest = ", and the rest from the archive" if archive else ""
    for gap in gaps:
        report.said.append(
            f"{_shown(gap)}; feedkit backfill --gaps fills it, as far as the stream goes back{rest}"
        )
    _finish(report, gaps, hopeless)
    return report


def fill(filling: Filling, key: str) -> Report:
    """Fill what can be filled; from the archive, if there is a `key`. Raises as `filling` does."""
    gaps, hopeless = filling.gaps()
    report = Report()
    if gaps:
        outcome, left = filling.fill_gaps(gaps)
        hits = outcome.hits
        if left and key:
            try:
                archived = Archived(filling, key)
                outcome, left = archived.fill_gaps(left)
                hits += outcome.hits
                size = size_text(archived.fetched, 1)
                report.warned.append(f"{size} were fetched from the archive")
            except NotPossible as error:
                report.warned.append(f"not from the archive: {error}")
        ends = {gap.id: gap.to_us for gap in left}
        for gap in gaps:
            end = ends.get(gap.id, 0)
            if end < gap.to_us:
                filled = gap._replace(from_us=max(gap.from_us, end))
                report.said.append(f"{_shown(filled)}: filled")
        report.said.append(f"{hits:,} post{'' if hits == 1 else 's'} more")
        for gap in left:
            report.said.append(f"{_shown(gap)}: lost, the stream has forgotten it")
        if left:
            report.lost = True
            report.warned.append(_remedy(filling.stream.url, key))
    _finish(report, gaps, hopeless)
    return report


def _finish(
    report: Report, gaps: Sequence[MissedStretch], hopeless: Sequence[MissedStretch]
) -> None:
    """Tell of gaps that nothing can fill, or that there are none at all."""
    for gap in hopeless:
        why = "older than the feeds keep posts" if gap.from_us else "nobody knows when it began"
        report.said.append(f"{_shown(gap)}: lost, {why}")
        report.lost = True
    if not (gaps or hopeless):
        report.said.append("no gaps: ingest has missed nothing that was not filled")


def _remedy(url: str, key: str) -> str:
    """How to fill what the stream at `url` has forgotten."""
    if key:
        return "`feedkit backfill --all --authors` may still bring some of it"
    other = "" if has_archive(url) else f" --jetstream {STREAMS['jetstream']}"
    return (
        f"`feedkit backfill --gaps{other}` with a key in {KEY} fetches it from the stream's "
        "archive (https://bsky.network/account gives keys; it is metered by bytes)"
    )


def _shown(gap: MissedStretch) -> str:
    began = moment(gap.from_us).isoformat(" ", "seconds") if gap.from_us else "an unknown time"
    return f"{began} to {moment(gap.to_us).isoformat(' ', 'seconds')} ({gap.reason})"
