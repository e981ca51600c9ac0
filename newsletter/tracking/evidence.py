"""The raw evidence of hits, IP address and user agent: read, and emptied without a figure changing.

What classification would say of a hit is written beside it before its evidence goes.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, or_, select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import Delivery
from newsletter.tracking.classification import VERSION, Hit, Reader, Verdict, classify_all
from newsletter.tracking.models import Event, EventKind

HAS_EVIDENCE: ColumnElement[bool] = or_(Event.ip != "", Event.user_agent != "")
_CLASSIFIED = (EventKind.OPEN, EventKind.CLICK)


def hit_of(event: Event | Row[*tuple[Any, ...]], accepted_at: datetime | None) -> Hit:
    """An open or click as classification wants it; a row has the columns by their names."""
    return Hit(
        reader_id=event.delivery_id,
        at=event.at,
        method=event.method,
        user_agent=event.user_agent,
        link=event.link,
        is_prefetch=event.is_prefetch,
        accepted_at=accepted_at,
        settled=Verdict(Reader(event.reader), event.rule) if event.reader else None,
    )


def empty(session: Session, event_ids: Collection[int]) -> int:
    """Empty the evidence of these events, each with its class written down; returns how many."""
    wanted = session.scalars(select(Event).where(Event.id.in_(event_ids), HAS_EVIDENCE)).all()
    for kind in _CLASSIFIED:
        _settle(session, [event for event in wanted if event.kind is kind], kind)
    for event in wanted:
        event.ip = event.user_agent = ""
    session.flush()
    return len(wanted)


def _settle(session: Session, events: Collection[Event], kind: EventKind) -> None:
    """Their neighbours decide too: three links in two seconds are no reader's."""
    known = {event.id for event in events}
    deliveries = {event.delivery_id for event in events if event.delivery_id is not None}
    around = session.execute(
        select(Event, Delivery.last_at)
        .outerjoin(Delivery, Delivery.id == Event.delivery_id)
        .where(
            Event.kind == kind,
            or_(Event.delivery_id.in_(deliveries), Event.id.in_(known)),
        )
        .order_by(Event.id)
    ).all()
    hits = [(event, hit_of(event, accepted_at)) for event, accepted_at in around]
    verdicts = {id(hit): verdict for hit, verdict in classify_all(hit for _, hit in hits)}
    for event, hit in hits:
        if event.id in known and not event.reader:
            verdict = verdicts[id(hit)]
            event.reader, event.rule = verdict.reader, f"{verdict.rule}/{VERSION}"
