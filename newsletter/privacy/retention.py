"""Retention: who got what goes after a time, the figures stay.

Before the first row of a broadcast is deleted its totals are written, and from then on they alone
are read: a pruning that was stopped half-way shows the same figures, and goes on the next time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.orm import Session

from newsletter.broadcasts import accounting
from newsletter.broadcasts.models import (
    OVER,
    Broadcast,
    BroadcastTotals,
    Delivery,
    DeliveryLog,
)
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.tracking.models import Event
from newsletter.tracking.readership import readership

CHUNK_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Prunable:
    """A finished broadcast with rows that are old enough to go, and how many they are."""

    broadcast_id: int
    deliveries: int
    events: int


def prunable(session: Session, finished_before: datetime) -> list[Prunable]:
    """The broadcasts that `prune` would go through, the oldest first."""
    ids = session.scalars(
        select(Broadcast.id)
        .outerjoin(BroadcastTotals, BroadcastTotals.broadcast_id == Broadcast.id)
        .where(
            Broadcast.state.in_(OVER),
            Broadcast.finished_at < finished_before,
            BroadcastTotals.pruned_at.is_(None),
        )
        .order_by(Broadcast.id)
    )
    return [
        Prunable(
            broadcast_id,
            _count(session, Delivery.broadcast_id == broadcast_id),
            _count(session, Event.broadcast_id == broadcast_id),
        )
        for broadcast_id in ids.all()
    ]


def prune(
    sessions: Sessions,
    broadcasts: Iterable[Prunable],
    progress: Callable[[int], None] = lambda _rows: None,
) -> None:
    """Delete their deliveries, delivery log and events, each chunk in a transaction of its own.

    What was started again since it was found is left alone. `progress` hears of rows gone.
    """
    for found in broadcasts:
        with sessions.writing() as session:
            keeps_figures = _write_totals(session, found.broadcast_id)
        if keeps_figures:
            _delete_deliveries(sessions, found.broadcast_id, progress)
            _delete_events(sessions, found.broadcast_id, progress)
            with sessions.writing() as session:
                session.get_one(BroadcastTotals, found.broadcast_id).pruned_at = now()


def _write_totals(session: Session, broadcast_id: int) -> bool:
    """Keep the figures; False when the broadcast has work again, or still has open rows."""
    broadcast = session.get_one(Broadcast, broadcast_id, with_for_update=True)
    if session.get(BroadcastTotals, broadcast_id) is not None:
        return True
    accounts = accounting.account(session, broadcast_id)
    if broadcast.state not in OVER or accounts.open:
        return False
    session.add(
        BroadcastTotals(
            broadcast_id=broadcast_id,
            reached=accounts.accepted + accounts.in_doubt,
            outcomes=[[state, reason, n] for (state, reason), n in accounts.reasons.items()],
            readership=readership(session, broadcast_id).to_json(),
        )
    )
    return True


def _delete_deliveries(
    sessions: Sessions, broadcast_id: int, progress: Callable[[int], None]
) -> None:
    """Along the index of addresses, behind the last one: what was deleted is not walked again."""
    after: str | None = ""
    while after is not None:
        with sessions.writing() as session:
            upto = _last_of_chunk(session, broadcast_id, after)
            chunk = _between(broadcast_id, after, upto)
            ids = select(Delivery.id).where(chunk)
            session.execute(delete(DeliveryLog).where(DeliveryLog.delivery_id.in_(ids)))
            gone = session.execute(delete(Delivery).where(chunk).returning(Delivery.id)).all()
        progress(len(gone))
        after = upto


def _last_of_chunk(session: Session, broadcast_id: int, after: str) -> str | None:
    """The address key that ends the next full chunk; None when what is left is less."""
    return session.scalar(
        select(Delivery.address_key)
        .where(_between(broadcast_id, after, None))
        .order_by(Delivery.address_key)
        .offset(CHUNK_ROWS - 1)
        .limit(1)
    )


def _between(broadcast_id: int, after: str, upto: str | None) -> ColumnElement[bool]:
    behind = and_(Delivery.broadcast_id == broadcast_id, Delivery.address_key > after)
    return behind if upto is None else and_(behind, Delivery.address_key <= upto)


def _delete_events(sessions: Sessions, broadcast_id: int, progress: Callable[[int], None]) -> None:
    some = select(Event.id).where(Event.broadcast_id == broadcast_id).limit(CHUNK_ROWS)
    gone = CHUNK_ROWS
    while gone == CHUNK_ROWS:
        with sessions.writing() as session:
            deleted = session.execute(
                delete(Event).where(Event.id.in_(some)).returning(Event.id),
                execution_options={"synchronize_session": False},
            )
            gone = len(deleted.all())
        progress(gone)


def _count(session: Session, of_broadcast: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).where(of_broadcast)) or 0
