"""What happened before: to one address over all broadcasts, and who paused one."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.broadcasts.models import (
    Broadcast,
    Delivery,
    DeliveryLog,
    DeliveryState,
    PauseReason,
)


def times_failed_with(session: Session, address_key: str, enhanced: str) -> int:
    """How often offers to the address failed with this enhanced code, in whatever broadcast.

    Counted in the log, which keeps a line for each attempt. The deliveries are found broadcast by
    broadcast, through the ledger's unique key: no index is kept for a question this rare.
    """
    failed = (
        select(func.count())
        .select_from(Broadcast)
        .join(
            Delivery,
            (Delivery.broadcast_id == Broadcast.id) & (Delivery.address_key == address_key),
        )
        .join(DeliveryLog, DeliveryLog.delivery_id == Delivery.id)
        .where(
            DeliveryLog.state == DeliveryState.FAILED,
            DeliveryLog.reason.like(f"%: ___ {enhanced} %"),
        )
    )
    return session.scalar(failed) or 0


def paused_by(session: Session, broadcast: Broadcast) -> str:
    """The actor who paused it; empty: nobody did, or the audit trail does not know."""
    if broadcast.pause_reason is not PauseReason.OPERATOR:
        return ""
    return audit.latest_actor(session, "broadcast.paused", broadcast=broadcast.id)
