"""Export a list in the own format: it imports again to the same state."""

import json
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.orm import Session

from subscribers.csv_files import CsvWriter
from subscribers.models import ConsentEvent, Subscriber, Subscription
from subscribers.presets import OWN_COLUMNS

_BATCH_ROWS = 1_000


def export_list(
    session: Session,
    list_id: int,
    file: Path,
    progress: Callable[[int], None] = lambda _rows: None,
    *,
    where: ColumnElement[bool] | None = None,
) -> int:
    """Write everybody on the list, whatever their status, to `file`; returns how many.

    `where` is a condition on Subscriber and Subscription, such as a segment's.
    `progress` gets the rows written so far, now and then.

    Raises:
        InputError: no file can be written there; one that was there before is untouched.
    """
    first_word = (
        select(func.min(ConsentEvent.id).label("id"))
        .where(ConsentEvent.list_id == list_id)
        .group_by(ConsentEvent.subscriber_id)
        .subquery()
    )
    rows = session.execute(
        select(Subscriber, Subscription, ConsentEvent.wording)
        .join(Subscription, Subscription.subscriber_id == Subscriber.id)
        .outerjoin(
            ConsentEvent,
            (ConsentEvent.subscriber_id == Subscriber.id)
            & ConsentEvent.id.in_(select(first_word.c.id)),
        )
        .where(Subscription.list_id == list_id, true() if where is None else where)
        .order_by(Subscriber.id)
        .execution_options(yield_per=_BATCH_ROWS)
    )
    count = 0
    with CsvWriter(file, OWN_COLUMNS) as writer:
        for count, (person, subscription, wording) in enumerate(rows, 1):
            writer.write(_cells(person, subscription, wording or ""))
            if count % _BATCH_ROWS == 0:
                progress(count)
    progress(count)
    return count


def count_rows(session: Session, list_id: int, *, where: ColumnElement[bool] | None = None) -> int:
    """How many rows an export of the list has."""
    counted = select(func.count()).select_from(Subscription).where(Subscription.list_id == list_id)
    if where is not None:
        counted = counted.join(Subscriber, Subscriber.id == Subscription.subscriber_id).where(where)
    return session.scalar(counted) or 0


def _cells(person: Subscriber, subscription: Subscription, wording: str) -> list[str]:
    """In the order of OWN_COLUMNS."""
    attributes = json.dumps(person.attributes, ensure_ascii=False, sort_keys=True)
    return [
        person.email,
        person.name,
        person.locale,
        person.time_zone,
        attributes if person.attributes else "",
        subscription.status,
        subscription.tracking_consent,
        subscription.subscribed_at.isoformat(),
        wording,
    ]
