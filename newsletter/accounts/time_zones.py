"""The time zones that a user can choose."""

from functools import cache
from zoneinfo import available_timezones

UTC = "UTC"


@cache
def offered() -> tuple[str, ...]:
    """Those that are named after places, and UTC."""
    other = ("Etc/", "SystemV/", "US/")
    named = (z for z in available_timezones() if "/" in z and not z.startswith(other))
    return (UTC, *sorted(named))


def known(text: str) -> str:
    """That zone, or UTC for what is none: a browser may know others than we do."""
    return text if text in offered() else UTC


def choices() -> list[tuple[str, str]]:
    """For a select: the value, and as people read it."""
    return [(zone, zone.replace("_", " ")) for zone in offered()]
