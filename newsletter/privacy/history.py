"""What one newsletter has had with one person: their mails, consent, and what was done to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from newsletter.accounts.models import AuditEvent
from newsletter.broadcasts.models import Broadcast, Content, Delivery
from newsletter.issues.models import Issue
from newsletter.privacy.person import is_about
from newsletter.rendering.compiled import CompiledEmail
from newsletter.tracking.classification import Reader, classify_all
from newsletter.tracking.evidence import hit_of
from newsletter.tracking.models import Event, EventKind
from subscribers.models import ConsentEvent, Subscriber, SubscriberList, Subscription

_MOST_AUDIT = 200


@dataclass(frozen=True, slots=True)
class Deed:
    """What happened to a mail.

    Attributes:
        url: of a click, where it led; empty when that is not known any more.
        reader: of an open or click, who was behind it.
        hits: how often, when only that was counted.
    """

    at: datetime
    kind: EventKind
    url: str = ""
    reader: Reader | None = None
    hits: int = 1


@dataclass(frozen=True, slots=True)
class Mail:
    """One delivery with the issue it carried, and what happened since."""

    delivery: Delivery
    broadcast: Broadcast
    issue: Issue
    deeds: Sequence[Deed]


def subscriptions_of(
    session: Session, subscriber_id: int, newsletter_id: int
) -> list[tuple[Subscription, SubscriberList]]:
    """How the person stands on the newsletter's lists."""
    rows = session.execute(
        select(Subscription, SubscriberList)
        .join(SubscriberList, SubscriberList.id == Subscription.list_id)
        .where(
            Subscription.subscriber_id == subscriber_id,
            SubscriberList.newsletter_id == newsletter_id,
        )
        .order_by(SubscriberList.name)
    )
    return [(subscription, on) for subscription, on in rows]


def consent_of(
    session: Session, subscriber_id: int, newsletter_id: int, *, before: int | None, limit: int
) -> list[tuple[ConsentEvent, str]]:
    """Evidence of the person's subscriptions with the list's name, the latest first.

    `before` is the id of the last one seen.
    """
    found = (
        select(ConsentEvent, SubscriberList.name)
        .join(SubscriberList, SubscriberList.id == ConsentEvent.list_id)
        .where(
            ConsentEvent.subscriber_id == subscriber_id,
            SubscriberList.newsletter_id == newsletter_id,
        )
        .order_by(ConsentEvent.id.desc())
        .limit(limit)
    )
    if before is not None:
        found = found.where(ConsentEvent.id < before)
    return [(event, name) for event, name in session.execute(found)]


def mails_of(
    session: Session, person: Subscriber, newsletter_id: int, *, before: int | None, limit: int
) -> list[Mail]:
    """The person's deliveries, the latest broadcast first, each with what happened to it.

    `before` is the id of the last broadcast seen.
    """
    found = (
        select(Broadcast, Issue, Delivery)
        .join(Issue, Issue.id == Broadcast.issue_id)
        .join(
            Delivery,  # through the ledger's unique key: an address never changes
            and_(
                Delivery.broadcast_id == Broadcast.id,
                Delivery.address_key == person.address_key,
            ),
        )
        .where(Issue.newsletter_id == newsletter_id)
        .order_by(Broadcast.id.desc())
        .limit(limit)
    )
    if before is not None:
        found = found.where(Broadcast.id < before)
    rows = session.execute(found).all()
    deeds = _deeds(session, {delivery.id: delivery for _, _, delivery in rows})
    return [
        Mail(delivery, broadcast, issue, deeds.get(delivery.id, ()))
        for broadcast, issue, delivery in rows
    ]


def audit_of(
    session: Session, subscriber_id: int, newsletter_id: int | None, newsletter_slug: str
) -> list[AuditEvent]:
    """What was done to the person, the latest first: for this newsletter, or with None at all."""
    events = session.scalars(
        select(AuditEvent)
        .where(AuditEvent.subscriber_id == subscriber_id)
        .order_by(AuditEvent.id.desc())
        .limit(_MOST_AUDIT)
    )
    if newsletter_id is None:
        return list(events)
    ours = session.scalars(
        select(SubscriberList.slug).where(SubscriberList.newsletter_id == newsletter_id)
    ).all()
    return [event for event in events if is_about(event, newsletter_slug, ours)]


def _deeds(session: Session, deliveries: Mapping[int, Delivery]) -> dict[int, list[Deed]]:
    """By delivery, in the order they happened."""
    events = session.scalars(
        select(Event).where(Event.delivery_id.in_(deliveries)).order_by(Event.at, Event.id)
    ).all()
    readers = _readers(events, deliveries)
    urls = _urls(session, {event.broadcast_id for event in events if event.link is not None})
    found: dict[int, list[Deed]] = {}
    for event in events:
        assert event.delivery_id is not None
        url = urls.get((event.broadcast_id, event.link), "")
        deed = Deed(event.at, event.kind, url, readers.get(event.id), event.hits)
        found.setdefault(event.delivery_id, []).append(deed)
    return found


def _readers(events: Sequence[Event], deliveries: Mapping[int, Delivery]) -> dict[int, Reader]:
    """Who was behind each open and click, beside its neighbours of the same kind."""
    readers: dict[int, Reader] = {}
    for kind in (EventKind.OPEN, EventKind.CLICK):
        hits = {
            id(hit): (hit, event.id)
            for event in events
            if event.kind is kind and event.delivery_id is not None
            for hit in [hit_of(event, deliveries[event.delivery_id].last_at)]
        }
        for hit, verdict in classify_all(hit for hit, _ in hits.values()):
            readers[hits[id(hit)][1]] = verdict.reader
    return readers


def _urls(session: Session, broadcast_ids: set[int]) -> dict[tuple[int, int | None], str]:
    contents = session.scalars(select(Content).where(Content.broadcast_id.in_(broadcast_ids)))
    return {
        (content.broadcast_id, link.number): link.url
        for content in contents
        for link in CompiledEmail.from_json(content.compiled).links
    }
