"""From events to engagement: what readers who agreed did last, noted at once and rebuilt at will.

A hit counts unless it is a machine's by itself: bursts show only in a whole report. A hit whose
evidence has gone is what was written down then.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ScalarSelect, Select, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import Broadcast, Delivery
from newsletter.core.db import Sessions
from newsletter.issues.models import Issue
from newsletter.tracking.classification import Reader, classify
from newsletter.tracking.evidence import hit_of
from newsletter.tracking.models import Event, EventKind
from subscribers import engagement
from subscribers.engagement import Note
from subscribers.models import (
    ConsentChange,
    ConsentEvent,
    Engagement,
    SubscriberList,
    Subscription,
    TrackingConsent,
)

CHUNK_ROWS = 2_000
_KINDS = (EventKind.OPEN, EventKind.CLICK)


def note(session: Session, events: Sequence[Event]) -> None:
    """Note what these new events say of readers who agree, in the same transaction."""
    ids = {event.delivery_id for event in events if event.delivery_id and event.kind in _KINDS}
    if not ids:
        return
    # Whose consent somebody is changing right now is left out: nobody waits, nobody is noted
    # after a denial, and a rebuilding brings back what a granting would have.
    agreed = (
        _readers()
        .where(Delivery.id.in_(ids))
        .with_for_update(read=True, of=Subscription, skip_locked=True)
    )
    readers = {row.id: row for row in session.execute(agreed)}
    of_readers = [
        (event, readers[event.delivery_id])
        for event in events
        if event.kind in _KINDS and event.delivery_id in readers
    ]
    engagement.noted(session, _notes(of_readers))


def rebuild(sessions: Sessions, progress: Callable[[int], None] = lambda _events: None) -> None:
    """Make engagement anew from the events that are kept; what they cannot tell any more stays.

    Safe to stop, to run again, and while mail is read. `progress` hears of events gone through.
    """
    with sessions.writing() as session:
        _unlearn(session)
    after = 0
    while True:
        with sessions.writing() as session:
            events = session.scalars(_chunk(after)).all()
            if not events:
                return
            engagement.noted(session, _notes(_agreed_at_the_time(session, events)))
        after = events[-1].id
        progress(len(events))


def count_events(session: Session) -> int:
    """How many events a rebuilding goes through."""
    counted = select(func.count()).where(Event.kind.in_(_KINDS), Event.delivery_id.is_not(None))
    return session.scalar(counted) or 0


def _unlearn(session: Session) -> None:
    """Of what the kept events can tell again, and of readers who do not agree, nothing is left."""
    oldest = session.scalar(select(func.min(Event.at)))
    agreed = (
        select(Subscription.id)
        .join(SubscriberList, SubscriberList.id == Subscription.list_id)
        .where(
            Subscription.subscriber_id == Engagement.subscriber_id,
            SubscriberList.newsletter_id == Engagement.newsletter_id,
            Subscription.tracking_consent == TrackingConsent.GRANTED,
        )
        .exists()
    )
    session.execute(delete(Engagement).where(~agreed).execution_options(synchronize_session=False))
    if oldest is not None:
        for column in (Engagement.opened_at, Engagement.clicked_at):
            session.execute(
                update(Engagement).where(column >= oldest).values({column.key: None}),
                execution_options={"synchronize_session": False},
            )
    known = or_(Engagement.opened_at.is_not(None), Engagement.clicked_at.is_not(None))
    session.execute(delete(Engagement).where(~known).execution_options(synchronize_session=False))


def _readers() -> Select[int, int, datetime | None, int]:
    """Deliveries of readers who agree: whose they are, of which newsletter, and when accepted."""
    return (
        select(Delivery.id, Delivery.subscriber_id, Delivery.last_at, Issue.newsletter_id)
        .join(Broadcast, Broadcast.id == Delivery.broadcast_id)
        .join(Issue, Issue.id == Broadcast.issue_id)
        .join(
            Subscription,
            and_(
                Subscription.subscriber_id == Delivery.subscriber_id,
                Subscription.list_id == Delivery.list_id,
                Subscription.tracking_consent == TrackingConsent.GRANTED,
            ),
        )
    )


def _chunk(after: int) -> Select[Event]:
    hits = Event.kind.in_(_KINDS), Event.delivery_id.is_not(None)
    return select(Event).where(Event.id > after, *hits).order_by(Event.id).limit(CHUNK_ROWS)


def _agreed_at_the_time(session: Session, events: Sequence[Event]) -> list[tuple[Event, Any]]:
    """Those events whose readers agreed when it happened, and still do, with their readers."""
    ids = {event.delivery_id for event in events}
    found = _readers().add_columns(_last_word().label("since")).where(Delivery.id.in_(ids))
    readers = {row.id: row for row in session.execute(found)}
    return [
        (event, readers[event.delivery_id])
        for event in events
        if event.delivery_id in readers
        and event.at >= (readers[event.delivery_id].since or event.at)
    ]


def _last_word() -> ScalarSelect[datetime]:
    """When a delivery's reader last said something about tracking that counts for its list.

    A denial on any list of the newsletter counts: it made us forget what was known.
    """
    is_denial = ConsentEvent.change == ConsentChange.TRACKING_DENIED
    is_granting = ConsentEvent.change == ConsentChange.TRACKING_GRANTED
    return (
        select(func.max(ConsentEvent.at))
        .join(SubscriberList, SubscriberList.id == ConsentEvent.list_id)
        .where(
            ConsentEvent.subscriber_id == Delivery.subscriber_id,
            SubscriberList.newsletter_id == Issue.newsletter_id,
            or_(is_denial, and_(is_granting, ConsentEvent.list_id == Delivery.list_id)),
        )
        .correlate(Delivery, Issue)
        .scalar_subquery()
    )


def _notes(found: Iterable[tuple[Event, Any]]) -> list[Note]:
    return [
        _note(event.kind, event.at, reader)
        for event, reader in found
        if classify(hit_of(event, reader.last_at)).reader is not Reader.MACHINE
    ]


def _note(kind: EventKind, at: datetime, reader: Any) -> Note:
    opened, clicked = (at, None) if kind is EventKind.OPEN else (None, at)
    return Note(reader.newsletter_id, reader.subscriber_id, opened, clicked)
