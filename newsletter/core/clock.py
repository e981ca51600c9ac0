"""The time: everything that needs it asks here, and tests travel through time by one door."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)
