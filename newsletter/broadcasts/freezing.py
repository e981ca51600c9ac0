"""Freeze the audience: one ledger row per recipient, in chunks that can stop and go on."""

from collections import Counter

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from newsletter.broadcasts import ledger
from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastList,
    BroadcastState,
    Content,
    Delivery,
    DeliveryState,
)
from newsletter.core.clock import now
from newsletter.core.config import TrackingMode
from newsletter.core.db import Sessions
from newsletter.core.doorbell import ring_after_commit
from newsletter.rendering.compiled import SenderIdentity, WireForm
from subscribers.audience import audience_chunk
from subscribers.models import TrackingConsent

CHUNK_ROWS = 5_000

_FORM_OF_MODE = {
    TrackingMode.OFF: WireForm.NONE,
    TrackingMode.AGGREGATE: WireForm.AGGREGATE,
    TrackingMode.INDIVIDUAL: WireForm.INDIVIDUAL,
}


def freeze(sessions: Sessions, broadcast_id: int, unknown: TrackingMode) -> None:
    """Freeze to the end, one transaction per chunk; a no-op unless the broadcast is freezing.

    Two at once do no harm: each chunk locks the broadcast and goes on behind its cursor.
    """
    while _freeze_chunk(sessions, broadcast_id, unknown):
        pass


def _freeze_chunk(sessions: Sessions, broadcast_id: int, unknown: TrackingMode) -> bool:
    with sessions.writing() as session:
        broadcast = session.get_one(Broadcast, broadcast_id, with_for_update=True)
        if broadcast.state is not BroadcastState.FREEZING:
            return False
        lists = session.scalars(
            select(BroadcastList.list_id)
            .where(BroadcastList.broadcast_id == broadcast_id)
            .order_by(BroadcastList.position)
        ).all()
        # One read decides both deliveries and exclusions, so that nobody who changes between two
        # statements is counted in both or in neither.
        chunk = session.execute(audience_chunk(lists, broadcast.freeze_cursor, CHUNK_ROWS)).all()
        if not chunk:
            broadcast.state = BroadcastState.SENDING
            broadcast.frozen_at = now()
            if broadcast.not_after <= now():  # everybody is accounted for, nobody is mailed
                ledger.expire(session, broadcast_id)
            ring_after_commit(session, broadcast_id)
            return False
        exclusions = Counter(broadcast.exclusions)
        exclusions.update(row.exclusion for row in chunk if row.exclusion)
        broadcast.exclusions = dict(exclusions)
        broadcast.candidates += len(chunk)
        broadcast.freeze_cursor = chunk[-1].subscriber_id
        mode = _mode(session, broadcast_id)
        deliveries = [
            {
                "broadcast_id": broadcast_id,
                "subscriber_id": row.subscriber_id,
                "list_id": row.list_id,
                "address": row.email,
                "address_key": row.address_key,
                "domain_key": row.domain_key,
                "wire_form": wire_form(mode, row.tracking_consent, unknown),
                "state": DeliveryState.PENDING,
                "due_at": broadcast.start_at,
            }
            for row in chunk
            if row.exclusion is None
        ]
        if deliveries:
            session.execute(insert(Delivery), deliveries)
        return True


def wire_form(mode: TrackingMode, consent: TrackingConsent, unknown: TrackingMode) -> WireForm:
    """How much one reader's copy may tell: never more than the mode, nothing after a denial."""
    by_consent = {
        TrackingConsent.GRANTED: mode,
        TrackingConsent.UNKNOWN: unknown,
        TrackingConsent.DENIED: TrackingMode.OFF,
    }[consent]
    return min(_FORM_OF_MODE[mode], _FORM_OF_MODE[by_consent])


def _mode(session: Session, broadcast_id: int) -> TrackingMode:
    content = session.get_one(Content, broadcast_id)
    return SenderIdentity.from_json(content.identity).tracking_mode
