"""Rows in doubt: who they are, whom they may be resent to, and what a broadcast's policy does."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, bindparam, exists, select
from sqlalchemy.orm import Session, aliased

from newsletter.broadcasts import ledger
from newsletter.broadcasts.models import (
    IN_DOUBT,
    Broadcast,
    BroadcastState,
    Delivery,
    DeliveryLog,
    DeliveryState,
)
from newsletter.core.clock import now
from newsletter.core.doorbell import ring_after_commit
from newsletter.core.sections import OnInDoubt
from newsletter.core.tables import database_now
from subscribers.models import Subscriber

GRACE = timedelta(minutes=10)
"""How long a policy waits for a late reply or a reader's proof: as long as the SMTP client waits
for the reply after the dot, so a process that slept and came back has heard it by then."""

ACCEPTED_BY_HAND = "accepted by hand"
RESENT_BY_HAND = "resent by hand"
ACCEPTED_BY_POLICY = "assumed accepted"
RESENT_BY_POLICY = "resent by policy"

RESENDABLE = (BroadcastState.SENDING, BroadcastState.PAUSED, BroadcastState.DONE)

_LEASED = aliased(Delivery)
_LEASED_STATES = [DeliveryState.CLAIMED, DeliveryState.SENDING]
_WITH_A_LIVE_WORKER = exists().where(
    _LEASED.lease_token == Delivery.lease_token,
    _LEASED.lease_until > database_now(),
    _LEASED.state.in_(bindparam(None, _LEASED_STATES, expanding=True, literal_execute=True)),
)


@dataclass(frozen=True, slots=True)
class Doubt:
    """One recipient of whom nobody can know whether the relay took the mail.

    Attributes:
        name: empty when the subscriber gave none or is gone.
        is_live: the worker that offered the mail is alive and may still hear the reply.
    """

    delivery_id: int
    name: str
    address: str
    address_key: str
    since: datetime | None
    relay: str
    attempt: int
    reason: str
    is_live: bool


def doubts(session: Session, broadcast_id: int, *, limit: int | None = None) -> list[Doubt]:
    """The recipients in doubt, in the order of the ledger."""
    rows = session.execute(
        select(
            Delivery.id,
            Subscriber.name,
            Delivery.address,
            Delivery.address_key,
            Delivery.last_at,
            Delivery.relay,
            Delivery.attempt,
            Delivery.reason,
            _WITH_A_LIVE_WORKER,
        )
        .outerjoin(Subscriber, Subscriber.id == Delivery.subscriber_id)
        .where(Delivery.broadcast_id == broadcast_id, IN_DOUBT)
        .order_by(Delivery.id)
        .limit(limit)
    )
    return [Doubt(row[0], row[1] or "", *row[2:]) for row in rows]


def accept(session: Session, broadcast_id: int, which: ColumnElement[bool], reason: str) -> int:
    """Believe that the relay took these; returns how many were still in doubt."""
    return ledger.resolve(
        session,
        DeliveryState.ACCEPTED,
        reason,
        Delivery.broadcast_id == broadcast_id,
        IN_DOUBT,
        which,
    )


def resend(session: Session, broadcast: Broadcast, which: ColumnElement[bool], reason: str) -> int:
    """Offer them the mail once more, never while the worker that offered it is alive.

    A broadcast that was done is sending again. The caller has locked `broadcast`.
    """
    resent = ledger.resolve(
        session,
        DeliveryState.PENDING,
        reason,
        Delivery.broadcast_id == broadcast.id,
        IN_DOUBT,
        ~_WITH_A_LIVE_WORKER,
        which,
    )
    if resent and broadcast.state is BroadcastState.DONE:
        broadcast.state = BroadcastState.SENDING
        broadcast.finished_at = None
    if resent:
        ring_after_commit(session, broadcast.id)
    return resent


def apply_policies(session: Session) -> None:
    """Do what each broadcast's `on_in_doubt` says to doubts older than the grace."""
    for broadcast_id in _with_old_doubts(session, OnInDoubt.ASSUME_ACCEPTED):
        accept(session, broadcast_id, _is_old() & ~_WITH_A_LIVE_WORKER, ACCEPTED_BY_POLICY)
    for broadcast_id in _with_old_doubts(session, OnInDoubt.RESEND):
        broadcast = session.get_one(
            Broadcast, broadcast_id, with_for_update=True, populate_existing=True
        )
        if broadcast.state in RESENDABLE and broadcast.not_after > now():
            resend(session, broadcast, _is_old() & ~_RESENT_BEFORE, RESENT_BY_POLICY)


# A relay that always falls silent would get the same mail again and again: once is enough.
_RESENT_BEFORE = exists().where(
    DeliveryLog.delivery_id == Delivery.id, DeliveryLog.reason == RESENT_BY_POLICY
)


def _is_old() -> ColumnElement[bool]:
    return Delivery.last_at < now() - GRACE


def _with_old_doubts(session: Session, policy: OnInDoubt) -> list[int]:
    old = exists().where(Delivery.broadcast_id == Broadcast.id, IN_DOUBT, _is_old())
    found = select(Broadcast.id).where(Broadcast.on_in_doubt == policy, old)
    return list(session.scalars(found.order_by(Broadcast.id)))
