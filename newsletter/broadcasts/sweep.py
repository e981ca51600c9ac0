"""The sweep: whatever was forgotten, lost or has come due is found here, every few seconds."""

from sqlalchemy import exists, or_, select, update
from sqlalchemy.orm import Session

from newsletter.broadcasts import accounting, control, doubt, ledger
from newsletter.broadcasts.models import Broadcast, BroadcastState, Delivery, DeliveryState
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.doorbell import ring_after_commit

PERIOD_SECONDS = 5


def sweep(sessions: Sessions) -> list[int]:
    """Start, resume and resolve what is due, end what is over, ring for work; two do no harm.

    Returns:
        Ids of the broadcasts that have work now.
    """
    with sessions.writing() as session:
        ledger.reap(session)
        _start_due(session)
        control.resume_due(session)
        doubt.apply_policies(session)
        _expire_stale(session)
        _finish(session)
        working = _with_work(session)
        for broadcast_id in working:
            ring_after_commit(session, broadcast_id)
        return working


def _start_due(session: Session) -> None:
    """Compare-and-set: of two sweepers one wins."""
    session.execute(
        update(Broadcast)
        .where(Broadcast.state == BroadcastState.SCHEDULED, Broadcast.start_at <= now())
        .values(state=BroadcastState.FREEZING)
    )


def _expire_stale(session: Session) -> None:
    running = select(Broadcast.id, Broadcast.not_after).where(
        Broadcast.state.in_([BroadcastState.SENDING, BroadcastState.PAUSED])
    )
    for broadcast_id, not_after in session.execute(running).all():
        if not_after < now():
            ledger.expire(session, broadcast_id)
        else:
            ledger.end_hopeless_retries(session, broadcast_id, not_after)


def _finish(session: Session) -> None:
    sending = select(Broadcast.id).where(Broadcast.state == BroadcastState.SENDING)
    for broadcast_id in session.scalars(sending).all():
        accounting.finish(session, broadcast_id)


def _with_work(session: Session) -> list[int]:
    due = exists().where(
        Delivery.broadcast_id == Broadcast.id,
        Delivery.state == DeliveryState.PENDING,
        Delivery.due_at <= now(),
    )
    working = (
        select(Broadcast.id)
        .where(
            or_(
                Broadcast.state == BroadcastState.FREEZING,
                (Broadcast.state == BroadcastState.SENDING) & due,
            )
        )
        .order_by(Broadcast.start_at, Broadcast.id)
    )
    return list(session.scalars(working))
