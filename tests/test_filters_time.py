from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from feedkit import Imported, Posted
from feedkit.testing import NOW, post


@pytest.mark.parametrize(
    ("filter", "late", "matches"),
    [
        (Imported(), timedelta(days=2), True),
        (Imported(), timedelta(days=1), False),
        (Imported(), timedelta(0), False),
        (Imported(), timedelta(days=-2), False),
        (Imported("30d"), timedelta(days=29), False),
        (Imported("30d"), timedelta(days=31), True),
        (Imported(timedelta(hours=1)), timedelta(hours=2), True),
    ],
)
def test_imported(filter, late, matches):
    made = post(created_at=NOW - late, seen_at=NOW)
    assert filter.match(made) is matches


def test_imported_says_when():
    made = post(created_at=NOW - timedelta(days=2), seen_at=NOW)
    assert Imported().explain(made) == "created 2026-01-13 12:00, seen 2026-01-15 12:00 UTC"


def at(text):
    return post(sort_at=datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("filter", "moment", "matches"),
    [
        (Posted("thu"), "2026-01-15T00:00", True),
        (Posted("thu"), "2026-01-14T23:59:59", False),
        (Posted(["sat", "sun"]), "2026-01-15T12:00", False),
        (Posted("fri", zone="Asia/Tokyo"), "2026-01-15T15:00", True),
        (Posted("fri", zone="Asia/Tokyo"), "2026-01-15T14:59", False),
        (Posted(hours="9-17"), "2026-01-15T09:00", True),
        (Posted(hours="9-17"), "2026-01-15T16:59:59", True),
        (Posted(hours="9-17"), "2026-01-15T17:00", False),
        (Posted(hours="8:30-12"), "2026-01-15T08:29", False),
        (Posted(hours="8:30-12"), "2026-01-15T08:30", True),
        (Posted(hours="22-6"), "2026-01-15T23:00", True),
        (Posted(hours="22-6"), "2026-01-15T05:59", True),
        (Posted(hours="22-6"), "2026-01-15T06:00", False),
        (Posted(hours="20-24"), "2026-01-15T23:59", True),
        (Posted(hours=["6-8", "18-20"]), "2026-01-15T19:00", True),
        (Posted(hours=["6-8", "18-20"]), "2026-01-15T12:00", False),
        # Summer time: 09:30 in Berlin is 07:30 UTC in July, 08:30 in January.
        (Posted(hours="9-10", zone="Europe/Berlin"), "2026-07-15T07:30", True),
        (Posted(hours="9-10", zone="Europe/Berlin"), "2026-01-15T07:30", False),
        (Posted(hours="9-10", zone="Europe/Berlin"), "2026-01-15T08:30", True),
        (Posted(hours="5:30-6", zone="Asia/Kolkata"), "2026-01-15T00:00", True),
    ],
)
def test_posted(filter, moment, matches):
    assert filter.match(at(moment)) is matches


def test_posted_says_when_by_its_own_clock():
    assert Posted(zone="Asia/Tokyo").explain(at("2026-01-15T15:00")) == "fri 00:00"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"hours": "9"}, "are no hours; write them as 9-17"),
        ({"hours": "9-25"}, "are no hours"),
        ({"hours": "24-25"}, "are no hours"),
        ({"hours": "9:60-10"}, "are no hours"),
        ({"hours": "nine to five"}, "are no hours"),
        ({"zone": "Berlin"}, "no time zone .* such as Europe/Berlin"),
        ({"zone": "../etc/passwd"}, "no time zone"),
        ({"zone": ""}, "no time zone"),
        ({"days": "monday"}, "'mon', 'tue'"),
    ],
)
def test_posted_refuses(given, said):
    with pytest.raises(ValidationError, match=said):
        Posted(**given)


@pytest.mark.parametrize("after", ["0s", "-1d", "yesterday", timedelta(0)])
def test_imported_needs_a_length_of_time(after):
    with pytest.raises(ValidationError, match=r"longer than nothing|must be a duration"):
        Imported(after)
