"""Record what readers did: a row per hit, then its consequence."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ARRAY, func, literal, select, update
from sqlalchemy.orm import Session

from newsletter.broadcasts import ledger
from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastTotals,
    Delivery,
    DeliveryState,
    Proof,
)
from newsletter.core.clock import now
from newsletter.core.tables import BigId
from newsletter.rendering.mail_tokens import TrackingToken
from newsletter.tracking import engaging
from newsletter.tracking.models import Event, EventKind
from subscribers import audience

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
    at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Fetch:
    """One fetch of a pixel, or of the link with this number."""

    kind: EventKind
    token: TrackingToken
    visit: Visit
    link: int | None = None


def record(session: Session, fetches: Sequence[Fetch]) -> None:
    """Hits of pixels and links.

    One of a pruned broadcast records nothing, nor does one that names a reader who is erased or
    has refused to be measured since.
    """
    tokens = [fetch.token for fetch in fetches]
    wait_for_turn(session, [token.delivery_id for token in tokens if token.delivery_id])
    known = _known(session, tokens)
    _write(
        session,
        [
            _event(f.kind, f.token.broadcast_id, f.token.delivery_id, f.visit, f.link)
            for f in fetches
            if f.token in known
        ],
    )


def record_event(
    session: Session, kind: EventKind, broadcast_id: int, delivery_id: int, visit: Visit
) -> None:
    """Something else that a recipient did by the mail's own token."""
    wait_for_turn(session, [delivery_id])
    _write(session, [_event(kind, broadcast_id, delivery_id, visit)])


def _known(session: Session, tokens: Iterable[TrackingToken]) -> set[TrackingToken]:
    """Those whose broadcast is there, with a delivery of it, if any, to who may be measured."""
    tokens = set(tokens)
    pruned = select(BroadcastTotals.broadcast_id)
    broadcasts = select(Broadcast.id).where(
        Broadcast.id.in_({t.broadcast_id for t in tokens}), Broadcast.id.not_in(pruned)
    )
    deliveries = select(Delivery.broadcast_id, Delivery.id).where(
        Delivery.id.in_({t.delivery_id for t in tokens if t.delivery_id}),
        Delivery.broadcast_id.not_in(pruned),
        Delivery.address != "",
        ~audience.refuses_measuring(Delivery.subscriber_id, Delivery.list_id),
    )
    found = {TrackingToken(broadcast_id, None) for broadcast_id in session.scalars(broadcasts)}
    found |= {TrackingToken(*row) for row in session.execute(deliveries)}
    return tokens & found


def _event(
    kind: EventKind,
    broadcast_id: int,
    delivery_id: int | None,
    visit: Visit,
    link: int | None = None,
) -> Event:
    return Event(
        broadcast_id=broadcast_id,
        delivery_id=delivery_id,
        kind=kind,
        link=link,
        at=visit.at,
        method=visit.method,
        ip=visit.ip,
        user_agent=visit.user_agent[:300],
        is_prefetch=visit.is_prefetch,
    )


def _write(session: Session, events: Sequence[Event]) -> None:
    """Write the events; a recipient's own token proves that the mail arrived."""
    deliveries = {event.delivery_id for event in events if event.delivery_id}
    _prove_arrival(session, {e.delivery_id: e.kind for e in events if e.delivery_id})
    rows = _rows(session, deliveries)
    beyond: Counter[tuple[int, EventKind]] = Counter()
    kept: list[Event] = []
    for event in events:
        key = (event.delivery_id or 0, event.kind)
        if event.delivery_id is None or rows[key] < MOST_ROWS:
            rows[key] += 1
            kept.append(event)
        else:
            beyond[key] += 1
    session.add_all(kept)
    session.flush()
    engaging.note(session, kept)
    for (delivery_id, kind), hits in beyond.items():
        _count_on_last_row(session, delivery_id, kind, hits)


def wait_for_turn(session: Session, deliveries: Collection[int]) -> None:
    """One transaction at a time counts a delivery's rows, or two would both see room for one.

    Who erases a reader takes it too: what is recorded is there to be emptied, or not recorded.

    Not the delivery's row lock: the sender's group commits take those in an order of their own,
    and two that hold what the other wants is a deadlock. SQLite has one writer anyway.
    """
    if deliveries and session.get_bind().dialect.name == "postgresql":
        keys = literal([-delivery_id for delivery_id in sorted(set(deliveries))], ARRAY(BigId))
        session.execute(select(func.pg_advisory_xact_lock(func.unnest(keys))))


def _prove_arrival(session: Session, kinds: Mapping[int, EventKind]) -> None:
    doubtful = select(Delivery.id).where(
        Delivery.id.in_(kinds), Delivery.state == DeliveryState.IN_DOUBT
    )
    for delivery_id in session.scalars(doubtful.order_by(Delivery.id)).all():
        ledger.proved_arrival(session, delivery_id, _PROOFS[kinds[delivery_id]])


def _rows(session: Session, deliveries: Collection[int]) -> Counter[tuple[int, EventKind]]:
    """How many rows each (delivery, kind) has."""
    counted = session.execute(
        select(Event.delivery_id, Event.kind, func.count())
        .where(Event.delivery_id.in_(deliveries))
        .group_by(Event.delivery_id, Event.kind)
    )
    return Counter({(found, kind): rows for found, kind, rows in counted if found})


def _count_on_last_row(session: Session, delivery_id: int, kind: EventKind, hits: int) -> None:
    last = select(func.max(Event.id)).where(Event.delivery_id == delivery_id, Event.kind == kind)
    session.execute(
        update(Event)
        .where(Event.id == last.scalar_subquery())
        .values(hits=Event.hits + hits)
        .execution_options(synchronize_session=False)
    )
