"""Where an address is kept outside the subscribers' own tables, and how much of it."""

from dataclasses import astuple, dataclass

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import Broadcast, Delivery
from newsletter.issues.models import Issue
from newsletter.mail.address import Address
from newsletter.sending.models import SystemMail
from newsletter.tracking.models import Event
from subscribers.imports.runs.lines import of_person
from subscribers.models import ConsentEvent, Subscriber, Subscription, Suppression


@dataclass(frozen=True, slots=True)
class Traces:
    """What is kept about one address, as counts."""

    subscriptions: int
    consent_events: int
    deliveries: int
    events: int
    system_mails: int
    suppressions: int
    import_lines: int

    @property
    def any(self) -> bool:
        """Something is kept."""
        return any(astuple(self))


def find_traces(session: Session, address: Address) -> Traces:
    """What `erase` would find."""
    person = select(Subscriber.id).where(Subscriber.address_key == address.key)
    deliveries = delivery_ids(address.key)
    return Traces(
        subscriptions=_count(session, Subscription.subscriber_id.in_(person)),
        consent_events=_count(session, ConsentEvent.subscriber_id.in_(person)),
        deliveries=len(session.scalars(deliveries).all()),
        events=_count(session, Event.delivery_id.in_(deliveries)),
        system_mails=_count(session, to_them(address)),
        suppressions=_count(session, Suppression.key == address.key),
        import_lines=_count(session, of_person(address)),
    )


def delivery_ids(address_key: str, newsletter_id: int | None = None) -> Select[int]:
    """Broadcast by broadcast, through the ledger's unique key: an address never changes.

    Of one newsletter's broadcasts, or of all.
    """
    found = (
        select(Delivery.id)
        .select_from(Broadcast)
        .join(
            Delivery,
            and_(Delivery.broadcast_id == Broadcast.id, Delivery.address_key == address_key),
        )
        .order_by(Delivery.id)
    )
    if newsletter_id is None:
        return found
    return found.join(Issue, Issue.id == Broadcast.issue_id).where(
        Issue.newsletter_id == newsletter_id
    )


def to_them(address: Address) -> ColumnElement[bool]:
    """Mails in the outbox, in whatever spelling the address was typed there."""
    spellings = {address.key, address.typed, address.typed.lower(), address.envelope}
    return or_(
        SystemMail.address.in_(spellings),
        func.lower(SystemMail.address).in_({spelling.lower() for spelling in spellings}),
    )


def _count(session: Session, which: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).where(which)) or 0
