"""Times in whole periods, alike on both databases."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, cast, extract, func
from sqlalchemy.orm import InstrumentedAttribute, Session

HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400


def periods(
    session: Session, at: InstrumentedAttribute[Any], seconds: int, since: datetime | None = None
) -> ColumnElement[int]:
    """How many whole periods of so many seconds lie between `since`, or 1970, and `at`.

    Of a time before `since` it says nothing sensible.
    """
    start = int(since.timestamp()) if since else 0
    epoch: ColumnElement[Any] = extract("epoch", at)
    if session.get_bind().dialect.name == "sqlite":
        return (epoch - start) // seconds  # whole seconds already
    return cast(func.floor((epoch - start) / seconds), BigInteger)
