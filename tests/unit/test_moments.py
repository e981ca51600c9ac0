"""Times of the clock on an editor's wall, also in the nights when it leaps."""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
import time_machine

from newsletter.web.desk.broadcasts.moments import MomentError, comes_twice, moment

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")


@pytest.fixture(autouse=True)
def early_in_2026() -> Iterator[None]:
    with time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC), tick=False):
        yield


@pytest.mark.parametrize(
    ("text", "zone", "hour"),
    [
        ("2026-06-17T08:00", BERLIN, datetime(2026, 6, 17, 6, tzinfo=UTC)),
        ("2026-01-17T08:00", BERLIN, datetime(2026, 1, 17, 7, tzinfo=UTC)),
        ("2026-03-29T03:00", BERLIN, datetime(2026, 3, 29, 1, tzinfo=UTC)),
        ("2026-10-25T02:30", BERLIN, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-06-17T08:00:00", ZoneInfo("UTC"), datetime(2026, 6, 17, 8, tzinfo=UTC)),
    ],
)
def test_a_time_is_that_of_the_zone(text: str, zone: ZoneInfo, hour: datetime) -> None:
    assert moment(text, zone) == hour


def test_an_hour_that_comes_twice_is_known() -> None:
    assert comes_twice(moment("2026-10-25T02:30", BERLIN), BERLIN)
    assert not comes_twice(moment("2026-10-25T03:30", BERLIN), BERLIN)


@pytest.mark.parametrize(
    ("text", "zone", "why"),
    [
        ("2026-03-29T02:30", BERLIN, "02:30 does not exist .* forward by 60 minutes"),
        ("2026-10-04T02:15", LORD_HOWE, "forward by 30 minutes"),
        ("2025-12-31T08:00", BERLIN, "past"),
        ("2028-01-01T08:00", BERLIN, "more than a year away"),
        ("", BERLIN, "Choose a day and a time"),
        ("9999-99-99T08:00", BERLIN, "Choose a day and a time"),
        ("0001-01-01T00:00", BERLIN, "Choose a day and a time"),
        ("9999-12-31T23:59", NEW_YORK, "Choose a day and a time"),
    ],
)
def test_what_is_no_time_to_start_says_why(text: str, zone: ZoneInfo, why: str) -> None:
    with pytest.raises(MomentError, match=why):
        moment(text, zone)
