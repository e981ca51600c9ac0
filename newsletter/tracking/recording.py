"""Record what readers did: a row per hit, then its consequence."""

from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from newsletter.broadcasts import control, ledger
from newsletter.broadcasts.models import Broadcast, Delivery, Proof
from newsletter.rendering.mail_tokens import TrackingToken
from newsletter.tracking.models import Event, EventKind

_PROOFS = {
    EventKind.OPEN: Proof.OPEN,
    EventKind.CLICK: Proof.CLICK,
    EventKind.UNSUBSCRIBE: Proof.UNSUBSCRIBE,
    EventKind.RESUBSCRIBE: Proof.UNSUBSCRIBE,
}
MOST_ROWS = 100
"""Per delivery and kind; what comes after is counted on the last row."""


@dataclass(frozen=True, slots=True)
class Visit:
    """How a request came: what classification needs to know of it."""

    method: str = "GET"
    ip: str = ""
    user_agent: str = ""
    is_prefetch: bool = False


def record(
    session: Session,
    kind: EventKind,
    token: TrackingToken,
    visit: Visit,
    link: int | None = None,
) -> None:
    """One hit of a pixel or link; a token of a pruned broadcast or delivery records nothing."""
    known = session.get(Broadcast, token.broadcast_id)
    if known is None or control.is_pruned(session, token.broadcast_id):
        return
    if token.delivery_id is not None and not _is_of(session, token):
        return
    record_event(session, kind, token.broadcast_id, token.delivery_id, visit, link)


def record_event(
    session: Session,
    kind: EventKind,
    broadcast_id: int,
    delivery_id: int | None,
    visit: Visit,
    link: int | None = None,
) -> None:
    """Write the event; a recipient's own token proves that the mail arrived."""
    if delivery_id is not None:
        ledger.proved_arrival(session, delivery_id, _PROOFS[kind])
        if _counted_on_last_row(session, kind, delivery_id):
            return
    session.add(
        Event(
            broadcast_id=broadcast_id,
            delivery_id=delivery_id,
            kind=kind,
            link=link,
            method=visit.method,
            ip=visit.ip,
            user_agent=visit.user_agent[:300],
            is_prefetch=visit.is_prefetch,
        )
    )


def _is_of(session: Session, token: TrackingToken) -> bool:
    delivery = select(Delivery.id).where(
        Delivery.id == token.delivery_id, Delivery.broadcast_id == token.broadcast_id
    )
    return session.scalar(delivery) is not None


def _counted_on_last_row(session: Session, kind: EventKind, delivery_id: int) -> bool:
    rows, last = session.execute(
        select(func.count(), func.max(Event.id)).where(
            Event.delivery_id == delivery_id, Event.kind == kind
        )
    ).one()
    if rows < MOST_ROWS:
        return False
    session.execute(update(Event).where(Event.id == last).values(hits=Event.hits + 1))
    return True
