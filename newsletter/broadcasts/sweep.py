"""The sweep: whatever was forgotten, lost or has come due is found here, every few seconds."""

from collections.abc import Callable

from sqlalchemy import ColumnElement, exists, or_, select, update
from sqlalchemy.orm import Session

from newsletter.broadcasts import accounting, control, doubt, ledger
from newsletter.broadcasts.models import WAITING, Broadcast, BroadcastState, Delivery
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.doorbell import ring_after_commit

PERIOD_SECONDS = 5

_any_waits = exists().where(Delivery.broadcast_id == Broadcast.id, WAITING)


def sweep(sessions: Sessions) -> list[int]:
    """Start, resume and resolve what is due, end what is over, ring for work; two do no harm.

    Every step is a transaction of its own that takes a broadcast before its deliveries, as
    whoever cancels or retries does: nobody waits in a circle.

    Returns:
        Ids of the broadcasts that have work now.
    """
    with sessions.writing() as session:
        ledger.reap(session)
    with sessions.writing() as session:
        _start_due(session)
        control.resume_due(session)
    with sessions.writing() as session:
        doubt.apply_policies(session)
    _each(sessions, (Broadcast.state == BroadcastState.CANCELLED) & _any_waits, _end_for_good)
    _each(sessions, (Broadcast.state == BroadcastState.DONE) & _any_waits, _reopen)
    _each(sessions, _is_stale() & _any_waits, _expire)
    _each(sessions, _runs() & ~_is_stale() & _any_waits, _end_hopeless_retries)
    _each(sessions, Broadcast.state == BroadcastState.SENDING, _finish)
    with sessions.writing() as session:
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


def _each(
    sessions: Sessions,
    which: ColumnElement[bool],
    act: Callable[[Session, Broadcast], object],
) -> None:
    """`act` on every such broadcast, once it is locked and still is one."""
    with sessions.reading() as session:
        found = session.scalars(select(Broadcast.id).where(which).order_by(Broadcast.id)).all()
    for broadcast_id in found:
        with sessions.writing() as session:
            locked = select(Broadcast).where(Broadcast.id == broadcast_id, which).with_for_update()
            broadcast = session.scalar(locked)
            if broadcast is not None:
                act(session, broadcast)


def _runs() -> ColumnElement[bool]:
    return Broadcast.state.in_([BroadcastState.SENDING, BroadcastState.PAUSED])


def _is_stale() -> ColumnElement[bool]:
    return _runs() & (Broadcast.not_after <= now())


def _end_for_good(session: Session, broadcast: Broadcast) -> None:
    """A row that was on the wire when somebody cancelled has come back: to be tried no more."""
    ledger.cancel(session, broadcast.id)


def _reopen(session: Session, broadcast: Broadcast) -> None:
    """A row in doubt was refused for now after all, by a reply read late: it is to be tried."""
    del session
    broadcast.state = BroadcastState.SENDING
    broadcast.finished_at = None


def _expire(session: Session, broadcast: Broadcast) -> None:
    ledger.expire(session, broadcast.id)


def _end_hopeless_retries(session: Session, broadcast: Broadcast) -> None:
    ledger.end_hopeless_retries(session, broadcast.id, broadcast.not_after)


def _finish(session: Session, broadcast: Broadcast) -> None:
    accounting.finish(session, broadcast.id)


def _with_work(session: Session) -> list[int]:
    due = exists().where(
        Delivery.broadcast_id == Broadcast.id,
        WAITING,
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
