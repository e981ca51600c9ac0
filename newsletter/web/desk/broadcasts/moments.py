"""Times that editors write: of the clock on their wall, which twice a year leaps."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from newsletter.core.clock import now
from newsletter.web.desk.text import _

_FARTHEST = timedelta(days=366)
_DAY_AND_TIME = "%Y-%m-%dT%H:%M"


class MomentError(ValueError):
    """No moment that a sending may start at; the text says why."""


def moment(text: str, zone: ZoneInfo) -> datetime:
    """The moment, in UTC, that `2026-03-29T08:00` is in that zone.

    An hour that comes twice when the clocks go back is meant the first time.

    Raises:
        MomentError: no time, an hour that the clocks leap over, the past, or too far away.
    """
    local = _written(text)
    there = local.replace(tzinfo=zone)
    leap = _leap(there)
    if leap:
        raise MomentError(
            _(
                "%(time)s does not exist on that day in %(zone)s: the clocks go forward by "
                "%(minutes)s minutes. Choose another time.",
                time=local.strftime("%H:%M"),
                zone=zone.key,
                minutes=leap,
            )
        )
    at = _in_utc(there)
    if at <= now():
        raise MomentError(_("That is past. Choose a later time, or send now."))
    if at > now() + _FARTHEST:
        raise MomentError(_("That is more than a year away."))
    return at


def comes_twice(moment: datetime, zone: ZoneInfo) -> bool:
    """The clocks go back over this time: it is there once more an hour later."""
    at = moment.astimezone(zone)
    return at.replace(fold=0).utcoffset() != at.replace(fold=1).utcoffset()


def _written(text: str) -> datetime:
    try:
        return datetime.strptime(text[:16], _DAY_AND_TIME)  # noqa: DTZ007 - the zone comes next
    except ValueError:
        raise _no_time() from None


def _in_utc(there: datetime) -> datetime:
    try:
        return there.astimezone(UTC)
    except OverflowError:  # in the first or last hours that a datetime can say
        raise _no_time() from None


def _no_time() -> MomentError:
    return MomentError(_("Choose a day and a time, such as 2026-06-17 08:00."))


def _leap(at: datetime) -> int:
    """Minutes that the clocks go forward over this time; 0: it is there."""
    before = at.replace(fold=0).utcoffset() or timedelta()
    after = at.replace(fold=1).utcoffset() or timedelta()
    return max(0, round((after - before) / timedelta(minutes=1)))
