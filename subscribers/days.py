"""Days as they begin and end where a person lives."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from newsletter.core.clock import now
from newsletter.core.errors import InputError
from newsletter.core.sentences import say

LONGEST_PAUSE = timedelta(days=366)


def first_moment(day: date, time_zone: str) -> datetime:
    """When that day begins there."""
    return datetime.combine(day, time(), _zone(time_zone))


def until_day(text: str, time_zone: str) -> datetime:
    """The first moment of a day, written as `2026-06-17`, where the person lives.

    Raises:
        InputError: it is no day, past, or too far away.
    """
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        raise InputError("until", say("choose the day when issues should come again")) from None
    until = first_moment(day, time_zone)
    if until <= now():
        raise InputError("until", say("choose a day that is still to come"))
    if until > now() + LONGEST_PAUSE:
        raise InputError("until", say("choose a day within a year"))
    return until


def local_day(moment: datetime, time_zone: str) -> date:
    """The day that it is then where the person lives."""
    return moment.astimezone(_zone(time_zone)).date()


def _zone(name: str) -> ZoneInfo:
    """An imported name may be of no zone."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
