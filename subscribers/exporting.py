"""Export a list in the own format: it imports again to the same state."""

import json
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from subscribers.csv_files import CsvWriter
from subscribers.models import ConsentEvent, Subscriber, Subscription
from subscribers.presets import OWN_COLUMNS

_BATCH_ROWS = 1_000


def export_list(session: Session, list_id: int, file: Path) -> int:
    """Write everybody on the list, whatever their status, to `file`; returns how many."""
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
        .where(Subscription.list_id == list_id)
        .order_by(Subscriber.id)
        .execution_options(yield_per=_BATCH_ROWS)
    )
    writer = CsvWriter(file, OWN_COLUMNS)
    count = 0
    for person, subscription, wording in rows:
        writer.write(_cells(person, subscription, wording or ""))
        count += 1
    writer.close()
    return count


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
